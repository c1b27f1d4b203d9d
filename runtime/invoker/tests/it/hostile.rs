//! Guests that do their worst: each ends with its outcome, in time, and the next call succeeds.

use std::time::{Duration, Instant};

use fnctl_core::{
    limits::{FAILURE_MESSAGE_BYTES_MAX, OUTPUT_BYTES_MAX},
    outcome::Outcome,
};
use fnctl_invoker::{LogSource, VersionSettings, limits};

use crate::support::{bodies, complete, engine, load, outcome, settings, told, whole_failure};

const TIMEOUT: Duration = Duration::from_millis(200);

fn short() -> VersionSettings {
    VersionSettings {
        timeout: TIMEOUT,
        ..settings()
    }
}

async fn survives(function: &fnctl_invoker::Function) {
    assert_eq!(bodies(&outcome(function, &["ok"]).await), ["ok"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_without_end_times_out_near_its_deadline() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", short()).await;
    survives(&function).await;
    for word in ["loop", "sleep 60000"] {
        let start = Instant::now();
        let ended = complete(&function, &["ok", word]).await;
        assert_eq!(ended.outcome, Outcome::Timeout { after_ms: 200 }, "{word}");
        let took = start.elapsed();
        assert!(
            took >= TIMEOUT && took < TIMEOUT * 3,
            "{word} took {took:?}"
        );
        survives(&function).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn loops_do_not_keep_others_from_their_turn() {
    let (engine, _) = engine();
    let busy = load(
        &engine,
        "hostile",
        VersionSettings {
            timeout: TIMEOUT * 5,
            ..settings()
        },
    )
    .await;
    let other = load(&engine, "hostile", settings()).await;
    survives(&other).await;
    let loops: Vec<_> = (0..6)
        .map(|_| {
            let busy = busy.clone();
            tokio::spawn(async move { outcome(&busy, &["loop"]).await })
        })
        .collect();
    // Guests yield at every epoch: with six of them computing, a turn comes within some ticks.
    let start = Instant::now();
    survives(&other).await;
    assert!(start.elapsed() < TIMEOUT * 4, "{:?}", start.elapsed());
    for busy in loops {
        assert!(matches!(busy.await.unwrap(), Outcome::Timeout { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_without_end_is_out_of_memory() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", settings()).await;
    let ended = complete(&function, &["allocate"]).await;
    assert_eq!(
        ended.outcome,
        Outcome::OutOfMemory {
            limit_bytes: 64 << 20
        }
    );
    assert!(ended.stats.memory_bytes > 32 << 20 && ended.stats.memory_bytes <= 64 << 20);
    survives(&function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recursion_without_end_is_said_in_plain_words() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", settings()).await;
    let Outcome::Trap {
        record: None,
        message,
    } = outcome(&function, &["recurse"]).await
    else {
        panic!()
    };
    assert!(message.contains("stack overflow"), "{message}");
    survives(&function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_is_no_way_to_return() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", settings()).await;
    for code in [0, 1] {
        let ended = outcome(&function, &[&format!("exit {code}")]).await;
        let Outcome::Trap {
            record: None,
            message,
        } = ended
        else {
            panic!("{ended:?}")
        };
        assert!(message.starts_with("called exit("), "{message}");
    }
    survives(&function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_names_its_record_message_and_place() {
    let (engine, lines) = engine();
    let function = load(&engine, "hostile", settings()).await;
    let Outcome::Trap { record, message } = outcome(&function, &["ok", "ok", "panic"]).await else {
        panic!()
    };
    assert_eq!(record, Some(2));
    assert!(
        message.starts_with("panicked at ") && message.contains("src/lib.rs"),
        "{message}"
    );
    assert!(message.contains("asked to panic"), "{message}");
    let panic = lines
        .take()
        .into_iter()
        .find(|line| line.source == LogSource::Panic)
        .expect("a line");
    assert_eq!(
        (
            panic.ordinal.map(|ordinal| ordinal.0),
            panic.mapping.as_deref()
        ),
        (Some(102), Some("test/signups"))
    );
    survives(&function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_without_a_message_brings_the_last_lines_of_stderr() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", settings()).await;
    let Outcome::Trap {
        record: None,
        message,
    } = outcome(&function, &["stderr", "trap"]).await
    else {
        panic!()
    };
    assert!(
        message.contains("aborted") && message.contains("said on stderr"),
        "{message}"
    );
    assert!(message.len() <= FAILURE_MESSAGE_BYTES_MAX);
    survives(&function).await;
    // A report over a record that is not there charges nobody in particular.
    let raw = load(&engine, "raw", settings()).await;
    let Outcome::Trap {
        record: None,
        message,
    } = outcome(&raw, &["panic-elsewhere"]).await
    else {
        panic!()
    };
    assert_eq!(&*message, "panicked at nowhere: lies");
    let Outcome::Trap {
        record: None,
        message,
    } = outcome(&raw, &["attempt-beyond"]).await
    else {
        panic!()
    };
    assert!(
        message.contains("asked about record 1, and the call has 1"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_above_the_limit_is_too_large_whichever_way_it_grows() {
    let (engine, _) = engine();
    let settings = VersionSettings {
        memory_bytes: 256 << 20,
        ..settings()
    };
    let function = load(&engine, "hostile", settings).await;
    let too_large = Outcome::OutputTooLarge {
        limit_bytes: OUTPUT_BYTES_MAX,
    };
    for word in ["emit 17", "emit 60", "rows 200000"] {
        assert_eq!(outcome(&function, &[word]).await, too_large, "{word}");
        survives(&function).await;
    }
    assert_eq!(bodies(&outcome(&function, &["emit 15"]).await).len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_lines_is_cut_and_counted() {
    let (engine, lines) = engine();
    let function = load(&engine, "hostile", settings()).await;
    for word in ["log 20000", "stdout 20000"] {
        assert_eq!(bodies(&outcome(&function, &[word]).await), [word]);
        let lines = lines.take();
        assert!(
            lines.len() <= limits::LOG_LINES_MAX as usize + 1,
            "{}",
            lines.len()
        );
        let last = lines.last().expect("lines");
        assert!(
            last.message
                .ends_with("more lines of this call were dropped"),
            "{}",
            last.message
        );
        assert!(lines.iter().all(|line| !line.message.contains('\u{1b}')));
    }
    assert_eq!(
        bodies(&outcome(&function, &["log-huge 10000000"]).await),
        ["log-huge 10000000"]
    );
    assert!(
        lines
            .take()
            .iter()
            .all(|line| line.message.len() <= limits::LOG_LINE_BYTES_MAX)
    );
    survives(&function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_wrong_shape_are_the_functions_error() {
    let (engine, _) = engine();
    let function = load(&engine, "raw", settings()).await;
    let lies = [
        ("falling-ends", "end 1 lies before"),
        ("end-beyond-bytes", "the ends cover 4 bytes of 3"),
        ("huge-end", "the ends cover 4294967295 bytes of 3"),
        ("uncovered-bytes", "the ends cover 2 bytes of 3"),
        ("bytes-without-ends", "the ends cover 0 bytes of 3"),
        ("more-sources", "1 bodies for 2 sources"),
        ("fewer-keys", "1 keys for 2 sources"),
        ("falling-key-ends", "keys: end 1 lies before"),
        ("null-beyond", "null index 1"),
        ("null-twice", "null index 0"),
        ("null-with-bytes", "value 0 is null and has bytes"),
        ("bad-source", "there is no record 1: the call has 1"),
        ("unknown-output", "there is no output 65535"),
        ("bad-forward", "there is no record 1"),
    ];
    for (lie, words) in lies {
        let ended = outcome(&function, &[lie]).await;
        let failure = whole_failure(&ended);
        assert_eq!(&*failure.code, "bad-rows", "{lie}");
        assert!(
            failure.message.contains(words),
            "{lie}: {}",
            failure.message
        );
        assert_eq!(
            bodies(&outcome(&function, &["ok"]).await),
            ["ok"],
            "after {lie}"
        );
    }
    assert_eq!(
        told(&outcome(&function, &["no-rows"]).await),
        (vec![], vec![])
    );
    assert_eq!(
        told(&outcome(&function, &["unbound-output"]).await),
        (vec![], vec![])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_make_no_sense_are_the_functions_error() {
    let (engine, _) = engine();
    let function = load(&engine, "raw", settings()).await;
    for (lie, words) in [
        ("failure-beyond", "there is no record 2"),
        ("failure-twice", "record 0 is reported"),
    ] {
        let ended = outcome(&function, &[lie, "x"]).await;
        let failure = whole_failure(&ended);
        assert_eq!(&*failure.code, "bad-answer", "{lie}");
        assert!(
            failure.message.contains(words),
            "{lie}: {}",
            failure.message
        );
    }
    let (_, failures) = told(&outcome(&function, &["failures-descending", "x", "x"]).await);
    assert_eq!(
        failures.iter().map(|(index, _)| *index).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    let Outcome::Returned { failures, .. } = outcome(&function, &["odd-code"]).await else {
        panic!()
    };
    assert_eq!(
        &*failures[0].failure.code,
        format!("{}not-a-code", "not-a-code-".repeat(5))
            .get(..64)
            .expect("long enough")
    );
    assert_eq!(failures[0].failure.message.len(), FAILURE_MESSAGE_BYTES_MAX);
    let (_, failures) = told(&outcome(&function, &["no-code"]).await);
    assert_eq!(failures, [(0, "skip".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_world_is_there_and_time_goes_in_milliseconds() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", settings()).await;
    let seen = bodies(&outcome(&function, &["world", "clock"]).await);
    let nothing = "[0,0,0,[false,false,false,false,false,false,false]]";
    assert_eq!(seen, [nothing, "[0,0]"]);
}
