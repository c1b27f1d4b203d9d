//! The oracle: everything acknowledged or seen, and what must follow from it.

use std::collections::BTreeMap;

use fnctl_core::{
    id::{Ordinal, ShardNumber, StreamId, StreamName, Timestamp, UnitId},
    view::ShardTail,
};

use crate::{Appended, ReadError, codec::decode_dead_letter, testing::Node};

/// What a request came to.
pub(super) enum Done {
    Put(Appended, Vec<Vec<u8>>),
    Committed(UnitId, Ordinal),
}

/// The planned fault struck while the oracle looked.
pub(super) struct Down;

type Shard = (StreamId, u32);

/// One shard as it was seen.
#[derive(Default)]
struct Seen {
    /// Payload and arrival by ordinal.
    records: BTreeMap<Ordinal, (Vec<u8>, Timestamp)>,
    floor: Ordinal,
}

/// What must hold from the first time it was visible or acknowledged.
#[derive(Default)]
pub(super) struct Ledger {
    seen: BTreeMap<Shard, Seen>,
    /// Position up to which each unit was seen to be settled.
    settled: BTreeMap<UnitId, Ordinal>,
    pub(super) puts: u64,
    /// Deletions asked for: whether they happened is open until they are seen.
    pub(super) deletions: u64,
    pub(super) trimmed: u64,
}

impl Ledger {
    pub(super) fn note(&mut self, done: Done) {
        match done {
            Done::Put(appended, payloads) => {
                for ((shard, ordinal), payload) in appended.rows.into_iter().zip(payloads) {
                    let seen = self.seen.entry((appended.stream, shard.0)).or_default();
                    let record = (payload, appended.arrival);
                    let known = seen
                        .records
                        .entry(ordinal)
                        .or_insert_with(|| record.clone());
                    assert_eq!(*known, record, "an acknowledged record is another");
                }
            }
            Done::Committed(unit, through) => {
                let settled = self.settled.entry(unit).or_default();
                *settled = through.max(*settled);
            }
        }
    }

    /// Everything seen or acknowledged is there, in place, unless retention took it in its time; outputs
    /// and letters are those of what is settled, each once.
    pub(super) fn verify(&mut self, node: &Node, now: Timestamp) -> Result<(), Down> {
        let shards: Vec<(Shard, ShardTail, u64)> = node.store.view(|view| {
            let of = |stream: &std::sync::Arc<fnctl_core::shard::Stream>| {
                let (id, retention) = (stream.id, stream.retention_ms);
                view.tails(id)
                    .map(|(shard, tail)| ((id, shard.0), *tail, retention))
                    .collect::<Vec<_>>()
            };
            view.registry().streams().flat_map(of).collect()
        });
        for &(shard, tail, retention_ms) in &shards {
            let found = read_all(node, shard, tail)?;
            self.compare(shard, tail, found, retention_ms, now);
        }
        let is_there = |shard: &Shard| shards.iter().any(|(there, ..)| there == shard);
        let gone: Vec<Shard> = self
            .seen
            .keys()
            .copied()
            .filter(|shard| !is_there(shard))
            .collect();
        for shard in gone {
            assert!(self.deletions > 0, "shard {shard:?} is gone");
            self.seen.remove(&shard);
        }
        self.verify_effects(node);
        Ok(())
    }

    fn compare(
        &mut self,
        shard: Shard,
        tail: ShardTail,
        found: BTreeMap<Ordinal, (Vec<u8>, Timestamp)>,
        retention_ms: u64,
        now: Timestamp,
    ) {
        let seen = self.seen.entry(shard).or_default();
        assert!(tail.floor >= seen.floor, "the floor of {shard:?} went back");
        seen.floor = tail.floor;
        for (ordinal, record) in &seen.records {
            if *ordinal < tail.floor {
                let age = now.since_ms(record.1);
                assert!(
                    age >= retention_ms,
                    "record {ordinal} of {shard:?} went at {age} ms"
                );
            } else {
                assert_eq!(
                    found.get(ordinal),
                    Some(record),
                    "record {ordinal} of {shard:?}"
                );
            }
        }
        let before = seen.records.len();
        seen.records.retain(|ordinal, _| *ordinal >= tail.floor);
        self.trimmed += (before - seen.records.len()) as u64;
        seen.records.extend(found);
    }

    fn verify_effects(&mut self, node: &Node) {
        let units: Vec<(UnitId, Ordinal)> = node.store.view(|view| {
            view.units()
                .map(|(id, unit)| (id, unit.settled.low_watermark()))
                .collect()
        });
        for (unit, low) in units {
            let before = self.settled.entry(unit).or_default();
            assert!(low >= *before, "progress of {unit:?} went back");
            *before = low;
            let (out, letters) = node.store.view(|view| {
                let out = view
                    .registry()
                    .stream_by_name(&StreamName::parse("out").unwrap());
                let mapping = view.registry().mapping(unit.mapping).unwrap();
                (out.unwrap().id, mapping.dead_letters)
            });
            let mut effects: Vec<u64> = Vec::new();
            for stream in [out, letters] {
                let records = self
                    .seen
                    .get(&(stream, 0))
                    .map(|seen| seen.records.values());
                for (payload, _) in records.into_iter().flatten() {
                    let (shard, position) = source(payload, stream == letters);
                    if shard == unit.shard {
                        effects.push(position.0);
                    }
                }
            }
            effects.sort_unstable();
            let expected: Vec<u64> = (1..=low.0).collect();
            assert_eq!(
                effects, expected,
                "effects of {unit:?} are not those of what is settled"
            );
        }
    }
}

/// The record that an output or a letter came from.
fn source(payload: &[u8], is_letter: bool) -> (ShardNumber, Ordinal) {
    if is_letter {
        let letter = decode_dead_letter(payload.to_vec().into()).unwrap();
        return (letter.shard, letter.position);
    }
    let text = std::str::from_utf8(payload).unwrap();
    let (shard, position) = text.split_once('/').unwrap();
    (
        ShardNumber(shard.parse().unwrap()),
        Ordinal(position.parse().unwrap()),
    )
}

fn read_all(
    node: &Node,
    shard: Shard,
    tail: ShardTail,
) -> Result<BTreeMap<Ordinal, (Vec<u8>, Timestamp)>, Down> {
    let (mut after, mut found) = (Ordinal(tail.floor.0 - 1), BTreeMap::new());
    loop {
        match node
            .store
            .read(shard.0, ShardNumber(shard.1), after, 7, 600)
        {
            Ok(blocks) if blocks.is_empty() => break,
            Ok(blocks) => {
                for block in &blocks {
                    assert_eq!(block.first, after.next(), "blocks follow each other");
                    after = block.last();
                    found.extend((0..block.len()).map(|i| {
                        let payload = block.records.data.get(i).to_vec();
                        (block.ordinal(i), (payload, block.arrival(i)))
                    }));
                }
            }
            Err(ReadError::Io { .. }) => return Err(Down),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(after, tail.last(), "{shard:?} ends where its tail says");
    Ok(found)
}
