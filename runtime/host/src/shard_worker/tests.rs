//! The worker under paused time, with a source, an invoker and a committer made of memory.

mod fakes;

use std::time::Duration;

use fnctl_core::{
    commit::{Commit, CommitAnswer, ErrorKind, Unavailable},
    id::{LeaseEpoch, Lsn, Ordinal, StreamName},
    mapping::MappingSettings,
    outcome::{Failure, FailureKind, ItemFailure, Outcome, Rows, WHOLE_CALL},
    record::ColumnBuilder,
    source::Damage,
};

use self::fakes::{Harness, Reply, rows};
use super::*;

fn settled(commits: &[Commit]) -> Vec<(u64, u64)> {
    commits
        .iter()
        .flat_map(|commit| commit.settles.as_slice())
        .map(|range| (range.after.0, range.through.0))
        .collect()
}

fn failure(kind: FailureKind, code: &str) -> Failure {
    Failure {
        kind,
        retry_after_ms: None,
        code: code.into(),
        message: format!("it said {code}").as_str().into(),
    }
}

#[tokio::test(start_paused = true)]
async fn records_become_one_commit_with_their_outputs() {
    let harness = Harness::new(|call| Reply::Now(rows(call)));
    harness.put(&["a", "b", "c"]);
    let running = harness.start();
    let commits = harness.commits(1).await;
    assert_eq!(settled(&commits), [(0, 3)]);
    let [output] = commits[0].outputs.as_slice() else {
        panic!("one output: {:?}", commits[0].outputs);
    };
    assert_eq!(output.stream, StreamName::parse("out").expect("a name"));
    assert_eq!(output.records.data.get(1), b"b");
    // Kept keys inherit the hash key of their source, which the fakes make recognisable.
    assert_eq!(output.records.hash_keys, [1001, 1002, 1003]);
    assert_eq!(output.records.hops, [1, 1, 1]);
    assert_eq!(commits[0].totals.processed, 3);
    running
        .ends(Directive::Drain {
            grace: Duration::ZERO,
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_window_gives_each_call_the_state_before_and_emits_when_it_is_over() {
    let settings = MappingSettings {
        // It is over for 100 s when the test begins, and closes 120 s after its end.
        tumbling_window_ms: 900_000,
        key_groups: 1,
        ..MappingSettings::default()
    };
    let harness = Harness::with(settings, |call| {
        let window = call.window.as_ref().expect("it has windows");
        if !window.is_final {
            return Reply::Now(Outcome::Returned {
                rows: Vec::new(),
                failures: Vec::new(),
            });
        }
        let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
        keys.push(b"sum");
        data.push(&window.state);
        Reply::Now(Outcome::Returned {
            rows: vec![Rows {
                output: 0,
                sources: vec![WHOLE_CALL],
                keys: keys.finish(),
                data: data.finish(),
            }],
            failures: Vec::new(),
        })
    });
    harness.put(&["a", "b"]);
    let running = harness.start();
    let state = |commit: &Commit| {
        let change = commit.window.clone().expect("it changes the window");
        change.becomes.open.map(|open| open.state)
    };
    assert_eq!(state(&harness.commits(1).await[0]), Some("ab".into()));
    harness.put(&["c"]);
    assert_eq!(state(&harness.commits(2).await[1]), Some("abc".into()));
    // A quiet shard closes it after two minutes.
    let commits = harness.commits(3).await;
    assert_eq!(state(&commits[2]), None);
    assert_eq!(commits[2].outputs[0].records.data.get(0), b"abc");
    assert!(commits[2].settles.is_empty());
    running
        .ends(Directive::Drain {
            grace: Duration::ZERO,
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_is_woken_by_data_alone() {
    let harness = Harness::new(|call| Reply::Now(rows(call)));
    let running = harness.start();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(harness.reads(), 0, "an idle worker reads nothing");
    harness.put(&["a"]);
    assert_eq!(settled(&harness.commits(1).await), [(0, 1)]);
    harness.put(&["b", "c"]);
    assert_eq!(settled(&harness.commits(2).await), [(0, 1), (1, 3)]);
    running
        .ends(Directive::Drain {
            grace: Duration::ZERO,
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_charged_record_is_told_with_its_cause_once_its_commit_is_accepted() {
    let harness = Harness::new(|call| match call.number {
        1 => Reply::Now(Outcome::Returned {
            rows: Vec::new(),
            failures: vec![ItemFailure {
                index: 1,
                failure: failure(FailureKind::Retry, "busy"),
            }],
        }),
        _ => Reply::Now(rows(call)),
    });
    // Refused at first: nothing is charged yet.
    harness.answer(|n| match n {
        1 => CommitAnswer::Unavailable(Unavailable::DiskFull),
        n => CommitAnswer::Accepted(Lsn(n)),
    });
    harness.put(&["a", "b"]);
    let mut watcher = harness.retries();
    let running = harness.start();
    harness.commits(1).await;
    assert!(watcher.try_recv().is_err(), "a refused commit is not told");
    let told = watcher.recv().await.expect("it is told");
    assert_eq!((&*told.code, &*told.error), ("busy", "it said busy"));
    assert_eq!(told.error_kind, "error");
    assert_eq!((told.attempts, told.max_attempts), (1, Some(5)));
    assert_eq!(told.partition_key, "k2");
    harness.commits(3).await;
    assert!(watcher.try_recv().is_err(), "once");
    running
        .ends(Directive::Drain {
            grace: Duration::ZERO,
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_running_call_gets_its_moment_to_commit_when_the_worker_drains() {
    let moment = Duration::from_millis(300);
    let harness = Harness::new(move |call| Reply::After(moment, rows(call)));
    harness.put(&["a"]);
    let running = harness.start();
    harness.calls(1).await;
    let exit = running
        .ends(Directive::Drain {
            grace: Duration::from_millis(600),
        })
        .await;
    assert_eq!(exit, Exit::Drained);
    assert_eq!(settled(&harness.committed()), [(0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_taken_back_uncharged() {
    let harness = Harness::new(|_| Reply::Never);
    harness.put(&["a"]);
    let running = harness.start();
    harness.calls(1).await;
    let started = tokio::time::Instant::now();
    let exit = running
        .ends(Directive::Drain {
            grace: Duration::from_millis(600),
        })
        .await;
    assert_eq!(exit, Exit::Drained);
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(
        harness.committed().is_empty(),
        "nothing is settled and nobody charged"
    );
    assert_eq!(harness.dropped(), 1, "the guest is stopped");
}

#[tokio::test(start_paused = true)]
async fn a_paused_worker_starts_no_call_until_it_is_resumed() {
    let harness = Harness::new(|call| Reply::Now(rows(call)));
    let running = harness.start();
    running.tell(Directive::Pause {
        grace: Duration::ZERO,
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    harness.put(&["a"]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(harness.call_count(), 0);
    running.tell(Directive::Resume);
    assert_eq!(settled(&harness.commits(1).await), [(0, 1)]);
    running
        .ends(Directive::Drain {
            grace: Duration::ZERO,
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_fenced_commit_ends_the_worker() {
    let harness = Harness::new(|call| Reply::Now(rows(call)));
    harness.answer(|_| CommitAnswer::Fenced);
    harness.put(&["a"]);
    assert_eq!(harness.start().exit().await, Exit::Fenced);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stopped_ends_the_worker_with_its_words() {
    let harness = Harness::new(|call| Reply::Now(rows(call)));
    harness.stop_store("the disk failed");
    harness.put(&["a"]);
    let exit = harness.start().exit().await;
    assert_eq!(exit, Exit::StoreStopped("the disk failed".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn fatal_ends_the_worker_and_commits_nothing() {
    let harness =
        Harness::new(|_| Reply::Now(Outcome::Error(failure(FailureKind::Fatal, "bad-config"))));
    harness.put(&["a"]);
    let exit = harness.start().exit().await;
    assert!(matches!(exit, Exit::Fatal { code, .. } if *code == *"bad-config"));
    assert!(harness.committed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_host_charges_nobody_and_the_call_is_made_again() {
    let harness = Harness::new(|call| match call.number {
        1 | 2 => Reply::Fault,
        _ => Reply::Now(rows(call)),
    });
    harness.put(&["a"]);
    let running = harness.start();
    let commits = harness.commits(1).await;
    assert_eq!(settled(&commits), [(0, 1)]);
    assert_eq!(commits[0].totals.failed, 0);
    assert_eq!(harness.call_count(), 3);
    running
        .ends(Directive::Drain {
            grace: Duration::ZERO,
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_inside_a_call_is_contained() {
    let harness = Harness::new(|call| match call.number {
        1 => Reply::Panic,
        _ => Reply::Now(rows(call)),
    });
    harness.put(&["a"]);
    let running = harness.start();
    assert_eq!(settled(&harness.commits(1).await), [(0, 1)]);
    running
        .ends(Directive::Drain {
            grace: Duration::ZERO,
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_has_payload_cause_and_source() {
    let harness = Harness::new(|_| {
        Reply::Now(Outcome::Returned {
            rows: Vec::new(),
            failures: vec![ItemFailure {
                index: 1,
                failure: failure(FailureKind::Skip, "bad-json"),
            }],
        })
    });
    harness.put(&["a", "not json", "c"]);
    let running = harness.start();
    let commits = harness.commits(1).await;
    assert_eq!(settled(&commits), [(0, 3)]);
    let [letter] = commits[0].dead_letters.as_slice() else {
        panic!("one letter: {:?}", commits[0].dead_letters);
    };
    assert_eq!(letter.data, "not json");
    assert_eq!(letter.position, Ordinal(2));
    assert_eq!(letter.hash_key, 1002);
    assert_eq!((letter.kind, &*letter.code), (ErrorKind::Skip, "bad-json"));
    let named = fnctl_streams::sequence::decode(&letter.sequence_number).expect("a number");
    assert_eq!(named.index, 2);
    running
        .ends(Directive::Drain {
            grace: Duration::ZERO,
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_unavailable_is_sent_again_until_it_is_taken() {
    let harness = Harness::new(|call| Reply::Now(rows(call)));
    harness.answer(|number| match number {
        1..=3 => CommitAnswer::Unavailable(Unavailable::DiskFull),
        n => CommitAnswer::Accepted(Lsn(n)),
    });
    harness.put(&["a"]);
    let running = harness.start();
    let commits = harness.commits(4).await;
    assert!(
        commits
            .iter()
            .all(|commit| commit.number == 1 && commit.epoch == LeaseEpoch(1))
    );
    assert_eq!(harness.call_count(), 1, "the function is not called again");
    running
        .ends(Directive::Drain {
            grace: Duration::ZERO,
        })
        .await;
}

fn damaged() -> Box<Damage> {
    Box::new(Damage {
        path: "a.segment".to_owned(),
        offset: 7,
        words: "at offset 7".to_owned(),
    })
}

#[tokio::test(start_paused = true)]
async fn a_damaged_shard_ends_the_worker_and_a_hiccup_does_not() {
    let harness = Harness::new(|call| Reply::Now(rows(call)));
    harness.fail_reads(2, SourceError::Transient("a hiccup".to_owned()));
    harness.put(&["a"]);
    let running = harness.start();
    assert_eq!(settled(&harness.commits(1).await), [(0, 1)]);
    harness.fail_reads(1, SourceError::Damaged(damaged()));
    harness.put(&["b"]);
    let Exit::Damaged(hole) = running.exit().await else {
        panic!("the shard is damaged");
    };
    assert_eq!(hole.damage, *damaged());
}

#[tokio::test(start_paused = true)]
async fn what_was_read_in_front_of_a_hole_is_settled_before_the_worker_ends() {
    let harness = Harness::new(|call| match call.number {
        1 => Reply::Now(Outcome::Returned {
            rows: Vec::new(),
            failures: vec![ItemFailure {
                index: 0,
                failure: failure(FailureKind::Retry, "later"),
            }],
        }),
        _ => Reply::Now(rows(call)),
    });
    harness.sync_takes(Duration::from_secs(1));
    harness.put(&["a", "b"]);
    let running = harness.start();
    assert_eq!(settled(&harness.commits(1).await), [(1, 2)]);
    harness.fail_reads(1, SourceError::Damaged(damaged()));
    harness.put(&["c"]);
    // The retry is due later than the hole is met.
    let commits = harness.commits(2).await;
    assert_eq!(settled(&commits), [(1, 2), (0, 1)]);
    let Exit::Damaged(hole) = running.exit().await else {
        panic!("the shard is damaged");
    };
    assert_eq!(hole.damage, *damaged());
    assert_eq!(harness.synced(), 2, "and shown, when the end is told");
}

#[tokio::test(start_paused = true)]
async fn a_retry_counts_its_attempt_and_starts_fresh_unless_the_function_answered_for_its_record() {
    let answered = Outcome::Returned {
        rows: Vec::new(),
        failures: vec![ItemFailure {
            index: 0,
            failure: failure(FailureKind::Retry, "later"),
        }],
    };
    let broken = Outcome::Trap {
        record: None,
        message: "trap".into(),
    };
    for (outcome, is_fresh) in [(answered, false), (broken, true)] {
        let harness = Harness::new(move |call| match call.number {
            1 => Reply::Now(outcome.clone()),
            _ => {
                assert_eq!(call.is_fresh, is_fresh);
                assert_eq!(call.attempts, [2]);
                Reply::Now(rows(call))
            }
        });
        harness.put(&["a"]);
        let running = harness.start();
        let commits = harness.commits(2).await;
        assert_eq!(settled(&commits), [(0, 1)]);
        assert_eq!(commits[1].totals.failed, 1);
        running
            .ends(Directive::Drain {
                grace: Duration::ZERO,
            })
            .await;
    }
}
