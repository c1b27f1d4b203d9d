//! What is stored, in words. Keys, payloads and what an error said of them are shown by length and hash
//! alone unless they were asked for; secrets and configuration are never shown.

mod commit;

use std::{fmt::Write as _, path::Path};

use fnctl_core::{
    commit::{DeadLetter, UnitTotals},
    entry::{Entry, Placement, UnitChange},
    id::UnitId,
    record::{NewRecords, RecordBlock},
    registry::RegistryChange,
    settled::SettledRanges,
    shard::Stream,
    view::{Value, ValueKey},
};

use self::commit::{commit, window};
use super::{Line, Wanted};
use crate::{
    block::ShardKey,
    codec::decode_dead_letter,
    digest::Digester,
    segment::{SegmentMeta, frame::FrameHeader},
};

/// A value of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// An id or a place in a log: a string in JSON.
    Id(u64),
    /// A count, bytes or milliseconds.
    Number(u64),
    /// Words.
    Text(String),
}

impl From<u64> for Field {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Field {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// What is shown of keys and payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payloads {
    /// Length and the first half of the SHA-256.
    #[default]
    Redacted,
    /// All of it; bytes that are no text are escaped.
    Shown,
}

const HASH_DIGITS: usize = 32;

impl Payloads {
    fn of(self, bytes: &[u8]) -> Field {
        match self {
            Self::Redacted => {
                let mut digester = Digester::default();
                digester.push(bytes);
                let hash = digester.finish();
                format!(
                    "{} bytes, sha256 {}",
                    bytes.len(),
                    hash.get(..HASH_DIGITS).unwrap_or_default()
                )
                .into()
            }
            Self::Shown => match std::str::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(_) => bytes.escape_ascii().to_string().into(),
            },
        }
    }
}

/// Whether a line is of what was asked for.
pub(super) fn is_of(line: &Line, wanted: &Wanted) -> bool {
    let is = |name: &str, id: Option<u64>| {
        id.is_none_or(|id| line.fields.contains(&(name_of(name), Field::Id(id))))
    };
    is("stream", wanted.stream.map(|stream| stream.0))
        && is("shard", wanted.shard.map(|shard| u64::from(shard.0)))
}

fn name_of(name: &str) -> &'static str {
    if name == "stream" { "stream" } else { "shard" }
}

fn shard(line: Line, (stream, shard): ShardKey) -> Line {
    line.with("stream", Field::Id(stream.0))
        .with("shard", Field::Id(shard.0.into()))
}

fn unit(line: Line, unit: UnitId) -> Line {
    shard(
        line.with("mapping", Field::Id(unit.mapping.0)),
        (unit.stream, unit.shard),
    )
}

/// The header of a segment's frame.
pub(super) fn frame(line: Line, header: &FrameHeader) -> Line {
    shard(line, header.shard)
        .with("first", Field::Id(header.first.0))
        .with("records", u64::from(header.records))
        .with("lsn", Field::Id(header.lsns.0.0))
        .with("next_lsn", Field::Id(header.lsns.1.0))
}

/// A record of a segment.
pub(super) fn record(line: Line, block: &RecordBlock, index: usize, payloads: Payloads) -> Line {
    let (key, data) = (block.records.keys.get(index), block.records.data.get(index));
    let line = shard(line, (block.stream, block.shard))
        .with("record", Field::Id(block.ordinal(index).0))
        .with("arrival_ms", block.arrival(index).0)
        .with("key", payloads.of(key));
    // A dead letter is a record of its own stream.
    match decode_dead_letter(bytes::Bytes::copy_from_slice(data)) {
        Ok(found) if payloads == Payloads::Redacted => letter(line, &found, payloads),
        _ => line.with("data", payloads.of(data)),
    }
}

fn letter(line: Line, letter: &DeadLetter, payloads: Payloads) -> Line {
    line.with("position", Field::Id(letter.position.0))
        .with("error_kind", letter.kind.as_str())
        .with("code", &*letter.code)
        .with("error", payloads.of(letter.error.as_bytes()))
        .with("attempts", u64::from(letter.attempts))
        .with("data", payloads.of(&letter.data))
}

