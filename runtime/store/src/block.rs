//! Blocks of records: cut out of entries, joined into larger ones, sliced for readers. Columns are
//! copied by the run, never record by record where rows are neighbours.

use std::{ops::Range, sync::Arc};

use fnctl_core::{
    commit::DeadLetter,
    entry::{Entry, Placement, ShardRun},
    id::{Ordinal, ShardNumber, StreamId, Timestamp},
    record::{ByteColumn, ColumnBuilder, NewRecords, Origin, RecordBlock, Records},
};

use crate::codec::encode_dead_letter;

/// One shard of one stream.
pub(crate) type ShardKey = (StreamId, ShardNumber);

/// Parts smaller than this are joined; a larger one is shared as it is.
const JOINED_BYTES: usize = 64 << 10;

/// Memory that a block stands for.
pub(crate) fn block_bytes(block: &RecordBlock) -> usize {
    const RECORD: usize = 8 + 16 + 4 + 4;
    const ORIGIN: usize = 24;
    block.records.byte_len() + block.len() * RECORD + block.origins.len() * ORIGIN + 128
}

/// Joins runs of records of one shard into a block.
#[derive(Debug)]
pub(crate) struct BlockBuilder {
    key: ShardKey,
    first: Ordinal,
    keys: Column,
    data: Column,
    arrival_ms: Vec<u64>,
    hash_keys: Vec<u128>,
    hops: Vec<u8>,
    origins: Vec<Origin>,
}

#[derive(Debug, Default)]
struct Column {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    nulls: Vec<u32>,
}

impl Column {
    fn extend(&mut self, column: &ByteColumn, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let start = if range.start == 0 {
            0
        } else {
            column.ends[range.start - 1]
        };
        let end = column.ends[range.end - 1];
        let (at, from) = (self.length(), self.ends.len());
        self.bytes
            .extend_from_slice(&column.bytes[start as usize..end as usize]);
        self.ends.extend(
            column.ends[range.clone()]
                .iter()
                .map(|end| end - start + at),
        );
        for &null in &column.nulls {
            if range.contains(&(null as usize)) {
                let index = null as usize - range.start + from;
                self.nulls
                    .push(u32::try_from(index).expect("a column has u32 indices"));
            }
        }
    }

    fn length(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("an arena stays below 4 GiB")
    }

    fn finish(self) -> ByteColumn {
        ByteColumn {
            bytes: self.bytes.into(),
            ends: self.ends,
            nulls: self.nulls,
        }
    }
}

impl BlockBuilder {
    pub(crate) fn new(key: ShardKey, first: Ordinal) -> Self {
        Self {
            key,
            first,
            keys: Column::default(),
            data: Column::default(),
            arrival_ms: Vec::new(),
            hash_keys: Vec::new(),
            hops: Vec::new(),
            origins: Vec::new(),
        }
    }

    /// Bytes of keys and payloads so far.
    pub(crate) fn byte_len(&self) -> usize {
        self.keys.bytes.len() + self.data.bytes.len()
    }

    /// Makes room for what is to come, as much of it as a block takes.
    fn reserve(&mut self, due: &Due) {
        let (most, all) = (JOINED_BYTES, due.keys + due.data);
        let part = |whole: usize| {
            if all > most {
                whole * most / all + whole / due.rows.max(1)
            } else {
                whole
            }
        };
        self.keys.bytes.reserve_exact(part(due.keys));
        self.keys.ends.reserve_exact(part(due.rows));
        self.data.bytes.reserve_exact(part(due.data));
        self.data.ends.reserve_exact(part(due.rows));
        self.arrival_ms.reserve_exact(part(due.rows));
        self.hash_keys.reserve_exact(part(due.rows));
    }

