//! One version of one function, loaded and ready to be called.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use fnctl_core::{
    id::FunctionVersion,
    invoker::{Call, CallStats, Completed, Invoker, InvokerFault},
    outcome::Outcome,
};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    answer,
    component::Compiled,
    cpu,
    engine::Node,
    fixed::FixedWorld,
    host::CallState,
    instance::Instance,
    limits::{WARM_CALLS_MAX, WARM_MEMORY_BYTES_MAX},
    rows::Emitted,
    series::FunctionSeries,
    stop::StopSignal,
    trap::{self, Ending},
    turns::{Turn, Turns},
    warm::WarmKey,
};

/// Whether an instance serves more than one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// An instance is kept for the next call of its version and mapping. Retries start anew, and theirs are
    /// not kept: they would drive the warm ones out.
    #[default]
    Reuse,
    /// Every call starts from a new store.
    Fresh,
}

/// What a version fixes about its calls.
#[derive(Clone)]
pub struct VersionSettings {
    /// The function's name, for its log.
    pub function: Arc<str>,
    /// The version's number.
    pub version: FunctionVersion,
    /// Linear memory of one instance, bytes; at most the engine's `memory_bytes_max`.
    pub memory_bytes: u64,
    /// Longest call, waiting for a slot excluded.
    pub timeout: Duration,
    /// Whether instances are reused.
    pub isolation: Isolation,
    /// Calls at once, all mappings and all versions that share it together; `None`: as many of this version
    /// as the pool holds.
    pub concurrency: Option<Arc<Turns>>,
    /// What `config.get` answers.
    pub config: BTreeMap<String, String>,
    /// What `config.secret` answers. Never printed.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// What its calls count in, with all versions that share it; made by default, nobody sees it.
    pub series: Arc<FunctionSeries>,
}

impl fmt::Debug for VersionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionSettings")
            .field("function", &self.function)
            .field("version", &self.version)
            .field("memory_bytes", &self.memory_bytes)
            .field("timeout", &self.timeout)
            .field("isolation", &self.isolation)
            .field("concurrency", &self.concurrency)
            .field("config", &self.config)
            .field("secrets", &self.secrets.keys())
            .finish_non_exhaustive()
    }
}

/// A loaded version as its instances see it.
pub(crate) struct Version {
    /// Unique in the process: instances of two loads never mix.
    pub(crate) load: u64,
    pub(crate) function: Arc<str>,
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) memory_bytes: u64,
    pub(crate) timeout: Duration,
    pub(crate) isolation: Isolation,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, Vec<u8>>,
    pub(crate) series: Arc<FunctionSeries>,
    /// Which refusals of its metrics were told, a bit each, by the number of the reason.
    pub(crate) refusals_told: AtomicU8,
    /// What its guests are shown instead of the machine's clocks and random numbers.
    pub(crate) fixed: Option<FixedWorld>,
}

impl Version {
    pub(crate) fn new(compiled: Arc<Compiled>, settings: VersionSettings) -> Self {
        static LOADS: AtomicU64 = AtomicU64::new(1);
        Self {
            load: LOADS.fetch_add(1, Ordering::Relaxed),
            function: settings.function,
            compiled,
            memory_bytes: settings.memory_bytes,
            timeout: settings.timeout,
            isolation: settings.isolation,
            config: settings.config,
            secrets: settings.secrets,
            series: settings.series,
            refusals_told: AtomicU8::new(0),
            fixed: None,
        }
    }

    fn timeout_ms(&self) -> u64 {
        u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A version that can be called. Cheap to share; dropping the last one drops its warm instances.
pub struct Function {
    node: Arc<Node>,
    version: Arc<Version>,
    calls: Arc<Turns>,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("function", &self.version.function)
            .field("digest", &self.version.compiled.digest)
            .finish_non_exhaustive()
    }
}

impl Function {
    pub(crate) fn new(node: Arc<Node>, version: Version, calls: Option<Arc<Turns>>) -> Self {
        let calls = calls.unwrap_or_else(|| Turns::new(None));
        calls.bound(node.slots);
        Self {
            node,
            version: Arc::new(version),
            calls,
        }
    }

    /// Digest of the component, `sha256` as 64 hex digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.version.compiled.digest
    }

    /// Makes a call on the calling task, without changing threads: for measuring, and for a process that
    /// runs one function and does nothing else. Not stopped when its future is dropped while the guest
    /// computes, because both are on one thread.
    ///
    /// # Errors
    /// Only when the host is at fault.
    pub async fn invoke_here(&self, call: Call) -> Result<Completed, InvokerFault> {
        match self.slots(&call).await {
            Some(_slots) => run(&self.node, &self.version, call, &Arc::default()).await,
            None => Ok(interrupted()),
        }
    }

    /// Waits for a slot of the function, then one of the node.
    async fn slots(&self, call: &Call) -> Option<(Turn, OwnedSemaphorePermit)> {
        let turn = self.calls.take(&call.context.mapping).await;
        let slot = Arc::clone(&self.node.running).acquire_owned().await.ok()?;
        Some((turn, slot))
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.node.warm.purge(self.version.load);
    }
}

