//! Redo never judges and never adds: from an older LSN over newer values it ends the same, and an
//! image of what was dirtied is the view (commit and storage rules §6).

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::window::{GroupWindow, OpenWindow, Window, WindowChange};

/// One thing that may happen. Numbers are taken modulo what exists.
#[derive(Clone, Debug)]
enum Deed {
    Put(u8, Vec<u8>),
    PutAs(u8, u8),
    Lease(u8),
    Commit(u8, CommitDeed),
    Trim(u8, u8, u8),
    Expire(u8, u8),
    Redrive(u8, u8, bool),
    Purge(u8, u16),
    TrimLetters(u8, u8),
    Seek(u8, u8),
    CreateStream(u8, u8),
    DeleteStream(u8),
    Reshard(u8, u8, u8, u8),
    Forget(u8),
    Deploy(u8, u8, u8, bool),
    Pause(u8),
    DeleteMapping(u8),
    DeleteFunction(u8),
}

#[derive(Clone, Debug)]
struct CommitDeed {
    settles: u16,
    marks: u16,
    dead: bool,
    outputs: Vec<(u8, Vec<u8>)>,
    slot: u8,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let rows = || prop::collection::vec(any::<u8>(), 1..5);
    let commit = (
        any::<u16>(),
        any::<u16>(),
        any::<bool>(),
        prop::collection::vec((any::<u8>(), rows()), 0..3),
        0..3u8,
    )
        .prop_map(|(settles, marks, dead, outputs, slot)| CommitDeed {
            settles,
            marks,
            dead,
            outputs,
            slot,
        });
    let deed = prop_oneof![
        6 => (any::<u8>(), rows()).prop_map(|(stream, rows)| Deed::Put(stream, rows)),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(stream, who)| Deed::PutAs(stream, who)),
        3 => any::<u8>().prop_map(Deed::Lease),
        9 => (any::<u8>(), commit).prop_map(|(unit, commit)| Deed::Commit(unit, commit)),
        2 => (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(s, h, n)| Deed::Trim(s, h, n)),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(unit, through)| Deed::Expire(unit, through)),
        4 => (any::<u8>(), any::<u8>(), any::<bool>())
            .prop_map(|(unit, body, fails)| Deed::Redrive(unit, body, fails)),
        2 => (any::<u8>(), any::<u16>()).prop_map(|(mapping, bodies)| Deed::Purge(mapping, bodies)),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(mapping, to)| Deed::TrimLetters(mapping, to)),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(unit, to)| Deed::Seek(unit, to)),
        2 => (any::<u8>(), 1..4u8).prop_map(|(stream, shards)| Deed::CreateStream(stream, shards)),
        1 => any::<u8>().prop_map(Deed::DeleteStream),
        3 => (any::<u8>(), 0..3u8, any::<u8>(), any::<u8>())
            .prop_map(|(stream, kind, a, b)| Deed::Reshard(stream, kind, a, b)),
        3 => any::<u8>().prop_map(Deed::Forget),
        3 => (any::<u8>(), any::<u8>(), any::<u8>(), any::<bool>())
            .prop_map(|(function, stream, out, latest)| Deed::Deploy(function, stream, out, latest)),
        1 => any::<u8>().prop_map(Deed::Pause),
        1 => any::<u8>().prop_map(Deed::DeleteMapping),
        1 => any::<u8>().prop_map(Deed::DeleteFunction),
    ];
    prop::collection::vec(deed, 1..60)
}

fn stream_name(index: u8) -> String {
    format!("s{}", index % 4)
}

fn rows(of: &[u8]) -> NewRecords {
    records(
        &of.iter()
            .map(|&byte| u128::from(byte) << 120)
            .collect::<Vec<_>>(),
    )
}

