//! Windows: what a call is told of its window, and the state that it leaves.

use bytes::Bytes;
use fnctl_core::{
    id::Timestamp,
    invoker::{Call, Completed, Invoker},
    limits::{WINDOW_STATE_BYTES_MAX, WINDOW_STATE_SET_BYTES_MAX},
    outcome::{FailureKind, Outcome},
    window::{Window, WindowCall},
};
use fnctl_invoker::Function;

use crate::support::{bodies, call, engine, guest, load, records, settings, told, whole_failure};

const NONE: [&str; 0] = [];

fn window(state: impl Into<Bytes>) -> WindowCall {
    WindowCall {
        window: Window {
            start: Timestamp(60_000),
            end: Timestamp(120_000),
        },
        state: state.into(),
        is_final: false,
        is_terminated_early: false,
    }
}

async fn in_window(function: &Function, window: WindowCall, given: &[&str]) -> Completed {
    let call = Call {
        window: Some(window),
        ..call(records(given))
    };
    let completed = function.invoke(call).await;
    completed.expect("the host is not at fault")
}

fn state(completed: &Completed) -> Bytes {
    completed.state.clone().expect("the call set a state")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_goes_from_call_to_call_and_a_call_without_records_tells_it() {
    let (engine, _) = engine();
    let function = load(&engine, "windowed", settings()).await;
    let first = in_window(&function, window(""), &["a", "b"]).await;
    assert_eq!(bodies(&first.outcome), NONE);
    let second = in_window(&function, window(state(&first)), &["emit"]).await;
    assert_eq!(bodies(&second.outcome), ["after 3"]);
    let kept = state(&second);
    for (is_final, how) in [(false, "early"), (true, "final")] {
        let last = WindowCall {
            is_final,
            is_terminated_early: !is_final,
            ..window(kept.clone())
        };
        let last = in_window(&function, last, &[]).await;
        let (rows, failures) = told(&last.outcome);
        let body = format!("60000..120000 {how}: a,b,emit");
        assert_eq!(rows[0], [(u32::MAX, "window".to_owned(), body)]);
        assert_eq!((failures.len(), last.state), (0, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_kept_of_a_call_that_succeeds_and_of_no_other() {
    let (engine, _) = engine();
    let function = load(&engine, "windowed", settings()).await;
    let before = state(&in_window(&function, window(""), &["a"]).await);
    for word in ["skip", "retry", "panic", "grow x"] {
        let failed = in_window(&function, window(before.clone()), &["b", word]).await;
        assert_eq!(failed.state, None, "{word}: {:?}", failed.outcome);
    }
    // The instance that the failures left is none the wiser.
    let next = in_window(&function, window(before), &["emit"]).await;
    assert_eq!(bodies(&next.outcome), ["after 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_fails_is_the_calls_own_failure() {
    let (engine, _) = engine();
    let function = load(&engine, "windowed", settings()).await;
    let stuck = state(&in_window(&function, window(""), &["stuck"]).await);
    let last = WindowCall {
        is_final: true,
        ..window(stuck)
    };
    let completed = in_window(&function, last, &[]).await;
    let failure = whole_failure(&completed.outcome);
    assert_eq!(
        (&*failure.code, failure.kind),
        ("stuck", FailureKind::Retry)
    );
    assert_eq!(completed.state, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_may_pass_the_limit_of_a_window_but_not_that_of_a_call() {
    let (engine, _) = engine();
    let function = load(&engine, "windowed", settings()).await;
    let over = format!("grow {}", WINDOW_STATE_BYTES_MAX + 1);
    let grown = in_window(&function, window(""), &[&over]).await;
    assert!(state(&grown).len() as u64 > WINDOW_STATE_BYTES_MAX);

    let over = format!("grow {WINDOW_STATE_SET_BYTES_MAX}");
    let refused = in_window(&function, window(""), &[&over]).await;
    let failure = whole_failure(&refused.outcome);
    assert_eq!(
        (&*failure.code, failure.kind),
        ("bad-state", FailureKind::Retry)
    );
    assert!(failure.message.contains("at most 4194304"), "{failure:?}");
    assert_eq!(refused.state, None);
    // Unnoticed by the function or not.
    let raw = load(&engine, "raw", settings()).await;
    let refused = in_window(&raw, window(""), &["state-huge"]).await;
    assert_eq!(&*whole_failure(&refused.outcome).code, "bad-state");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_sees_the_state_that_it_set_and_none_without_a_window() {
    let (engine, _) = engine();
    let raw = load(&engine, "raw", settings()).await;
    let got = in_window(&raw, window("before"), &["state-get"]).await;
    let words = bodies(&got.outcome).remove(0);
    assert!(
        words.starts_with("before in ") && words.contains("60000"),
        "{words}"
    );
    assert_eq!(got.state, None);
    let set = in_window(&raw, window("before"), &["state-set after"]).await;
    assert_eq!(bodies(&set.outcome), ["after"]);
    assert_eq!(state(&set), "after");
    let emptied = in_window(&raw, window("before"), &["state-set "]).await;
    assert_eq!(emptied.state, Some(Bytes::new()));

    let without = raw.invoke(call(records(["state-get"]))).await.unwrap();
    assert_eq!(bodies(&without.outcome), [""]);
    let without = raw.invoke(call(records(["state-set x"]))).await.unwrap();
    let failure = whole_failure(&without.outcome);
    assert!(
        failure.message.contains("no tumbling windows"),
        "{failure:?}"
    );
    assert_eq!(without.state, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_does_not_fit_and_a_mapping_without_windows_stop_the_mapping() {
    let (engine, _) = engine();
    let function = load(&engine, "windowed", settings()).await;
    let other = in_window(&function, window(r#"{"bodies":3}"#), &["a"]).await;
    let failure = whole_failure(&other.outcome);
    assert_eq!(
        (&*failure.code, failure.kind),
        ("bad-state", FailureKind::Fatal)
    );
    assert!(failure.message.contains("Seen"), "{failure:?}");
    let without = function.invoke(call(records(["a"]))).await.unwrap();
    let failure = whole_failure(&without.outcome);
    assert_eq!(
        (&*failure.code, failure.kind),
        ("no-window", FailureKind::Fatal)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_knows_no_windows_runs_in_them_as_ever() {
    let (engine, _) = engine();
    let uses = engine.inspect(guest("echo")).await.unwrap().uses;
    assert!(!uses.contains(&"state".to_owned()), "{uses:?}");
    let uses = engine.inspect(guest("windowed")).await.unwrap().uses;
    assert!(uses.contains(&"state".to_owned()), "{uses:?}");
    let echo = load(&engine, "echo", settings()).await;
    let ran = in_window(&echo, window("kept"), &["a"]).await;
    assert_eq!(
        (bodies(&ran.outcome), ran.state),
        (vec!["a".to_owned()], None)
    );
    let last = WindowCall {
        is_final: true,
        ..window("kept")
    };
    let last = in_window(&echo, last, &[]).await;
    let nothing = Outcome::Returned {
        rows: vec![],
        failures: vec![],
    };
    assert_eq!(last.outcome, nothing);
}
