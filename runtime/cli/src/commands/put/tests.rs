use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use bytes::Bytes;

use super::{input::Input, pace::Pace, sending::Pending, *};

fn args() -> Args {
    Args {
        stream: "signups".to_owned(),
        data: vec![],
        file: Some("my events.ndjson".to_owned()),
        key: None,
        key_field: Some("user.id".to_owned()),
        require_key: true,
        rate: Some(50),
        from_line: 1,
        producer: None,
    }
}

fn again<'a>(args: &'a Args, server: Option<&'a str>) -> Again<'a> {
    Again {
        args,
        server,
        is_json: false,
        producer: "p",
    }
}

#[test]
fn the_command_that_continues_is_whole_and_quoted() {
    assert_eq!(
        again(&args(), None).command(4711),
        "fnctl put signups --file 'my events.ndjson' --key-field user.id --require-key --rate 50 --from-line 4711 --producer p"
    );
}

#[test]
fn the_command_that_continues_goes_to_the_same_server_with_the_same_records() {
    let args = Args {
        data: vec!["a b".into(), "-c".into()],
        file: None,
        key: Some("-k".to_owned()),
        key_field: None,
        require_key: false,
        rate: None,
        ..args()
    };
    let again = Again {
        is_json: true,
        ..again(&args, Some("http://10.0.0.7:4700"))
    };
    assert_eq!(
        again.command(2),
        "fnctl put signups --key=-k --server http://10.0.0.7:4700 -o json --from-line 2 --producer p -- 'a b' -c"
    );
}

#[tokio::test]
async fn records_of_the_command_line_are_their_bytes_and_an_empty_one_is_refused() {
    let open = async |words: &[&[u8]]| {
        let args = Args {
            data: words
                .iter()
                .map(|word| OsStr::from_bytes(word).to_owned())
                .collect(),
            file: None,
            ..args()
        };
        Input::open(&args).await
    };
    let mut input = open(&[b"a\xff", b"b\r"]).await.unwrap();
    let mut pace = Pace::new(None);
    assert_eq!(
        input.next(&mut pace).await.unwrap().as_deref(),
        Some(&b"a\xff"[..])
    );
    assert_eq!(
        input.next(&mut pace).await.unwrap().as_deref(),
        Some(&b"b\r"[..])
    );
    for words in [&[&b""[..]][..], &[b"a", b""], &[b"\r"], &[b"a\nb"]] {
        let refused = open(words).await.err().unwrap();
        assert_eq!(refused.exit_code(), 2, "{words:?}");
    }
}

#[test]
fn acknowledgements_move_on_line_by_line_and_pass_empty_ones() {
    let mut pending = Pending::default();
    pending.start_at(3, 5);
    for line in ["a", "", "b", "\r", "", "c"] {
        pending.push(Bytes::from(line));
    }
    assert_eq!((pending.first_line(), pending.first_sequence()), (5, 4));
    pending.acknowledge(5).unwrap();
    assert_eq!((pending.first_line(), pending.first_sequence()), (7, 5));
    assert!(pending.acknowledge(8).is_err(), "a line was left out");
    pending.acknowledge(7).unwrap();
    assert_eq!((pending.first_line(), pending.first_sequence()), (10, 6));
    pending.acknowledge(10).unwrap();
    assert!(pending.is_empty());
    assert_eq!(pending.acknowledged(), 3);
}

#[test]
fn an_uncertain_end_names_the_first_unacknowledged_line_and_exits_8() {
    let mut pending = Pending::default();
    pending.start_at(0, 1);
    for line in ["a", "b", "c"] {
        pending.push(Bytes::from(line));
    }
    pending.acknowledge(1).unwrap();
    let broke = CliError::new(ErrorCode::ServerUnreachable, "the connection broke");
    let ended = ended(broke, &again(&args(), None), &pending);
    assert_eq!(ended.exit_code(), 8);
    let CliError::Told(error) = ended else {
        panic!()
    };
    assert_eq!(error.code, "FN4007");
    assert!(
        error.message.starts_with("line 2 and those behind it"),
        "{}",
        error.message
    );
    assert!(
        error
            .fix
            .as_deref()
            .unwrap()
            .ends_with("--from-line 2 --producer p")
    );
}

#[test]
fn a_refusal_for_want_of_room_or_a_token_that_went_stays_what_it_is_and_tells_how_to_go_on() {
    let mut pending = Pending::default();
    pending.start_at(0, 1);
    pending.push(Bytes::from("a"));
    pending.push(Bytes::from("b"));
    pending.acknowledge(1).unwrap();
    for (code, exit) in [
        (ErrorCode::StreamFull, 1),
        (ErrorCode::DiskFull, 1),
        (ErrorCode::TokenRefused, 5),
    ] {
        let refused = CliError::new(code, "no room").fix("raise it");
        let CliError::Told(error) = ended(refused, &again(&args(), None), &pending) else {
            panic!()
        };
        assert_eq!(
            (error.exit_code, error.code.as_str()),
            (exit, code.as_str())
        );
        let fix = error.fix.unwrap();
        assert!(fix.starts_with("raise it\nthen go on: fnctl put"), "{fix}");
        assert!(fix.ends_with("--from-line 2 --producer p"), "{fix}");
    }
}

#[test]
fn a_line_at_fault_is_told_with_the_command_that_goes_on_once_it_is_mended() {
    let mut pending = Pending::default();
    pending.start_at(0, 1);
    pending.push(Bytes::from("a"));
    pending.push(Bytes::from("b"));
    pending.acknowledge(1).unwrap();
    for code in [ErrorCode::KeyMissing, ErrorCode::RecordTooLarge] {
        let refused = CliError::new(code, "line 2 is at fault");
        let CliError::Told(error) = ended(refused, &again(&args(), None), &pending) else {
            panic!()
        };
        assert_eq!(error.exit_code, 7);
        let fix = error.fix.unwrap();
        assert!(fix.starts_with("mend or remove line 2"), "{fix}");
        assert!(fix.ends_with("--from-line 2 --producer p"), "{fix}");
    }
}

#[tokio::test]
async fn lines_are_read_with_and_without_a_last_end() {
    let text: &[u8] = b"a\n\nb\r\nlast";
    let mut input = Input::new(Box::new(text), "test");
    let mut all = Vec::new();
    while let Some(line) = input.next(&mut Pace::new(None)).await.unwrap() {
        all.push(line);
    }
    assert_eq!(all, ["a", "", "b\r", "last"]);
    assert!(input.has_ended());
}

#[tokio::test]
async fn a_line_behind_the_end_is_noticed() {
    for (from_line, ended_after) in [(1, None), (3, None), (4, Some(3)), (99, Some(3))] {
        let text: &[u8] = b"a\n\nb\n";
        let mut input = Input::new(Box::new(text), "test");
        let passed = input.skip_to(from_line).await.unwrap();
        assert_eq!(passed.ended_after, ended_after, "from line {from_line}");
    }
}

#[tokio::test]
async fn skipping_counts_records_and_not_empty_lines() {
    let text: &[u8] = b"a\n\nb\nc\n";
    let mut input = Input::new(Box::new(text), "test");
    let passed = input.skip_to(4).await.unwrap();
    assert_eq!((passed.records, passed.ended_after), (2, None));
    let next = input.next(&mut Pace::new(None)).await.unwrap();
    assert_eq!(next.as_deref(), Some(&b"c"[..]));
}
