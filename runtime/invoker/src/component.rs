//! From bytes to something that can be instantiated: checked, compiled once per digest, linked, tried.
//!
//! Compiling happens in this process, on one thread of its own and one component at a time; an upload's
//! size, functions and bodies are bounded before. What Cranelift itself may do with a hostile input that
//! passes these bounds is not contained by a process of its own.

use std::{
    fs,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use wasmtime::{
    Error,
    component::{Component, ComponentExportIndex, InstancePre},
};

use crate::{
    bindings::HANDLER,
    engine::{ComponentSource, Node, digest},
    error::ComponentError,
    function::{Isolation, Place, Version, VersionSettings},
    host::{HostState, log::NoLog},
    instance::Instance,
    limits::{COMPILE_TIME_MAX, TRIAL_MEMORY_BYTES, TRIAL_TIME_MAX},
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
    /// Interfaces of the host it imports, sorted: `config`, `context`, `emit`, `log`. WASI's baseline,
    /// which every component imports, is left out.
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
    let bytes = {
        let (node, digest) = (Arc::clone(node), digest.clone());
        blocking(&Arc::clone(&node), move || match cached(&node, &digest) {
            Some(component) => link(&node, digest, &component).map(Ok),
            None => fs::read(&path)
                .map(Err)
                .map_err(|error| internal(format!("{}: {error}", path.display()))),
        })
        .await?
    };
    match bytes {
        Ok(compiled) => Ok(compiled),
        Err(bytes) if self::digest(&bytes) == digest => Ok(prepare(node, bytes.into()).await?.1),
        Err(_) => Err(internal(format!(
            "the stored component is not the one of digest {digest}"
        ))),
    }
}

async fn prepare(
    node: &Arc<Node>,
    bytes: Bytes,
) -> Result<(Scan, Arc<Compiled>, Duration), ComponentError> {
    let permit = tokio::time::timeout(
        COMPILE_TIME_MAX,
        Arc::clone(&node.compiling).acquire_owned(),
    )
    .await;
    let Ok(Ok(permit)) = permit else {
        return Err(internal(
            "another component takes too long to compile; try again later".to_owned(),
        ));
    };
    let shared = Arc::clone(node);
    let work = blocking(node, move || {
        let scan = validate::scan(&bytes)?;
        let digest = digest(&bytes);
        let prepared = match shared.compiled(&digest) {
            Some(compiled) => (scan, compiled, Duration::ZERO),
            None => match cached(&shared, &digest) {
                Some(component) => (scan, link(&shared, digest, &component)?, Duration::ZERO),
                None => {
                    let (component, spent) = compile(&shared, &digest, &bytes)?;
                    (scan, link(&shared, digest, &component)?, spent)
                }
            },
        };
        // Held to the end of the work, also when nobody waits for it any more.
        drop(permit);
        Ok(prepared)
    });
    tokio::time::timeout(COMPILE_TIME_MAX, work)
        .await
        .unwrap_or_else(|_| {
            let detail = format!(
                "it was not compiled within {} s",
                COMPILE_TIME_MAX.as_secs()
            );
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
) -> Result<(Component, Duration), ComponentError> {
    let start = Instant::now();
    let invalid = |error: Error| ComponentError::Invalid {
        detail: format!("{error:#}"),
    };
    let component = match &node.cache {
        None => Component::new(&node.engine, bytes).map_err(invalid)?,
        Some(cache) => {
            let artefact = node.engine.precompile_component(bytes).map_err(invalid)?;
            cache
                .store(digest, &artefact)
                .map_err(|error| internal(format!("the artefact cache: {error}")))?;
            let reread = cache.load(&node.engine, digest);
            reread.ok_or_else(|| {
                internal("the artefact was not read back as it was written".to_owned())
            })?
        }
    };
    let spent = start.elapsed();
    node.counters.compilations.fetch_add(1, Ordering::Relaxed);
    node.counters.compile_ns.fetch_add(
        u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX),
        Ordering::Relaxed,
    );
    Ok((component, spent))
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
            detail: trap::words(&error),
        }),
        Err(error) => Err(internal(format!("the trial instantiation failed: {error}"))),
    }
}
