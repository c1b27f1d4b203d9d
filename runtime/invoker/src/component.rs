//! From bytes to something that can be instantiated: checked, compiled once per digest, linked, tried.
//!
//! An upload's size, functions and bodies are bounded before anything is compiled; what compiling may take
//! is the compiler's matter (`compiler.rs`). Only so many are compiled at once: the others wait.

use std::{
    fs,
    io::{Read, Seek},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{
    Error,
    component::{Component, ComponentExportIndex, InstancePre},
};

use crate::{
    bindings::HANDLER,
    compiler::{Artefact, Compiler, Waiter, Watch},
    engine::{ComponentSource, Node, digest, settings},
    error::ComponentError,
    function::{Isolation, Place, Version, VersionSettings},
    host::{HostState, log::NoLog},
    instance::Instance,
    limits::{TRIAL_MEMORY_BYTES, TRIAL_TIME_MAX},
    stop::{MemoryRefused, Stopped},
    trap,
    validate::{self, Scan},
};

/// A compiled and linked component, shared by the versions that have its digest.
pub(crate) struct Compiled {
    pub(crate) digest: String,
    pub(crate) pre: InstancePre<HostState>,
    pub(crate) handle: ComponentExportIndex,
    pub(crate) initial_memory_bytes: u64,
}

/// What an accepted component is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// `sha256` of its bytes, 64 hex digits.
    pub digest: String,
    /// Its size.
    pub size_bytes: u64,
    /// Size of its compiled form on disk; `None` without a cache.
    pub artefact_bytes: Option<u64>,
    /// Outputs it declares besides `default`, sorted.
    pub outputs: Vec<String>,
    /// Interfaces of the host it imports, sorted: `config`, `context`, `emit`, `log`, `metrics`,
    /// `state`. WASI's baseline, which every component imports, is left out.
    pub uses: Vec<String>,
    /// Linear memory it starts with.
    pub initial_memory_bytes: u64,
    /// Time spent on compiling; zero when it was compiled before.
    pub compile_time: Duration,
}

/// Checks, compiles and tries a component.
pub(crate) async fn inspect(node: &Arc<Node>, bytes: Bytes) -> Result<Inspected, ComponentError> {
    let size_bytes = bytes.len() as u64;
    let (scan, compiled, compile_time) = prepare(node, bytes).await?;
    try_out(node, &compiled).await?;
    Ok(Inspected {
        digest: compiled.digest.clone(),
        size_bytes,
        artefact_bytes: node
            .cache
            .as_ref()
            .and_then(|cache| cache.artefact_bytes(&compiled.digest)),
        outputs: scan.outputs,
        uses: scan.uses,
        initial_memory_bytes: compiled.initial_memory_bytes,
        compile_time,
    })
}

/// The compiled form of a component that was inspected once, here or elsewhere.
pub(crate) async fn load(
    node: &Arc<Node>,
    source: ComponentSource,
) -> Result<Arc<Compiled>, ComponentError> {
    let (path, digest) = match source {
        ComponentSource::Bytes(bytes) => return Ok(prepare(node, bytes).await?.1),
        ComponentSource::File { path, digest } => (path, digest),
    };
    if let Some(compiled) = node.compiled(&digest) {
        return Ok(compiled);
    }
    let found = {
        let (shared, digest) = (Arc::clone(node), digest.clone());
        blocking(node, move || {
            let found = cached(&shared, &digest);
            found
                .map(|component| link(&shared, digest, &component))
                .transpose()
        })
        .await?
    };
    if let Some(compiled) = found {
        return Ok(compiled);
    }
    // Its turn first, and only then its bytes: many may wait here after an upgrade.
    let turn = Arc::clone(&node.compiling).acquire_owned().await;
    let Ok(turn) = turn else {
        return Err(internal("the engine shuts down".to_owned()));
    };
    let read = move || {
        let bytes =
            fs::read(&path).map_err(|error| internal(format!("{}: {error}", path.display())))?;
        if self::digest(&bytes) == digest {
            return Ok(bytes.into());
        }
        Err(internal(format!(
            "the stored component is not the one of digest {digest}"
        )))
    };
    Ok(in_turn(node, turn, read).await?.1)
}

type Prepared = (Scan, Arc<Compiled>, Duration);

