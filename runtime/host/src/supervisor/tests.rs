//! The supervisor over a real view, with workers that the test plays.

mod asking;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use fnctl_core::{
    commit::{Commit, UnitTotals},
    entry::Entry,
    id::{
        FunctionName, FunctionVersion, Ordinal, OutputName, ShardNumber, SlotId, StreamName,
        Timestamp,
    },
    record::{ColumnBuilder, NewRecords},
    registry::{ComponentFacts, Deploy},
    settled::{SettledRange, SettledRanges},
    shard::Reshard,
    spec::{
        FunctionSpec, MappingSpec, Setting, StreamSpec, resolve::StreamSettings, setting::Text,
    },
    view::{NodeView, StreamRef},
};

use super::*;

/// A worker that the supervisor started, in the hands of the test.
struct Played {
    unit: UnitId,
    epoch: LeaseEpoch,
    version: FunctionVersion,
    directives: mpsc::Receiver<Directive>,
    /// What it ends with; dropped, it panics.
    exit: oneshot::Sender<Exit>,
}

impl Played {
    fn ends(self, exit: Exit) {
        self.exit.send(exit).expect("the supervisor waits for it");
    }

    async fn drains(mut self) {
        assert!(matches!(
            self.directives.recv().await,
            Some(Directive::Drain { .. })
        ));
        self.ends(Exit::Drained);
    }
}

struct FakeNode {
    view: Mutex<NodeView>,
    changed: watch::Sender<u64>,
    started: mpsc::UnboundedSender<Played>,
    leases: Mutex<Vec<usize>>,
    commands: Mutex<Vec<Command>>,
    failed: Mutex<u32>,
}

impl FakeNode {
    fn lock(&self) -> MutexGuard<'_, NodeView> {
        self.view.lock().expect("no panic under this lock")
    }

    fn take(&self, entry: &Entry) {
        self.lock().apply(entry);
        self.changed.send_modify(|n| *n += 1);
    }

    fn hand_in(&self, command: &Command) {
        let judged = self
            .lock()
            .evaluate_command(command, Timestamp(1))
            .expect("no refusal");
        if let Some(entry) = judged.0 {
            self.take(&entry);
        }
    }

    fn deploy(&self, digest: &str) {
        let text = |text: &str| Some(Setting::Value(Text(text.to_owned())));
        self.hand_in(&Command::Deploy(Box::new(Deploy {
            function: FunctionName::parse("f").expect("a name"),
            component: Some(ComponentFacts {
                digest: digest.into(),
                bytes: 1,
                outputs: vec![OutputName::parse("default").expect("a name")],
                uses: Vec::new(),
            }),
            spec: FunctionSpec {
                name: text("f"),
                ..FunctionSpec::default()
            },
            mappings: vec![MappingSpec {
                stream: text("in"),
                ..MappingSpec::default()
            }],
            streams: BTreeMap::new(),
            new_streams: StreamSpec::default(),
            secrets: BTreeMap::new(),
            is_manifest: false,
            unset: Vec::new(),
            allow_loop: false,
            found: Vec::new(),
            mapping_is: None,
            canary: None,
        })));
    }

    fn reshard(&self, how: Reshard) {
        let name = StreamName::parse("in").expect("a name");
        self.hand_in(&Command::Reshard { name, how });
    }

    /// Puts records with these hash keys.
    fn put(&self, hash_keys: &[u128]) {
        let mut column = ColumnBuilder::with_capacity(0, 0);
        hash_keys.iter().for_each(|_| column.push(b"x"));
        let column = column.finish();
        let records = NewRecords {
            keys: column.clone(),
            data: column,
            hash_keys: hash_keys.to_vec(),
            hops: Vec::new(),
            origins: Vec::new(),
        };
        let name = StreamName::parse("in").expect("a name");
        let stream = StreamRef::Name(&name);
        let entry = self
            .lock()
            .evaluate_append(stream, &Arc::new(records), None, Timestamp(1));
        self.take(&entry.expect("it is taken"));
    }

    /// Settles records in a worker's name.
    fn settle(&self, worker: &Played, after: u64, through: u64) {
        let slot = SlotId::Lane(0);
        let range = SettledRange {
            after: Ordinal(after),
            through: Ordinal(through),
        };
        let commit = Commit {
            unit: worker.unit,
            epoch: worker.epoch,
            slot,
            number: self.lock().last_number(worker.unit, slot) + 1,
            settles: SettledRanges::from_iter([range]),
            attempts: Vec::new(),
            totals: UnitTotals::default(),
            dead_letters: Vec::new(),
            redriven: None,
            window: None,
            outages: None,
            outputs: Vec::new(),
            function_version: worker.version,
        };
        let entry = self.lock().evaluate_commit(&Arc::new(commit), Timestamp(1));
        self.take(&entry.expect("it is taken"));
    }

    fn mapping(&self) -> MappingId {
        let view = self.lock();
        view.registry().mappings().next().expect("there is one").id
    }
}

