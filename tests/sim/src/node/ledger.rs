//! The oracle: everything acknowledged or seen, and what must follow from it.

mod effects;
mod known;
mod shown;

use std::collections::{BTreeMap, BTreeSet};

use fnctl_core::{
    id::{Ordinal, ShardNumber, StreamId, StreamName, Timestamp},
    mapping::MaxAttempts,
    record::{Origin, RecordBlock},
    shard::Stream,
    view::ShardTail,
};
use fnctl_store::{Appended, ReadError, Store};

pub(super) use self::effects::{Asked, Did, Effects};
use super::facts::Facts;

/// A shard of a stream.
pub(super) type Shard = (StreamId, ShardNumber);

/// A record as somebody saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    key: Vec<u8>,
    data: Vec<u8>,
    arrival: Timestamp,
    origin: Option<Origin>,
    hops: u8,
}

/// One shard as it was seen.
#[derive(Debug, Default)]
struct SeenShard {
    /// The records, and by how much the retention clock may have advanced when each was put.
    records: BTreeMap<Ordinal, (Seen, Option<u64>)>,
    floor: Ordinal,
    next: Ordinal,
}

/// Why a look at the store came to nothing.
#[derive(Debug)]
pub(super) enum Blind {
    /// The disk did not let it.
    Disk,
    /// The store says that it is damaged.
    Damaged(String),
}

/// What a look is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// A damaged part may be named instead of shown.
    pub(super) may_be_damaged: bool,
    /// It has less than was shown before: what was done may be forgotten.
    pub(super) is_behind: bool,
}

impl Rules {
    pub(super) const STRICT: Self = Self {
        may_be_damaged: false,
        is_behind: false,
    };
}

/// A put that was handed in.
#[derive(Clone, Debug)]
struct Put {
    stream: StreamName,
    ids: std::ops::Range<u64>,
    /// How far the retention clock may have advanced when it was handed in.
    since: u64,
    is_settled: bool,
}

/// What must hold from the first time it was visible or acknowledged.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    seen: BTreeMap<Shard, SeenShard>,
    /// Where each put record is, by its number.
    places: BTreeMap<u64, (Shard, Ordinal)>,
    puts: Vec<Put>,
    demanded: Vec<u64>,
    /// A weakness of the world: bytes change behind every checksum.
    changes_bytes: bool,
    /// What workers and people did.
    pub(super) effects: Effects,
    /// Upper bound of what the retention clock has advanced, ms.
    pub(super) retention_ms: u64,
    /// Deletions asked for: whether they happened is open until it is seen.
    pub(super) deletions: u64,
    pub(super) trimmed: u64,
    /// Puts that were there after a crash though nobody had answered them.
    pub(super) kept_unanswered: u64,
    pub(super) acknowledged: u64,
    pub(super) expired: u64,
    /// No worker ran without windows.
    pub(super) is_all_windowed: bool,
    /// Some worker may have windows.
    has_windows: bool,
}

/// The number of a put record.
fn id_of(data: &[u8]) -> u64 {
    let (id, _) = data.split_first_chunk::<8>().expect("puts are numbered");
    u64::from_le_bytes(*id)
}

impl Ledger {
    pub(super) fn new(changes_bytes: bool, is_all_windowed: bool) -> Self {
        Self {
            changes_bytes,
            has_windows: is_all_windowed,
            is_all_windowed,
            ..Self::default()
        }
    }

    /// Something is handed in.
    pub(super) fn handed_in(&mut self, stream: &StreamName, ids: std::ops::Range<u64>) -> usize {
        self.puts.push(Put {
            stream: stream.clone(),
            ids,
            since: self.retention_ms,
            is_settled: false,
        });
        self.puts.len() - 1
    }

    /// A put was refused: nothing of it may ever appear.
    pub(super) fn refused(&mut self, put: usize) {
        self.puts[put].is_settled = true;
        let ids = self.puts[put].ids.clone();
        assert!(
            self.places.range(ids).next().is_none(),
            "a refused put was taken"
        );
    }

    /// A put that nobody acknowledged must be there all the same: a weakness of the world.
    pub(super) fn must_be_there(&mut self, put: usize) {
        self.demanded.extend(self.puts[put].ids.clone());
    }

