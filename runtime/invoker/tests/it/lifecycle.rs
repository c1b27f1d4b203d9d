//! Instances: reused or fresh, interrupted, bounded in number, dropped when idle.

use std::{
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use fnctl_core::{
    invoker::{Call, CallContext, Invoker},
    outcome::Outcome,
};
use fnctl_invoker::{Engine, EngineOptions, Isolation, NoLog, Turns, VersionSettings};

use crate::support::{
    Facts, bodies, call, complete, context, engine, load, outcome, records, settings,
};

/// Waits for a state of the engine; the test's own limit ends a wait without end.
async fn until(engine: &Engine, is_reached: impl Fn(&Engine) -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !is_reached(engine) {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("the engine gets there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reused_instance_remembers_and_a_fresh_one_does_not() {
    let (engine, _) = engine();
    let reused = load(&engine, "hostile", settings()).await;
    for expected in ["1", "2", "3"] {
        assert_eq!(bodies(&outcome(&reused, &["calls"]).await), [expected]);
    }
    let fresh = load(
        &engine,
        "hostile",
        VersionSettings {
            isolation: Isolation::Fresh,
            ..settings()
        },
    )
    .await;
    for _ in 0..3 {
        assert_eq!(bodies(&outcome(&fresh, &["calls"]).await), ["1"]);
    }
    assert_eq!(
        (engine.stats().instances_live, engine.stats().instances_warm),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_starts_fresh_and_so_does_the_call_after_a_trap() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", settings()).await;
    assert_eq!(bodies(&outcome(&function, &["calls"]).await), ["1"]);
    let retry = Call {
        is_fresh: true,
        ..call(records(["calls"]))
    };
    assert_eq!(
        bodies(&function.invoke(retry).await.unwrap().outcome),
        ["1"]
    );
    // The retry's instance is gone, the other one goes on.
    assert_eq!(engine.stats().instances_live, 1);
    assert_eq!(bodies(&outcome(&function, &["calls"]).await), ["2"]);
    for end in ["trap", "panic", "exit 0"] {
        assert!(matches!(
            outcome(&function, &[end]).await,
            Outcome::Trap { .. }
        ));
    }
    assert_eq!(engine.stats().instances_live, 0);
    assert_eq!(bodies(&outcome(&function, &["calls"]).await), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_never_serves_another_mapping_or_version() {
    let (engine, _) = engine();
    let one = load(&engine, "hostile", settings()).await;
    let two = load(&engine, "hostile", settings()).await;
    assert_eq!(bodies(&outcome(&one, &["calls"]).await), ["1"]);
    assert_eq!(bodies(&outcome(&two, &["calls"]).await), ["1"]);
    let mut other = (*context()).clone();
    other.mapping = "test/other".into();
    let elsewhere = Call {
        context: Arc::new(other),
        records: records(["calls"]),
        facts: Arc::new(Facts { attempt: 1 }),
        is_fresh: false,
        window: None,
    };
    assert_eq!(bodies(&one.invoke(elsewhere).await.unwrap().outcome), ["1"]);
    assert_eq!(engine.stats().instances_warm, 3);
    drop(one);
    assert_eq!(engine.stats().instances_warm, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_waits_for_is_stopped() {
    let (engine, _) = engine();
    let settings = VersionSettings {
        timeout: Duration::from_secs(600),
        ..settings()
    };
    let function = load(&engine, "hostile", settings).await;
    for word in ["loop", "sleep 600000"] {
        let waiter = {
            let function = Arc::clone(&function);
            tokio::spawn(async move { outcome(&function, &[word]).await })
        };
        until(&engine, |engine| engine.stats().instances_live == 1).await;
        waiter.abort();
        until(&engine, |engine| engine.stats().calls_running == 0).await;
        assert_eq!(engine.stats().instances_live, 0, "{word}");
    }
    assert_eq!(bodies(&outcome(&function, &["ok"]).await), ["ok"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_one_function_are_no_more_than_it_may_make_at_once() {
    let (engine, _) = engine();
    let settings = VersionSettings {
        concurrency: Some(Turns::new(Some(2))),
        ..settings()
    };
    let function = load(&engine, "hostile", settings).await;
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let function = Arc::clone(&function);
            tokio::spawn(async move { complete(&function, &["sleep 100"]).await })
        })
        .collect();
    for call in calls {
        let ended = call.await.unwrap();
        assert_eq!(bodies(&ended.outcome), ["sleep 100"]);
        // Waiting for a slot is not part of a call.
        assert!(
            ended.stats.duration_ns < 250_000_000,
            "{} ns",
            ended.stats.duration_ns
        );
    }
    assert_eq!(engine.stats().instances_created_total, 2);
}

/// Who is called next is seen by the order of the lines that calls write: one runs at a time.
#[tokio::test(flavor = "multi_thread")]
async fn mappings_of_one_function_take_turns_however_much_one_of_them_has() {
    let (engine, lines) = engine();
    let settings = VersionSettings {
        concurrency: Some(Turns::new(Some(1))),
        timeout: Duration::from_secs(600),
        ..settings()
    };
    let function = load(&engine, "hostile", settings).await;
    let call_of = |mapping: &str, word: &str| {
        let context = CallContext {
            mapping: mapping.into(),
            ..CallContext::clone(&context())
        };
        let call = Call {
            context: Arc::new(context),
            ..call(records([word]))
        };
        let function = Arc::clone(&function);
        Box::pin(async move { function.invoke(call).await })
    };
    let first = tokio::spawn(call_of("flood", "sleep 600000"));
    until(&engine, |engine| engine.stats().calls_running == 1).await;
    let mut waiting = Vec::new();
    for mapping in ["flood"; 5].into_iter().chain(["trickle"; 2]) {
        let mut call = call_of(mapping, "log 1");
        // It stands in line from its first poll on.
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        waiting.push(tokio::spawn(call));
    }
    first.abort();
    for call in waiting {
        let ended = call.await.unwrap().unwrap();
        assert!(matches!(ended.outcome, Outcome::Returned { .. }));
    }
    let called: Vec<String> = lines.take().into_iter().filter_map(|l| l.mapping).collect();
    let expected = [
        "flood", "trickle", "flood", "trickle", "flood", "flood", "flood",
    ];
    assert_eq!(called, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_engine_interrupts_what_has_not_begun() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", settings()).await;
    assert_eq!(bodies(&outcome(&function, &["ok"]).await), ["ok"]);
    engine.close();
    assert_eq!(outcome(&function, &["ok"]).await, Outcome::Interrupted);
    assert_eq!(engine.stats().instances_live, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_instance_is_dropped() {
    let options = EngineOptions {
        slots: 4,
        warm_idle: Duration::from_millis(50),
        ..EngineOptions::default()
    };
    let engine = Engine::new(options, Arc::new(NoLog)).expect("an engine");
    let function = load(&engine, "hostile", settings()).await;
    assert_eq!(bodies(&outcome(&function, &["calls"]).await), ["1"]);
    until(&engine, |engine| engine.stats().instances_live == 0).await;
    assert_eq!(bodies(&outcome(&function, &["calls"]).await), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_functions_than_slots_take_turns() {
    let options = EngineOptions {
        slots: 4,
        ..EngineOptions::default()
    };
    let engine = Engine::new(options, Arc::new(NoLog)).expect("an engine");
    let mut functions = Vec::new();
    for _ in 0..6 {
        functions.push(load(&engine, "echo", settings()).await);
    }
    for _ in 0..3 {
        let calls: Vec<_> = functions
            .iter()
            .map(|function| {
                let function = Arc::clone(function);
                tokio::spawn(async move { bodies(&outcome(&function, &["x"]).await) })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), ["x"]);
        }
    }
    assert!(engine.stats().instances_live <= 4 && engine.stats().instances_warm <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_may_be_dropped_while_a_guest_runs() {
    let (engine, _) = engine();
    let function = load(
        &engine,
        "hostile",
        VersionSettings {
            timeout: Duration::from_millis(100),
            ..settings()
        },
    )
    .await;
    let running = tokio::spawn(async move { outcome(&function, &["loop"]).await });
    until(&engine, |engine| engine.stats().instances_live == 1).await;
    drop(engine);
    assert_eq!(running.await.unwrap(), Outcome::Timeout { after_ms: 100 });
}
