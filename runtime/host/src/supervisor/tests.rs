//! The supervisor over a real view, with workers that the test plays.

mod asking;
mod played;

use fnctl_core::{
    id::{FunctionName, FunctionVersion, Ordinal, ShardNumber, Timestamp},
    shard::Reshard,
    source::Damage,
};

use self::played::{Played, Test};
use super::*;
use crate::shard_worker::Hole;

#[tokio::test(start_paused = true)]
async fn the_units_of_a_mapping_are_leased_in_one_entry_and_started() {
    let mut test = Test::new();
    let [first, second] = test.workers().await;
    assert_ne!(first.unit, second.unit);
    assert_eq!(
        (first.epoch, first.version),
        (LeaseEpoch(1), FunctionVersion(1))
    );
    assert_eq!(*test.node.leases.lock().expect("no panic"), [2]);
    assert!(test.supervisor.statuses().is_owned(first.unit));
}

#[tokio::test(start_paused = true)]
async fn a_hold_drains_and_what_runs_afterwards_is_the_new_version() {
    let mut test = Test::new();
    let [first, second] = test.workers().await;
    let supervisor = test.supervisor.clone();
    let mapping = test.node.mapping();
    let holding = tokio::spawn(async move { supervisor.hold(vec![mapping]).await });
    first.drains().await;
    assert!(!holding.is_finished(), "one of two still runs");
    second.drains().await;
    let hold = holding.await.expect("held");
    test.node.deploy("two");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(
        test.started.try_recv().is_err(),
        "nothing starts while it is held"
    );
    drop(hold);
    let [first, _second] = test.workers().await;
    assert_eq!(first.version, FunctionVersion(2));
}

/// A turn looks at every unit: one for each worker would make the swap of thousands take seconds.
#[tokio::test(start_paused = true)]
async fn workers_that_end_together_are_one_turn() {
    let mut test = Test::of_shards(64);
    let mut workers = Vec::new();
    for _ in 0..64 {
        workers.push(test.worker().await);
    }
    let supervisor = test.supervisor.clone();
    let mapping = test.node.mapping();
    let holding = tokio::spawn(async move { supervisor.hold(vec![mapping]).await });
    for worker in &mut workers {
        let told = worker.directives.recv().await;
        assert!(matches!(told, Some(Directive::Drain { .. })));
    }
    let looks = || test.node.looks.load(std::sync::atomic::Ordering::Relaxed);
    let before = looks();
    for worker in workers {
        worker.ends(Exit::Drained);
    }
    drop(holding.await.expect("held"));
    let looks = looks() - before;
    assert!(looks < 8, "{looks}");
}