    /// Whether a put was answered.
    pub(super) fn is_answered(&self, put: usize) -> bool {
        self.puts[put].is_settled
    }

    /// The first record that arrived at or after a time is the one that the store says, as far as what
    /// was seen can tell.
    pub(super) fn check_time(&self, shard: Shard, floor: Ordinal, time: Timestamp, first: Ordinal) {
        let Some(seen) = self.seen.get(&shard) else {
            return;
        };
        for (&ordinal, (record, _)) in &seen.records {
            let is_before = record.arrival < time;
            assert!(
                ordinal < first || !is_before,
                "record {ordinal} of {shard:?} arrived before {time}, found was {first}"
            );
        }
        let before = seen.records.range(floor..first.max(floor)).next_back();
        assert!(
            before.is_none_or(|(_, (record, _))| record.arrival < time),
            "a record of {shard:?} in front of {first} arrived at {time} or later"
        );
    }

    /// A put was acknowledged.
    pub(super) fn acknowledged(
        &mut self,
        put: usize,
        appended: &Appended,
        rows: &[(Vec<u8>, Vec<u8>)],
    ) {
        self.puts[put].is_settled = true;
        self.acknowledged += rows.len() as u64;
        for (&(shard, ordinal), (key, data)) in appended.rows.iter().zip(rows) {
            let seen = Seen {
                key: key.clone(),
                data: data.clone(),
                arrival: appended.arrival,
                origin: None,
                hops: 0,
            };
            self.saw((appended.stream, shard), ordinal, seen, true);
        }
    }

    fn saw(&mut self, shard: Shard, ordinal: Ordinal, seen: Seen, is_put: bool) {
        let mut since = None;
        if is_put {
            let (id, place) = (id_of(&seen.data), (shard, ordinal));
            let known = *self.places.entry(id).or_insert(place);
            assert_eq!(known, place, "a put record is there twice");
            let put = self.puts.partition_point(|put| put.ids.end <= id);
            since = Some(self.puts[put].since);
        }
        let of_shard = self.seen.entry(shard).or_default();
        let known = of_shard
            .records
            .entry(ordinal)
            .or_insert_with(|| (seen.clone(), since));
        assert_eq!(known.0, seen, "record {ordinal} of {shard:?} is another");
    }

    /// Somebody was handed a block.
    pub(super) fn saw_block(&mut self, block: &RecordBlock, is_put: bool) {
        let shard = (block.stream, block.shard);
        for index in 0..block.len() {
            let mut seen = Seen {
                key: block.records.keys.get(index).to_vec(),
                data: block.records.data.get(index).to_vec(),
                arrival: block.arrival(index),
                origin: block.origins.get(index).copied(),
                hops: block.hops(index),
            };
            if self.changes_bytes
                && let Some(last) = seen.data.get_mut(8..).and_then(<[u8]>::last_mut)
            {
                *last ^= 1;
            }
            self.saw(shard, block.ordinal(index), seen, is_put);
        }
    }