impl Bench {
    /// What the deed comes to, if the guards take it.
    fn resolve(&mut self, deed: &Deed) -> Option<Entry> {
        self.now += 3;
        let now = self.now();
        let view = &self.view;
        let unit = |index: u8| -> Option<UnitId> {
            let units: Vec<UnitId> = view.units().map(|(id, _)| id).collect();
            units.get(usize::from(index) % units.len().max(1)).copied()
        };
        let mapping = |index: u8| -> Option<MappingId> {
            let all: Vec<MappingId> = view.registry().mappings().map(|one| one.id).collect();
            all.get(usize::from(index) % all.len().max(1)).copied()
        };
        let letters = |mapping: MappingId| Some(view.registry().mapping(mapping)?.dead_letters);
        let command = |command: &Command| view.evaluate_command(command, now).ok()?.0;
        match deed {
            Deed::Put(stream, of) => view
                .evaluate_append(
                    StreamRef::Name(&name(&stream_name(*stream))),
                    &Arc::new(rows(of)),
                    None,
                    now,
                )
                .ok(),
            Deed::PutAs(stream, who) => {
                let claim = ProducerSequence {
                    producer: format!("p{}", who % 3).into(),
                    first: u64::from(who / 3 % 4),
                };
                let stream = name(&stream_name(*stream));
                view.evaluate_append(
                    StreamRef::Name(&stream),
                    &Arc::new(some(2)),
                    Some(&claim),
                    now,
                )
                .ok()
            }
            Deed::Lease(index) => Some(view.evaluate_lease(&[unit(*index)?])),
            Deed::Commit(index, deed) => {
                let unit = unit(*index)?;
                view.evaluate_commit(&Arc::new(self.draw(unit, deed)?), now)
                    .ok()
            }
            Deed::Trim(stream, shard, horizon) => view.evaluate_trim(
                view.registry()
                    .stream_by_name(&name(&stream_name(*stream)))?
                    .id,
                ShardNumber(u32::from(*shard % 6)),
                Ordinal(u64::from(*horizon % 30)),
            ),
            Deed::Expire(index, through) => {
                view.evaluate_expiry(unit(*index)?, Ordinal(u64::from(*through % 20)))
            }
            Deed::Redrive(index, body, fails) => {
                let unit = unit(*index)?;
                let body = Ordinal(u64::from(*body % 8));
                let kept = view.letters(letters(unit.mapping)?);
                let redriven = Redriven {
                    id: kept.map_or(body, |kept| kept.id_of(body)),
                    body,
                    bytes: letter(1, b"bad").byte_len(),
                };
                let slot = SlotId::Retry;
                let commit = Commit {
                    slot,
                    number: view.last_number(unit, slot) + 1,
                    dead_letters: fails.then(|| letter(1, b"bad")).into_iter().collect(),
                    redriven: Some(redriven),
                    totals: view.unit(unit)?.totals,
                    ..self.blank(unit)
                };
                view.evaluate_commit(&Arc::new(commit), now).ok()
            }
            Deed::Purge(index, bodies) => {
                let some: Vec<(Ordinal, u64)> = (0..16)
                    .filter(|bit| bodies >> bit & 1 == 1)
                    .map(|body| (Ordinal(body), letter(1, b"bad").byte_len()))
                    .collect();
                Some(view.evaluate_purge(letters(mapping(*index)?)?, &some)?.0)
            }
            Deed::Seek(index, to) => {
                let wish = [(unit(*index)?, Ordinal(u64::from(*to % 20)))];
                Some(view.evaluate_seek(&wish)?.0)
            }
            Deed::TrimLetters(index, to) => view.evaluate_trim(
                letters(mapping(*index)?)?,
                ShardNumber(0),
                Ordinal(u64::from(*to % 16)),
            ),
            Deed::CreateStream(stream, shards) => command(&Command::CreateStream {
                name: name(&stream_name(*stream)),
                settings: StreamSettings {
                    shards: u32::from(*shards),
                    retention_ms: 86_400_000,
                    ack: Ack::Synced,
                    options: crate::shard::StreamOptions::default(),
                },
            }),
            Deed::DeleteStream(stream) => command(&Command::DeleteStream {
                name: name(&stream_name(*stream)),
                force: true,
            }),
            Deed::Reshard(stream, kind, a, b) => {
                let name = name(&stream_name(*stream));
                let stream = view.registry().stream_by_name(&name)?;
                let pick = |at: u8| stream.shards[usize::from(at) % stream.shards.len()].number;
                let shard = pick(*a);
                let how = match kind {
                    0 => Reshard::Split { shard, at: None },
                    1 => Reshard::Merge {
                        shard,
                        adjacent: pick(*b),
                    },
                    _ => Reshard::Resize {
                        shards: u32::from(a % 4) + 1,
                    },
                };
                command(&Command::Reshard { name, how })
            }
            Deed::Forget(stream) => {
                let stream = view
                    .registry()
                    .stream_by_name(&name(&stream_name(*stream)))?;
                view.evaluate_forget(stream.id, Timestamp(now.0 + 86_400_000))
            }
            Deed::Deploy(function, stream, out, latest) => {
                let layer = json!({
                    "stream": stream_name(*stream),
                    "outputs": {"default": stream_name(*out)},
                    "starting_position": if *latest { "latest" } else { "trim-horizon" },
                });
                let (function, digest) =
                    (format!("f{}", function % 2), format!("{}", function % 5));
                command(&Command::Deploy(Box::new(deploy(
                    &function, &digest, layer,
                ))))
            }
            Deed::Pause(index) => command(&Command::PauseMapping {
                mapping: mapping(*index)?,
            }),
            Deed::DeleteMapping(index) => command(&Command::DeleteMapping {
                mapping: mapping(*index)?,
                force: true,
            }),
            Deed::DeleteFunction(index) => command(&Command::DeleteFunction {
                name: FunctionName::parse(&format!("f{}", index % 2)).unwrap(),
                force: true,
            }),
        }
    }

