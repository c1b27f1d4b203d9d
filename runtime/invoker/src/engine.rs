//! The node's one engine: pool, guest threads, epoch, compiled components.

pub(crate) mod settings;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::Semaphore,
};
use wasmtime::component::Linker;

pub(crate) use settings::MODULE_VERSION;
pub use settings::{Allocation, WASMTIME_VERSION};

use crate::{
    cache::{ArtefactCache, hex},
    compiler::{CompileLimits, Compiler, Workshop},
    component::{self, Compiled, Inspected},
    error::ComponentError,
    fixed::FixedWorld,
    function::{Function, Version, VersionSettings},
    host::{HostState, add_to_linker, log::LogSink},
    limits::{
        COMPILATIONS_MAX, COMPILE_CORES, COMPILE_WAITING_KIB_MAX, MEMORY_BYTES_MAX, SLOTS_DEFAULT,
        WARM_IDLE,
    },
    ticker::Ticker,
    warm::WarmPool,
};

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Stores at once, running and warm; fewer where the address space is small.
    pub slots: u32,
    /// Threads that run guests, and nothing else.
    pub guest_threads: usize,
    /// Where compiled components are kept; `None`: compiled anew in each process.
    pub cache_dir: Option<PathBuf>,
    /// Ceiling of any version's memory, bytes.
    pub memory_bytes_max: u64,
    /// Whether a computing guest can be stopped. Off only to measure what the checks cost.
    pub epoch_interruption: bool,
    /// How long an instance without a call is kept.
    pub warm_idle: Duration,
    /// Who compiles.
    pub compiler: Compiler,
    /// What compiling one component may take.
    pub compile_limits: CompileLimits,
    /// Compilations at once; more wait.
    pub compilations: usize,
    /// KiB of uploads that may wait for their turn; more are sent away at once.
    pub waiting_kib: usize,
    /// What guests are shown instead of the machine's clocks and random numbers; `None`: these.
    pub fixed: Option<FixedWorld>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            slots: SLOTS_DEFAULT,
            guest_threads: cores,
            cache_dir: None,
            memory_bytes_max: MEMORY_BYTES_MAX,
            epoch_interruption: true,
            warm_idle: WARM_IDLE,
            compiler: Compiler::default(),
            compile_limits: CompileLimits::default(),
            compilations: (cores / COMPILE_CORES).clamp(1, COMPILATIONS_MAX),
            waiting_kib: COMPILE_WAITING_KIB_MAX,
            fixed: None,
        }
    }
}

/// The engine could not be made: the machine's doing.
#[derive(Debug, thiserror::Error)]
#[error("failed to start the function engine: {0}")]
pub struct EngineError(String);

/// Where the bytes of a component come from.
#[derive(Clone, Debug)]
pub enum ComponentSource {
    /// In memory.
    Bytes(Bytes),
    /// A file whose digest is known: not read at all when its compiled form is cached.
    File {
        /// Where it lies.
        path: PathBuf,
        /// `sha256`, 64 hex digits.
        digest: String,
    },
}

/// What the engine is doing, for metrics; a consistent moment is not promised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EngineStats {
    /// Where instances live, and how many may at once.
    pub allocation: Allocation,
    /// Stores alive.
    pub instances_live: u64,
    /// Of these, waiting warm for a call.
    pub instances_warm: u64,
    /// Instances made since the start.
    pub instances_created_total: u64,
    /// Calls under way or waiting for a guest thread.
    pub calls_running: u64,
    /// Components compiled since the start.
    pub compilations_total: u64,
    /// Time spent compiling since the start, seconds.
    pub compile_seconds_total: f64,
    /// Compiled components found in the cache on disk.
    pub cache_hits_total: u64,
    /// Compiled components looked for there and not found.
    pub cache_misses_total: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) instances_created: AtomicU64,
    pub(crate) compilations: AtomicU64,
    pub(crate) compile_ns: AtomicU64,
    pub(crate) cache_hits: AtomicU64,
    pub(crate) cache_misses: AtomicU64,
}

/// Everything the parts of an engine share.
pub(crate) struct Node {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) linker: Linker<HostState>,
    pub(crate) sink: Arc<dyn LogSink>,
    pub(crate) warm: Arc<WarmPool>,
    pub(crate) ticker: Ticker,
    /// One permit a slot of the pool.
    pub(crate) running: Arc<Semaphore>,
    pub(crate) slots: u32,
    pub(crate) guests: Handle,
    pub(crate) cache: Option<ArtefactCache>,
    pub(crate) counters: Counters,
    pub(crate) workshop: Workshop,
    /// One permit a compilation at once.
    pub(crate) compiling: Arc<Semaphore>,
    /// One permit a KiB of uploads that wait for a permit of the above.
    pub(crate) waiting: Semaphore,
    compiled: Mutex<HashMap<String, Weak<Compiled>>>,
    memory_bytes_max: u64,
    fixed: Option<FixedWorld>,
    allocation: Allocation,
    is_closed: AtomicBool,
    runtime: Mutex<Option<Runtime>>,
}