/// An entry and what it holds, a line each.
pub(super) fn entry(
    path: &Path,
    offset: u64,
    lsn: u64,
    entry: &Entry,
    payloads: Payloads,
) -> Vec<Line> {
    let line = |kind| Line::new(kind, path, offset).with("lsn", Field::Id(lsn));
    let rows = |kind, placement: &Placement, records: &NewRecords| {
        placed(&|| line(kind), placement, records, payloads)
    };
    match entry {
        Entry::Append {
            placement,
            records,
            producer,
        } => {
            let mut lines = vec![
                line("append")
                    .with("stream", Field::Id(placement.stream.0))
                    .with("records", records.len() as u64)
                    .with("arrival_ms", placement.arrival.0),
            ];
            if let Some(mark) = producer {
                let line = lines.remove(0);
                lines.push(
                    line.with("producer", &*mark.producer)
                        .with("producer_sequence", mark.last),
                );
            }
            lines.extend(rows("record", placement, records));
            lines
        }
        Entry::Commit {
            commit,
            outputs,
            dead_letters,
        } => {
            let mut lines = vec![self::commit(line("commit"), commit)];
            for (placement, output) in outputs.iter().zip(&commit.outputs) {
                lines.extend(rows("output", placement, &output.records));
            }
            for found in &commit.dead_letters {
                let mut line = line("dead-letter");
                if let Some(placement) = dead_letters {
                    line = line.with("stream", Field::Id(placement.stream.0));
                }
                let line = line.with("of_shard", Field::Id(found.shard.0.into()));
                lines.push(letter(
                    line.with("key", payloads.of(&found.key)),
                    found,
                    payloads,
                ));
            }
            lines
        }
        Entry::Lease { grants } => {
            let lines = grants.iter();
            lines
                .map(|(id, epoch)| unit(line("lease"), *id).with("epoch", Field::Id(epoch.0)))
                .collect()
        }
        Entry::Meta { change, units } => {
            let mut lines = vec![catalogue(line("catalogue"), change)];
            lines.extend(units.iter().map(|change| changed(line("change"), change)));
            lines
        }
        Entry::Trim {
            stream,
            shard: number,
            horizon,
            floor,
        } => vec![
            shard(line("trim"), (*stream, *number))
                .with("horizon", Field::Id(horizon.0))
                .with("floor", Field::Id(floor.0)),
        ],
        Entry::Seek {
            seeks,
            totals,
            units,
        } => {
            let sought = seeks.iter().map(|seek| {
                unit(line("seek"), seek.unit)
                    .with("epoch", Field::Id(seek.epoch.0))
                    .with("after", Field::Id(seek.after.0))
            });
            let kept = totals
                .iter()
                .map(|(of, totals)| counted(unit(line("seek"), *of), totals));
            let fenced = units.iter().map(|change| changed(line("change"), change));
            sought.chain(kept).chain(fenced).collect()
        }
        Entry::Purge {
            stream,
            letters,
            bytes,
        } => vec![
            line("purge")
                .with("stream", Field::Id(stream.0))
                .with("dead_letters", ranges(letters))
                .with("bytes", *bytes),
        ],
        Entry::Forget {
            stream,
            shards,
            totals,
        } => {
            let shards = shards.iter();
            let totals = totals.iter().map(|(mapping, totals)| {
                let line = line("forget").with("mapping", Field::Id(mapping.0));
                counted(line, totals)
            });
            shards
                .map(|number| shard(line("forget"), (*stream, *number)))
                .chain(totals)
                .collect()
        }
        Entry::Change { units } => {
            let lines = units.iter();
            lines
                .map(|change| changed(line("change"), change))
                .collect()
        }
    }
}

fn counted(line: Line, totals: &UnitTotals) -> Line {
    line.with("processed", totals.processed)
        .with("dead_lettered", totals.dead_lettered)
}

fn placed(
    line: &dyn Fn() -> Line,
    placement: &Placement,
    records: &NewRecords,
    payloads: Payloads,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for run in &placement.shards {
        let all: Vec<usize> = match &run.rows {
            None => (0..records.len()).collect(),
            Some(rows) => rows.iter().map(|&row| row as usize).collect(),
        };
        for (ordinal, row) in (run.first.0..).zip(all) {
            let line = shard(line(), (placement.stream, run.shard))
                .with("record", Field::Id(ordinal))
                .with("key", payloads.of(records.keys.get(row)))
                .with("data", payloads.of(records.data.get(row)));
            lines.push(line);
        }
    }
    lines
}

/// `1-40 43-43`: first and last of each run.
fn ranges(ranges: &SettledRanges) -> String {
    let mut text = String::new();
    for range in ranges.as_slice() {
        let space = if text.is_empty() { "" } else { " " };
        write!(text, "{space}{}-{}", range.after.next(), range.through)
            .expect("a string takes everything");
    }
    text
}

fn changed(line: Line, change: &UnitChange) -> Line {
    let line = unit(line, change.unit).with("epoch", Field::Id(change.epoch.0));
    match &change.expired {
        None => line,
        Some((range, total)) => line
            .with("expired_from", Field::Id(range.after.next().0))
            .with("expired_through", Field::Id(range.through.0))
            .with("expired", *total),
    }
}

fn catalogue(line: Line, change: &RegistryChange) -> Line {
    let names = |names: Vec<String>| names.join(" ");
    let streams = change
        .streams
        .iter()
        .map(|s| format!("{}={}", s.id, s.name));
    let functions = change.functions.iter();
    let functions = functions.map(|f| format!("{}={}@{}", f.id, f.name, f.live));
    let mappings = change.mappings.iter();
    let mappings = mappings.map(|m| format!("{}={}/{}", m.id, m.function, m.stream_name));
    let deleted = change.deleted_streams.iter().map(ToString::to_string);
    line.with("streams", names(streams.collect()))
        .with("functions", names(functions.collect()))
        .with("mappings", names(mappings.collect()))
        .with("deleted_streams", names(deleted.collect()))
}

