use super::*;
use crate::{
    limits,
    outcome::{Failure, FailureKind, ItemFailure},
};

const V1: FunctionVersion = FunctionVersion(1);
const V2: FunctionVersion = FunctionVersion(2);
const SECOND: u64 = 1_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp(seconds * SECOND)
}

fn returned(failed: u32, kind: FailureKind) -> Outcome {
    let failure = Failure {
        kind,
        retry_after_ms: None,
        code: "busy".into(),
        message: "words".into(),
    };
    let items = (0..failed).map(|index| ItemFailure {
        index,
        failure: failure.clone(),
    });
    Outcome::Returned {
        rows: Vec::new(),
        failures: items.collect(),
    }
}

/// A call of ten records that ran for a second.
fn call(version: FunctionVersion, outcome: &Outcome) -> EndedCall<'_> {
    EndedCall {
        version,
        outcome,
        records: 10,
        is_first: true,
        cutting: Cutting {
            bisects: false,
            by_name: true,
        },
        taken_ns: 1_500_000_000,
        stats: CallStats {
            duration_ns: 1_000_000_000,
            memory_bytes: 7,
            ..CallStats::default()
        },
    }
}

#[test]
fn calls_are_summed_by_version_and_code() {
    let mut recent = RecentCalls::new(at(0));
    let good = returned(0, FailureKind::Retry);
    let bad = returned(4, FailureKind::Retry);
    let skipped = returned(4, FailureKind::Skip);
    let timeout = Outcome::Timeout { after_ms: 5 };
    for (version, outcome, times) in [
        (V1, &good, 20),
        (V2, &bad, 3),
        (V2, &timeout, 2),
        (V2, &skipped, 1),
        (V2, &Outcome::Interrupted, 9),
    ] {
        for _ in 0..times {
            recent.ended(&call(version, outcome), at(1));
        }
    }
    let told = recent.figures(SECOND, at(2));
    assert_eq!((told.calls(), told.failed_calls()), (26, 5));
    assert_eq!(told.versions[0].version, V1);
    let of = told.of(V2).expect("it was called");
    assert_eq!((of.calls, of.failed, of.tried), (6, 5, 60));
    assert_eq!((of.tried_failed, of.evidence), (32, 14));
    let cause = of.cause.as_ref().expect("calls failed");
    assert_eq!((&*cause.code, cause.calls), ("busy", 3));
    assert_eq!((told.memory_bytes, told.over_ms), (7, 2_000));
    assert_eq!(
        (told.run_ms, told.wait_ms, told.waited_calls),
        (26_000, 13_000, 0)
    );
}

#[test]
fn retries_are_calls_and_no_evidence() {
    let mut recent = RecentCalls::new(at(0));
    let bad = returned(1, FailureKind::Retry);
    let retry = EndedCall {
        is_first: false,
        ..call(V1, &bad)
    };
    recent.ended(&retry, at(1));
    let told = recent.figures(SECOND, at(2));
    let of = told.of(V1).expect("it was called");
    assert_eq!((of.failed, of.tried, of.evidence), (1, 0, 0));
}

#[test]
fn what_has_left_the_window_is_not_told_and_not_kept() {
    let window = limits::RECENT_PIECE_MS * limits::RECENT_PIECES / SECOND;
    let mut recent = RecentCalls::new(at(0));
    let good = returned(0, FailureKind::Retry);
    for second in 0..=3 * window {
        recent.ended(&call(V1, &good), at(second));
        assert!(recent.pieces.len() as u64 <= limits::RECENT_PIECES);
    }
    let told = recent.figures(SECOND, at(3 * window));
    assert_eq!(told.over_ms, window * SECOND - limits::RECENT_PIECE_MS);
    assert_eq!(told.calls(), window - 9);
    assert_eq!(told.of(V1).map(|of| of.calls_ever), Some(3 * window + 1));
    // Nothing more comes: nobody ends what was, but it is told no more.
    let told = recent.figures(SECOND, at(9 * window));
    assert_eq!((told.calls(), told.p50_ns), (0, None));
}

