//! A stream in words.

use fnctl_core::{
    limits::STREAM_RECORD_BYTES_DEFAULT,
    shard::Ack,
    spec::{duration::Duration, size::ByteSize},
    status::{ShardLine, StreamLine, StreamStatus},
};

use crate::{
    error::CliError,
    output::{Output, table::Table, words},
};

/// Prints a stream with its shards and users.
pub(super) fn print(status: &StreamStatus, out: &mut Output) -> Result<(), CliError> {
    out.line(&format!(
        "{}, since {}",
        summary(&status.line),
        words::local(&status.line.created_at)
    ))?;
    let mut table = Table::new(&[
        "shard",
        "records>",
        "oldest",
        "newest",
        "last arrival",
        "lineage",
    ]);
    for shard in &status.shard_list {
        let number = |number: &Option<String>| {
            number
                .as_deref()
                .map_or_else(|| "-".to_owned(), words::short_number)
        };
        table.row([
            shard.shard_id.clone(),
            shard.records.to_string(),
            number(&shard.oldest),
            number(&shard.newest),
            shard
                .last_arrival
                .as_deref()
                .map_or_else(|| "-".to_owned(), words::local),
            lineage(shard),
        ]);
    }
    table.lines(2).iter().try_for_each(|line| out.line(line))?;
    for (label, mappings) in [
        ("read by", &status.read_by),
        ("written by", &status.written_by),
    ] {
        if !mappings.is_empty() {
            out.line(&format!("  {label:<11} {}", mappings.join("  ")))?;
        }
    }
    status.damaged.iter().try_for_each(|place| {
        let records = match (place.first_record, place.last_record) {
            (Some(first), Some(last)) => format!(", records {first} to {last}"),
            _ => String::new(),
        };
        out.line(&format!(
            "  DAMAGED     {} at offset {}: {}, {}{records}",
            place.file, place.offset, place.message, place.shard_id
        ))
    })
}

/// Where a shard came from, and what became of it; empty for one that was always there and is open.
fn lineage(shard: &ShardLine) -> String {
    let mut words = Vec::new();
    if !shard.parents.is_empty() {
        words.push(format!("from {}", numbers(&shard.parents)));
    }
    if let Some(closed_at) = &shard.closed_at {
        let (closed_at, children) = (words::local(closed_at), numbers(&shard.children));
        words.push(format!("closed {closed_at}, now {children}"));
    }
    words.join("; ")
}

/// The numbers of shards, without what all their ids have in common.
fn numbers(shard_ids: &[String]) -> String {
    let short = |id: &String| {
        let number = id.trim_start_matches("shardId-").trim_start_matches('0');
        if number.is_empty() {
            "0".to_owned()
        } else {
            number.to_owned()
        }
    };
    shard_ids
        .iter()
        .map(short)
        .collect::<Vec<_>>()
        .join(" and ")
}

pub(super) fn summary(line: &StreamLine) -> String {
    let retention = Duration::from_ms(line.retention_ms);
    let shards = words::count(line.shards.into(), "shard");
    let mut words = format!(
        "{}  {shards}, retention {retention}, ack {}",
        line.name,
        ack(line.ack)
    );
    if line.record_bytes_max > STREAM_RECORD_BYTES_DEFAULT {
        let bytes = line.record_bytes_max;
        words.push_str(&format!(", records up to {}", ByteSize { bytes }));
    }
    if let Some(bytes) = line.retention_bytes {
        words.push_str(&format!(", keeps {}", ByteSize { bytes }));
    }
    words.push_str(&format!(", {} stored", words::size(line.stored_bytes)));
    if let Some(bytes) = line.quota_bytes {
        words.push_str(&format!(" of {}", ByteSize { bytes }));
    }
    words
}

pub(super) fn ack(ack: Ack) -> &'static str {
    match ack {
        Ack::Synced => "synced",
        Ack::Written => "written",
    }
}
