//! A shard, an invoker, a committer and a clock that live in memory.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fnctl_core::{
    breaker::Outages,
    clock::Clock,
    commit::{Commit, CommitAnswer, UnitTotals},
    committer::{Committer, Stopped, Ticket},
    id::{
        FunctionName, FunctionVersion, LeaseEpoch, Lsn, MappingId, Ordinal, ShardNumber, StreamId,
        StreamName, Timestamp, UnitId,
    },
    invoker::{Call, CallContext, CallStats, Completed, Invoker, InvokerFault},
    mapping::{MappingSettings, OutputBinding},
    outcome::{Outcome, Rows},
    pipeline::{PipelineConfig, ShardPipeline, Started},
    record::{ByteColumn, ColumnBuilder, RecordBlock, Records},
    settled::Settled,
    source::{ShardSource, SourceError},
    status::RetryStatus,
    window::WindowCall,
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    metrics::Metrics,
    recent::Recents,
    retries::Retries,
    shard_worker::{
        Assignment, Directive, Exit, NodeShare, ShardWorker, Told, Turns, WorkerMetrics,
    },
};

/// A call as a fake function sees it.
pub(super) struct SeenCall {
    /// From 1.
    pub(super) number: u64,
    pub(super) is_fresh: bool,
    pub(super) attempts: Vec<u32>,
    pub(super) window: Option<WindowCall>,
    pub(super) keys: ByteColumn,
    pub(super) data: ByteColumn,
}

/// What a fake function does.
pub(super) enum Reply {
    Now(Outcome),
    After(Duration, Outcome),
    Never,
    Fault,
    Panic,
}

/// Emits every record to the output `default`.
pub(super) fn rows(call: &SeenCall) -> Outcome {
    let count = u32::try_from(call.data.len()).expect("small");
    Outcome::Returned {
        rows: vec![Rows {
            output: 0,
            sources: (0..count).collect(),
            keys: call.keys.clone(),
            data: call.data.clone(),
        }],
        failures: Vec::new(),
    }
}

/// The state of a window with payloads behind it.
fn folded(window: &WindowCall, data: &ByteColumn) -> Bytes {
    let mut state = window.state.to_vec();
    for index in 0..data.len() {
        state.extend_from_slice(data.get(index));
    }
    state.into()
}

type Function = dyn Fn(&SeenCall) -> Reply + Send + Sync;
type Answers = dyn Fn(u64) -> CommitAnswer + Send + Sync;

struct State {
    blocks: Vec<Arc<RecordBlock>>,
    commits: Vec<Commit>,
    answers: Box<Answers>,
    stopped: Option<String>,
    read_failures: Vec<SourceError>,
    sync_takes: Duration,
    synced: u64,
}

struct World {
    state: Mutex<State>,
    tail: watch::Sender<Ordinal>,
    happened: watch::Sender<u64>,
    function: Box<Function>,
    settings: MappingSettings,
    calls: AtomicU64,
    dropped: AtomicUsize,
    reads: AtomicUsize,
    epoch: Instant,
    turns: Turns,
    retries: Arc<Retries>,
    caution: watch::Sender<bool>,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    fn happens(&self) {
        self.happened.send_modify(|n| *n += 1);
    }
}

/// One unit and everything around it.
pub(super) struct Harness(Arc<World>);

/// A worker under way.
pub(super) struct Running {
    directives: mpsc::Sender<Directive>,
    task: JoinHandle<Exit>,
}

impl Running {
    pub(super) fn tell(&self, directive: Directive) {
        self.directives.try_send(directive).expect("it listens");
    }

    pub(super) async fn exit(self) -> Exit {
        self.task.await.expect("no panic")
    }

    pub(super) async fn ends(self, directive: Directive) -> Exit {
        self.tell(directive);
        self.exit().await
    }
}

impl Harness {
    pub(super) fn new(function: impl Fn(&SeenCall) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(MappingSettings::default(), function)
    }

