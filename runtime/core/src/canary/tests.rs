use proptest::prelude::*;

use super::*;
use crate::{
    id::Ordinal,
    lane::{KeyHash, key_hash},
};

fn share(function: u64, permille: u16) -> Share {
    Share::new(FunctionId(function), Permille::new(permille).unwrap())
}

fn keys(count: u32) -> impl Iterator<Item = u64> {
    (0..count).map(|n| key_hash(Some(&n.to_le_bytes()), Ordinal(1)).0)
}

fn guard(errors: Option<u16>, age_ms: Option<u64>) -> Guard {
    Guard {
        errors: errors.and_then(Permille::new),
        age_ms,
    }
}

proptest! {
    #[test]
    fn more_weight_adds_keys_and_takes_none_away(
        function in 1_u64..50, low in 1_u16..1_000, high in 1_u16..1_000, key in any::<u64>()
    ) {
        let (low, high) = (low.min(high), low.max(high));
        prop_assert!(!share(function, low).takes(key) || share(function, high).takes(key));
    }

    #[test]
    fn what_is_kept_of_the_window_is_bounded(steps in prop::collection::vec(0_u64..20_000, 0..600)) {
        let mut watch = CanaryWatch::new(FunctionVersion(8));
        let mut now = 20_000_000_u64;
        for (n, step) in steps.into_iter().enumerate() {
            // Now and then the clock goes back.
            now = if n % 7 == 0 { now - step } else { now + step };
            watch.ended(FunctionVersion(8), false, &guard(None, None), Timestamp(now));
            let most = limits::CANARY_WINDOW_MS_MAX / limits::CANARY_WINDOW_PIECE_MS + 2;
            prop_assert!(watch.pieces() as u64 <= most);
        }
    }
}

#[test]
fn the_share_of_keys_is_the_weight() {
    for permille in [1, 10, 100, 500, 999] {
        for function in [1, 2, 77] {
            let share = share(function, permille);
            let taken = keys(100_000).filter(|&key| share.takes(key)).count();
            let wanted = usize::from(permille) * 100;
            let off = taken.abs_diff(wanted);
            assert!(
                off < 600,
                "{taken} of {wanted} at {permille} of function {function}"
            );
        }
    }
}

#[test]
fn the_keys_of_a_canary_are_in_all_lanes() {
    let share = share(1, 100);
    let mut lanes = [0; 8];
    for key in keys(10_000).filter(|&key| share.takes(key)) {
        lanes[usize::from(KeyHash(key).lane(8))] += 1;
    }
    assert!(lanes.iter().all(|&keys| keys > 60), "{lanes:?}");
}

#[test]
fn other_functions_try_their_canaries_on_other_keys() {
    let (one, other) = (share(1, 100), share(2, 100));
    let both = keys(10_000).filter(|&key| one.takes(key) && other.takes(key));
    assert!(both.count() < 200);
}

#[test]
fn with_order_within_the_shard_the_shard_decides() {
    let canary = Canary {
        version: FunctionVersion(2),
        weight: Permille::new(500).unwrap(),
        since: Timestamp(0),
        guard: Guard::default(),
    };
    let by_key = MappingSettings::default();
    let by_shard = MappingSettings {
        ordering: Ordering::Shard,
        ..by_key.clone()
    };
    let of = |settings: &MappingSettings, shard| {
        canary.of_unit(FunctionId(1), settings, StreamId(1), ShardNumber(shard))
    };
    assert!(matches!(of(&by_key, 0), UnitVersions::Both(_)));
    let whole = (0..100).filter(|&shard| of(&by_shard, shard) == UnitVersions::Canary);
    let whole = whole.count();
    assert!((30..70).contains(&whole), "{whole}");
    assert!((0..100).all(|shard| !matches!(of(&by_shard, shard), UnitVersions::Both(_))));
}

/// What the guard says to these calls of versions, in order: version, whether they failed, how many.
fn told(
    watch: &mut CanaryWatch,
    guard: &Guard,
    calls: &[(u64, bool, u64)],
    at: u64,
) -> Option<String> {
    let mut words = None;
    for &(version, failed, count) in calls {
        for _ in 0..count {
            let ended = watch.ended(FunctionVersion(version), failed, guard, Timestamp(at));
            words = words.or(ended.map(|tripped| tripped.words));
        }
    }
    words
}

#[test]
fn the_guard_asks_for_enough_calls_above_the_bound_and_worse_than_the_live_version() {
    let five = guard(Some(50), None);
    let off = guard(None, None);
    for (what, guard, calls, words) in [
        ("too few", five, &[(8, true, 19)][..], None),
        (
            "enough",
            five,
            &[(8, true, 20)],
            Some("100% of 20 calls failed (bound 5%)"),
        ),
        ("at the bound", five, &[(8, false, 95), (8, true, 5)], None),
        (
            "above it",
            five,
            &[(8, false, 94), (8, true, 6)],
            Some("5.1% of 99 calls failed (bound 5%)"),
        ),
        ("no bound", off, &[(8, true, 500)], None),
        (
            "the live version fails as well",
            five,
            &[(7, true, 50), (8, true, 50)],
            None,
        ),
        (
            "the live version fails less",
            five,
            &[(7, false, 97), (7, true, 3), (8, true, 20)],
            Some("100% of 20 calls failed (bound 5%; of the live version's 100, 3%)"),
        ),
        (
            "little is known of the live version",
            five,
            &[(7, true, 19), (8, true, 20)],
            Some("100% of 20 calls failed (bound 5%; of the live version's 19, 100%)"),
        ),
        ("only the live version fails", five, &[(7, true, 500)], None),
    ] {
        let mut watch = CanaryWatch::new(FunctionVersion(8));
        let said = told(&mut watch, &guard, calls, 0);
        assert_eq!(said.as_deref(), words, "{what}");
    }
}

