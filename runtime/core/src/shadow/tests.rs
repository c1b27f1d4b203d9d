//! Which calls two versions get beside each other, and when their windows end.

use super::*;
use crate::status::{DataText, ShadowFailure, ShadowRow};

const SPAN: u32 = 100;

/// Group 0 and group 1 of two.
fn plan(windows: &mut ShadowWindows, records: &[(u64, u64)], read: (u64, u64)) -> Vec<String> {
    let records = records.iter();
    let records = records.map(|&(group, arrival)| (KeyHash(group), Timestamp(arrival)));
    let plan = windows.plan(records, (Timestamp(read.0), Timestamp(read.1)));
    let mut told = told(&plan.steps);
    if plan.left_out > 0 {
        told.push(format!("left out {}", plan.left_out));
    }
    told
}

fn told(steps: &[ShadowStep]) -> Vec<String> {
    let words = |step: &ShadowStep| match step {
        ShadowStep::Fold {
            group,
            window,
            records,
        } => format!("{group}: {} {records:?}", window.start),
        ShadowStep::Close { group, window } => format!("{group}: end {}", window.start),
    };
    steps.iter().map(words).collect()
}

fn row(data: &str) -> ShadowEnd {
    ShadowEnd {
        rows: vec![ShadowRow {
            output: "default".to_owned(),
            partition_key: "k".to_owned(),
            data: DataText::of(data.as_bytes(), |_| String::new()),
        }],
        failure: None,
    }
}

#[test]
fn records_go_group_by_group_and_window_by_window_and_a_later_one_ends_all() {
    for (records, read, expected) in [
        (&[][..], (0, 0), &[][..]),
        (&[(0, 10), (0, 20)], (10, 20), &["0: 0 [0, 1]"]),
        (
            &[(0, 10), (1, 20), (0, 30)],
            (10, 30),
            &["0: 0 [0, 2]", "1: 0 [1]"],
        ),
        // Of the group itself.
        (
            &[(0, 10), (0, 110), (0, 120)],
            (10, 120),
            &["0: 0 [0]", "0: end 0", "0: 100 [1, 2]"],
        ),
        // Of another one, and one that the filter let fall.
        (
            &[(0, 10), (1, 110)],
            (10, 110),
            &["0: 0 [0]", "1: 100 [1]", "0: end 0"],
        ),
        (&[(0, 10)], (10, 100), &["0: 0 [0]", "0: end 0"]),
        (&[(0, 10)], (10, 99), &["0: 0 [0]"]),
    ] {
        let mut windows = ShadowWindows::new(SPAN, 2, true);
        assert_eq!(plan(&mut windows, records, read), expected, "{records:?}");
    }
}

#[test]
fn a_window_whose_beginning_was_not_read_is_left_out() {
    let mut windows = ShadowWindows::new(SPAN, 2, false);
    let told = plan(&mut windows, &[(0, 10), (1, 90), (0, 100)], (10, 100));
    assert_eq!(told, ["0: 100 [2]", "left out 2"]);
    // What the filter let fall was read, too.
    let mut windows = ShadowWindows::new(SPAN, 2, false);
    assert_eq!(plan(&mut windows, &[], (10, 20)), [""; 0]);
    assert_eq!(plan(&mut windows, &[(0, 100)], (100, 100)), ["0: 100 [0]"]);
    windows.folded(
        ShadowSide::Live,
        0,
        Window::at(Timestamp(100), SPAN),
        "s".into(),
    );
    windows.missed_some();
    assert_eq!((windows.open(), windows.bytes()), (0, 0));
    let told = plan(&mut windows, &[(0, 150), (0, 200)], (150, 200));
    assert_eq!(told, ["0: 200 [1]", "left out 1"]);
}

#[test]
fn a_quiet_shard_ends_its_windows_in_time_and_one_that_has_ended_at_once() {
    let mut windows = ShadowWindows::new(SPAN, 2, true);
    assert_eq!(windows.quiet_at(), None);
    plan(&mut windows, &[(0, 10), (1, 20)], (10, 20));
    let at = Timestamp(100 + limits::WINDOW_IDLE_MS);
    assert_eq!(windows.quiet_at(), Some(at));
    assert!(windows.close_quiet(Timestamp(at.0 - 1)).is_empty());
    assert_eq!(told(&windows.close_quiet(at)), ["0: end 0", "1: end 0"]);
    assert_eq!(windows.quiet_at(), None);
    // A clock that goes back reopens none.
    assert_eq!(plan(&mut windows, &[(0, 50)], (50, 50)), ["0: 100 [0]"]);
    assert_eq!(told(&windows.close_all()), ["0: end 100"]);
}

#[test]
fn each_version_carries_its_own_state_and_both_ends_are_told_together() {
    let (live, other) = (ShadowSide::Live, ShadowSide::Other);
    let mut windows = ShadowWindows::new(SPAN, 2, true);
    plan(&mut windows, &[(0, 10)], (10, 10));
    let window = Window::at(Timestamp(10), SPAN);
    assert_eq!(windows.fold_call(live, 0, window).state, "");
    assert_eq!(windows.last_call(live, 0, window), None);
    assert_eq!(windows.folded(live, 0, window, "one".into()), None);
    assert_eq!(windows.fold_call(live, 0, window).state, "one");
    assert_eq!(windows.fold_call(other, 0, window).state, "");
    assert_eq!((windows.open(), windows.bytes()), (1, 3));

    // Too large: ended at once, and it goes on with none.
    let large = Bytes::from(vec![b'x'; limits::WINDOW_STATE_BYTES_MAX as usize + 1]);
    let early = windows
        .folded(other, 0, window, large.clone())
        .expect("it is full");
    assert!(early.is_terminated_early && !early.is_final && early.state == large);
    windows.ended(other, 0, row("early"));
    assert_eq!(windows.fold_call(other, 0, window).state, "");
    assert_eq!(windows.last_call(other, 0, window), None);
    assert_eq!(windows.folded(other, 0, window, "two".into()), None);

    for (side, state, data) in [(live, "one", "a"), (other, "two", "b")] {
        let last = windows.last_call(side, 0, window).expect("it is open");
        assert!(last.is_final && !last.is_terminated_early && last.state == state);
        windows.ended(side, 0, row(data));
    }
    let (of_live, of_other) = windows.take_ends(0).expect("it ended");
    let told = |end: &ShadowEnd| -> Vec<String> {
        end.rows.iter().map(|row| row.data.data.clone()).collect()
    };
    assert_eq!(
        (told(&of_live), told(&of_other)),
        (
            vec!["a".to_owned()],
            vec!["early".to_owned(), "b".to_owned()]
        )
    );
    assert_eq!(windows.take_ends(0), None);
    assert_eq!((windows.open(), windows.bytes()), (0, 0));

    // One in which a version did nothing ended with no rows; the first failure counts.
    let failed = |code: &str| ShadowEnd {
        rows: Vec::new(),
        failure: Some(ShadowFailure {
            error_kind: "error".to_owned(),
            code: code.to_owned(),
            error: String::new(),
        }),
    };
    windows.ended(live, 1, failed("first"));
    windows.ended(live, 1, failed("second"));
    assert_eq!(
        windows.take_ends(1),
        Some((failed("first"), ShadowEnd::default()))
    );
}
