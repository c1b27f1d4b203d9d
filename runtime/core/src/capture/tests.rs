//! What a file looks like, and what of it is never one.

use super::*;
use crate::{id::Timestamp, window::Window};

#[test]
fn lines_are_written_as_the_format_says() {
    let batch = CaptureLine::Batch(CapturedBatch {
        version: 7,
        shard_id: "shardId-000000000000".to_owned(),
        at: "2026-03-01T12:30:00.250Z".to_owned(),
        dead_letter: None,
        records: vec![CapturedRecord {
            partition_key: "a".to_owned(),
            key_encoding: Encoding::Text,
            sequence_number: "49".to_owned(),
            record_id: "1-0-1".to_owned(),
            ordinal: 1,
            arrival_ms: 5,
            attempt: 2,
            is_tombstone: false,
            data: DataText::of(b"x", |_| String::new()),
        }],
        failures: vec![CapturedFailure {
            index: 0,
            error_kind: None,
            code: Some("busy".to_owned()),
            error: Some("words".to_owned()),
        }],
        window: None,
    });
    let text = serde_json::to_string(&batch).unwrap();
    assert_eq!(
        text,
        r#"{"batch":{"version":7,"shard_id":"shardId-000000000000","at":"2026-03-01T12:30:00.250Z","dead_letter":null,"records":[{"partition_key":"a","key_encoding":"text","sequence_number":"49","record_id":"1-0-1","ordinal":1,"arrival_ms":5,"attempt":2,"data":"x","encoding":"text"}],"failures":[{"index":0,"error_kind":null,"code":"busy","error":"words"}]}}"#
    );
    assert_eq!(serde_json::from_str::<CaptureLine>(&text).unwrap(), batch);
    let later = text.replace("\"version\":7", "\"version\":7,\"later\":1");
    assert!(serde_json::from_str::<CaptureLine>(&later).is_err());
}

/// Such a file is of the second format, so that an older reader says that it is newer.
#[test]
fn a_window_is_written_with_the_state_that_its_call_is_given() {
    let call = WindowCall {
        window: Window::at(Timestamp(1_500), 1_000),
        state: "{}".into(),
        is_final: false,
        is_terminated_early: false,
    };
    let kept = CapturedWindow::of(3, &call, |_| String::new());
    let mut batch = CapturedBatch {
        version: 1,
        shard_id: "s".to_owned(),
        at: "t".to_owned(),
        dead_letter: None,
        records: Vec::new(),
        failures: Vec::new(),
        window: None,
    };
    assert_eq!(format_of(&[batch.clone()]), 1);
    for (window, text) in [
        (
            kept.clone(),
            r#","window":{"group":3,"start_ms":1000,"end_ms":2000,"state":{"data":"{}","encoding":"text"}}"#,
        ),
        (
            CapturedWindow {
                is_final: true,
                state: None,
                ..kept
            },
            r#","window":{"group":3,"start_ms":1000,"end_ms":2000,"is_final":true,"state":null}"#,
        ),
    ] {
        batch.window = Some(window);
        let written = serde_json::to_string(&batch).unwrap();
        assert!(written.contains(text), "{written}");
        let read: CapturedBatch = serde_json::from_str(&written).unwrap();
        assert_eq!(read, batch);
        assert_eq!(format_of(&[read]), 2);
    }
}

#[test]
fn a_call_has_records_or_ends_a_window() {
    let record = CapturedRecord {
        partition_key: String::new(),
        key_encoding: Encoding::Text,
        sequence_number: String::new(),
        record_id: String::new(),
        ordinal: 1,
        arrival_ms: 1,
        attempt: 1,
        is_tombstone: false,
        data: DataText::of(b"", |_| String::new()),
    };
    let window = |is_final, is_terminated_early| CapturedWindow {
        group: 0,
        start_ms: 0,
        end_ms: 1,
        is_final,
        is_terminated_early,
        state: None,
    };
    for (records, window, failed, is_whole) in [
        (0, None, None, false),
        (1, None, None, true),
        (1, None, Some(0), true),
        (1, None, Some(1), false),
        (0, Some(window(false, false)), None, false),
        (1, Some(window(false, false)), Some(0), true),
        (0, Some(window(true, false)), Some(0), true),
        (0, Some(window(false, true)), Some(0), true),
        (0, Some(window(true, false)), Some(1), false),
        (1, Some(window(true, false)), None, false),
    ] {
        let failure = |index| CapturedFailure {
            index,
            error_kind: None,
            code: None,
            error: None,
        };
        let batch = CapturedBatch {
            version: 1,
            shard_id: String::new(),
            at: String::new(),
            dead_letter: None,
            records: vec![record.clone(); records],
            failures: failed.map(failure).into_iter().collect(),
            window,
        };
        assert_eq!(batch.is_whole(), is_whole, "{batch:?}");
    }
}

#[test]
fn what_was_given_up_without_a_call_is_known() {
    let of = |kind: Option<&str>| CapturedFailure {
        index: 0,
        error_kind: kind.map(str::to_owned),
        code: None,
        error: None,
    };
    for (kind, is_without_call) in [
        (Some("skip"), false),
        (Some("output-too-large"), false),
        (Some("loop"), true),
        (Some("record-too-old"), true),
        (Some("record-too-large"), true),
        (Some("window-failed"), true),
        (Some("by-hand"), true),
        // Parked, and a kind of a later version.
        (None, false),
        (Some("later"), false),
    ] {
        assert_eq!(of(kind).is_without_call(), is_without_call, "{kind:?}");
    }
}
