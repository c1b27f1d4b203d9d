//! Commit and storage rules §9: whose turn it is, and which closed shards go (Lambda ESM specification §6,
//! §22 row Order).

use serde_json::json;

use super::*;
use crate::view::UnitTurn;

const DAY: u64 = 86_400_000;

impl Bench {
    fn turn(&self, unit: UnitId) -> UnitTurn {
        let turn = self.view.turn(unit).unwrap();
        // Both ways of asking agree.
        let mapping = self.view.registry().mapping(unit.mapping).unwrap();
        assert_eq!(self.view.turns(mapping)[&unit], turn);
        turn
    }

    fn turns(&self, mapping: MappingId) -> String {
        let mapping = self.view.registry().mapping(mapping).unwrap();
        let turns = self.view.turns(mapping);
        let words = turns.into_iter().map(|(unit, turn)| {
            assert_eq!(self.view.turn(unit), Some(turn));
            match turn {
                UnitTurn::Waiting(on) => format!("{} waits for {}", unit.shard.0, on.shard.0),
                UnitTurn::Due => format!("{} due", unit.shard.0),
                UnitTurn::Ended => format!("{} ended", unit.shard.0),
            }
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// Trims everything of a shard.
    fn trim(&mut self, stream: &str, shard: u32) {
        let (stream, shard) = (self.stream_id(stream), ShardNumber(shard));
        let next = self.view.tail(stream, shard).unwrap().next;
        if let Some(entry) = self.view.evaluate_trim(stream, shard, next) {
            self.take(entry);
        }
    }

    fn forget(&mut self, stream: &str) -> Vec<u32> {
        let stream = self.stream_id(stream);
        let Some(entry) = self.view.evaluate_forget(stream, self.now()) else {
            return vec![];
        };
        let Entry::Forget { shards, .. } = &entry else {
            panic!("forgetting becomes {entry:?}");
        };
        let gone = shards.iter().map(|shard| shard.0).collect();
        self.take(entry);
        gone
    }
}

#[test]
fn a_child_of_a_merge_waits_for_both_parents() {
    let mut bench = Bench::default();
    bench.create_stream("in", 2);
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    bench.put("in", records(&[0, 0, u128::MAX]));
    bench.merge("in", 0, 1);
    bench.put("in", some(1));
    assert_eq!(bench.turns(mapping), "0 due, 1 due, 2 waits for 0");
    let units = [0, 1].map(|shard| bench.unit(mapping, shard));
    for unit in units {
        bench.lease(unit);
    }
    bench.settle(units[1], 0, 1);
    assert_eq!(bench.turns(mapping), "0 due, 1 ended, 2 waits for 0");
    bench.settle(units[0], 0, 1);
    assert_eq!(bench.turns(mapping), "0 due, 1 ended, 2 waits for 0");
    bench.settle(units[0], 1, 2);
    assert_eq!(bench.turns(mapping), "0 ended, 1 ended, 2 due");
}

/// A shard that was closed before a record came is settled at once: its children wait for its parents
/// all the same.
#[test]
fn an_empty_parent_does_not_let_a_grandchild_overtake() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    bench.put("in", some(1));
    bench.split("in", 0);
    bench.merge("in", 1, 2);
    bench.put("in", some(1));
    assert_eq!(
        bench.turns(mapping),
        "0 due, 1 waits for 0, 2 waits for 0, 3 waits for 0"
    );
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    bench.settle(unit, 0, 1);
    assert_eq!(bench.turns(mapping), "0 ended, 1 ended, 2 ended, 3 due");
}

#[test]
fn mappings_wait_each_for_their_own_units() {
    let mut bench = Bench::default();
    let fast = bench.deploy("f", json!({"stream": "in"}));
    let slow = bench.deploy("g", json!({"stream": "in"}));
    bench.put("in", some(1));
    bench.split("in", 0);
    let unit = bench.unit(fast, 0);
    bench.lease(unit);
    bench.settle(unit, 0, 1);
    assert_eq!(bench.turns(fast), "0 ended, 1 due, 2 due");
    assert_eq!(bench.turns(slow), "0 due, 1 waits for 0, 2 waits for 0");
}

#[test]
fn an_open_shard_never_ends() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    let unit = bench.unit(mapping, 0);
    assert_eq!(bench.turn(unit), UnitTurn::Due);
    assert!(!bench.view.has_ended(unit));
    let nobody = UnitId {
        shard: ShardNumber(7),
        ..unit
    };
    assert_eq!(bench.view.turn(nobody), None);
    bench.delete_stream("in");
    assert_eq!(bench.view.turn(unit), None);
}

/// A put that was made before a split and is taken after it lands in a child; so does an output.
#[test]
fn rows_go_to_the_shard_that_is_open_when_they_are_taken() {
    let mut bench = Bench::default();
    bench.create_stream("out", 1);
    let mapping = bench.deploy("f", json!({"stream": "in", "outputs": {"default": "out"}}));
    bench.put("in", some(1));
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    let commit = Commit {
        outputs: vec![output("out", records(&[0, u128::MAX, 1]))],
        ..bench.settling(unit, 0, 1)
    };
    bench.split("out", 0);
    let Entry::Commit { outputs, .. } = bench.commit(commit).unwrap() else {
        panic!("a commit becomes a commit");
    };
    let runs: Vec<_> = outputs[0]
        .shards
        .iter()
        .map(|run| (run.shard.0, run.rows.clone()))
        .collect();
    assert_eq!(runs, [(1, Some(vec![0, 2])), (2, Some(vec![1]))]);
    let out = bench.stream_id("out");
    assert_eq!([0, 1, 2].map(|shard| bench.next(out, shard)), [1, 3, 2]);
    bench.split("in", 0);
    let placement = bench.put("in", records(&[u128::MAX]));
    assert_eq!(placement.shards[0].shard, ShardNumber(2));
    assert_eq!(placement.shards[0].first, Ordinal(1));
}

/// Schedule 32, as far as there is no seek yet: what unsettles a parent fences its descendants, and
/// nobody else.
#[test]
fn s32_unsettling_a_parent_fences_its_descendants() {
    let mut bench = Bench::default();
    bench.create_stream("in", 2);
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    bench.deploy("g", json!({"stream": "in"}));
    bench.split("in", 0);
    bench.merge("in", 3, 1);
    let first = bench.unit(mapping, 0);
    let of = |shard| UnitId {
        shard: ShardNumber(shard),
        ..first
    };
    // 0 became 2 and 3; 3 and 1 became 4.
    for (unit, expected) in [(0, vec![2, 3, 4]), (1, vec![4]), (2, vec![]), (4, vec![])] {
        let found: Vec<u32> = bench
            .view
            .descendants(of(unit))
            .iter()
            .map(|unit| unit.shard.0)
            .collect();
        assert_eq!(found, expected, "{unit}");
    }
    let units = [2, 3, 4].map(of);
    for unit in [2, 4].map(of) {
        bench.lease(unit);
    }
    let late = bench.blank(units[2]);
    let (entry, _) = bench.view.evaluate_seek(&[(of(0), Ordinal(0))]).unwrap();
    let fenced: Vec<UnitId> = match &entry {
        Entry::Seek { units, .. } => units.iter().map(|change| change.unit).collect(),
        other => panic!("{other:?}"),
    };
    assert_eq!(fenced, units);
    bench.take(entry);
    assert_eq!(bench.commit(late), Err(CommitAnswer::Fenced));
}

#[test]
fn a_closed_shard_goes_when_its_records_and_its_retention_are_over() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    bench.put("in", some(2));
    let (stream, unit) = (bench.stream_id("in"), bench.unit(mapping, 0));
    bench.split("in", 0);
    bench.now += DAY;
    assert_eq!(bench.forget("in"), [0; 0], "its records are there");
    bench.trim("in", 0);
    assert_eq!(bench.forget("in"), [0; 0], "the mapping holds them");
    bench.lease(unit);
    bench.settle(unit, 0, 2);
    bench.trim("in", 0);
    bench.now -= 1;
    assert_eq!(
        bench.forget("in"),
        [0; 0],
        "somebody may still ask for its children"
    );
    bench.now += 1;
    assert_eq!(bench.forget("in"), [0]);
    assert_eq!(bench.forget("in"), [0; 0]);
    assert!(bench.view.tail(stream, ShardNumber(0)).is_none());
    assert!(bench.view.unit(unit).is_none());
    // What it did is told all the same, also after a restart.
    assert_eq!(bench.view.gone_totals(mapping).processed, 2);
    bench.view = NodeView::from_values(bench.view.values()).unwrap();
    assert_eq!(bench.view.gone_totals(mapping).processed, 2);
    assert_eq!(bench.turns(mapping), "1 due, 2 due");
    // A parent that is gone is no longer waited for, and its number is not given again.
    bench.split("in", 2);
    assert_eq!(bench.turns(mapping), "1 due, 2 ended, 3 due, 4 due");
    bench.command(&Command::DeleteMapping {
        mapping,
        force: true,
    });
    assert_eq!(bench.view.gone_totals(mapping), UnitTotals::default());
    assert_eq!(bench.view.value(&ValueKey::Gone(mapping)), None);
}

#[test]
fn parents_go_before_their_children() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    bench.put("in", some(1));
    bench.split("in", 0);
    bench.split("in", 1);
    bench.now += DAY;
    assert_eq!(
        bench.forget("in"),
        [0; 0],
        "shard 1 is empty, but its parent is there"
    );
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    bench.settle(unit, 0, 1);
    bench.trim("in", 0);
    assert_eq!(bench.forget("in"), [0, 1]);
    assert_eq!(bench.turns(mapping), "2 due, 3 due, 4 due");
}
