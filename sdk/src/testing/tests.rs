use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use super::*;
use crate::{Error, FailureKind, OrFail, Output, output};

const OTHER: Output = output!("other");

fn bodies(rows: &[Emitted]) -> Vec<&str> {
    rows.iter().map(Emitted::text).collect()
}

/// Does what the record says.
fn obey(record: Record<'_>, cx: &mut Context) -> Result<()> {
    let text = record.text()?;
    cx.emit_bytes(format!("1:{text}").as_bytes())?;
    cx.row().to(OTHER).key("k").bytes(text.as_bytes())?;
    match text {
        "retry" => Err(Error::retry("busy", "later").after(Duration::from_secs(1))),
        "skip" => Err(Error::skip("bad", "no good")),
        "fatal" => Err(Error::fatal("gone", "stop")),
        "io" => Err(std::io::Error::other("reset"))?,
        "keyless" => cx.row().key("").bytes(b""),
        "long-key" => cx.row().key(&"k".repeat(257)).bytes(b""),
        "large" => cx.row().bytes(&vec![0; (1 << 20) + 1]),
        _ => cx.emit_bytes(format!("2:{text}").as_bytes()),
    }
}

#[test]
fn rows_of_a_failed_record_are_dropped() {
    let out = run(obey, ["a", "skip", "b"].map(record));
    assert_eq!(
        bodies(out.rows(Output::DEFAULT)),
        ["1:a", "2:a", "1:b", "2:b"]
    );
    assert_eq!(bodies(out.rows(OTHER)), ["a", "b"]);
    assert_eq!(out.failures().len(), 1);
    assert_eq!(
        (out.failures()[0].index, &*out.failures()[0].code),
        (1, "bad")
    );
    assert!(out.call.is_ok());
}

#[test]
fn a_row_goes_under_its_own_key_or_its_records() {
    let out = run(obey, [record("a").key("7")]);
    assert_eq!(out.rows(Output::DEFAULT)[0].key, b"7");
    assert_eq!(out.rows(OTHER)[0].key, b"k");
    assert_eq!(out.rows(OTHER)[0].source, Some(0));
}

#[test]
fn a_retry_holds_the_later_records_of_its_key_and_no_other() {
    let records = [
        ("a", "x"),
        ("retry", "x"),
        ("b", "x"),
        ("skip", "x"),
        ("c", "y"),
    ];
    let out = run(obey, records.map(|(text, key)| record(text).key(key)));
    assert_eq!(bodies(out.rows(OTHER)), ["a", "c"]);
    assert_eq!(
        out.failures().len(),
        1,
        "what stands behind is void, not failed"
    );
    assert_eq!(out.failures()[0].retry_after, Some(Duration::from_secs(1)));
}

#[test]
fn a_fatal_keeps_nothing_and_runs_nothing_more() {
    let out = run(obey, ["a", "fatal", "skip"].map(record));
    assert!(out.rows(Output::DEFAULT).is_empty());
    assert_eq!(out.failures().len(), 1);
    assert_eq!(out.failures()[0].kind, FailureKind::Fatal);
}

#[test]
fn rows_the_stream_cannot_hold_fail_their_record() {
    let out = run(obey, ["keyless", "long-key", "large", "a"].map(record));
    let codes: Vec<&str> = out.failures().iter().map(|failed| &*failed.code).collect();
    assert_eq!(codes, ["bad-key", "bad-key", "row-too-large"]);
    assert_eq!(bodies(out.rows(OTHER)), ["a"]);
}