/// What is recorded of a segment.
pub(super) fn segment(line: Line, key: ShardKey, meta: &SegmentMeta) -> Line {
    shard(line, key)
        .with("first", Field::Id(meta.base.0))
        .with("next", Field::Id(meta.next.0))
        .with("bytes", meta.length)
        .with("sealed", if meta.is_sealed { "yes" } else { "no" })
}

/// A value of the view.
pub(super) fn value(line: Line, key: &ValueKey, value: &Value) -> Line {
    let line = match key {
        ValueKey::Tail(stream, number) => shard(line, (*stream, *number)),
        ValueKey::Unit(id) | ValueKey::BeforeSeeks(id) => unit(line, *id),
        ValueKey::Window(id, group) => unit(line, *id).with("group", u64::from(*group)),
        ValueKey::Stream(id) | ValueKey::Letters(id) => line.with("stream", Field::Id(id.0)),
        ValueKey::Producer(stream, producer) => line
            .with("stream", Field::Id(stream.0))
            .with("producer", &**producer),
        ValueKey::Function(id) => line.with("function", Field::Id(id.0)),
        ValueKey::Mapping(id) | ValueKey::Gone(id) => line.with("mapping", Field::Id(id.0)),
        ValueKey::Ids => line,
    };
    match value {
        Value::Ids(stream, function, mapping) => line
            .with("of", "next ids")
            .with("next_stream", Field::Id(stream.0))
            .with("next_function", Field::Id(function.0))
            .with("next_mapping", Field::Id(mapping.0)),
        Value::Stream(stream) => {
            let mut line = line
                .with("of", "stream")
                .with("name", stream.name.to_string())
                .with("shards", stream.open_shards().count() as u64)
                .with("retention_ms", stream.retention_ms);
            for (name, bound) in [
                ("quota_bytes", stream.options.quota_bytes),
                ("retention_bytes", stream.options.retention_bytes),
            ] {
                if let Some(bytes) = bound {
                    line = line.with(name, bytes);
                }
            }
            if stream
                .shards
                .last()
                .is_some_and(|last| !last.parents.is_empty())
            {
                line = line.with("lineage", lineage(stream));
            }
            line
        }
        Value::Function(function) => {
            let line = line
                .with("of", "function")
                .with("name", function.name.to_string())
                .with("live", Field::Id(function.live.0))
                .with("versions", function.versions.len() as u64)
                .with("digest", &*function.live_version().settings.digest);
            match function.canary() {
                None => line,
                Some(canary) => line
                    .with("canary", Field::Id(canary.version.0))
                    .with("canary_weight", canary.weight.to_string()),
            }
        }
        Value::Mapping(mapping) => line
            .with("of", "mapping")
            .with(
                "name",
                format!("{}/{}", mapping.function, mapping.stream_name),
            )
            .with("stream", Field::Id(mapping.stream.0))
            .with("dead_letter_stream", Field::Id(mapping.dead_letters.0))
            .with("state", format!("{:?}", mapping.state)),
        Value::Window(value) => window(line.with("of", "window"), value),
        Value::Tail(tail) => line
            .with("of", "shard")
            .with("next", Field::Id(tail.next.0))
            .with("horizon", Field::Id(tail.horizon.0))
            .with("floor", Field::Id(tail.floor.0))
            .with("bytes", tail.bytes),
        Value::Producer(producer) => line
            .with("of", "producer")
            .with("producer_sequence", producer.last),
        Value::Letters(letters) => {
            let parts = letters.parts();
            line.with("of", "dead letters")
                .with("closed_through", Field::Id(parts.closed.low_watermark().0))
                .with("closed", ranges(&parts.closed.done()))
                .with("stored_anew", parts.ids.len() as u64)
                .with("closed_bytes", parts.closed_bytes)
        }
        Value::Unit(unit) => line
            .with("of", "unit")
            .with("epoch", Field::Id(unit.epoch.0))
            .with("settled_through", Field::Id(unit.settled.low_watermark().0))
            .with("done", ranges(&unit.settled.done()))
            .with("marks", unit.attempts.len() as u64)
            .with("circuits_open", unit.outages.count())
            .with("processed", unit.totals.processed)
            .with("dead_lettered", unit.totals.dead_lettered),
        Value::Gone(totals) => line
            .with("of", "units of shards that are gone")
            .with("processed", totals.processed)
            .with("dead_lettered", totals.dead_lettered),
        Value::BeforeSeeks(totals) => line
            .with("of", "unit before its seeks")
            .with("processed", totals.processed)
            .with("dead_lettered", totals.dead_lettered),
    }
}

/// `0- 1<0 2<0`: closed shards, and what each came from.
fn lineage(stream: &Stream) -> String {
    let shards = stream.shards.iter().map(|shard| {
        let parents = shard.parents.iter().map(ToString::to_string);
        let from = parents.collect::<Vec<_>>().join(",");
        let is_closed = if shard.is_closed { "-" } else { "" };
        let mark = if from.is_empty() { "" } else { "<" };
        format!("{}{is_closed}{mark}{from}", shard.number)
    });
    shards.collect::<Vec<_>>().join(" ")
}
