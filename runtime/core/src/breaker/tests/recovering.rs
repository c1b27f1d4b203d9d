//! How a circuit recovers, step by step, and how it does not.

use super::*;

/// What happens to one that recovers.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Probes of what failed before: well, sick, or saying nothing.
    TriedWell(u32),
    TriedSick(u32),
    TriedNothing,
    /// Calls of the lanes that name no key.
    LaneWell(u32),
    LaneSick(u32),
    LaneNothing,
    /// A call of the lanes, most of whose keys were well: those that were, then those that were not.
    Keys {
        well: (u64, u64),
        sick: (u64, u64),
    },
}

use Step::{Keys, LaneNothing, LaneSick, LaneWell, TriedNothing, TriedSick, TriedWell};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Becomes {
    Closed,
    Holding,
    Recovering,
}

use Becomes::{Closed, Holding, Recovering};

fn recovering() -> Breaker {
    let mut breaker = open();
    breaker.probed(Probe::Untried, well(1), Timestamp(600));
    assert!(breaker.open().unwrap().is_recovering());
    breaker
}

fn becomes(breaker: &Breaker) -> Becomes {
    match breaker.open() {
        None => Closed,
        Some(open) if open.is_recovering() => Recovering,
        Some(_) => Holding,
    }
}

/// When others that are well may close it.
const LATE: Timestamp = Timestamp(600 + limits::CIRCUIT_RECOVERY_MS);

fn take(breaker: &mut Breaker, step: Step, now: Timestamp) {
    let mut probes = |count: u32, sign: &dyn Fn() -> Sign| {
        for _ in 0..count {
            breaker.probed(Probe::Tried, sign(), now);
        }
    };
    match step {
        TriedWell(count) => probes(count, &|| well(1)),
        TriedSick(count) => probes(count, &|| sick([])),
        TriedNothing => probes(1, &|| Sign::None),
        LaneWell(count) => (0..count).for_each(|_| breaker.tried_anew(well(1), [], now)),
        LaneSick(count) => (0..count).for_each(|_| breaker.tried_anew(sick([]), [], now)),
        LaneNothing => breaker.tried_anew(Sign::None, [], now),
        Keys { well: good, sick } => {
            let good = (good.0..good.1).map(|key| (KeyHash(key), true));
            let sick = (sick.0..sick.1).map(|key| (KeyHash(key), false));
            breaker.tried_anew(well(1), good.chain(sick), now);
        }
    }
}

const fn keys(well: (u64, u64), sick: (u64, u64)) -> Step {
    Keys { well, sick }
}

#[test]
fn it_closes_or_holds_again_at_its_bounds_and_not_below() {
    let none = (0, 0);
    for (steps, expected) in [
        (&[TriedWell(3)][..], Recovering),
        (&[TriedWell(4)], Closed),
        (&[TriedWell(3), TriedNothing, TriedWell(1)], Closed),
        (&[TriedWell(3), TriedSick(1), TriedWell(3)], Recovering),
        // However long: poison is all that may be left.
        (&[TriedSick(1_000)], Recovering),
        // What the lanes do and what is probed are counted apart.
        (&[TriedWell(3), LaneSick(3), TriedWell(1)], Closed),
        (&[LaneSick(3)], Recovering),
        (&[LaneSick(4)], Holding),
        (&[LaneSick(3), LaneNothing, LaneSick(1)], Holding),
        (&[LaneSick(3), TriedWell(1), LaneSick(1)], Holding),
        (&[LaneSick(3), LaneWell(1), LaneSick(3)], Recovering),
        (&[LaneWell(1_000)], Recovering),
        // Of distinct keys sixteen.
        (&[keys((0, 15), none)], Recovering),
        (&[keys((0, 16), none)], Closed),
        (&[keys((0, 15), (50, 54)), keys((15, 16), none)], Closed),
        (&[keys(none, (0, 15))], Recovering),
        (&[keys(none, (0, 16))], Holding),
        (&[keys((50, 54), (0, 16))], Holding),
        // Of twenty that tell neither nothing is left.
        (&[keys((0, 15), (50, 55)), keys((20, 35), none)], Recovering),
        (&[keys((0, 15), (50, 55)), keys((20, 36), none)], Closed),
        (&[keys((0, 10), (50, 60)), keys(none, (60, 75))], Recovering),
        // A key counts once, by what it was first.
        (&[keys((0, 15), none), keys((0, 15), none)], Recovering),
        (&[keys((0, 15), none), keys(none, (0, 15))], Recovering),
        (&[keys(none, (0, 10)), keys((0, 15), none)], Recovering),
    ] {
        let mut breaker = recovering();
        for &step in steps {
            assert_eq!(becomes(&breaker), Recovering, "{steps:?}");
            take(&mut breaker, step, LATE);
        }
        assert_eq!(becomes(&breaker), expected, "{steps:?}");
        assert_eq!(breaker.opens(), 1, "it does not open anew: {steps:?}");
    }
}