    pub(super) fn with(
        settings: MappingSettings,
        function: impl Fn(&SeenCall) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(World {
            settings,
            state: Mutex::new(State {
                blocks: Vec::new(),
                commits: Vec::new(),
                answers: Box::new(|n| CommitAnswer::Accepted(Lsn(n))),
                stopped: None,
                read_failures: Vec::new(),
                sync_takes: Duration::ZERO,
                synced: 0,
            }),
            tail: watch::Sender::new(Ordinal(0)),
            happened: watch::Sender::new(0),
            function: Box::new(function),
            calls: AtomicU64::new(0),
            dropped: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            epoch: Instant::now(),
            turns: Turns::default(),
            retries: Arc::default(),
            caution: watch::Sender::new(false),
        }))
    }

    /// Answers the n-th commit sent, counted from 1.
    pub(super) fn answer(&self, answers: impl Fn(u64) -> CommitAnswer + Send + Sync + 'static) {
        self.0.lock().answers = Box::new(answers);
    }

    /// Retries of the unit's mapping from now on.
    pub(super) fn retries(&self) -> broadcast::Receiver<Arc<RetryStatus>> {
        self.0.retries.follow(MappingId(1))
    }

    pub(super) fn stop_store(&self, words: &str) {
        self.0.lock().stopped = Some(words.to_owned());
    }

    pub(super) fn fail_reads(&self, count: usize, error: SourceError) {
        self.0.lock().read_failures = vec![error; count];
    }

    /// Every commit is synced so much later than it is accepted.
    pub(super) fn sync_takes(&self, time: Duration) {
        self.0.lock().sync_takes = time;
    }

    /// Commits that are synced.
    pub(super) fn synced(&self) -> u64 {
        self.0.lock().synced
    }

    /// Publishes records, one block; hash keys are 1000 + ordinal.
    pub(super) fn put(&self, words: &[&str]) {
        let first = self.0.tail.borrow().next();
        let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
        for (i, word) in words.iter().enumerate() {
            keys.push(format!("k{}", first.0 + i as u64).as_bytes());
            data.push(word.as_bytes());
        }
        let block = RecordBlock {
            stream: StreamId(1),
            shard: ShardNumber(0),
            first,
            records: Records {
                keys: keys.finish(),
                data: data.finish(),
                arrival_ms: vec![1; words.len()],
            },
            hash_keys: (0..words.len())
                .map(|i| u128::from(1_000 + first.0) + i as u128)
                .collect(),
            hops: Vec::new(),
            origins: Vec::new(),
        };
        let last = block.last();
        self.0.lock().blocks.push(Arc::new(block));
        self.0.tail.send_replace(last);
    }

    pub(super) fn start(&self) -> Running {
        let unit = UnitId {
            mapping: MappingId(1),
            stream: StreamId(1),
            shard: ShardNumber(0),
        };
        let stream = StreamName::parse("out").expect("a name");
        let outputs: Arc<[OutputBinding]> = vec![OutputBinding::Stream(stream.clone())].into();
        let assignment = Assignment {
            filter: None,
            mapping: unit.mapping,
            max_attempts: MappingSettings::default().max_attempts,
            stream: unit.stream,
            shard_created_at: Timestamp(1_000),
            context: Arc::new(CallContext {
                mapping: "f/s".into(),
                stream: "s".into(),
                shard: unit.shard,
                version: FunctionVersion(1),
                outputs: vec![Arc::from("default")].into(),
                row_bytes_max: Arc::default(),
            }),
            outputs: Arc::clone(&outputs),
            canary: None,
            watched: None,
        };
        let pipeline = ShardPipeline::new(PipelineConfig {
            unit,
            version: FunctionVersion(1),
            settings: self.0.settings.clone(),
            outputs,
            canary: None,
            is_canary: false,
            stateless: Vec::new(),
            seed: 7,
        });
        let share = NodeShare {
            refused: Arc::default(),
            retries: Arc::clone(&self.0.retries),
            turns: self.0.turns.clone(),
            caution: self.0.caution.subscribe(),
            redrivers: Arc::default(),
            canaries: Arc::default(),
        };
        let node = Arc::new(Metrics::default());
        let function = FunctionName::parse("f").expect("a name");
        let metrics = WorkerMetrics {
            mapping: node.mapping(&function, &stream),
            function: node.function(&function),
            recent: Recents::default().of(MappingId(1)),
            node,
        };
        let started = Started {
            epoch: LeaseEpoch(1),
            settled: Settled::starting_after(Ordinal(0)),
            attempts: Vec::new(),
            totals: UnitTotals::default(),
            tail: *self.0.tail.borrow(),
            windows: std::collections::BTreeMap::new(),
            outages: Outages::default(),
            is_closed: false,
        };
        let source = FakeSource {
            world: Arc::clone(&self.0),
            tail: self.0.tail.subscribe(),
        };
        let worker = ShardWorker::new(
            pipeline,
            assignment,
            Arc::new(FakeInvoker(Arc::clone(&self.0))),
            FakeCommitter(Arc::clone(&self.0)),
            FakeClock(self.0.epoch),
            metrics,
            share,
        );
        let (directives, listening) = mpsc::channel(4);
        let task = tokio::spawn(worker.run(source, started, listening, |_: Told<'_>| {}));
        Running { directives, task }
    }

    async fn until(&self, is_so: impl Fn(&World) -> bool) {
        let mut happened = self.0.happened.subscribe();
        let wait = async {
            while !is_so(&self.0) {
                happened.changed().await.expect("the world lives");
            }
        };
        tokio::time::timeout(Duration::from_secs(3_600), wait)
            .await
            .expect("it happens");
    }

    /// All commits sent, once there are `count`.
    pub(super) async fn commits(&self, count: usize) -> Vec<Commit> {
        self.until(|world| world.lock().commits.len() >= count)
            .await;
        self.committed()
    }

    pub(super) fn committed(&self) -> Vec<Commit> {
        self.0.lock().commits.clone()
    }

    pub(super) async fn calls(&self, count: u64) {
        self.until(|world| world.calls.load(Ordering::SeqCst) >= count)
            .await;
    }

    pub(super) fn call_count(&self) -> u64 {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// Calls that were taken back.
    pub(super) fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::SeqCst)
    }

    pub(super) fn reads(&self) -> usize {
        self.0.reads.load(Ordering::SeqCst)
    }
}