    /// Everything seen or acknowledged is there, in place, unless retention took it in its time; outputs
    /// and letters are those of what is settled, each once.
    pub(super) fn verify(
        &mut self,
        store: &Store,
        rules: Rules,
        facts: &Facts,
        attempts_max: MaxAttempts,
    ) -> Result<(), Blind> {
        let streams: Vec<_> = store.view(|view| {
            let tails = |stream: &std::sync::Arc<Stream>| {
                let tails: Vec<_> = view.tails(stream.id).map(|(n, tail)| (n, *tail)).collect();
                (std::sync::Arc::clone(stream), tails)
            };
            view.registry().streams().map(tails).collect()
        });
        let mut blind = None;
        for (stream, tails) in &streams {
            let is_put = is_put(&stream.name);
            for &(number, tail) in tails {
                let shard = (stream.id, number);
                match read_all(store, shard, tail) {
                    Ok(blocks) => {
                        for block in &blocks {
                            self.saw_block(block, is_put);
                        }
                        self.compare(shard, &tail, &blocks, stream.retention_ms);
                    }
                    Err(Blind::Damaged(words)) if rules.may_be_damaged => {
                        blind = Some(Blind::Damaged(words));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        let there: BTreeSet<StreamId> = streams.iter().map(|(stream, _)| stream.id).collect();
        let gone: Vec<Shard> = self
            .seen
            .keys()
            .copied()
            .filter(|s| !there.contains(&s.0))
            .collect();
        for shard in gone {
            assert!(self.deletions > 0, "shard {shard:?} is gone");
            self.seen.remove(&shard);
        }
        if let Some(blind) = blind {
            return Err(blind);
        }
        if !rules.is_behind {
            store.view(|view| self.verify_effects(view, facts, attempts_max));
        }
        Ok(())
    }

    fn compare(
        &mut self,
        shard: Shard,
        tail: &ShardTail,
        blocks: &[std::sync::Arc<RecordBlock>],
        retention_ms: u64,
    ) {
        let now = self.retention_ms;
        let seen = self.seen.entry(shard).or_default();
        assert!(tail.floor >= seen.floor, "the floor of {shard:?} went back");
        assert!(tail.next >= seen.next, "the tail of {shard:?} went back");
        seen.floor = tail.floor;
        seen.next = tail.next;
        let found: BTreeSet<Ordinal> = blocks
            .iter()
            .flat_map(|block| (0..block.len()).map(|i| block.ordinal(i)))
            .collect();
        let mut last = Timestamp(0);
        for (&ordinal, (record, since)) in &seen.records {
            assert!(record.arrival >= last, "arrivals of {shard:?} go back");
            last = record.arrival;
            if ordinal < tail.floor {
                let age = since.map_or(u64::MAX, |since| now - since);
                assert!(
                    age >= retention_ms,
                    "record {ordinal} of {shard:?} went after {age} ms of {retention_ms}"
                );
            } else {
                assert!(
                    found.contains(&ordinal),
                    "record {ordinal} of {shard:?} is lost"
                );
            }
        }
        let trimmed = seen.records.range(..tail.floor).count();
        self.trimmed += trimmed as u64;
    }

    /// A put that nobody answered is there whole or not at all, from the next start on.
    pub(super) fn close_open_puts(&mut self, store: &Store) {
        let mut trimmed: BTreeSet<StreamName> = BTreeSet::new();
        store.view(|view| {
            for stream in view.registry().streams() {
                let has_forgotten = stream
                    .shards
                    .last()
                    .is_some_and(|last| stream.shards.len() <= last.number.0 as usize);
                if has_forgotten
                    || view
                        .tails(stream.id)
                        .any(|(_, tail)| tail.floor > Ordinal(1))
                {
                    trimmed.insert(stream.name.clone());
                }
            }
        });
        for id in &self.demanded {
            assert!(self.places.contains_key(id), "put record {id} is lost");
        }
        for put in self.puts.iter_mut().filter(|put| !put.is_settled) {
            put.is_settled = true;
            self.kept_unanswered += u64::from(self.places.contains_key(&put.ids.start));
            let there = self.places.range(put.ids.clone()).count() as u64;
            let all = put.ids.end - put.ids.start;
            assert!(
                there == 0 || there == all || trimmed.contains(&put.stream),
                "{there} of {all} records of one put are there"
            );
        }
    }
}

/// Whether a stream's records are put from outside.
pub(super) fn is_put(name: &StreamName) -> bool {
    matches!(name.as_str(), "in" | "short")
}

fn read_all(
    store: &Store,
    shard: Shard,
    tail: ShardTail,
) -> Result<Vec<std::sync::Arc<RecordBlock>>, Blind> {
    let (mut after, mut found) = (Ordinal(tail.floor.0 - 1), Vec::new());
    loop {
        match store.read(shard.0, shard.1, after, 50, 4_000) {
            Ok(blocks) if blocks.is_empty() => break,
            Ok(blocks) => {
                for block in blocks {
                    assert_eq!(
                        block.first,
                        after.next(),
                        "blocks of {shard:?} follow each other"
                    );
                    after = block.last();
                    found.push(block);
                }
            }
            Err(ReadError::Io { .. }) => return Err(Blind::Disk),
            Err(error) => return Err(Blind::Damaged(error.to_string())),
        }
    }
    assert_eq!(after, tail.last(), "{shard:?} ends where its tail says");
    Ok(found)
}
