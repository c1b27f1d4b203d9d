//! Attempts and backoff (Lambda ESM specification §8, §20 row 1, §22 row Retry).

use proptest::prelude::*;

use super::*;

fn policy(max_attempts: MaxAttempts, initial_ms: u64, max_ms: u64) -> RetryPolicy {
    let settings = MappingSettings {
        max_attempts,
        backoff_initial_ms: initial_ms,
        backoff_max_ms: max_ms,
        ..MappingSettings::default()
    };
    RetryPolicy::new(&settings, 7)
}

#[test]
fn attempts_are_total_calls() {
    for (max, attempts, is_exhausted) in [
        (MaxAttempts::Count(1), 1, true),
        (MaxAttempts::Count(5), 4, false),
        (MaxAttempts::Count(5), 5, true),
        (MaxAttempts::Count(5), 6, true),
        (MaxAttempts::Unlimited, u32::MAX, false),
    ] {
        assert_eq!(
            policy(max, 100, 1_000).is_exhausted(attempts),
            is_exhausted,
            "{max:?} {attempts}"
        );
    }
}

#[test]
fn the_ceiling_doubles_up_to_the_maximum() {
    for (initial, max, attempts, ceiling) in [
        (100, 60_000, 1, 100),
        (100, 60_000, 2, 200),
        (100, 60_000, 10, 51_200),
        (100, 60_000, 11, 60_000),
        (100, 60_000, u32::MAX, 60_000),
        (100, 50, 1, 50),
        (0, 60_000, 9, 0),
        (1, u64::MAX, 64, 1 << 63),
        (1, u64::MAX, 65, u64::MAX),
        (3, u64::MAX, 64, u64::MAX),
    ] {
        assert_eq!(
            exponential(initial, max, attempts),
            ceiling,
            "{initial} {max} {attempts}"
        );
    }
}

#[test]
fn the_functions_own_delay_is_honoured_up_to_the_maximum_backoff() {
    let policy = policy(MaxAttempts::Count(5), 100, 2_000);
    let wait = |own| policy.next_retry(Timestamp(10), Ordinal(3), 1, Some(own)).0;
    assert_eq!(wait(0), 10);
    assert_eq!(wait(1_500), 1_510);
    assert_eq!(wait(999_999), 2_010);
}

#[test]
fn full_jitter_reaches_both_ends_and_spreads_evenly() {
    let mut seen = [0_u32; 11];
    for subject in 0..11_000 {
        seen[full_jitter(1, subject, 1, 10) as usize] += 1;
    }
    for (wait, &n) in seen.iter().enumerate() {
        assert!((800..1_200).contains(&n), "{wait} ms was drawn {n} times");
    }
}

#[test]
fn waits_that_end_on_a_beat_are_as_long_in_the_mean() {
    // Without beats it is 50 as well.
    let policy = policy(MaxAttempts::Count(5), 100, 1_000);
    let wait = |n: u64| policy.next_beat(Timestamp(n), 1).0 - n;
    let sum: u64 = (0..10_000).map(wait).sum();
    assert!((480_000..520_000).contains(&sum), "{sum} ms in all");
}

#[test]
fn records_that_fail_within_one_wait_fall_due_together() {
    let policy = policy(MaxAttempts::Count(5), 100, 1_000);
    let at = |n: u64| policy.next_beat(Timestamp(1_000 + n), 1);
    let mut due: Vec<Timestamp> = (0..100).map(at).collect();
    due.dedup();
    assert!(due.len() <= 2, "{due:?}");
}

#[test]
fn what_fails_at_a_beat_waits_half_of_the_longest_at_least() {
    let policy = policy(MaxAttempts::Count(5), 100, 60_000);
    for start in [1_000, 777_777] {
        let mut beat = policy.next_beat(Timestamp(start), 1);
        for attempts in 2..6 {
            let next = policy.next_beat(beat, attempts);
            let ceiling = exponential(100, 60_000, attempts);
            let wait = next.since_ms(beat);
            assert!(
                [ceiling / 2, ceiling].contains(&wait),
                "{wait} of {ceiling} ms"
            );
            beat = next;
        }
    }
}

/// The policy of another unit.
fn of_unit(seed: u64, initial_ms: u64) -> RetryPolicy {
    let settings = MappingSettings {
        backoff_initial_ms: initial_ms,
        backoff_max_ms: 60_000,
        ..MappingSettings::default()
    };
    RetryPolicy::new(&settings, seed)
}

#[test]
fn beats_of_all_units_begin_on_one_grain_and_are_spread_over_the_longest_wait() {
    let phases = |initial_ms: u64, attempts: u32| {
        let beat = exponential(initial_ms, 60_000, attempts);
        let phase = |seed| {
            of_unit(seed, initial_ms)
                .next_beat(Timestamp(0), attempts)
                .0
                % beat
        };
        (0..1_000)
            .map(phase)
            .collect::<std::collections::BTreeSet<u64>>()
    };
    let grains = |n: u64| (0..n).map(|at| at * RETRY_GRAIN_MS).collect();
    for (initial_ms, attempts, expected) in [
        (10, 1, grains(1)),
        (10, 2, grains(1)),
        (100, 1, grains(5)),
        (100, 3, grains(20)),
        // Waits that are no multiples of it keep their beats where the shorter ones have theirs.
        (15, 1, [0, 5, 10].into()),
        (15, 2, [0, 10, 20].into()),
    ] {
        assert_eq!(
            phases(initial_ms, attempts),
            expected,
            "{initial_ms} {attempts}"
        );
    }
}

proptest! {
    #[test]
    fn a_wait_for_a_beat_is_no_longer_than_one_without(
        now in 0..u64::MAX / 4,
        later in 0..100_000_u64,
        attempts in 1..70_u32,
        initial in 0..1_000_u64,
        max in 0..100_000_u64,
    ) {
        let policy = policy(MaxAttempts::Unlimited, initial, max);
        let now = Timestamp(now);
        let ceiling = exponential(initial, max, attempts);
        let due = policy.next_beat(now, attempts);
        prop_assert!(now <= due && due <= now.plus_ms(ceiling));
        // A failure before the beat waits for the same one, and all of a unit are of one grid.
        if ceiling > 0 {
            let other = now.plus_ms(later);
            let next = policy.next_beat(other, attempts);
            prop_assert_eq!(next.since_ms(due) % ceiling, 0);
            prop_assert_eq!(next == due, other < due);
        }
    }

    #[test]
    fn a_wait_is_bounded_and_repeats(seed: u64, subject: u64, attempt: u32, ceiling: u64) {
        let wait = full_jitter(seed, subject, attempt, ceiling);
        prop_assert!(wait <= ceiling);
        prop_assert_eq!(wait, full_jitter(seed, subject, attempt, ceiling));
    }
}
