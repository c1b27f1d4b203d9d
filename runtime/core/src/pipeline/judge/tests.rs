use super::*;
use crate::{
    mapping::{MappingSettings, MaxAttempts},
    record::ColumnBuilder,
};

const NOW: Timestamp = Timestamp(1_000);

/// No backoff: a retry is due at once. Calls that fail as a whole are charged as such.
fn rules(max_attempts: u32) -> MappingSettings {
    MappingSettings {
        max_attempts: MaxAttempts::Count(max_attempts),
        backoff_initial_ms: 0,
        bisect_on_error: false,
        ..MappingSettings::default()
    }
}

fn failure(kind: FailureKind) -> Failure {
    Failure {
        kind,
        retry_after_ms: None,
        code: "code".into(),
        message: "words".into(),
    }
}

fn item(index: u32, kind: FailureKind) -> ItemFailure {
    ItemFailure {
        index,
        failure: failure(kind),
    }
}

fn rows(sources: &[u32]) -> Rows {
    let mut column = ColumnBuilder::default();
    for _ in sources {
        column.push(b"x");
    }
    let column = column.finish();
    Rows {
        output: 0,
        sources: sources.to_vec(),
        keys: column.clone(),
        data: column,
    }
}

/// Records given as "key letter, attempts so far": `a0 b2`. Endings as letters: `.` done, `D` dead,
/// `C` charged, `v` void, `a` again.
fn verdict(records: &str, max_attempts: u32, outcome: Outcome) -> Verdict {
    let subjects: Vec<Subject> = (1..)
        .zip(records.split_whitespace())
        .map(|(position, text)| Subject {
            position: Ordinal(position),
            key: KeyHash(u64::from(text.as_bytes()[0])),
            attempts: text.get(1..).unwrap().parse().unwrap(),
            expires_at: Timestamp(u64::MAX),
        })
        .collect();
    judge(
        outcome,
        subjects.len(),
        |index| subjects[index],
        &rules(max_attempts),
        &RetryPolicy::new(&rules(max_attempts), 1),
        NOW,
    )
}

fn judged(records: &str, max_attempts: u32, outcome: Outcome) -> Judgement {
    match verdict(records, max_attempts, outcome) {
        Verdict::Ended(judgement) => judgement,
        other => panic!("{other:?}"),
    }
}

fn endings(judgement: &Judgement) -> String {
    let letter = |ending: &Ending| match ending {
        Ending::Done => '.',
        Ending::Dead => 'D',
        Ending::Charged => 'C',
        Ending::Void => 'v',
        Ending::Again => 'a',
    };
    judgement.endings.iter().map(letter).collect()
}

fn returned(failures: &[(u32, FailureKind)], sources: &[u32]) -> Outcome {
    Outcome::Returned {
        rows: vec![rows(sources)],
        failures: failures.iter().map(|&(i, kind)| item(i, kind)).collect(),
    }
}

const TRAP: Outcome = Outcome::Timeout { after_ms: 30 };

fn panicked(record: u32) -> Outcome {
    Outcome::Trap {
        record: Some(record),
        message: "panicked at src/lib.rs:28:13: index out of bounds".into(),
    }
}

use FailureKind::{Fatal, Retry, Skip};