impl Node {
    /// Whether the engine shuts down: nothing is kept warm any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// A component compiled earlier and still in use.
    pub(crate) fn compiled(&self, digest: &str) -> Option<Arc<Compiled>> {
        self.compiled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)?
            .upgrade()
    }

    pub(crate) fn remember(&self, compiled: &Arc<Compiled>) {
        let mut known = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, compiled| compiled.strong_count() > 0);
        known.insert(compiled.digest.clone(), Arc::downgrade(compiled));
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.running.close();
        self.warm.clear();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.close();
        let runtime = self
            .runtime
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(runtime) = runtime {
            // The last owner may be a task of this very runtime, where waiting would panic.
            runtime.shutdown_background();
        }
    }
}

/// Runs functions. One a process; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    node: Arc<Node>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("stats", &self.stats())
            .finish()
    }
}

impl Engine {
    /// Starts an engine: reserves its pool, starts the guest threads and the epoch. Lines of functions go
    /// to `sink`.
    ///
    /// # Errors
    /// Threads or address space are missing, or the cache directory cannot be made.
    pub fn new(options: EngineOptions, sink: Arc<dyn LogSink>) -> Result<Self, EngineError> {
        let failed = |error: &dyn std::fmt::Display| EngineError(error.to_string());
        let (engine, allocation) =
            settings::engine(&options).map_err(|error| failed(&format!("{error:#}")))?;
        let mut linker = Linker::new(&engine);
        add_to_linker(&mut linker).map_err(|error| failed(&format!("{error:#}")))?;
        let cache = options.cache_dir.map(|dir| {
            ArtefactCache::open(&dir, &engine)
                .map_err(|error| failed(&format!("{}: {error}", dir.display())))
        });
        let cache = cache.transpose()?;
        let slots = allocation.slots();
        let warm = Arc::new(WarmPool::new(slots as usize, options.warm_idle));
        let ticker = Ticker::start(engine.weak(), &warm).map_err(|error| failed(&error))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(options.guest_threads.max(1))
            .thread_name("fnctl-guest")
            .enable_time()
            .build()
            .map_err(|error| failed(&error))?;
        let node = Node {
            engine,
            linker,
            sink,
            warm,
            ticker,
            running: Arc::new(Semaphore::new(slots as usize)),
            slots,
            guests: runtime.handle().clone(),
            cache,
            counters: Counters::default(),
            workshop: Workshop {
                compiler: options.compiler,
                limits: options.compile_limits,
                epoch_interruption: options.epoch_interruption,
            },
            compiling: Arc::new(Semaphore::new(options.compilations.max(1))),
            waiting: Semaphore::new(options.waiting_kib),
            compiled: Mutex::default(),
            memory_bytes_max: options.memory_bytes_max,
            fixed: options.fixed,
            allocation,
            is_closed: AtomicBool::new(false),
            runtime: Mutex::new(Some(runtime)),
        };
        Ok(Self {
            node: Arc::new(node),
        })
    }

    /// Judges an upload: checks it, compiles it (once per digest) and tries to instantiate it. Takes as
    /// long as compiling does; runs outside of the guests' threads.
    ///
    /// # Errors
    /// Why the component is refused.
    pub async fn inspect(&self, bytes: Bytes) -> Result<Inspected, ComponentError> {
        component::inspect(&self.node, bytes).await
    }

    /// Makes a version ready to be called. Fast when its component was inspected on this machine before.
    ///
    /// # Errors
    /// Why the component is refused, or its settings do not fit it.
    pub async fn load(
        &self,
        source: ComponentSource,
        settings: VersionSettings,
    ) -> Result<Arc<Function>, ComponentError> {
        let compiled = component::load(&self.node, source).await?;
        let limit_bytes = settings.memory_bytes.min(self.node.memory_bytes_max);
        let needed_bytes = compiled.initial_memory_bytes;
        if needed_bytes > limit_bytes {
            return Err(ComponentError::MemoryTooSmall {
                needed_bytes,
                limit_bytes,
            });
        }
        let concurrency = settings.concurrency.clone();
        let settings = VersionSettings {
            memory_bytes: limit_bytes,
            ..settings
        };
        let mut version = Version::new(compiled, settings);
        version.fixed.clone_from(&self.node.fixed);
        Ok(Arc::new(Function::new(
            Arc::clone(&self.node),
            version,
            concurrency,
        )))
    }

    /// Forgets the compiled form of a component that no version names any more.
    ///
    /// # Errors
    /// The cache directory cannot be read or changed.
    pub fn forget(&self, digest: &str) -> std::io::Result<()> {
        self.node
            .cache
            .as_ref()
            .map_or(Ok(()), |cache| cache.remove(digest))
    }

    /// Ends new calls, those that wait for a slot included, as interrupted. Running ones go on: drop their
    /// futures to stop them.
    pub fn close(&self) {
        self.node.close();
    }

    /// What the engine is doing.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let node = &self.node;
        let (live, warm) = node.warm.counts();
        let free = node.running.available_permits();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EngineStats {
            allocation: node.allocation,
            instances_live: live as u64,
            instances_warm: warm as u64,
            instances_created_total: load(&node.counters.instances_created),
            calls_running: (node.slots as usize).saturating_sub(free) as u64,
            compilations_total: load(&node.counters.compilations),
            compile_seconds_total: Duration::from_nanos(load(&node.counters.compile_ns))
                .as_secs_f64(),
            cache_hits_total: load(&node.counters.cache_hits),
            cache_misses_total: load(&node.counters.cache_misses),
        }
    }
}

/// The digest that names a component: `sha256` as 64 hex digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