    fn extend(&mut self, records: &NewRecords, range: Range<usize>, arrival: Timestamp) {
        let (before, count) = (self.hash_keys.len(), range.len());
        self.keys.extend(&records.keys, range.clone());
        self.data.extend(&records.data, range.clone());
        self.arrival_ms.resize(before + count, arrival.0);
        self.hash_keys
            .extend_from_slice(&records.hash_keys[range.clone()]);
        self.extend_optional(before, &records.hops, &records.origins, range);
    }

    /// Whether records with or without origins may join: all of a block have one, or none has.
    pub(crate) fn takes(&self, has_origins: bool) -> bool {
        self.hash_keys.is_empty() || self.origins.is_empty() != has_origins
    }

    fn extend_optional(
        &mut self,
        before: usize,
        hops: &[u8],
        origins: &[Origin],
        range: Range<usize>,
    ) {
        let after = before + range.len();
        if !hops.is_empty() || !self.hops.is_empty() {
            self.hops.resize(before, 0);
            self.hops
                .extend_from_slice(hops.get(range.clone()).unwrap_or_default());
            self.hops.resize(after, 0);
        }
        self.origins
            .extend_from_slice(origins.get(range).unwrap_or_default());
    }

    pub(crate) fn finish(self) -> RecordBlock {
        RecordBlock {
            stream: self.key.0,
            shard: self.key.1,
            first: self.first,
            records: Records {
                keys: self.keys.finish(),
                data: self.data.finish(),
                arrival_ms: self.arrival_ms,
            },
            hash_keys: self.hash_keys,
            hops: self.hops,
            origins: self.origins,
        }
    }
}

/// Cuts entries into blocks, in log order; small neighbours of one shard are joined.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    done: Vec<Arc<RecordBlock>>,
    open: Vec<BlockBuilder>,
    /// What is still to be taken, of the first few shards.
    due: Vec<(ShardKey, Due)>,
}

/// Rows and bytes that are to come to a shard.
#[derive(Clone, Copy, Debug, Default)]
struct Due {
    rows: usize,
    keys: usize,
    data: usize,
}

impl Due {
    /// Those of a run, its records taken to be as large as the others of their put.
    fn of(run: &ShardRun, records: &NewRecords) -> Self {
        let all = records.len();
        let rows = run.rows.as_ref().map_or(all, Vec::len);
        let share = |column: &ByteColumn| column.bytes.len() * rows / all.max(1);
        Self {
            rows,
            keys: share(&records.keys),
            data: share(&records.data),
        }
    }
}

/// Shards whose blocks are made as large as they will be; with more in one frame each has little.
const DUE_SHARDS_MAX: usize = 64;

impl Blocks {
    /// For these entries, which are to be taken in turn: blocks are made as large as they will be.
    pub(crate) fn expecting(entries: &[Entry]) -> Self {
        let mut blocks = Self::default();
        for (placement, records) in entries.iter().flat_map(Entry::appended) {
            blocks.expect(placement, records);
        }
        blocks
    }

    fn expect(&mut self, placement: &Placement, records: &NewRecords) {
        for run in &placement.shards {
            if run.rows.is_none() && records.byte_len() >= JOINED_BYTES {
                continue;
            }
            let key = (placement.stream, run.shard);
            let more = Due::of(run, records);
            let known = self.due.iter().position(|(shard, _)| *shard == key);
            if let Some((_, due)) = known.and_then(|at| self.due.get_mut(at)) {
                due.rows += more.rows;
                due.keys += more.keys;
                due.data += more.data;
            } else if self.due.len() < DUE_SHARDS_MAX {
                self.due.push((key, more));
            }
        }
    }

    /// Takes what an entry appends to shards.
    pub(crate) fn take(&mut self, entry: &Entry) {
        for (placement, records) in entry.appended() {
            self.place(placement, records);
        }
        if let Entry::Commit {
            commit,
            dead_letters: Some(placement),
            ..
        } = entry
        {
            self.place(placement, &letters(&commit.dead_letters));
        }
    }