impl Invoker for Function {
    async fn invoke(&self, call: Call) -> Result<Completed, InvokerFault> {
        // None only when the engine shuts down.
        let Some(slots) = self.slots(&call).await else {
            return Ok(interrupted());
        };
        let waiter = Waiter(Arc::default());
        let (node, version, stop) = (
            Arc::clone(&self.node),
            Arc::clone(&self.version),
            Arc::clone(&waiter.0),
        );
        let running = self.node.guests.spawn(async move {
            let (completed, cpu_ns) = cpu::measured(run(&node, &version, call, &stop)).await;
            drop(slots);
            completed.map(|mut completed| {
                completed.stats.cpu_ns = cpu_ns;
                completed
            })
        });
        match running.await {
            Ok(completed) => completed,
            Err(ended) if ended.is_cancelled() => Ok(interrupted()),
            Err(ended) => Err(InvokerFault(format!("a host function panicked: {ended}"))),
        }
    }
}

/// No call was made.
fn interrupted() -> Completed {
    Completed {
        outcome: Outcome::Interrupted,
        stats: CallStats::default(),
        state: None,
    }
}

/// Tells the guest to stop when the one who waits for it goes away.
struct Waiter(Arc<StopSignal>);

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.raise();
    }
}

/// A store's place in the books of the pool: given back whatever happens to the call.
pub(crate) struct Place<'a>(Option<&'a Node>);

impl<'a> Place<'a> {
    /// Takes a place for a new store.
    pub(crate) fn reserve(node: &'a Node) -> Self {
        node.warm.reserve();
        Self(Some(node))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(node) = self.0 {
            node.warm.forget();
        }
    }
}

/// One call on a guest thread, from borrowing an instance to giving it back.
async fn run(
    node: &Arc<Node>,
    version: &Arc<Version>,
    call: Call,
    stop: &Arc<StopSignal>,
) -> Result<Completed, InvokerFault> {
    let start = Instant::now();
    let deadline = start + version.timeout;
    let key = WarmKey {
        load: version.load,
        mapping: Arc::clone(&call.context.mapping),
    };
    let is_reused = version.isolation == Isolation::Reuse && !call.is_fresh;
    let warm = if is_reused {
        node.warm.take(&key)
    } else {
        None
    };
    // Declared before the instance, hence dropped after it: a place is free once its store is gone. That of
    // a warm instance comes with it.
    let mut place = if warm.is_some() {
        Place(Some(node))
    } else {
        Place::reserve(node)
    };
    let running = node.ticker.enter();
    let mut stats = CallStats::default();
    let mut instance = match warm {
        Some(instance) => instance,
        None => match Instance::create(&node.engine, version, &node.sink, deadline, stop).await {
            Ok(instance) => {
                stats.instantiation_ns = nanoseconds(start);
                node.counters
                    .instances_created
                    .fetch_add(1, Ordering::Relaxed);
                Box::new(instance)
            }
            Err(error) => {
                stats.duration_ns = nanoseconds(start);
                return completed(
                    trap::ending(&error, None, version.timeout_ms()),
                    stats,
                    None,
                );
            }
        },
    };
    let records = Arc::new(call.records);
    let state = CallState {
        context: call.context,
        facts: call.facts,
        records: Arc::clone(&records),
        emitted: Emitted::default(),
        window: call.window,
        state: None,
        state_refusal: None,
        lift_ns: 0,
    };
    let lower_ns = AtomicU64::new(0);
    let answer = instance.call(state, deadline, stop, &lower_ns).await;
    let returned_at = Instant::now();
    stats.lower_ns = lower_ns.into_inner();
    stats.memory_bytes = instance.store.data().limiter.memory_bytes_peak;
    let mut state = None;
    let ending = match answer {
        Err(error) => {
            let ending = trap::ending(&error, Some(instance.store.data()), version.timeout_ms());
            drop(instance.end());
            ending
        }
        Ok(answer) => {
            let call = instance
                .end()
                .expect("the state of a call stays until its end");
            stats.lift_ns = call.lift_ns;
            let outcome = match call.state_refusal {
                Some(words) => answer::state_refused(&words),
                None => answer::outcome(answer, call.emitted, records.len()),
            };
            if matches!(outcome, Outcome::Returned { .. }) {
                state = call.state;
            }
            let is_kept = is_reused
                && instance.calls < WARM_CALLS_MAX
                && stats.memory_bytes <= WARM_MEMORY_BYTES_MAX
                && !node.is_closed();
            if is_kept {
                node.warm.put(key, instance, returned_at);
                // The place passes to the idle instance.
                place.0 = None;
            }
            stats.lift_ns += nanoseconds(returned_at);
            Ending::Guest(outcome)
        }
    };
    drop(running);
    stats.duration_ns = nanoseconds(start);
    completed(ending, stats, state)
}

fn completed(
    ending: Ending,
    stats: CallStats,
    state: Option<Bytes>,
) -> Result<Completed, InvokerFault> {
    match ending {
        Ending::Guest(outcome) => Ok(Completed {
            outcome,
            stats,
            state,
        }),
        Ending::Host(words) => Err(InvokerFault(words)),
    }
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
