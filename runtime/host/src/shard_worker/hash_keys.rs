//! Hash keys of output rows. Most rows keep the key of their source, whose hash is known: MD5 is
//! computed only for keys that a function made.

use std::collections::HashMap;

use crate::shard_worker::blocks::{Held, Run};

/// Sources tried in front of a look-up: rows come in the order of their sources, and a function that
/// drops more than this many in a row costs one look-up.
const STEPS: usize = 8;

/// A record of the runs.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    run: usize,
    offset: usize,
}

/// Finds hash keys of rows that come in the order of `runs`' records.
#[derive(Debug)]
pub(crate) struct HashKeys<'a> {
    runs: &'a [Run],
    cursor: Cursor,
    known: Option<HashMap<&'a [u8], Cursor>>,
}

impl<'a> HashKeys<'a> {
    /// Of rows of a call over these records.
    pub(crate) fn new(runs: &'a [Run]) -> Self {
        Self {
            runs,
            cursor: Cursor::default(),
            known: None,
        }
    }

    /// The hash of a row's key.
    pub(crate) fn of(&mut self, key: &[u8]) -> u128 {
        let mut cursor = self.cursor;
        for _ in 0..STEPS {
            let Some(held) = self.held(cursor) else { break };
            if held.key() == key {
                self.cursor = cursor;
                return held.hash_key();
            }
            cursor = self.next(cursor);
        }
        let found = self.known().get(key).copied();
        let held = found.and_then(|cursor| {
            self.cursor = cursor;
            self.held(cursor)
        });
        held.map_or_else(|| fnctl_streams::hash_key(key), |held| held.hash_key())
    }

    fn known(&mut self) -> &HashMap<&'a [u8], Cursor> {
        let runs = self.runs;
        self.known.get_or_insert_with(|| {
            let places = runs.iter().enumerate().flat_map(|(run, records)| {
                (0..records.len()).map(move |offset| Cursor { run, offset })
            });
            let place = |cursor: Cursor| (runs[cursor.run].held(cursor.offset).key(), cursor);
            places.map(place).collect()
        })
    }

    fn held(&self, cursor: Cursor) -> Option<Held<'a>> {
        self.runs.get(cursor.run).map(|run| run.held(cursor.offset))
    }

    fn next(&self, cursor: Cursor) -> Cursor {
        if cursor.offset + 1 < self.runs[cursor.run].len() {
            Cursor {
                offset: cursor.offset + 1,
                ..cursor
            }
        } else {
            Cursor {
                run: cursor.run + 1,
                offset: 0,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fnctl_core::{
        id::{Ordinal, ShardNumber, StreamId, Timestamp},
        pipeline::RecordRef,
        record::{ColumnBuilder, RecordBlock, Records},
    };

    use super::*;
    use crate::shard_worker::blocks::Blocks;

    /// Runs over keys `k0` … with hash keys 0 …, so that an inherited hash shows.
    fn runs(count: u32) -> Vec<Run> {
        let mut blocks = Blocks::new(Timestamp(0));
        let mut refs = Vec::new();
        for first in (0..count).step_by(3) {
            let mut column = ColumnBuilder::default();
            let here = first..(first + 3).min(count);
            here.clone()
                .for_each(|n| column.push(format!("k{n}").as_bytes()));
            let column = column.finish();
            let block = blocks.push(Arc::new(RecordBlock {
                stream: StreamId(1),
                shard: ShardNumber(0),
                first: Ordinal(u64::from(first) + 1),
                records: Records {
                    keys: column.clone(),
                    data: column,
                    arrival_ms: vec![0; here.len()],
                },
                hash_keys: here.clone().map(u128::from).collect(),
                hops: Vec::new(),
                origins: Vec::new(),
            }));
            refs.extend((0..here.len()).map(|index| RecordRef {
                position: Ordinal(0),
                block,
                index: u32::try_from(index).expect("small"),
                attempts: 0,
            }));
        }
        blocks.runs(&refs)
    }

    #[test]
    fn a_kept_key_inherits_its_hash_and_a_new_one_is_hashed() {
        let runs = runs(40);
        let mut keys = HashKeys::new(&runs);
        // Duplicated, dropped by ones and by tens, made by the function, backwards.
        for n in [0_u32, 0, 1, 4, 5, 30, 31, 39, 39, 2] {
            assert_eq!(keys.of(format!("k{n}").as_bytes()), u128::from(n));
            assert_eq!(keys.of(b"made"), fnctl_streams::hash_key(b"made"));
        }
    }

    #[test]
    fn a_call_without_records_hashes_everything() {
        assert_eq!(
            HashKeys::new(&[]).of(b"made"),
            fnctl_streams::hash_key(b"made")
        );
    }
}