struct FakeSource {
    world: Arc<World>,
    tail: watch::Receiver<Ordinal>,
}

impl ShardSource for FakeSource {
    async fn fetch(
        &self,
        after: Ordinal,
        _: u32,
        _: u64,
    ) -> Result<Vec<Arc<RecordBlock>>, SourceError> {
        self.world.reads.fetch_add(1, Ordering::SeqCst);
        let mut state = self.world.lock();
        if let Some(error) = state.read_failures.pop() {
            return Err(error);
        }
        Ok(state
            .blocks
            .iter()
            .filter(|block| block.last() > after)
            .cloned()
            .collect())
    }

    fn tail(&self) -> Ordinal {
        *self.tail.borrow()
    }

    async fn tail_above(&mut self, tail: Ordinal) -> Result<Ordinal, SourceError> {
        let above = self.tail.wait_for(|last| *last > tail).await;
        above.map(|last| *last).map_err(|_| SourceError::Gone)
    }
}

struct FakeInvoker(Arc<World>);

/// Notices that a call was taken back.
struct Guest<'a>(&'a World, bool);

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Invoker for FakeInvoker {
    async fn invoke(&self, call: Call) -> Result<Completed, InvokerFault> {
        let number = self.0.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.happens();
        let count = u32::try_from(call.records.len()).expect("small");
        let seen = SeenCall {
            number,
            is_fresh: call.is_fresh,
            attempts: (0..count).map(|index| call.facts.attempt(index)).collect(),
            window: call.window,
            keys: call.records.keys,
            data: call.records.data,
        };
        let mut guest = Guest(&self.0, false);
        let outcome = match (self.0.function)(&seen) {
            Reply::Now(outcome) => Ok(outcome),
            Reply::After(wait, outcome) => {
                tokio::time::sleep(wait).await;
                Ok(outcome)
            }
            Reply::Never => std::future::pending().await,
            Reply::Fault => Err(InvokerFault("no thread".to_owned())),
            Reply::Panic => panic!("a fault of ours"),
        };
        guest.1 = true;
        outcome.map(|outcome| Completed {
            outcome,
            stats: CallStats::default(),
            state: seen
                .window
                .as_ref()
                .map(|window| folded(window, &seen.data)),
        })
    }
}

struct FakeCommitter(Arc<World>);

struct FakeTicket(Arc<World>, Result<CommitAnswer, Stopped>);

impl Committer for FakeCommitter {
    type Ticket = FakeTicket;

    fn commit(&self, commit: Commit) -> FakeTicket {
        let mut state = self.0.lock();
        state.commits.push(commit);
        let answer = (state.answers)(state.commits.len() as u64);
        let stopped = state.stopped.clone();
        drop(state);
        self.0.happens();
        let answer = stopped.map_or(Ok(answer), |words| Err(Stopped(words)));
        FakeTicket(Arc::clone(&self.0), answer)
    }
}

impl Ticket for FakeTicket {
    async fn answer(&mut self) -> Result<CommitAnswer, Stopped> {
        self.1.clone()
    }

    async fn durable(&mut self) -> Result<(), Stopped> {
        let takes = self.0.lock().sync_takes;
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        self.1.clone()?;
        self.0.lock().synced += 1;
        Ok(())
    }
}

/// Paused time, as a wall clock.
struct FakeClock(Instant);

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000 + self.boot_ms())
    }

    fn boot_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).expect("a short test")
    }
}