impl Node for FakeNode {
    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn view<R>(&self, read: impl FnOnce(&NodeView) -> R) -> R {
        read(&self.lock())
    }

    async fn lease(&self, units: Vec<UnitId>) -> Result<Vec<(UnitId, LeaseEpoch)>, Stopped> {
        self.leases
            .lock()
            .expect("no panic under this lock")
            .push(units.len());
        let entry = self.lock().evaluate_lease(&units);
        let Entry::Lease { grants } = &entry else {
            panic!("a lease becomes a lease");
        };
        let grants = grants.clone();
        self.take(&entry);
        Ok(grants)
    }

    async fn command(&self, command: Command) -> Result<(), Stopped> {
        self.hand_in(&command);
        self.commands
            .lock()
            .expect("no panic under this lock")
            .push(command);
        Ok(())
    }

    fn worker(
        &self,
        unit: UnitId,
        epoch: LeaseEpoch,
        work: &Work,
        directives: mpsc::Receiver<Directive>,
    ) -> Option<impl Future<Output = Exit> + Send + 'static> {
        let (exit, ends) = oneshot::channel();
        let played = Played {
            unit,
            epoch,
            version: work.version().number,
            directives,
            exit,
        };
        self.started.send(played).expect("the test lives");
        Some(async move { ends.await.expect("a worker fell over") })
    }

    fn tidy(&self) {}

    fn worker_failed(&self) {
        *self.failed.lock().expect("no panic under this lock") += 1;
    }
}

struct Test {
    node: Arc<FakeNode>,
    supervisor: Supervisor,
    started: mpsc::UnboundedReceiver<Played>,
}

impl Test {
    /// A function `f` over a stream `in` of two shards, and a supervisor.
    fn new() -> Self {
        let (started, workers) = mpsc::unbounded_channel();
        let node = Arc::new(FakeNode {
            view: Mutex::new(NodeView::new()),
            changed: watch::Sender::new(0),
            started,
            leases: Mutex::default(),
            commands: Mutex::default(),
            failed: Mutex::default(),
        });
        node.hand_in(&Command::CreateStream {
            name: StreamName::parse("in").expect("a name"),
            settings: StreamSettings {
                shards: 2,
                ..StreamSettings::default()
            },
        });
        node.deploy("one");
        let (supervisor, task) = supervisor(Arc::clone(&node), Arc::new(Statuses::default()));
        tokio::spawn(task);
        Self {
            node,
            supervisor,
            started: workers,
        }
    }

    async fn worker(&mut self) -> Played {
        let next = tokio::time::timeout(Duration::from_secs(3_600), self.started.recv());
        next.await.expect("it is started").expect("the node lives")
    }

    /// Both workers, by shard.
    async fn workers(&mut self) -> [Played; 2] {
        let mut both = [self.worker().await, self.worker().await];
        both.sort_by_key(|played| played.unit.shard);
        both
    }
}

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
    first.ends(Exit::Damaged("at offset 7".to_owned()));
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert!(test.started.try_recv().is_err());
    assert_eq!(
        test.supervisor.statuses().of(unit),
        Some(UnitStatus::Damaged("at offset 7".to_owned()))
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