/// An upload: it waits for its turn, not for ever and not with all the others of the world.
async fn prepare(node: &Arc<Node>, bytes: Bytes) -> Result<Prepared, ComponentError> {
    let kib = u32::try_from(bytes.len().div_ceil(1 << 10)).unwrap_or(u32::MAX);
    let longest = node.workshop.limits.time;
    let turn = {
        let turn = Arc::clone(&node.compiling);
        match turn.try_acquire_owned() {
            Ok(turn) => turn,
            Err(_) => {
                let Ok(_place) = node.waiting.try_acquire_many(kib) else {
                    return Err(ComponentError::Busy);
                };
                let turn = Arc::clone(&node.compiling).acquire_owned();
                match tokio::time::timeout(longest, turn).await {
                    Ok(Ok(turn)) => turn,
                    _ => return Err(ComponentError::Busy),
                }
            }
        }
    };
    in_turn(node, turn, move || Ok(bytes)).await
}

/// Does the work of one turn, on a thread of its own.
async fn in_turn(
    node: &Arc<Node>,
    turn: OwnedSemaphorePermit,
    read: impl FnOnce() -> Result<Bytes, ComponentError> + Send + 'static,
) -> Result<Prepared, ComponentError> {
    let shared = Arc::clone(node);
    let waiter = Waiter(Arc::default());
    let watch = Arc::clone(&waiter.0);
    let work = blocking(node, move || {
        let bytes = read()?;
        let scan = validate::scan(&bytes)?;
        let digest = digest(&bytes);
        let prepared = match shared.compiled(&digest) {
            Some(compiled) => (scan, compiled, Duration::ZERO),
            None => match cached(&shared, &digest) {
                Some(component) => (scan, link(&shared, digest, &component)?, Duration::ZERO),
                None => {
                    let (component, spent) = compile(&shared, &digest, &bytes, &watch)?;
                    (scan, link(&shared, digest, &component)?, spent)
                }
            },
        };
        // Held to the end of the work, also when nobody waits for it any more.
        drop(turn);
        Ok(prepared)
    });
    if node.workshop.compiler != Compiler::Here {
        return work.await;
    }
    // Nothing ends a compilation here but its own end: only the wait for it is bounded.
    let longest = node.workshop.limits.time;
    tokio::time::timeout(longest, work)
        .await
        .unwrap_or_else(|_| {
            let detail = format!("it was not compiled within {} s", longest.as_secs_f64());
            Err(ComponentError::TooComplex { detail })
        })
}

async fn blocking<R: Send + 'static>(
    node: &Node,
    work: impl FnOnce() -> Result<R, ComponentError> + Send + 'static,
) -> Result<R, ComponentError> {
    let done = node.guests.spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(internal(format!("the compiler failed: {error}"))))
}

fn internal(detail: String) -> ComponentError {
    ComponentError::Internal { detail }
}

fn cached(node: &Node, digest: &str) -> Option<Component> {
    let found = node.cache.as_ref()?.load(&node.engine, digest);
    let counter = if found.is_some() {
        &node.counters.cache_hits
    } else {
        &node.counters.cache_misses
    };
    counter.fetch_add(1, Ordering::Relaxed);
    found
}

fn compile(
    node: &Node,
    digest: &str,
    bytes: &[u8],
    watch: &Watch,
) -> Result<(Component, Duration), ComponentError> {
    let start = Instant::now();
    let mut artefact = node.workshop.compile(&node.engine, bytes, watch)?;
    let loaded = match &node.cache {
        None => load_made(&node.engine, &whole(&mut artefact)?),
        Some(cache) => {
            let failed = |error| internal(format!("the artefact cache: {error}"));
            cache.store(digest, &mut artefact).map_err(failed)?;
            cache.load_stored(&node.engine, digest).map_err(failed)?
        }
    };
    let component = loaded.map_err(|error| unfit(node, digest, &mut artefact, &error))?;
    let spent = start.elapsed();
    node.counters.compilations.fetch_add(1, Ordering::Relaxed);
    node.counters.compile_ns.fetch_add(
        u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX),
        Ordering::Relaxed,
    );
    Ok((component, spent))
}