/// Commit and storage rules §4, one row a rule.
#[test]
fn what_becomes_of_each_record() {
    let cases: [(&str, &str, u32, Outcome, &str); 23] = [
        // Item failures.
        (
            "skip is a dead letter alone",
            "a0 a0 b0",
            5,
            returned(&[(0, Skip)], &[1, 2]),
            "D..",
        ),
        (
            "retry holds its key",
            "a0 a0 b0 a0",
            5,
            returned(&[(0, Retry)], &[2]),
            "Cv.v",
        ),
        (
            "what was in front of it settles",
            "a0 a0 b0",
            5,
            returned(&[(1, Retry)], &[0]),
            ".C.",
        ),
        (
            "an outcome behind a held record is void",
            "a0 a0",
            5,
            returned(&[(0, Retry), (1, Skip)], &[]),
            "Cv",
        ),
        (
            "and a second retry is not charged",
            "a0 a4",
            5,
            returned(&[(0, Retry), (1, Retry)], &[]),
            "Cv",
        ),
        (
            "retry at the last attempt holds nothing",
            "a4 a0",
            5,
            returned(&[(0, Retry)], &[1]),
            "D.",
        ),
        (
            "one attempt in all",
            "a0 b0",
            1,
            returned(&[(0, Retry)], &[1]),
            "D.",
        ),
        // Rows of no record: all or nothing (command line and SDK §2).
        (
            "the rest runs again, uncharged",
            "a0 b0 c0",
            5,
            returned(&[(1, Retry)], &[WHOLE_CALL]),
            "aCa",
        ),
        (
            "and a key moves whole",
            "b0 b0 c0",
            5,
            returned(&[(1, Retry)], &[WHOLE_CALL]),
            "vCa",
        ),
        (
            "without a retry they are kept",
            "a0 b0",
            5,
            returned(&[(1, Skip)], &[WHOLE_CALL]),
            ".D",
        ),
        (
            "a last retry drops them too",
            "a0 b4",
            5,
            returned(&[(1, Retry)], &[0, WHOLE_CALL]),
            "aD",
        ),
        // A panic that names its record.
        ("is charged to it alone", "a0 b0 c0", 5, panicked(1), "aCa"),
        ("its key moves whole", "b0 b0 b0 c0", 5, panicked(1), "vCva"),
        (
            "out of attempts it is a letter",
            "a0 b4 b0",
            5,
            panicked(1),
            "aDa",
        ),
        (
            "a wrong index is the whole call",
            "a0 b0",
            5,
            panicked(2),
            "CC",
        ),
        // Whole-call failures.
        ("charge the batch", "a0 a0 b0", 5, TRAP, "CCC"),
        ("the last attempt is a letter", "a4 b0", 5, TRAP, "DC"),
        ("that does not overtake its key", "a0 a4", 5, TRAP, "Cv"),
        (
            "a trap that names nobody",
            "a0 b0",
            5,
            Outcome::Trap {
                record: None,
                message: "trap".into(),
            },
            "CC",
        ),
        (
            "out of memory",
            "a0 b0",
            5,
            Outcome::OutOfMemory { limit_bytes: 1 },
            "CC",
        ),
        ("an error", "a0 b0", 5, Outcome::Error(failure(Retry)), "CC"),
        (
            "skip of one record",
            "a0",
            5,
            Outcome::Error(failure(Skip)),
            "D",
        ),
        (
            "one record's rows too large",
            "a0",
            5,
            Outcome::OutputTooLarge { limit_bytes: 9 },
            "D",
        ),
    ];
    for (rule, records, max_attempts, outcome, expected) in cases {
        let judgement = judged(records, max_attempts, outcome);
        assert_eq!(endings(&judgement), expected, "{rule}");
        let of = |letter| expected.chars().filter(|&c| c == letter).count();
        assert_eq!(judgement.letters.len(), of('D'), "{rule}");
        assert_eq!(judgement.charges.len(), of('C'), "{rule}");
    }
}

#[test]
fn success_says_nothing_record_by_record() {
    let judgement = judged("a0 b0", 5, returned(&[], &[0, 1]));
    assert!(judgement.endings.is_empty() && judgement.letters.is_empty());
    assert_eq!(judgement.rows.len(), 1);
}

#[test]
fn nothing_is_published_of_a_call_that_is_all_or_nothing_and_failed() {
    let judgement = judged("a0 b0", 5, returned(&[(1, Retry)], &[0, WHOLE_CALL]));
    assert!(judgement.rows.is_empty());
}

#[test]
fn fatal_stops_the_mapping_whatever_else_failed() {
    let stop = Verdict::Fatal {
        code: "code".into(),
        message: "words".into(),
    };
    for outcome in [
        returned(&[(0, Retry), (1, Fatal)], &[0]),
        Outcome::Error(failure(Fatal)),
    ] {
        assert_eq!(verdict("a0 b0", 5, outcome), stop);
    }
}

#[test]
fn too_much_output_or_a_whole_call_skip_halves_the_batch_free_of_charge() {
    for outcome in [
        Outcome::OutputTooLarge { limit_bytes: 9 },
        Outcome::Error(failure(Skip)),
    ] {
        assert_eq!(verdict("a4 b4", 5, outcome), Verdict::Halved);
    }
}

#[test]
fn a_record_is_not_given_up_in_front_of_an_earlier_one_of_its_key() {
    for (records, outcome, at) in [
        ("b0 b4 b0", panicked(1), 1),
        ("a0 b0 b4", panicked(2), 2),
        ("b0 b4", returned(&[(1, Retry)], &[WHOLE_CALL]), 1),
        (
            "a0 b0 b0",
            returned(&[(0, Retry), (2, Skip)], &[WHOLE_CALL]),
            2,
        ),
    ] {
        assert_eq!(
            verdict(records, 5, outcome),
            Verdict::Split(at),
            "{records}"
        );
    }
}

#[test]
fn a_call_taken_back_costs_nothing() {
    assert_eq!(verdict("a4", 5, Outcome::Interrupted), Verdict::Uncharged);
}

#[test]
fn blame_is_the_records_own_only_when_it_was_named_or_alone() {
    for (records, outcome, fault) in [
        ("a0 b0", returned(&[(0, Retry)], &[]), Fault::Answered),
        ("a0", returned(&[(0, Retry)], &[]), Fault::Answered),
        ("a0 b0", panicked(0), Fault::Record),
        ("a0", TRAP, Fault::Record),
        ("a0", Outcome::Error(failure(Retry)), Fault::Record),
        ("a0 b0", TRAP, Fault::Call),
        ("a0 b0", Outcome::Error(failure(Retry)), Fault::Call),
    ] {
        let charge = judged(records, 5, outcome).charges.remove(0);
        assert_eq!(charge.fault, fault, "{records}");
        assert_eq!((charge.attempts, charge.next_retry), (1, NOW));
    }
}