#[tokio::test(start_paused = true)]
async fn another_limit_of_calls_at_once_restarts_no_worker() {
    let mut test = Test::new();
    let [first, second] = test.workers().await;
    test.node.hand_in(&Command::SetConcurrency {
        function: FunctionName::parse("f").expect("a name"),
        concurrency: Some(3),
    });
    tokio::time::sleep(Duration::from_secs(60)).await;
    for mut worker in [first, second] {
        assert!(worker.directives.try_recv().is_err(), "it goes on");
        assert!(test.supervisor.statuses().is_owned(worker.unit));
    }
    assert!(test.started.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_change_from_outside_ends_the_fenced_worker_at_once() {
    let mut test = Test::new();
    let [first, second] = test.workers().await;
    test.node.deploy("two");
    let [third, _fourth] = test.workers().await;
    assert!(third.epoch > first.epoch);
    assert_eq!(third.version, FunctionVersion(2));
    assert!(
        first.exit.is_closed() && second.exit.is_closed(),
        "the old ones were cut off"
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_falls_over_is_started_again_after_growing_pauses() {
    let mut test = Test::new();
    let [first, _second] = test.workers().await;
    let unit = first.unit;
    drop(first.exit);
    let started = Instant::now();
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let again = test.worker().await;
        assert_eq!(again.unit, unit);
        pauses.push(started.elapsed());
        drop(again.exit);
    }
    assert!(pauses[0] >= limits::FAULT_BACKOFF_INITIAL, "{pauses:?}");
    assert!(pauses[2] - pauses[1] > pauses[1] - pauses[0], "{pauses:?}");
    tokio::task::yield_now().await;
    assert!(*test.node.failed.lock().expect("no panic") >= 3);
}

#[tokio::test(start_paused = true)]
async fn a_fatal_stops_the_mapping_and_with_it_the_other_shards() {
    let mut test = Test::new();
    let [first, second] = test.workers().await;
    first.ends(Exit::Fatal {
        code: "bad-config".into(),
        message: "no".into(),
        version: FunctionVersion(1),
    });
    second.drains().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(test.started.try_recv().is_err());
    let commands = test.node.commands.lock().expect("no panic");
    assert!(matches!(&commands[..], [Command::StopMapping { code, .. }] if code == "bad-config"));
}

#[tokio::test(start_paused = true)]
async fn what_people_ask_of_a_worker_that_does_not_listen_takes_no_room_from_its_pause() {
    let mut test = Test::new();
    let [mut first, _second] = test.workers().await;
    for _ in 0..2 * limits::DIRECTIVES_MAX {
        assert_eq!(test.supervisor.waiting(first.unit, None, 9).await, None);
    }
    let mapping = test.node.mapping();
    test.node.hand_in(&Command::PauseMapping { mapping });
    let told = async {
        loop {
            match first.directives.recv().await {
                Some(Directive::Waiting { .. }) => {}
                told => break told,
            }
        }
    };
    let told = told.await;
    assert!(matches!(told, Some(Directive::Pause { .. })), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_keeps_the_workers_and_a_resume_lets_them_go_on() {
    let mut test = Test::new();
    let [mut first, _second] = test.workers().await;
    let mapping = test.node.mapping();
    test.node.hand_in(&Command::PauseMapping { mapping });
    assert!(matches!(
        first.directives.recv().await,
        Some(Directive::Pause { .. })
    ));
    test.node.hand_in(&Command::ResumeMapping { mapping });
    let told = first.directives.recv().await;
    assert!(matches!(told, Some(Directive::Resume)), "{told:?}");
    assert!(test.started.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_damaged_unit_stays_down_and_the_other_goes_on() {
    let mut test = Test::new();
    let [first, second] = test.workers().await;
    let unit = first.unit;
    let hole = Arc::new(Hole {
        damage: Damage {
            path: "a.segment".to_owned(),
            offset: 7,
            words: "at offset 7".to_owned(),
        },
        since: Timestamp(1),
    });
    first.ends(Exit::Damaged(Arc::clone(&hole)));
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert!(test.started.try_recv().is_err());
    assert_eq!(
        test.supervisor.statuses().of(unit),
        Some(UnitStatus::Damaged(hole))
    );
    assert!(!second.exit.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_store_is_told_and_everything_is_cut_off() {
    let mut test = Test::new();
    let [first, second] = test.workers().await;
    first.ends(Exit::StoreStopped("the disk failed".to_owned()));
    let mut stopped = test.supervisor.stopped();
    let words = stopped
        .wait_for(Option::is_some)
        .await
        .expect("told")
        .clone();
    assert_eq!(words.as_deref(), Some("the disk failed"));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(second.exit.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_drains_everything_and_cuts_off_what_does_not() {
    let mut test = Test::new();
    let [first, second] = test.workers().await;
    let supervisor = test.supervisor.clone();
    let began = Instant::now();
    let ending = tokio::spawn(async move { supervisor.shutdown().await });
    first.drains().await;
    ending.await.expect("it ends");
    assert!(began.elapsed() < limits::DRAIN_MAX);
    assert!(second.exit.is_closed(), "it did not listen and was cut off");
}

/// Commit and storage rules §9, as the supervisor follows it: a child starts when its parents are settled,
/// woken by the commit that settles the last of them.
#[tokio::test(start_paused = true)]
async fn children_start_when_their_parents_are_settled_and_parents_end_quietly() {
    let mut test = Test::new();
    let [mut first, second] = test.workers().await;
    test.node.put(&[0, 0, u128::MAX]);
    let shard = first.unit.shard;
    test.node.reshard(Reshard::Split { shard, at: None });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(
        test.started.try_recv().is_err(),
        "records are in front of theirs"
    );
    test.node.settle(&first, 0, 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(test.started.try_recv().is_err(), "one record is");

    test.node.settle(&first, 1, 2);
    let [low, high] = test.workers().await;
    assert_eq!(
        [low.unit.shard, high.unit.shard],
        [ShardNumber(2), ShardNumber(3)]
    );
    assert!(matches!(
        first.directives.recv().await,
        Some(Directive::Drain { .. })
    ));
    first.ends(Exit::Drained);

    // Both parents of a merge.
    test.node.reshard(Reshard::Merge {
        shard: high.unit.shard,
        adjacent: second.unit.shard,
    });
    high.drains().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(
        test.started.try_recv().is_err(),
        "the other parent has a record"
    );
    test.node.settle(&second, 0, 1);
    let child = test.worker().await;
    assert_eq!(child.unit.shard, ShardNumber(4));
    second.drains().await;
    assert_eq!(*test.node.failed.lock().expect("no panic"), 0);
    assert!(!low.exit.is_closed());
}