/// Why an artefact that was just made cannot be loaded: its component wants more than an instance may
/// have (a memory, a table, instances), or something is wrong with us.
fn unfit(node: &Node, digest: &str, artefact: &mut Artefact, error: &Error) -> ComponentError {
    if let Some(cache) = &node.cache {
        // It would be looked at again at each start, in vain.
        let _kept = cache.remove(digest);
    }
    let without_bounds = settings::compiling(node.workshop.epoch_interruption);
    let is_sound = whole(artefact)
        .is_ok_and(|code| without_bounds.is_ok_and(|engine| load_made(&engine, &code).is_ok()));
    let detail = format!("{error:#}");
    if is_sound {
        ComponentError::DoesNotInstantiate { detail }
    } else {
        internal(format!("the artefact: {detail}"))
    }
}

fn whole(artefact: &mut Artefact) -> Result<Vec<u8>, ComponentError> {
    let mut code = Vec::new();
    let read = artefact
        .rewind()
        .and_then(|()| artefact.read_to_end(&mut code));
    read.map_err(|error| internal(format!("the artefact: {error}")))?;
    Ok(code)
}

#[allow(unsafe_code, reason = "loading machine code")]
fn load_made(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the code was made by our own compiler a moment ago, in this process or in one of this very
    // program, and was handed over in memory that nobody else can name.
    unsafe { Component::deserialize(engine, code) }
}

/// Matches imports against what is offered, and remembers the result for every version of the digest.
fn link(
    node: &Node,
    digest: String,
    component: &Component,
) -> Result<Arc<Compiled>, ComponentError> {
    let refused = |error: Error| ComponentError::DoesNotInstantiate {
        detail: format!("{error:#}"),
    };
    let pre = node.linker.instantiate_pre(component).map_err(refused)?;
    let handler = component.get_export_index(None, HANDLER);
    let handle = handler.and_then(|handler| component.get_export_index(Some(&handler), "handle"));
    let Some(handle) = handle else {
        let exports = component.component_type();
        let found = exports
            .exports(&node.engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        return Err(ComponentError::MissingExport { found });
    };
    let resources = component.resources_required();
    // Counted in pages of 64 KiB.
    let pages = resources.and_then(|resources| resources.max_initial_memory_size);
    let initial = pages.unwrap_or(0).saturating_mul(1 << 16);
    let compiled = Arc::new(Compiled {
        digest,
        pre,
        handle,
        initial_memory_bytes: initial,
    });
    node.remember(&compiled);
    Ok(compiled)
}

/// Why a trial instance was not made.
fn start_up(error: &Error) -> String {
    if let Some(Stopped::Deadline) = error.downcast_ref() {
        return format!(
            "what it runs before `handle` did not end within {} s",
            TRIAL_TIME_MAX.as_secs()
        );
    }
    if let Some(MemoryRefused { limit_bytes }) = error.downcast_ref() {
        return format!(
            "what it runs before `handle` took more than {} MiB of memory",
            limit_bytes >> 20
        );
    }
    trap::words(error)
}

/// Makes an instance and throws it away: wrong record or variant shapes show only here.
async fn try_out(node: &Arc<Node>, compiled: &Arc<Compiled>) -> Result<(), ComponentError> {
    let settings = VersionSettings {
        function: "deploy".into(),
        version: fnctl_core::id::FunctionVersion(0),
        memory_bytes: TRIAL_MEMORY_BYTES.max(compiled.initial_memory_bytes),
        timeout: TRIAL_TIME_MAX,
        isolation: Isolation::Fresh,
        concurrency: None,
        config: std::collections::BTreeMap::new(),
        secrets: std::collections::BTreeMap::new(),
        series: Arc::default(),
    };
    let version = Arc::new(Version::new(Arc::clone(compiled), settings));
    let Ok(permit) = Arc::clone(&node.running).acquire_owned().await else {
        return Err(internal("the engine shuts down".to_owned()));
    };
    let shared = Arc::clone(node);
    let trial = node.guests.spawn(async move {
        let place = Place::reserve(&shared);
        let running = shared.ticker.enter();
        let deadline = Instant::now() + TRIAL_TIME_MAX;
        let sink = Arc::new(NoLog) as _;
        let tried =
            Instance::create(&shared.engine, &version, &sink, deadline, &Arc::default()).await;
        let tried = tried.map(drop);
        drop(running);
        drop(place);
        drop(permit);
        tried
    });
    match trial.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(ComponentError::DoesNotInstantiate {
            detail: start_up(&error),
        }),
        Err(error) => Err(internal(format!("the trial instantiation failed: {error}"))),
    }
}
