use base64::{Engine as _, engine::general_purpose::STANDARD};
use fnctl_core::{
    capture::{
        CAPTURE_FORMAT, CAPTURE_FORMAT_PLAIN, CaptureEnd, CaptureHead, CaptureLine, CapturedBatch,
        CapturedPiece, CapturedRecord, CapturedVersion, CapturedWindow,
    },
    status::{DataText, Encoding},
};
use fnctl_invoker::digest;

use super::{CUT_OFF, DAMAGED, NEWER, NONE, parse};

fn head() -> CaptureHead {
    CaptureHead {
        fnctl_capture: CAPTURE_FORMAT_PLAIN,
        written_by: "0.1.0".to_owned(),
        captured_at: "2026-03-01T12:30:00.250Z".to_owned(),
        mapping: "f/s".to_owned(),
        function: "f".to_owned(),
        stream: "s".to_owned(),
        seed: 1,
        versions: vec![CapturedVersion {
            version: 1,
            digest: format!("sha256:{}", digest(b"component")),
            config: Default::default(),
            secrets: Vec::new(),
            memory_bytes: 1 << 20,
            timeout_ms: 1_000,
            outputs: Vec::new(),
            reads_states: false,
        }],
    }
}

fn batch(version: u64) -> CaptureLine {
    CaptureLine::Batch(CapturedBatch {
        version,
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
        failures: Vec::new(),
        window: None,
    })
}

fn piece(bytes: &[u8]) -> CaptureLine {
    CaptureLine::Component(CapturedPiece {
        digest: format!("sha256:{}", digest(b"component")),
        base64: STANDARD.encode(bytes),
    })
}

fn file(lines: &[CaptureLine], batches: u64) -> Vec<u8> {
    written(&head(), lines, batches, batches)
}

fn written(head: &CaptureHead, lines: &[CaptureLine], batches: u64, records: u64) -> Vec<u8> {
    let mut text = serde_json::to_vec(head).unwrap();
    text.push(b'\n');
    for line in lines {
        serde_json::to_writer(&mut text, line).unwrap();
        text.push(b'\n');
    }
    let end = CaptureLine::End(CaptureEnd {
        batches,
        records,
        has_more: false,
        sha256: digest(&text),
    });
    serde_json::to_writer(&mut text, &end).unwrap();
    text.push(b'\n');
    text
}

#[test]
fn what_was_written_is_read_with_its_component_in_pieces() {
    let text = file(&[batch(1), piece(b"comp"), piece(b"onent")], 1);
    let capture = parse(&text).unwrap();
    assert_eq!(capture.head, head());
    assert_eq!(capture.batches.len(), 1);
    assert_eq!(
        capture.components.values().next().unwrap().as_ref(),
        b"component"
    );
}

/// Wherever a file ends, and whichever of its bytes is another one: it is refused, never taken for another.
#[test]
fn no_part_of_a_file_and_no_changed_byte_passes() {
    let text = file(&[batch(1), piece(b"component")], 1);
    for length in 0..text.len() - 1 {
        let (what, _) = parse(&text[..length])
            .map(drop)
            .expect_err("it is no whole");
        assert!([NONE, CUT_OFF, DAMAGED].contains(&what), "{length}: {what}");
    }
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] ^= 1;
        if changed[at].is_ascii_whitespace() && text[at].is_ascii_whitespace() {
            continue;
        }
        assert!(parse(&changed).is_err(), "byte {at}");
    }
}

#[test]
fn what_a_replay_could_not_run_is_refused() {
    let wrong = |text: Vec<u8>| parse(&text).map(drop).expect_err("it is refused");
    assert_eq!(wrong(b"{\"user\":1}\n".to_vec()).0, NONE);
    assert_eq!(wrong(b"\x00asm".to_vec()).0, NONE);
    let mut newer = file(&[], 0);
    let at = newer.iter().position(|byte| *byte == b'1').unwrap();
    newer[at] = b'1' + CAPTURE_FORMAT as u8;
    assert_eq!(wrong(newer).0, NEWER);
    for (lines, batches) in [
        (vec![batch(2)], 1),
        (vec![batch(1)], 2),
        (vec![batch(1), piece(b"another")], 1),
    ] {
        assert_eq!(wrong(file(&lines, batches)).0, DAMAGED, "{lines:?}");
    }
    let mut longer = file(&[batch(1)], 1);
    longer.extend_from_slice(b"{}\n");
    assert_eq!(wrong(longer).0, DAMAGED);
}

/// The call that ends a window has no record. Only the newer format has windows: a file of the older one with some
/// was never written.
#[test]
fn the_end_of_a_window_is_a_call_of_the_newer_format() {
    let close = |is_final| {
        let CaptureLine::Batch(mut close) = batch(1) else {
            unreachable!("it is a batch");
        };
        close.records.clear();
        close.window = Some(CapturedWindow {
            group: 0,
            start_ms: 0,
            end_ms: 1,
            is_final,
            is_terminated_early: false,
            state: None,
        });
        CaptureLine::Batch(close)
    };
    let mut newer = head();
    newer.fnctl_capture = CAPTURE_FORMAT;
    let capture = parse(&written(&newer, &[close(true)], 1, 0)).unwrap();
    assert!(capture.batches[0].is_close());
    for (head, is_final) in [(&head(), true), (&newer, false)] {
        let text = written(head, &[close(is_final)], 1, 0);
        assert_eq!(
            parse(&text).map(drop).expect_err("it is refused").0,
            DAMAGED
        );
    }
}