#[test]
fn lanes_are_busy_while_calls_are_under_way_whether_they_end_or_not() {
    let mut recent = RecentCalls::new(at(0));
    recent.began(V1, 1, at(5));
    recent.began(V1, 1, at(5));
    let busy = |recent: &RecentCalls, over: u64, now: u64| {
        recent.figures(over * SECOND, at(now)).busy_permille
    };
    assert_eq!(busy(&recent, 10, 10), 1_000, "two lanes, half of the time");
    recent.left(V1, 1, at(5), at(15));
    assert_eq!(busy(&recent, 10, 20), 1_500);
    recent.left(V1, 1, at(5), at(20));
    assert_eq!(busy(&recent, 20, 20), 1_250, "25 of 20 seconds");
    assert_eq!(busy(&recent, 60, 20), 1_250, "no more is known");
    assert_eq!(busy(&recent, 60, 600), 0);
    // One that was never told to begin takes nothing away.
    recent.left(V1, 1, at(5), at(601));
    assert_eq!(recent.figures(SECOND, at(601)).running, 0);
}

#[test]
fn a_version_is_sick_since_its_first_failure_of_the_pieces_in_which_most_failed() {
    let mut recent = RecentCalls::new(at(0));
    let good = returned(0, FailureKind::Retry);
    let bad = returned(5, FailureKind::Retry);
    let since = |recent: &RecentCalls, now: u64| {
        let told = recent.figures(SECOND, at(now));
        told.of(V1).and_then(|of| of.sick_ago_ms)
    };
    recent.ended(&call(V1, &good), at(1));
    assert_eq!(since(&recent, 2), None);
    recent.ended(&call(V1, &bad), at(13));
    assert_eq!(since(&recent, 14), Some(SECOND));
    recent.ended(&call(V1, &bad), at(40));
    // Longer ago than the window is known as well.
    for second in (50..900).step_by(10) {
        recent.ended(&call(V1, &bad), at(second));
    }
    assert_eq!(since(&recent, 913), Some(900 * SECOND));
    recent.ended(&call(V1, &good), at(921));
    assert_eq!(since(&recent, 922), None);
}

#[test]
fn progress_and_faults_are_told_by_when_they_were() {
    let mut recent = RecentCalls::new(at(0));
    let told = recent.figures(SECOND, at(1));
    assert_eq!((told.progressed_ago_ms, told.fault), (None, None));
    let adds = UnitTotals {
        processed: 3,
        ..UnitTotals::default()
    };
    recent.settled(adds, at(2));
    let charged = UnitTotals {
        failed: 1,
        ..UnitTotals::default()
    };
    recent.settled(charged, at(4));
    recent.faulted("no such file", at(5));
    recent.faulted("no such file at all", at(6));
    let told = recent.figures(SECOND, at(8));
    assert_eq!(
        told.progressed_ago_ms,
        Some(6_000),
        "a charge is no progress"
    );
    assert_eq!((told.settled(), told.adds.failed), (3, 1));
    let fault = told.fault.expect("there is one");
    assert_eq!((fault.ago_ms, fault.count), (3_000, 2));
    assert_eq!(&*fault.words, "no such file at all");
    // The host is well again.
    recent.ended(&call(V1, &returned(0, FailureKind::Retry)), at(9));
    assert_eq!(recent.figures(SECOND, at(9)).fault, None);
}

#[test]
fn versions_and_codes_are_bounded() {
    let mut recent = RecentCalls::new(at(0));
    for version in 0..100 {
        let outcome = Outcome::Error(Failure {
            kind: FailureKind::Retry,
            retry_after_ms: None,
            code: format!("code-{version}").into(),
            message: "".into(),
        });
        recent.ended(&call(FunctionVersion(version), &outcome), at(version));
        recent.ended(&call(V1, &outcome), at(version));
    }
    assert!(recent.versions.len() <= limits::RECENT_VERSIONS_MAX);
    for piece in &recent.pieces {
        assert!(piece.versions.len() <= limits::RECENT_VERSIONS_MAX);
        let causes = piece.versions.iter().map(|of| of.causes.len());
        assert!(causes.max() <= Some(limits::RECENT_CAUSES_MAX));
    }
}

#[test]
fn a_call_that_is_cut_for_the_size_of_its_output_proves_nothing_and_of_one_record_it_does() {
    let mut recent = RecentCalls::new(at(0));
    let outcome = Outcome::OutputTooLarge {
        limit_bytes: 1 << 24,
    };
    recent.ended(&call(V1, &outcome), at(1));
    let one = EndedCall {
        records: 1,
        ..call(V1, &outcome)
    };
    recent.ended(&one, at(1));
    let told = recent.figures(SECOND, at(2));
    let of = told.of(V1).expect("it was called");
    assert_eq!((of.failed, of.tried_failed, of.evidence), (2, 1, 1));
}

