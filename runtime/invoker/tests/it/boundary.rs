//! What crosses: records in, rows and failures out, facts on demand.

use std::sync::Arc;

use fnctl_core::{
    invoker::{Call, Invoker},
    outcome::{FailureKind, Outcome, WHOLE_CALL},
    record::{ByteColumn, ColumnBuilder, Records},
};

use crate::support::{
    Facts, bodies, call, complete, context, engine, load, outcome, records, settings, told,
    whole_failure,
};

#[tokio::test(flavor = "multi_thread")]
async fn rows_keep_their_source_and_take_its_key() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", settings()).await;
    let (rows, failures) = told(&outcome(&function, &["one", "side", "two"]).await);
    let row = |source: u32, body: &str| (source, format!("key-{source}"), body.to_owned());
    assert_eq!(
        rows,
        [vec![row(0, "one"), row(2, "two")], vec![row(1, "side")]]
    );
    assert_eq!(failures, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_record_has_no_rows() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", settings()).await;
    let (rows, failures) = told(
        &outcome(
            &function,
            &["ok", "skip", "retry", "bad-key", "row-too-large", "ok"],
        )
        .await,
    );
    assert_eq!(
        rows[0]
            .iter()
            .map(|(source, ..)| *source)
            .collect::<Vec<_>>(),
        [0, 5]
    );
    let codes = ["refused", "busy", "bad-key", "row-too-large"];
    let expected: Vec<_> = (1..5)
        .zip(codes)
        .map(|(index, code)| (index, code.to_owned()))
        .collect();
    assert_eq!(failures, expected);
    let Outcome::Returned { failures, .. } = outcome(&function, &["retry-after 1500"]).await else {
        panic!()
    };
    assert_eq!(
        (failures[0].failure.kind, failures[0].failure.retry_after_ms),
        (FailureKind::Retry, Some(1_500))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarded_records_are_the_input_itself() {
    let (engine, _) = engine();
    let function = load(&engine, "echo", settings()).await;
    let input = records((0..1_000).map(|n| "x".repeat(n)));
    let Outcome::Returned { rows, failures } =
        function.invoke(call(input.clone())).await.unwrap().outcome
    else {
        panic!()
    };
    assert_eq!(failures, []);
    assert_eq!((&rows[0].keys, &rows[0].data), (&input.keys, &input.data));
    assert_eq!(rows[0].sources, (0..1_000).collect::<Vec<u32>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_a_key_and_a_tombstone_come_back_as_they_are() {
    let (engine, _) = engine();
    let function = load(&engine, "echo", settings()).await;
    let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
    keys.push_null();
    data.push(b"kept");
    keys.push(b"k");
    data.push_null();
    let input = Records {
        keys: keys.finish(),
        data: data.finish(),
        arrival_ms: vec![1, 2],
    };
    let Outcome::Returned { rows, .. } = function.invoke(call(input)).await.unwrap().outcome else {
        panic!()
    };
    assert_eq!(
        (rows[0].keys.get(0), rows[0].keys.get(1)),
        (&b"id-0"[..], &b"k"[..])
    );
    assert_eq!(
        (rows[0].data.get(0), rows[0].data.is_null(1)),
        (&b"kept"[..], true)
    );
    assert_eq!(rows[0].keys.nulls, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_batch_is_a_call_like_any_other() {
    let (engine, _) = engine();
    let function = load(&engine, "echo", settings()).await;
    let empty = Records {
        keys: ByteColumn::default(),
        data: ByteColumn::default(),
        arrival_ms: vec![],
    };
    let ended = function.invoke(call(empty)).await.unwrap();
    assert_eq!(
        ended.outcome,
        Outcome::Returned {
            rows: vec![],
            failures: vec![]
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_the_whole_call_comes_last_under_a_key_of_its_own() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", settings()).await;
    let (rows, _) = told(&outcome(&function, &["call-row", "ok"]).await);
    let last = rows[0].last().expect("rows");
    assert_eq!(
        *last,
        (
            WHOLE_CALL,
            "id-1+1".to_owned(),
            "a row of no record".to_owned()
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_call_as_a_whole_may_fail() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", settings()).await;
    for (word, kind) in [
        ("retry", FailureKind::Retry),
        ("skip", FailureKind::Skip),
        ("fatal", FailureKind::Fatal),
    ] {
        let ended = outcome(&function, &["ok", &format!("call-{word}")]).await;
        let failure = whole_failure(&ended);
        assert_eq!(
            (failure.kind, &*failure.code),
            (kind, &*format!("whole-{word}"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_config_and_secrets_are_there_when_asked_for() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", settings()).await;
    let asked = Call {
        context: context(),
        records: records(["ok", "facts"]),
        facts: Arc::new(Facts { attempt: 3 }),
        is_fresh: false,
        window: None,
    };
    let ended = function.invoke(asked).await.unwrap().outcome;
    let facts = bodies(&ended).remove(1);
    assert_eq!(
        facts,
        r#"[3,"49571","id-1","test/signups",7,"Ada",6,true,null]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn costs_are_measured() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", settings()).await;
    let first = complete(&function, &["ok"]).await.stats;
    let second = complete(&function, &["ok"]).await.stats;
    assert!(first.instantiation_ns > 0 && second.instantiation_ns == 0);
    for stats in [first, second] {
        assert!(stats.memory_bytes >= 1 << 16 && stats.lower_ns > 0 && stats.lift_ns > 0);
        assert!(stats.duration_ns >= stats.lower_ns + stats.lift_ns + stats.instantiation_ns);
    }
}
