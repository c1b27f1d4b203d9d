//! Commit and storage rules §8: a state has one chain, goes with its unit, and holds the shard's end
//! (Lambda ESM specification §22 row Window).

use serde_json::json;

use super::*;
use crate::{
    view::{CommitFault, UnitTurn},
    window::{GroupWindow, OpenWindow, Window, WindowChange},
};

fn becoming(version: u64, state: Option<&'static [u8]>) -> WindowChange {
    let window = Window::at(Timestamp(0), 1_000);
    let open = state.map(|state| OpenWindow {
        window,
        state: bytes::Bytes::from_static(state),
        hops: 0,
        last: Ordinal(version),
        groups: 64,
        left_by: None,
    });
    let closed_through = match open {
        Some(_) => Timestamp(0),
        None => window.end,
    };
    let becomes = GroupWindow {
        version,
        closed_through,
        open,
    };
    WindowChange { group: 9, becomes }
}

impl Bench {
    fn folding(&self, unit: UnitId, at: u64, change: WindowChange) -> Commit {
        Commit {
            window: Some(change),
            ..self.settling(unit, at - 1, at)
        }
    }

    fn closing(&self, unit: UnitId, version: u64) -> Commit {
        Commit {
            window: Some(becoming(version, None)),
            ..self.blank(unit)
        }
    }

    fn with_records(records: usize) -> (Self, UnitId) {
        let mut bench = Self::default();
        let mapping = bench.deploy("f", json!({"stream": "in", "tumbling_window": "1s"}));
        bench.put("in", some(records));
        let unit = bench.unit(mapping, 0);
        bench.lease(unit);
        (bench, unit)
    }
}

#[test]
fn a_state_made_from_another_one_than_is_known_is_fenced() {
    let (mut bench, unit) = Bench::with_records(3);
    let first = bench.folding(unit, 1, becoming(1, Some(b"1")));
    bench.commit(first).unwrap();
    for version in [0, 1, 3] {
        let forked = bench.folding(unit, 2, becoming(version, Some(b"2")));
        let fault = bench.view.commit_fault(&forked).unwrap();
        assert!(fault.is_bug());
        let (group, current) = (9, 1);
        assert_eq!(fault, CommitFault::StateForked { group, current });
        assert_eq!(bench.commit(forked), Err(CommitAnswer::Fenced));
    }
    let second = bench.folding(unit, 2, becoming(2, Some(b"2")));
    bench.commit(second).unwrap();
    let (_, open) = bench
        .view
        .unit(unit)
        .unwrap()
        .open_windows()
        .next()
        .unwrap();
    assert_eq!(open.state, "2");
}

#[test]
fn state_and_progress_are_one_act_and_the_values_hold_both() {
    let (mut bench, unit) = Bench::with_records(3);
    let first = bench.folding(unit, 1, becoming(1, Some(b"1")));
    bench.commit(first).unwrap();
    let again = NodeView::from_values(bench.view.values()).unwrap();
    assert_eq!(again.unit(unit), bench.view.unit(unit));
    let closing = bench.closing(unit, 2);
    bench.commit(closing).unwrap();
    let view = bench.view.unit(unit).unwrap();
    assert_eq!(view.open_windows().next(), None);
    assert_eq!(view.windows[&9].closed_through, Timestamp(1_000));
    // Redo from an older entry ends the same.
    assert_eq!(
        NodeView::from_values(bench.view.values())
            .unwrap()
            .unit(unit),
        Some(view)
    );
}

#[test]
fn a_seek_drops_open_windows_and_what_was_closed() {
    let (mut bench, unit) = Bench::with_records(3);
    let first = bench.folding(unit, 1, becoming(1, Some(b"1")));
    bench.commit(first).unwrap();
    let (entry, _) = bench.view.evaluate_seek(&[(unit, Ordinal(0))]).unwrap();
    let mut touched = Vec::new();
    bench
        .view
        .clone()
        .apply_noting(&entry, &mut |key| touched.push(key));
    assert!(touched.contains(&crate::view::ValueKey::Window(unit, 9)));
    bench.take(entry);
    assert!(bench.view.unit(unit).unwrap().windows.is_empty());
    bench.lease(unit);
    let anew = bench.folding(unit, 1, becoming(1, Some(b"1")));
    bench.commit(anew).unwrap();
}

/// Event source mapping rules §11: a window closes at the end of its shard, and does not move to children.
#[test]
fn a_child_waits_until_the_windows_of_its_parent_are_closed() {
    let (mut bench, unit) = Bench::with_records(1);
    let first = bench.folding(unit, 1, becoming(1, Some(b"1")));
    bench.commit(first).unwrap();
    bench.split("in", 0);
    let child = bench.unit(unit.mapping, 1);
    assert_eq!(bench.view.turn(unit), Some(UnitTurn::Due));
    assert_eq!(bench.view.turn(child), Some(UnitTurn::Waiting(unit)));
    assert!(!bench.view.has_ended(unit));
    let closing = bench.closing(unit, 2);
    bench.commit(closing).unwrap();
    assert_eq!(bench.view.turn(unit), Some(UnitTurn::Ended));
    assert_eq!(bench.view.turn(child), Some(UnitTurn::Due));
    assert!(bench.view.unit(child).unwrap().windows.is_empty());
}

#[test]
fn the_windows_of_a_deleted_mapping_go_with_it() {
    let (mut bench, unit) = Bench::with_records(1);
    let first = bench.folding(unit, 1, becoming(1, Some(b"1")));
    bench.commit(first).unwrap();
    bench.command(&Command::DeleteMapping {
        mapping: unit.mapping,
        force: true,
    });
    let key =
        |value: &(crate::view::ValueKey, _)| matches!(value.0, crate::view::ValueKey::Window(..));
    assert!(!bench.view.values().any(|value| key(&value)));
}