#[test]
fn the_records_of_a_key_wait_equally_long_after_a_whole_call_failure() {
    let settings = rules(5);
    let settings = MappingSettings {
        backoff_initial_ms: 100,
        ..settings
    };
    let subjects = |index: usize| Subject {
        position: Ordinal(index as u64 + 1),
        key: KeyHash(index as u64 % 2),
        attempts: index as u32 % 3,
        expires_at: Timestamp(u64::MAX),
    };
    let verdict = judge(
        TRAP,
        6,
        subjects,
        &settings,
        &RetryPolicy::new(&settings, 3),
        NOW,
    );
    let Verdict::Ended(judgement) = verdict else {
        panic!("{verdict:?}");
    };
    let waits: Vec<_> = judgement.charges.iter().map(|c| c.next_retry).collect();
    assert_eq!(waits[0], waits[2]);
    assert_eq!(waits[0], waits[4]);
    assert_eq!(waits[1], waits[3]);
}

#[test]
fn a_letter_says_why_in_the_authors_words_or_ours() {
    let limit = Outcome::OutOfMemory { limit_bytes: 128 };
    for (outcome, kind, code, error) in [
        (
            returned(&[(0, Skip)], &[]),
            ErrorKind::Skip,
            "code",
            "words",
        ),
        (
            returned(&[(0, Retry)], &[]),
            ErrorKind::Error,
            "code",
            "words",
        ),
        (
            panicked(0),
            ErrorKind::Trap,
            "trap",
            "panicked at src/lib.rs:28:13: index out of bounds",
        ),
        (TRAP, ErrorKind::Timeout, "timeout", "timed out after 30 ms"),
        (
            limit,
            ErrorKind::OutOfMemory,
            "out-of-memory",
            "out of memory: the limit is 128 bytes",
        ),
        (
            Outcome::OutputTooLarge { limit_bytes: 9 },
            ErrorKind::OutputTooLarge,
            "output-too-large",
            "the rows of one record pass the limit of 9 bytes",
        ),
    ] {
        let letter = judged("a4", 5, outcome).letters.remove(0);
        assert_eq!(
            (letter.kind, &*letter.code, &*letter.error),
            (kind, code, error)
        );
        assert_eq!(letter.attempts, 5);
    }
}

/// Lambda ESM specification §9: whole-call failures alone, and never of one record.
#[test]
fn calls_that_failed_as_a_whole_are_bisected_where_that_is_on() {
    let settings = MappingSettings {
        bisect_on_error: true,
        ..rules(5)
    };
    let policy = RetryPolicy::new(&settings, 1);
    let verdict = |records: usize, outcome: Outcome| {
        let subject = |index: usize| Subject {
            position: Ordinal(index as u64 + 1),
            key: KeyHash(index as u64),
            attempts: 0,
            expires_at: Timestamp(u64::MAX),
        };
        judge(outcome, records, subject, &settings, &policy, NOW)
    };
    let trap = || Outcome::Trap {
        record: None,
        message: "trap".into(),
    };
    let memory = || Outcome::OutOfMemory { limit_bytes: 1 };
    for (outcome, presumes) in [
        (trap(), true),
        (Outcome::Error(failure(Retry)), true),
        (Outcome::Error(failure(Skip)), true),
        (TRAP, false),
        (memory(), false),
    ] {
        let words = format!("{outcome:?}");
        let bisected = Verdict::Bisected { presumes };
        assert_eq!(verdict(2, outcome.clone()), bisected, "{words}");
        assert!(matches!(verdict(1, outcome), Verdict::Ended(_)), "{words}");
    }
    let too_large = Outcome::OutputTooLarge { limit_bytes: 1 };
    assert_eq!(verdict(2, too_large), Verdict::Halved);
    for outcome in [panicked(1), returned(&[(1, Retry)], &[])] {
        assert!(matches!(verdict(2, outcome), Verdict::Ended(_)));
    }
}

#[test]
fn a_fatal_call_is_cut_to_its_record_where_it_does_not_stop_the_mapping() {
    for bisect_on_error in [false, true] {
        let settings = MappingSettings {
            on_fatal: OnFatal::DeadLetter,
            bisect_on_error,
            ..rules(5)
        };
        let policy = RetryPolicy::new(&settings, 1);
        let verdict = |records: usize| {
            let subject = |index: usize| Subject {
                position: Ordinal(index as u64 + 1),
                key: KeyHash(0),
                attempts: 0,
                expires_at: Timestamp(u64::MAX),
            };
            let outcome = Outcome::Error(failure(Fatal));
            judge(outcome, records, subject, &settings, &policy, NOW)
        };
        let cut = match bisect_on_error {
            true => Verdict::Bisected { presumes: true },
            false => Verdict::Halved,
        };
        assert_eq!(verdict(2), cut);
        let Verdict::Ended(judgement) = verdict(1) else {
            panic!("one record");
        };
        assert_eq!(judgement.letters[0].kind, ErrorKind::Fatal);
    }
}