#[test]
fn others_that_are_well_do_not_close_it_before_it_has_recovered_for_long() {
    let none = (0, 0);
    for (now, expected) in [
        (Timestamp(700), Recovering),
        (Timestamp(LATE.0 - 1), Recovering),
        (LATE, Closed),
    ] {
        let mut breaker = recovering();
        take(&mut breaker, keys((0, 63 * 16), none), Timestamp(650));
        // What was enough by then counts no more.
        take(&mut breaker, keys((2_000, 2_015), none), LATE);
        assert_eq!(becomes(&breaker), Recovering);
        take(&mut breaker, keys((3_000, 3_001), none), now);
        assert_eq!(becomes(&breaker), expected, "{now:?}");
    }
    // What failed before tells by itself, and so do lanes that are sick.
    for (step, expected) in [
        (TriedWell(4), Closed),
        (LaneSick(4), Holding),
        (keys(none, (0, 16)), Holding),
    ] {
        let mut breaker = recovering();
        take(&mut breaker, step, Timestamp(700));
        assert_eq!(becomes(&breaker), expected, "{step:?}");
    }
}

#[test]
fn a_probe_of_either_sort_that_is_well_has_it_recover_and_pauses_begin_anew() {
    for sort in [Probe::Untried, Probe::Tried] {
        let mut breaker = open();
        for at in 1..=8 {
            breaker.probed(Probe::Tried, sick([]), Timestamp(at));
            breaker.probed(Probe::Untried, sick([]), Timestamp(at));
        }
        breaker.probed(sort, well(1), Timestamp(90));
        let open = breaker.open().unwrap();
        assert_eq!(open.recovering_since(), Some(Timestamp(90)));
        assert_eq!((open.since, open.probes_failed), (Timestamp(7), 16));
        assert_eq!((open.next_probe, open.probes), (Timestamp(90), 0));
        assert_eq!((open.next_untried, open.probes_untried), (Timestamp(90), 0));
        assert!(!open.is_long());
        breaker.probed(Probe::Tried, sick([]), Timestamp(100));
        assert_eq!(breaker.open().unwrap().next_probe, Timestamp(1_100));
        // One that is well is followed at once.
        breaker.probed(Probe::Tried, well(1), Timestamp(1_200));
        let open = breaker.open().unwrap();
        assert_eq!((open.next_probe, open.probes), (Timestamp(1_200), 0));
    }
}

#[test]
fn when_it_holds_calls_again_pauses_begin_anew_and_what_was_counted_is_forgotten() {
    let mut breaker = recovering();
    let counted = [
        TriedSick(8),
        TriedWell(3),
        LaneSick(3),
        keys((0, 15), (0, 0)),
    ];
    for step in counted {
        take(&mut breaker, step, Timestamp(700));
    }
    take(&mut breaker, LaneSick(4), Timestamp(700));
    let open = breaker.open().unwrap();
    assert_eq!((open.phase, open.probes), (Phase::Holding, 0));
    assert_eq!(
        open.next_at_latest(),
        Timestamp(700 + limits::CIRCUIT_PROBE_MS)
    );
    assert_eq!((open.since, breaker.opens()), (Timestamp(7), 1));
    breaker.probed(Probe::Tried, well(1), Timestamp(800));
    for step in [TriedWell(3), LaneSick(3), keys((100, 115), (0, 0))] {
        take(&mut breaker, step, Timestamp(700));
        assert_eq!(becomes(&breaker), Recovering);
    }
}

#[test]
fn while_it_holds_calls_nothing_that_lanes_did_before_counts() {
    let mut breaker = open();
    let before = breaker.open().cloned();
    for step in [LaneSick(4), LaneWell(9), keys((0, 16), (0, 0))] {
        take(&mut breaker, step, Timestamp(700));
    }
    assert_eq!(breaker.open().cloned(), before);
}

#[test]
fn records_that_were_not_tried_wait_five_seconds_at_most() {
    let mut breaker = open();
    let mut pauses = Vec::new();
    for _ in 0..6 {
        breaker.probed(Probe::Untried, sick([]), Timestamp(100));
        pauses.push(breaker.open().unwrap().next_untried.0 - 100);
    }
    assert_eq!(pauses, [1_000, 2_000, 4_000, 5_000, 5_000, 5_000]);
}