    /// A commit that the unit's owner could hand in.
    fn draw(&self, unit: UnitId, deed: &CommitDeed) -> Option<Commit> {
        let slot = match deed.slot {
            0 => SlotId::Retry,
            lane => SlotId::Lane(u16::from(lane)),
        };
        let view = self.view.unit(unit)?;
        let last = self.view.tail(unit.stream, unit.shard)?.last();
        let low = view.settled.low_watermark().0;
        let open = |bits: u16| -> Vec<u64> {
            (0..16)
                .filter(|bit| bits >> bit & 1 == 1)
                .map(|bit| low + 1 + bit)
                .filter(|&at| at <= last.0 && !view.settled.contains(Ordinal(at)))
                .collect()
        };
        let (settles, marks) = (open(deed.settles), open(deed.marks & !deed.settles));
        let dead_letters: Vec<DeadLetter> = settles
            .iter()
            .take(usize::from(deed.dead))
            .map(|&at| letter(at, b"bad"))
            .collect();
        Some(Commit {
            slot,
            number: self.view.last_number(unit, slot) + 1,
            settles: settles.iter().map(|&at| range(at - 1, at)).collect(),
            attempts: marks
                .iter()
                .map(|&at| {
                    mark(
                        at,
                        view.attempts
                            .get(&Ordinal(at))
                            .map_or(1, |mark| mark.count + 1),
                    )
                })
                .collect(),
            totals: UnitTotals {
                processed: view.totals.processed + settles.len() as u64,
                ..view.totals
            },
            dead_letters,
            outputs: deed
                .outputs
                .iter()
                .map(|(stream, of)| output(&stream_name(*stream), rows(of)))
                .collect(),
            window: (deed.settles & 1 == 1).then(|| {
                let group = u32::from(deed.marks % 3);
                let version = view.windows.get(&group).map_or(0, |known| known.version) + 1;
                let open = (deed.marks & 8 == 0).then(|| OpenWindow {
                    window: Window::at(Timestamp(version), 10),
                    state: deed.marks.to_le_bytes().to_vec().into(),
                    hops: 0,
                    last: Ordinal(version),
                    groups: 3,
                    left_by: None,
                });
                let becomes = GroupWindow {
                    version,
                    closed_through: Timestamp(version),
                    open,
                };
                WindowChange { group, becomes }
            }),
            ..self.blank(unit)
        })
    }
}

