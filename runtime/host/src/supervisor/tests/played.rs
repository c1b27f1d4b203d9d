//! The node and the workers that a test of the supervisor plays.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use fnctl_core::{
    commit::{Commit, UnitTotals},
    entry::Entry,
    id::{FunctionName, FunctionVersion, Ordinal, OutputName, SlotId, StreamName, Timestamp},
    record::{ColumnBuilder, NewRecords},
    registry::{ComponentFacts, Deploy},
    settled::{SettledRange, SettledRanges},
    shard::Reshard,
    spec::{
        FunctionSpec, MappingSpec, Setting, StreamSpec, resolve::StreamSettings, setting::Text,
    },
    view::{NodeView, StreamRef},
};

use super::super::*;

/// A worker that the supervisor started, in the hands of the test.
pub(super) struct Played {
    pub(super) unit: UnitId,
    pub(super) epoch: LeaseEpoch,
    pub(super) version: FunctionVersion,
    pub(super) directives: mpsc::Receiver<Directive>,
    /// What it ends with; dropped, it panics.
    pub(super) exit: oneshot::Sender<Exit>,
}

impl Played {
    pub(super) fn ends(self, exit: Exit) {
        self.exit.send(exit).expect("the supervisor waits for it");
    }

    pub(super) async fn drains(mut self) {
        assert!(matches!(
            self.directives.recv().await,
            Some(Directive::Drain { .. })
        ));
        self.ends(Exit::Drained);
    }
}

pub(super) struct FakeNode {
    pub(super) view: Mutex<NodeView>,
    pub(super) changed: watch::Sender<u64>,
    pub(super) started: mpsc::UnboundedSender<Played>,
    pub(super) leases: Mutex<Vec<usize>>,
    pub(super) commands: Mutex<Vec<Command>>,
    pub(super) failed: Mutex<u32>,
    /// How often the supervisor looked at the view.
    pub(super) looks: AtomicUsize,
}

impl FakeNode {
    pub(super) fn lock(&self) -> MutexGuard<'_, NodeView> {
        self.view.lock().expect("no panic under this lock")
    }

    pub(super) fn take(&self, entry: &Entry) {
        self.lock().apply(entry);
        self.changed.send_modify(|n| *n += 1);
    }

    pub(super) fn hand_in(&self, command: &Command) {
        let judged = self
            .lock()
            .evaluate_command(command, Timestamp(1))
            .expect("no refusal");
        if let Some(entry) = judged.0 {
            self.take(&entry);
        }
    }

    pub(super) fn deploy(&self, digest: &str) {
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

    pub(super) fn reshard(&self, how: Reshard) {
        let name = StreamName::parse("in").expect("a name");
        self.hand_in(&Command::Reshard { name, how });
    }

    /// Puts records with these hash keys.
    pub(super) fn put(&self, hash_keys: &[u128]) {
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
    pub(super) fn settle(&self, worker: &Played, after: u64, through: u64) {
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

    pub(super) fn mapping(&self) -> MappingId {
        let view = self.lock();
        view.registry().mappings().next().expect("there is one").id
    }
}

impl Node for FakeNode {
    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn view<R>(&self, read: impl FnOnce(&NodeView) -> R) -> R {
        self.looks.fetch_add(1, Ordering::Relaxed);
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

pub(super) struct Test {
    pub(super) node: Arc<FakeNode>,
    pub(super) supervisor: Supervisor,
    pub(super) started: mpsc::UnboundedReceiver<Played>,
}

impl Test {
    /// A function `f` over a stream `in` of two shards, and a supervisor.
    pub(super) fn new() -> Self {
        Self::of_shards(2)
    }

    /// The same over so many shards.
    pub(super) fn of_shards(shards: u32) -> Self {
        let (started, workers) = mpsc::unbounded_channel();
        let node = Arc::new(FakeNode {
            view: Mutex::new(NodeView::new()),
            changed: watch::Sender::new(0),
            started,
            leases: Mutex::default(),
            commands: Mutex::default(),
            failed: Mutex::default(),
            looks: AtomicUsize::default(),
        });
        node.hand_in(&Command::CreateStream {
            name: StreamName::parse("in").expect("a name"),
            settings: StreamSettings {
                shards,
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

    pub(super) async fn worker(&mut self) -> Played {
        let next = tokio::time::timeout(Duration::from_secs(3_600), self.started.recv());
        next.await.expect("it is started").expect("the node lives")
    }

    /// Both workers, by shard.
    pub(super) async fn workers(&mut self) -> [Played; 2] {
        let mut both = [self.worker().await, self.worker().await];
        both.sort_by_key(|played| played.unit.shard);
        both
    }
}