    fn place(&mut self, placement: &Placement, records: &NewRecords) {
        for run in &placement.shards {
            let key = (placement.stream, run.shard);
            let mut open = self.open.iter().position(|builder| builder.key == key);
            let is_whole = run.rows.is_none() && records.byte_len() >= JOINED_BYTES;
            let has_origins = !records.origins.is_empty();
            if let Some(at) = open.filter(|&at| is_whole || !self.open[at].takes(has_origins)) {
                let before = self.open.remove(at);
                self.done.push(Arc::new(before.finish()));
                open = None;
            }
            if is_whole {
                self.done
                    .push(Arc::new(whole(key, run.first, records, placement.arrival)));
                continue;
            }
            let open = open.unwrap_or_else(|| {
                self.open.push(BlockBuilder::new(key, run.first));
                self.open.len() - 1
            });
            let builder = &mut self.open[open];
            if let Some((_, due)) = self.due.iter_mut().find(|(shard, _)| *shard == key) {
                if builder.byte_len() == 0 {
                    builder.reserve(due);
                }
                let taken = Due::of(run, records);
                due.rows = due.rows.saturating_sub(taken.rows);
                due.keys = due.keys.saturating_sub(taken.keys);
                due.data = due.data.saturating_sub(taken.data);
            }
            gather(builder, run, records, placement.arrival);
            if self.open[open].byte_len() >= JOINED_BYTES {
                let full = self.open.remove(open);
                self.done.push(Arc::new(full.finish()));
            }
        }
    }

    /// All blocks; those of one shard in order.
    pub(crate) fn finish(mut self) -> Vec<Arc<RecordBlock>> {
        let open = self
            .open
            .into_iter()
            .map(|builder| Arc::new(builder.finish()));
        self.done.extend(open);
        self.done
    }
}

fn whole(key: ShardKey, first: Ordinal, records: &NewRecords, arrival: Timestamp) -> RecordBlock {
    RecordBlock {
        stream: key.0,
        shard: key.1,
        first,
        records: Records {
            keys: records.keys.clone(),
            data: records.data.clone(),
            arrival_ms: vec![arrival.0; records.len()],
        },
        hash_keys: records.hash_keys.clone(),
        hops: records.hops.clone(),
        origins: records.origins.clone(),
    }
}

/// Appends the rows of a run; neighbouring rows are copied together.
fn gather(builder: &mut BlockBuilder, run: &ShardRun, records: &NewRecords, arrival: Timestamp) {
    let Some(rows) = &run.rows else {
        builder.extend(records, 0..records.len(), arrival);
        return;
    };
    let mut rows = rows.iter().map(|&row| row as usize).peekable();
    while let Some(start) = rows.next() {
        let mut end = start + 1;
        while rows.next_if_eq(&end).is_some() {
            end += 1;
        }
        builder.extend(records, start..end, arrival);
    }
}

/// Dead letters as records of their stream.
fn letters(letters: &[DeadLetter]) -> NewRecords {
    let mut records = NewRecords::default();
    let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
    for letter in letters {
        keys.push(&letter.key);
        data.push(&encode_dead_letter(letter));
        records.hash_keys.push(letter.hash_key);
    }
    records.keys = keys.finish();
    records.data = data.finish();
    records
}

/// Records `range` of a block; arenas are shared.
pub(crate) fn slice(block: &RecordBlock, range: Range<usize>) -> RecordBlock {
    let optional = |is_empty: bool| if is_empty { 0..0 } else { range.clone() };
    RecordBlock {
        stream: block.stream,
        shard: block.shard,
        first: block.ordinal(range.start),
        records: Records {
            keys: block.records.keys.slice(range.clone()),
            data: block.records.data.slice(range.clone()),
            arrival_ms: block.records.arrival_ms[range.clone()].to_vec(),
        },
        hash_keys: block.hash_keys[range.clone()].to_vec(),
        hops: block.hops[optional(block.hops.is_empty())].to_vec(),
        origins: block.origins[optional(block.origins.is_empty())].to_vec(),
    }
}

#[cfg(test)]
mod tests;
