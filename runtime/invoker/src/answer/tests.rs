use fnctl_core::record::Records;

use crate::rows::Outputs;

use super::*;

fn item(index: u32, code: &str) -> GuestItemFailure {
    let failure = GuestFailure {
        kind: GuestFailureKind::Skip,
        retry_after_ms: Some(5),
        code: code.to_owned(),
        message: "words".to_owned(),
    };
    GuestItemFailure { index, failure }
}

fn faulty(source: u32, fault: RowFault) -> FaultyRow {
    FaultyRow {
        source,
        fault,
        bytes: 300,
    }
}

fn failures(outcome: &Outcome) -> Vec<(u32, &str)> {
    let Outcome::Returned { failures, .. } = outcome else {
        panic!("{outcome:?}")
    };
    failures
        .iter()
        .map(|item| (item.index, &*item.failure.code))
        .collect()
}

#[test]
fn records_with_faulty_rows_fail_once_and_keep_the_authors_word() {
    let mut emitted = Emitted::default();
    emitted.faults = vec![
        faulty(3, RowFault::TooLarge { most: 1 << 20 }),
        faulty(1, RowFault::BadKey),
        faulty(3, RowFault::BadKey),
        faulty(2, RowFault::BadKey),
    ];
    let ended = outcome(Ok(vec![item(2, "mine"), item(0, "mine")]), emitted, 4);
    assert_eq!(
        failures(&ended),
        [(0, "mine"), (1, BAD_KEY), (2, "mine"), (3, ROW_TOO_LARGE)]
    );
}

#[test]
fn a_faulty_row_of_no_record_fails_the_call() {
    let mut emitted = Emitted::default();
    emitted.faults = vec![faulty(WHOLE_CALL, RowFault::BadKey)];
    let Outcome::Error(failure) = outcome(Ok(vec![]), emitted, 4) else {
        panic!()
    };
    assert_eq!((failure.kind, &*failure.code), (FailureKind::Skip, BAD_KEY));
}

#[test]
fn a_refused_row_outweighs_a_good_answer() {
    let mut emitted = Emitted::default();
    let records = Records::default();
    let rows = crate::rows::RowsView {
        sources: &[7],
        keys: None,
        data: crate::rows::ColumnView {
            bytes: b"",
            ends: &[0],
            nulls: &[],
        },
    };
    struct NoFacts;
    impl fnctl_core::invoker::CallFacts for NoFacts {
        fn attempt(&self, _: u32) -> u32 {
            1
        }
        fn ordinal(&self, _: u32) -> fnctl_core::id::Ordinal {
            fnctl_core::id::Ordinal(1)
        }
        fn sequence_number(&self, _: u32) -> String {
            String::new()
        }
        fn record_id(&self, _: u32) -> String {
            String::new()
        }
        fn header(&self, _: u32, _: &str) -> Option<Vec<u8>> {
            None
        }
    }
    assert!(
        emitted
            .emit(
                0,
                Outputs {
                    count: 1,
                    row_bytes_max: &[]
                },
                &records,
                &NoFacts,
                rows
            )
            .unwrap()
            .is_err()
    );
    let Outcome::Error(failure) = outcome(Ok(vec![]), emitted, 0) else {
        panic!()
    };
    assert_eq!(
        (failure.kind, &*failure.code),
        (FailureKind::Retry, BAD_ROWS)
    );
}

#[test]
fn only_a_retry_may_name_a_delay() {
    let Outcome::Returned { failures, .. } = outcome(Ok(vec![item(0, "a")]), Emitted::default(), 1)
    else {
        panic!()
    };
    assert_eq!(failures[0].failure.retry_after_ms, None);
}

#[test]
fn codes_are_made_to_fit() {
    let cases = [
        ("bad-json", "bad-json"),
        ("Bad JSON!", "bad-json-"),
        ("é", "-"),
        ("", "fatal"),
        (&"x".repeat(80), &"x".repeat(64)),
    ];
    for (given, fitting) in cases {
        assert_eq!(&*code(given, FailureKind::Fatal), fitting);
    }
}