#[test]
fn a_panic_tells_of_its_own_record_alone_and_what_is_skipped_fails_nothing() {
    let mut recent = RecentCalls::new(at(0));
    let panic = Outcome::Trap {
        record: Some(3),
        message: "words".into(),
    };
    let skipped = returned(4, FailureKind::Skip);
    for outcome in [&panic, &panic, &skipped] {
        recent.ended(&call(V1, outcome), at(1));
    }
    let told = recent.figures(SECOND, at(2));
    let told = told.of(V1).expect("it was called");
    assert_eq!((told.tried, told.tried_failed, told.evidence), (12, 2, 2));
    assert_eq!(
        (told.tried_skipped, told.skip_code.as_deref()),
        (4, Some("busy"))
    );
}

#[test]
fn a_batch_that_fails_as_a_whole_and_is_cut_is_told_of_by_its_parts() {
    let mut recent = RecentCalls::new(at(0));
    let trap = Outcome::Trap {
        record: None,
        message: "words".into(),
    };
    let skip = Outcome::Error(Failure {
        kind: FailureKind::Skip,
        retry_after_ms: None,
        code: "junk".into(),
        message: "".into(),
    });
    let good = returned(0, FailureKind::Retry);
    let named = returned(2, FailureKind::Retry);
    let given = |records: u32, by_name: bool, outcome: &Outcome, recent: &mut RecentCalls| {
        let call = EndedCall {
            records,
            cutting: Cutting {
                bisects: true,
                by_name,
            },
            ..call(V1, outcome)
        };
        recent.ended(&call, at(11));
    };
    let told = |recent: &RecentCalls| {
        let told = recent.figures(SECOND, at(12));
        let of = told.of(V1).expect("it was called");
        let tried = (of.tried, of.tried_failed, of.evidence, of.tried_skipped);
        (tried, of.tried_cut, of.sick_ago_ms)
    };
    given(10, true, &trap, &mut recent);
    given(5, true, &trap, &mut recent);
    // Nothing that it was given was well yet.
    assert_eq!(told(&recent), ((0, 0, 0, 0), 15, Some(SECOND)));
    given(5, true, &good, &mut recent);
    given(4, true, &good, &mut recent);
    given(1, true, &trap, &mut recent);
    assert_eq!(told(&recent), ((10, 1, 1, 0), 15, None));
    given(8, true, &skip, &mut recent);
    given(8, false, &named, &mut recent);
    assert_eq!(told(&recent), ((10, 1, 1, 0), 31, None));
    given(1, true, &skip, &mut recent);
    given(8, true, &named, &mut recent);
    assert_eq!(told(&recent), ((19, 3, 3, 1), 31, None));
}

#[test]
fn calls_under_way_are_told_by_when_they_began_and_those_cut_for_their_time_by_the_first() {
    let mut recent = RecentCalls::new(at(0));
    for (version, began) in [(V1, 1), (V2, 4), (V2, 4), (V1, 9)] {
        recent.began(version, 1, at(began));
    }
    let oldest = |recent: &RecentCalls, now: u64| {
        let told = recent.figures(SECOND, at(now));
        let oldest = told.under_way.first().copied();
        (
            told.running,
            oldest.map(|of| (of.version, of.ran_ms, of.calls)),
        )
    };
    assert_eq!(oldest(&recent, 10), (4, Some((V1, 9_000, 1))));
    recent.left(V1, 1, at(1), at(11));
    recent.left(V2, 1, at(4), at(11));
    assert_eq!(oldest(&recent, 14), (2, Some((V2, 10_000, 1))));
    // Calls of three seconds, each cut, with ten seconds between two of them, and with more.
    let cut = |recent: &mut RecentCalls, now: u64| {
        let outcome = Outcome::Timeout { after_ms: 3_000 };
        let ended = EndedCall {
            taken_ns: 3_000_000_000,
            ..call(V1, &outcome)
        };
        recent.ended(&ended, at(now));
        let told = recent.figures(SECOND, at(now + 1));
        let cut = told.cut.expect("one was cut");
        (cut.since_ago_ms, cut.ended_ago_ms, cut.ran_ms)
    };
    assert_eq!(cut(&mut recent, 20), (4_000, 1_000, 3_000));
    assert_eq!(cut(&mut recent, 33), (17_000, 1_000, 3_000));
    assert_eq!(cut(&mut recent, 47), (4_000, 1_000, 3_000));
}