#[test]
fn a_share_just_above_its_bound_is_told_so_that_it_is_seen_to_be() {
    for (failed, calls, bound, told) in [
        (6, 99, 50, "6%"),
        (501, 10_000, 50, "5.01%"),
        (50_001, 1_000_000, 50, "5.001%"),
        (5_000_001, 100_000_000, 50, "5.001%"),
        (26, 1_000, 25, "3%"),
        (109, 2_000, 54, "5.5%"),
        (1, 20, 1, "5%"),
    ] {
        let counts = CanaryCounts {
            canary: VersionCalls {
                calls,
                failures: failed,
            },
            live: VersionCalls::default(),
        };
        let bound = Permille::new(bound).unwrap();
        let words = watch::errors_tripped(counts, bound).unwrap().words;
        assert!(words.starts_with(&format!("{told} of ")), "{words}");
    }
}

#[test]
fn a_guard_that_is_passed_is_told_once() {
    let five = guard(Some(50), None);
    let mut watch = CanaryWatch::new(FunctionVersion(8));
    assert!(told(&mut watch, &five, &[(8, true, 20)], 0).is_some());
    assert_eq!(told(&mut watch, &five, &[(8, true, 100)], 1), None);
}

#[test]
fn calls_leave_the_window_and_stay_in_the_totals() {
    let five = guard(Some(50), None);
    let mut watch = CanaryWatch::new(FunctionVersion(8));
    assert_eq!(told(&mut watch, &five, &[(8, true, 19)], 0), None);
    let later = limits::CANARY_WINDOW_MS + 1;
    // Enough came since.
    assert_eq!(told(&mut watch, &five, &[(8, false, 400)], 5_000), None);
    let all = [(8, true, 20), (7, false, 3)];
    assert_eq!(told(&mut watch, &five, &all, later), None);
    let calls = |calls, failures| VersionCalls { calls, failures };
    assert_eq!(watch.recent().canary, calls(420, 20));
    assert_eq!(watch.totals().canary, calls(439, 39));
    assert_eq!(watch.totals().live, calls(3, 0));
}

#[test]
fn a_canary_that_is_called_seldom_is_judged_by_its_last_calls() {
    let five = guard(Some(50), None);
    // As one whose circuit is open is probed.
    let mut watch = CanaryWatch::new(FunctionVersion(8));
    for n in 0..19 {
        let calls = [(8, true, 1), (7, false, 50)];
        assert_eq!(told(&mut watch, &five, &calls, n * 30_000), None);
    }
    let tripped = told(&mut watch, &five, &[(8, true, 1)], 19 * 30_000);
    assert_eq!(
        tripped.as_deref(),
        Some("100% of 20 calls failed (bound 5%; of the live version's 950, 0%)")
    );
    // What is older than an hour says nothing of now.
    let mut watch = CanaryWatch::new(FunctionVersion(8));
    assert_eq!(told(&mut watch, &five, &[(8, true, 19)], 0), None);
    let later = limits::CANARY_WINDOW_MS_MAX + 1;
    assert_eq!(told(&mut watch, &five, &[(8, true, 19)], later), None);
    assert_eq!(watch.recent().canary.calls, 19);
}

#[test]
fn a_record_waits_under_a_canary_from_the_canarys_beginning() {
    let minute = 60_000;
    let canary = Canary {
        version: FunctionVersion(2),
        weight: Permille::new(100).unwrap(),
        since: Timestamp(10 * minute),
        guard: guard(None, Some(5 * minute)),
    };
    let judge = |age, at| canary.judge_age("f/s", age, Timestamp(at));
    // Caught up: it cannot be passed before a record has waited for so long.
    assert_eq!(judge(0, 11 * minute), Ok(Some(5 * minute + 1)));
    // An hour old, and the canary has had a minute.
    assert_eq!(judge(60 * minute, 11 * minute), Ok(Some(4 * minute + 1)));
    assert_eq!(judge(60 * minute, 15 * minute), Ok(Some(1)));
    let passed = judge(60 * minute, 15 * minute + 1).unwrap_err();
    assert_eq!(
        (passed.reason, passed.words.as_str()),
        (
            GuardReason::Age,
            "the oldest record of `f/s` waits for 5m (bound 5m)"
        )
    );
    let off = Canary {
        guard: guard(None, None),
        ..canary
    };
    let judged = off.judge_age("f/s", 60 * minute, Timestamp(99 * minute));
    assert_eq!(judged, Ok(None));
}

#[test]
fn the_oldest_switches_are_forgotten() {
    let mut rollout = Rollout::default();
    for at in 0..50 {
        rollout.note(Switch {
            at: Timestamp(at),
            kind: SwitchKind::Changed,
            canary: FunctionVersion(2),
            weight: None,
            live: FunctionVersion(1),
            why: String::new(),
        });
    }
    assert_eq!(rollout.switches.len(), limits::CANARY_SWITCHES_MAX);
    assert_eq!(rollout.switches[0].at, Timestamp(40));
}