#[test]
fn decoding_fails_as_skip_and_everything_else_as_retry() {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
    }
    fn decode(record: Record<'_>, cx: &mut Context) -> Result<()> {
        let body: Body<'_> = record.json()?;
        record.key_text()?;
        let _: u8 = body.name.parse()?;
        cx.emit(&body.name)
    }
    let inputs = [
        record(r#"{"name":"7"}"#),
        record(r#"{"name":"\u0037"}"#),
        record(r#"{"name":"x"}"#),
        record("{"),
        record(b"\xff".to_vec()),
        record(r#"{"name":"7"}"#).key(b"\xff"),
        record("").tombstone(),
    ];
    let out = run(decode, inputs);
    assert_eq!(bodies(out.rows(Output::DEFAULT)), [r#""7""#, r#""7""#]);
    let kinds: Vec<_> = out
        .failures()
        .iter()
        .map(|failed| (failed.kind, &*failed.code))
        .collect();
    assert_eq!(
        kinds,
        [
            (FailureKind::Retry, "parse-int-error"),
            (FailureKind::Skip, "bad-json"),
            (FailureKind::Skip, "bad-json"),
            (FailureKind::Skip, "not-utf8"),
            (FailureKind::Skip, "bad-json"),
        ]
    );
    assert_eq!(
        out.failures()[1].message,
        "EOF while parsing an object at line 1 column 1"
    );
}

#[test]
fn the_batch_form_fails_records_alone_or_the_call() {
    fn totals(batch: Batch<'_>, cx: &mut Context) -> Result<()> {
        if batch.is_empty() {
            return Err(Error::retry("empty", "no records"));
        }
        let mut sum = 0u64;
        for record in batch.iter().rev_by_index() {
            cx.row().of(record).bytes(record.data())?;
            match record.text()?.parse::<u64>().or_skip("bad-number", "body") {
                Ok(number) => sum += number,
                Err(error) => cx.fail(record, error),
            }
        }
        cx.row().to(OTHER).json(&sum)
    }
    trait RevByIndex<'a> {
        fn rev_by_index(self) -> Vec<Record<'a>>;
    }
    impl<'a, I: Iterator<Item = Record<'a>>> RevByIndex<'a> for I {
        fn rev_by_index(self) -> Vec<Record<'a>> {
            let mut records: Vec<_> = self.collect();
            records.reverse();
            records
        }
    }

    let out = run_batch(totals, ["1", "x", "2"].map(record));
    assert_eq!(
        bodies(out.rows(Output::DEFAULT)),
        ["1", "2"],
        "by source, not as emitted"
    );
    assert_eq!(bodies(out.rows(OTHER)), ["3"]);
    assert_eq!(out.rows(OTHER)[0].source, None);
    assert_eq!(out.failures()[0].index, 1);

    let out = run_batch(totals, []);
    assert_eq!(out.call.unwrap_err().code(), "empty");
    let out = run_batch(totals, [record("1"), record(b"\xff".to_vec())]);
    assert_eq!(out.call.as_ref().unwrap_err().code(), "not-utf8");
    assert!(out.rows(Output::DEFAULT).is_empty());
}

#[test]
fn rows_of_no_record_wait_for_a_call_without_retry() {
    fn count(batch: Batch<'_>, cx: &mut Context) -> Result<()> {
        batch.try_each(cx, obey)?;
        cx.row().json(&batch.len())
    }
    let out = run_batch(count, ["a", "skip"].map(record));
    assert_eq!(bodies(out.rows(Output::DEFAULT)), ["1:a", "2:a", "2"]);
    let out = run_batch(count, ["a", "retry"].map(record));
    assert_eq!(bodies(out.rows(Output::DEFAULT)), ["1:a", "2:a"]);
}

#[test]
fn forwarded_records_keep_their_place() {
    fn mixed(record: Record<'_>, cx: &mut Context) -> Result<()> {
        match record.data() {
            b"only" => cx.forward(record),
            b"before" => {
                cx.forward(record)?;
                cx.emit_bytes(b"after")
            }
            _ => {
                cx.emit_bytes(b"first")?;
                cx.forward(record)
            }
        }
    }
    let out = run(mixed, ["only", "x", "before", "only"].map(record));
    let rows = bodies(out.rows(Output::DEFAULT));
    assert_eq!(rows, ["only", "first", "x", "before", "after", "only"]);
    assert_eq!(out.rows(Output::DEFAULT)[2].key, b"record-1");
}

#[test]
fn config_secrets_and_facts_are_answered() {
    fn ask(record: Record<'_>, cx: &mut Context) -> Result<()> {
        let minimum = cx.config("minimum").or_fatal("no-config", "minimum")?;
        let secret = cx.secret("token").or_fatal("no-secret", "token")?;
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
        assert_eq!(
            (cx.config("none"), cx.secret("none").is_none()),
            (None, true)
        );
        assert_eq!(record.header("trace").as_deref(), Some(b"1".as_slice()));
        assert_eq!(record.header("none"), None);
        assert_eq!(
            record.arrival(),
            SystemTime::UNIX_EPOCH + Duration::from_secs(9)
        );
        assert!(cx.remaining() > Duration::ZERO && cx.function_version() == 1);
        assert!(!record.id().is_empty() && !record.sequence_number().is_empty());
        assert_eq!(cx.mapping(), "test/records");
        cx.emit(&(
            minimum,
            secret.expose(),
            record.attempt(),
            record.is_tombstone(),
        ))
    }
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
    let input = record("x").arrival(at).attempt(3).header("trace", "1");
    let out = Harness::new()
        .config("minimum", "21")
        .secret("token", "s")
        .run(ask, [input]);
    assert_eq!(
        bodies(out.rows(Output::DEFAULT)),
        [r#"["21",[115],3,false]"#]
    );
}

#[test]
fn logs_name_the_record_in_hand() {
    fn talk(batch: Batch<'_>, cx: &mut Context) -> Result<()> {
        ::log::info!("start");
        batch.try_each(cx, |record, _| {
            ::log::debug!("at {}", record.index());
            Ok(())
        })?;
        ::log::warn!("end");
        Ok(())
    }
    let out = run_batch(talk, ["a", "b"].map(record));
    let said: Vec<_> = out
        .logs()
        .iter()
        .map(|entry| (entry.level, entry.source, &*entry.message))
        .collect();
    use ::log::Level;
    assert_eq!(
        said,
        [
            (Level::Info, None, "start"),
            (Level::Debug, Some(0), "at 0"),
            (Level::Debug, Some(1), "at 1"),
            (Level::Warn, None, "end"),
        ]
    );
}

#[test]
fn ndjson_leaves_out_empty_lines() {
    let out = run(obey, ndjson("a\n\nb\r\n"));
    assert_eq!(bodies(out.rows(OTHER)), ["a", "b"]);
}

#[test]
fn a_failing_writer_leaves_nothing_behind() {
    fn half(record: Record<'_>, cx: &mut Context) -> Result<()> {
        let written = cx.row().write(|body| {
            body.extend_from_slice(b"half");
            Err(Error::skip("half", "no more"))
        });
        assert!(written.is_err());
        cx.emit_bytes(record.data())
    }
    assert_eq!(
        bodies(run(half, [record("whole")]).rows(Output::DEFAULT)),
        ["whole"]
    );
}
