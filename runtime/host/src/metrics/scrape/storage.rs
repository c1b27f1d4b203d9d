//! What streams, journal and disk say of themselves.

use super::{StoreSample, StreamSample};
use crate::metrics::exposition::Exposition;

/// Adds the families of the storage.
pub(super) fn expose(out: &mut Exposition, store: &StoreSample) {
    journal(out, store);
    streams(out, &store.streams);
}

fn streams(out: &mut Exposition, streams: &[StreamSample]) {
    let name = "fnctl_stream_stored_bytes";
    let help = "Bytes that the stream's logs take on the disk, with what is on its way there";
    out.family(name, "gauge", help);
    for stream in streams {
        out.sample(name, "stream", stream.name.as_str(), stream.stored_bytes);
    }
    let name = "fnctl_stream_quota_bytes";
    let help = "Bytes that they may take; streams without a quota have no sample";
    out.family(name, "gauge", help);
    for stream in streams {
        if let Some(bytes) = stream.quota_bytes {
            out.sample(name, "stream", stream.name.as_str(), bytes);
        }
    }
}

fn journal(out: &mut Exposition, store: &StoreSample) {
    for (name, kind, help, value) in &store.values {
        out.family(name, kind, help);
        out.line(format_args!("{name} {value}"));
    }
    let name = "fnctl_storage_errors_total";
    let help = "Damaged places found at rest, each counted once: alert on any";
    out.family(name, "counter", help);
    for (file, count) in &store.storage_errors {
        out.sample(name, "file", file, count);
    }
    let name = "fnctl_puts_refused_total";
    let help =
        "Puts told to come again: too much under way (of the node, of the stream), quota, disk";
    out.family(name, "counter", help);
    for (reason, count) in &store.puts_refused {
        out.sample(name, "reason", reason, count);
    }
    let name = "fnctl_journal_sync_seconds";
    out.family(name, "histogram", "Time of a sync of the journal");
    let mut count = 0;
    for (bound, inside) in &store.sync_buckets {
        count += inside;
        out.line(format_args!("{name}_bucket{{le=\"{bound}\"}} {count}"));
    }
    count += store.sync_above;
    out.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"));
    out.line(format_args!(
        "{name}_sum {}\n{name}_count {count}",
        store.sync_sum
    ));
}