#[test]
fn since_when_some_fails_and_most_is_skipped_is_known_beyond_what_is_summed() {
    let mut recent = RecentCalls::new(at(0));
    let (good, bad) = (
        returned(0, FailureKind::Retry),
        returned(1, FailureKind::Retry),
    );
    let skips = returned(6, FailureKind::Skip);
    let since = |recent: &RecentCalls, now: u64| {
        let told = recent.figures(SECOND, at(now));
        let of = told.of(V1).expect("it was called");
        (of.sick_ago_ms, of.failing_ago_ms, of.skipping_ago_ms)
    };
    recent.ended(&call(V1, &good), at(1));
    for second in (15..900).step_by(10) {
        recent.ended(&call(V1, &bad), at(second));
    }
    assert_eq!(since(&recent, 905), (None, Some(890 * SECOND), None));
    let told = recent.figures(SECOND, at(905));
    let first = told.of(V1).and_then(|of| of.first_failed_ago_ms);
    assert_eq!(first, Some(290 * SECOND), "of those that are told of");
    recent.ended(&call(V1, &skips), at(911));
    recent.ended(&call(V1, &skips), at(921));
    assert_eq!(since(&recent, 922), (None, None, Some(11 * SECOND)));
    recent.ended(&call(V1, &good), at(931));
    assert_eq!(since(&recent, 932), (None, None, None));
}

#[test]
fn what_a_record_takes_is_told_by_calls_that_were_well_and_what_was_cut_by_the_least() {
    let mut recent = RecentCalls::new(at(0));
    let (good, cut) = (
        returned(0, FailureKind::Retry),
        Outcome::Timeout { after_ms: 4_000 },
    );
    let ended = |recent: &mut RecentCalls, outcome: &Outcome, records: u32, seconds: u64| {
        let ran = seconds * 1_000_000_000;
        let mut ended = EndedCall {
            records,
            taken_ns: ran,
            ..call(V1, outcome)
        };
        ended.stats.duration_ns = ran;
        recent.ended(&ended, at(1));
    };
    let told = |recent: &RecentCalls| recent.figures(SECOND, at(2)).versions.remove(0);
    ended(&mut recent, &cut, 100, 4);
    ended(&mut recent, &cut, 6, 4);
    ended(&mut recent, &cut, 25, 4);
    let of = told(&recent);
    assert_eq!((of.record_ns(), of.expected_ns(5)), (None, None));
    assert_eq!(of.cut_least, Some(6));
    ended(&mut recent, &good, 3, 3);
    ended(&mut recent, &good, 1, 1);
    let of = told(&recent);
    assert_eq!((of.well_records, of.record_ns()), (4, Some(1_000_000_000)));
    // Of one record as long as calls take.
    assert_eq!(of.expected_ns(1), Some(2_000_000_000));
    assert_eq!(of.expected_ns(5), Some(5_000_000_000));
    let cut = recent.figures(SECOND, at(2)).cut.expect("one was");
    assert_eq!(cut.records, 25);
}

#[test]
fn lanes_are_told_by_version_from_its_first_call_on() {
    let mut recent = RecentCalls::new(at(0));
    recent.began(V1, 10, at(0));
    recent.began(V2, 90, at(4));
    recent.began(V2, 90, at(4));
    recent.left(V1, 10, at(0), at(5));
    let told = recent.figures(10 * SECOND, at(10));
    let busy = |version: FunctionVersion| told.of(version).map(|of| (of.calls, of.busy_permille));
    assert_eq!(busy(V1), Some((0, 500)));
    assert_eq!(busy(V2), Some((0, 1_200)));
    assert_eq!(told.busy_permille, 1_700);
    let under_way: Vec<(u32, u32)> = told
        .under_way
        .iter()
        .map(|of| (of.records, of.calls))
        .collect();
    assert_eq!(under_way, [(90, 2)]);
    recent.left(V2, 90, at(4), at(10));
    recent.left(V2, 90, at(4), at(10));
    assert_eq!(
        recent
            .figures(SECOND, at(30))
            .of(V2)
            .map(|of| of.busy_permille),
        Some(0)
    );
}

#[test]
fn what_is_given_up_for_its_age_is_told_with_when_and_is_not_kept_up_with() {
    let mut recent = RecentCalls::new(at(3));
    assert_eq!(recent.figures(SECOND, at(4)).aged, None);
    recent.aged(0, at(5));
    let adds = UnitTotals {
        processed: 20,
        dead_lettered: 80,
        ..UnitTotals::default()
    };
    for second in [5, 25, 38] {
        recent.settled(adds, at(second));
        recent.aged(80, at(second));
    }
    let told = recent.figures(SECOND, at(45));
    let aged = told.aged.expect("some were");
    assert_eq!(aged.records, 240);
    assert_eq!((aged.since_ago_ms, aged.ended_ago_ms), (42_000, 5_000));
    assert_eq!((told.settled(), told.kept_up()), (300, 60));
}