fn play(deeds: &[Deed]) -> (Bench, Vec<NodeView>) {
    let mut bench = Bench::default();
    // Something to read and somewhere to write, so that few deeds come to nothing.
    let setup = [
        Deed::CreateStream(0, 1),
        Deed::CreateStream(1, 3),
        Deed::Deploy(0, 0, 1, false),
        Deed::Deploy(1, 1, 2, false),
        Deed::Put(0, vec![1, 2, 3, 4, 5, 6]),
        Deed::Lease(0),
        Deed::Lease(1),
    ];
    let mut views = vec![bench.view.clone()];
    for deed in setup.iter().chain(deeds) {
        if let Some(entry) = bench.resolve(deed) {
            bench.take(entry);
            views.push(bench.view.clone());
        }
    }
    (bench, views)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn replay_of_a_prefix_is_the_view_at_its_end(deeds in deeds()) {
        let (bench, views) = play(&deeds);
        let mut replayed = NodeView::new();
        for (entry, view) in bench.log.iter().zip(&views[1..]) {
            replayed.apply(entry);
            prop_assert_eq!(all_values(&replayed), all_values(view));
        }
        for (unit, _) in bench.view.units() {
            for slot in [SlotId::Retry, SlotId::Lane(1), SlotId::Lane(2)] {
                prop_assert_eq!(replayed.last_number(unit, slot), bench.view.last_number(unit, slot));
            }
        }
    }

    #[test]
    fn redo_from_an_older_lsn_over_newer_values_ends_the_same(
        deeds in deeds(),
        at in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
    ) {
        let (bench, views) = play(&deeds);
        let at = at.index(views.len());
        let from = from.index(at + 1);
        let mut redone = NodeView::from_values(views[at].values()).unwrap();
        for entry in &bench.log[from..] {
            redone.apply(entry);
        }
        prop_assert_eq!(all_values(&redone), all_values(&bench.view));
    }

    #[test]
    fn what_was_dirtied_is_all_that_an_image_lacks(deeds in deeds(), every in 1..7usize) {
        let (bench, _) = play(&deeds);
        let (mut view, mut image) = (NodeView::new(), BTreeMap::new());
        let mut dirty: BTreeSet<ValueKey> = view.values().map(|(key, _)| key).collect();
        for (index, entry) in bench.log.iter().enumerate() {
            view.apply_noting(entry, &mut |key| { dirty.insert(key); });
            if index % every == 0 || index + 1 == bench.log.len() {
                for key in std::mem::take(&mut dirty) {
                    match view.value(&key) {
                        Some(value) => image.insert(key, value),
                        None => image.remove(&key),
                    };
                }
                let restored = NodeView::from_values(image.clone());
                prop_assert_eq!(restored.map(|view| all_values(&view)), Ok(all_values(&view)));
            }
        }
    }

    #[test]
    fn no_guard_lets_progress_or_ordinals_go_back(deeds in deeds()) {
        let (bench, views) = play(&deeds);
        for (pair, entry) in views.windows(2).zip(&bench.log) {
            for (unit, before) in pair[0].units() {
                let Some(after) = pair[1].unit(unit) else { continue };
                prop_assert!(after.epoch >= before.epoch);
                // A seek is no progress.
                let is_sought = matches!(entry, Entry::Seek { seeks, .. } if seeks.iter().any(|s| s.unit == unit));
                prop_assert!(is_sought || after.settled.low_watermark() >= before.settled.low_watermark());
                prop_assert!(after.attempts.keys().all(|&at| !after.settled.contains(at)));
            }
            for mapping in pair[0].registry().mappings() {
                if pair[1].registry().mapping(mapping.id).is_some() {
                    let [before, after] = [&pair[0], &pair[1]].map(|view| view.totals_ever(mapping.id));
                    prop_assert_eq!(before.since(after), UnitTotals::default(), "a counter fell");
                }
            }
            for stream in pair[0].registry().streams() {
                for (shard, before) in pair[0].tails(stream.id) {
                    let Some(after) = pair[1].tail(stream.id, shard) else { continue };
                    prop_assert!(after.next >= before.next && after.last_arrival >= before.last_arrival);
                    prop_assert!(after.horizon >= before.horizon && after.floor >= before.floor);
                    prop_assert!(after.floor <= after.horizon && after.horizon <= after.next);
                }
            }
        }
    }
}

#[test]
fn a_value_that_is_missing_or_belongs_to_nothing_is_found() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    bench.put("in", some(1));
    let unit = bench.unit(mapping, 0);
    let without = |gone: &ValueKey| {
        NodeView::from_values(bench.view.values().filter(|(key, _)| key != gone))
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    let tail = ValueKey::Tail(unit.stream, unit.shard);
    assert!(without(&tail).ends_with("is missing"));
    assert!(without(&ValueKey::Unit(unit)).ends_with("is missing"));
    assert!(without(&ValueKey::Stream(unit.stream)).ends_with("belongs to nothing"));
    assert!(without(&ValueKey::Mapping(mapping)).ends_with("belongs to nothing"));
    let swapped = [(ValueKey::Ids, bench.view.value(&tail).unwrap())];
    assert!(
        NodeView::from_values(swapped)
            .unwrap_err()
            .to_string()
            .ends_with("another kind")
    );
}
