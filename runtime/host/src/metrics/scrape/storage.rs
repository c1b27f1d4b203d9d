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
    out.family(name);
    for stream in streams {
        out.sample(name, "stream", stream.name.as_str(), stream.stored_bytes);
    }
    let name = "fnctl_stream_quota_bytes";
    out.family(name);
    for stream in streams {
        if let Some(bytes) = stream.quota_bytes {
            out.sample(name, "stream", stream.name.as_str(), bytes);
        }
    }
}

fn journal(out: &mut Exposition, store: &StoreSample) {
    for (name, value) in &store.values {
        out.single(name, *value);
    }
    let name = "fnctl_component_compile_seconds";
    out.family(name);
    out.line(format_args!(
        "{name}_sum {}\n{name}_count {}",
        store.compile_seconds, store.compilations
    ));
    let name = "fnctl_storage_errors_total";
    out.family(name);
    for (file, count) in &store.storage_errors {
        out.sample(name, "file", file, count);
    }
    let name = "fnctl_puts_refused_total";
    out.family(name);
    for (reason, count) in &store.puts_refused {
        out.sample(name, "reason", reason, count);
    }
    let name = "fnctl_journal_sync_seconds";
    out.family(name);
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
