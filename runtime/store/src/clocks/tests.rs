use fnctl_core::id::Timestamp;

use super::Clocks;
use crate::{journal::writer::FrameClocks, limits::RETENTION_STOP_MS_MAX, testing::ManualClock};

const START: u64 = 1_700_000_000_000;
const HOUR_MS: u64 = 60 * 60 * 1000;

#[test]
fn arrival_stands_still_while_the_wall_clock_is_behind() {
    let clock = ManualClock::new();
    let clocks = Clocks::resume(clock.clone(), None);
    assert_eq!(clocks.now(), Timestamp(START));
    clock.jump(-5_000);
    assert_eq!(clocks.now(), Timestamp(START));
    clock.advance(6_000);
    assert_eq!(clocks.now(), Timestamp(START + 1_000));
}

#[test]
fn a_leap_is_taken_over_only_after_ten_minutes() {
    let clock = ManualClock::new();
    let clocks = Clocks::resume(clock.clone(), None);
    clock.jump(i64::try_from(2 * HOUR_MS).unwrap());
    assert_eq!(clocks.now(), Timestamp(START));
    clock.advance(9 * 60 * 1000);
    assert_eq!(clocks.now(), Timestamp(START + 9 * 60 * 1000));
    clock.advance(60 * 1000);
    assert_eq!(
        clocks.now(),
        Timestamp(START + 2 * HOUR_MS + 10 * 60 * 1000)
    );
}

#[test]
fn a_wait_is_as_long_as_arrivals_take_whatever_the_wall_clock_shows() {
    let clock = ManualClock::new();
    let clocks = Clocks::resume(clock.clone(), None);
    let left = |at: u64| clocks.until(Timestamp(at)).as_millis();
    assert_eq!(left(START + 500), 500);
    clock.jump(i64::try_from(2 * HOUR_MS).unwrap());
    assert_eq!(left(START + 500), 500, "arrivals are where they were");
    clock.advance(200);
    assert_eq!(left(START + 500), 300);
    clock.advance(1_000);
    assert_eq!(left(START + 500), 0);
}

#[test]
fn a_step_of_less_than_an_hour_is_believed() {
    let clock = ManualClock::new();
    let clocks = Clocks::resume(clock.clone(), None);
    clock.jump(i64::try_from(HOUR_MS - 1).unwrap());
    assert_eq!(clocks.now(), Timestamp(START + HOUR_MS - 1));
}

#[test]
fn how_far_the_wall_clock_is_from_arrivals_is_told_until_they_agree_again() {
    let clock = ManualClock::new();
    let clocks = Clocks::resume(clock.clone(), None);
    clock.advance(1_000);
    assert_eq!(clocks.wall_ahead_ms(), 0);
    clock.jump(-5_000);
    assert_eq!(clocks.wall_ahead_ms(), -5_000);
    clock.advance(4_000);
    assert_eq!(clocks.wall_ahead_ms(), -1_000);
    clock.advance(1_000);
    assert_eq!(clocks.wall_ahead_ms(), 0);
    // A step that is believed takes arrivals along.
    clock.jump(60_000);
    assert_eq!(clocks.wall_ahead_ms(), 0);
    clock.jump(i64::try_from(2 * HOUR_MS).unwrap());
    assert_eq!(clocks.wall_ahead_ms(), 2 * HOUR_MS.cast_signed());
    clock.advance(10 * 60 * 1000);
    assert_eq!(clocks.wall_ahead_ms(), 0, "it stood for ten minutes");
}

#[test]
fn the_retention_clock_follows_the_boot_clock_alone() {
    let clock = ManualClock::new();
    let clocks = Clocks::resume(clock.clone(), None);
    let before = clocks.retention_ms();
    clock.jump(i64::try_from(1_000 * HOUR_MS).unwrap());
    assert_eq!(clocks.retention_ms(), before);
    clock.advance(7);
    assert_eq!(clocks.retention_ms(), before + 7);
}

#[test]
fn a_stop_advances_the_retention_clock_by_a_day_at_most_and_never_back() {
    for (wall, advanced) in [
        (START - 500, 500),
        (START + HOUR_MS, 0),
        (START - 100 * HOUR_MS, RETENTION_STOP_MS_MAX),
    ] {
        let newest = FrameClocks {
            retention_ms: 77,
            wall: Timestamp(wall),
        };
        let clocks = Clocks::resume(ManualClock::new(), Some(newest));
        assert_eq!(clocks.retention_ms(), 77 + advanced, "stopped at {wall}");
    }
}
