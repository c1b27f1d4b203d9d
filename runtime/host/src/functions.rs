//! Versions made callable: each loaded once, when its first record comes, and shared by its workers.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fnctl_core::{
    function::{Function, Isolation, Version},
    id::{FunctionId, FunctionVersion},
    invoker::{Call, Completed, Invoker, InvokerFault},
};
use fnctl_invoker::{ComponentError, ComponentSource, Engine, FunctionSeries, Turns};
use tokio::sync::OnceCell;

use crate::{metrics::Metrics, source::blocking};

/// Where the bytes of a component lie, by digest.
pub(crate) type ArtifactPath = Arc<dyn Fn(&str) -> PathBuf + Send + Sync>;

/// Has the bytes of a component read and held against their digest; what is damaged is told by who keeps them.
pub(crate) type ArtifactLook = Arc<dyn Fn(&str) + Send + Sync>;

/// What tells loaded versions apart.
type Key = (FunctionId, FunctionVersion);
type Cell = Arc<OnceCell<Arc<fnctl_invoker::Function>>>;

/// The node's loaded versions.
pub(crate) struct Functions {
    engine: Engine,
    artifact: ArtifactPath,
    look: ArtifactLook,
    metrics: Arc<Metrics>,
    loaded: Mutex<HashMap<Key, Cell>>,
    /// The calls of each function at once, whichever of its versions they are of.
    turns: Mutex<HashMap<FunctionId, Arc<Turns>>>,
}

impl Functions {
    /// Nothing loaded yet. What functions count themselves is kept in `metrics`.
    pub(crate) fn new(
        engine: Engine,
        artifact: ArtifactPath,
        look: ArtifactLook,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            engine,
            artifact,
            look,
            metrics,
            loaded: Mutex::default(),
            turns: Mutex::default(),
        }
    }

    /// The engine.
    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// A version, ready to be called. Compiling happens off the serving path; who asks meanwhile waits
    /// for the same result.
    ///
    /// # Errors
    /// The component is not there, or does not compile here.
    pub(crate) async fn get(
        &self,
        function: &Function,
        version: &Version,
    ) -> Result<Arc<fnctl_invoker::Function>, ComponentError> {
        let key = (function.id, version.number);
        let cell = {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(loaded.entry(key).or_default())
        };
        let callable = cell
            .get_or_try_init(|| self.load(function, version))
            .await?;
        Ok(Arc::clone(callable))
    }

    /// A version to be called by hand: as it is live, but what it counts itself counts nowhere.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn by_hand(
        &self,
        function: &Function,
        version: &Version,
    ) -> Result<Arc<fnctl_invoker::Function>, ComponentError> {
        // What is ready to be called stays ready, so that this compiles nothing.
        let _live = self.get(function, version).await?;
        self.load_uncounted(function, version).await
    }

    /// Whether a version that is not committed yet could be called, and what keeps it ready meanwhile.
    ///
    /// # Errors
    /// The component is not there, does not compile here, or does not fit its limits.
    pub(crate) async fn check(
        &self,
        function: &Function,
        version: &Version,
    ) -> Result<Arc<fnctl_invoker::Function>, ComponentError> {
        self.load_uncounted(function, version).await
    }

    async fn load(
        &self,
        function: &Function,
        version: &Version,
    ) -> Result<Arc<fnctl_invoker::Function>, ComponentError> {
        let name = function.name.as_str().into();
        let series = Arc::clone(&self.metrics.function(&function.name).series);
        self.load_as(name, self.turns_of(function), series, version)
            .await
    }

    async fn load_uncounted(
        &self,
        function: &Function,
        version: &Version,
    ) -> Result<Arc<fnctl_invoker::Function>, ComponentError> {
        let name = function.name.as_str().into();
        self.load_as(name, self.turns_of(function), Arc::default(), version)
            .await
    }

    /// Calls of a mapping of this function that wait for their turn now.
    pub(crate) fn waiting_calls(&self, function: FunctionId, mapping: &str) -> u32 {
        let all = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&function).map_or(0, |turns| turns.waiting(mapping))
    }

    fn turns_of(&self, function: &Function) -> Arc<Turns> {
        let mut all = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = function.concurrency;
        Arc::clone(all.entry(function.id).or_insert_with(|| Turns::new(limit)))
    }

    /// A version, deployed or not, to be called beside the live one: in a place of its own, so that it takes
    /// none of the function's calls, what it writes goes into nobody's log, and what it counts counts nowhere.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn beside(
        &self,
        function: &Function,
        version: &Version,
    ) -> Result<Arc<fnctl_invoker::Function>, ComponentError> {
        // No function has such a name: the log passes its lines by.
        let name = format!("{} (shadow)", function.name).into();
        self.load_as(name, Turns::new(Some(1)), Arc::default(), version)
            .await
    }

    async fn load_as(
        &self,
        name: Arc<str>,
        turns: Arc<Turns>,
        series: Arc<FunctionSeries>,
        version: &Version,
    ) -> Result<Arc<fnctl_invoker::Function>, ComponentError> {
        let settings = &version.settings;
        let digest = Arc::clone(&settings.digest);
        let source = ComponentSource::File {
            path: (self.artifact)(&settings.digest),
            digest: settings.digest.to_string(),
        };
        let settings = fnctl_invoker::VersionSettings {
            function: name,
            version: version.number,
            memory_bytes: settings.memory_bytes,
            timeout: Duration::from_millis(settings.timeout_ms),
            isolation: match settings.isolation {
                Isolation::Reuse => fnctl_invoker::Isolation::Reuse,
                Isolation::Fresh => fnctl_invoker::Isolation::Fresh,
            },
            concurrency: Some(turns),
            config: settings.config.clone(),
            secrets: settings
                .secrets
                .iter()
                .map(|(name, value)| (name.clone(), value.0.to_vec()))
                .collect(),
            series,
        };
        let loaded = self.engine.load(source, settings).await;
        if let Err(ComponentError::Internal { .. }) = &loaded {
            // It was compiled here once: what is stored may be damaged since, which is counted when it is met.
            let look = Arc::clone(&self.look);
            blocking(move || look(&digest)).await;
        }
        loaded
    }

    /// Forgets versions that nobody will call soon.
    pub(crate) fn retain(&self, is_kept: impl Fn(FunctionId, FunctionVersion) -> bool) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|(function, version), _| is_kept(*function, *version));
    }

    /// Functions have these limits from now on, those that were not called yet too: who calls them first may
    /// have known another limit. Others are gone.
    pub(crate) fn limit(&self, limits: &HashMap<FunctionId, Option<u32>>) {
        let mut all = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|function, _| limits.contains_key(function));
        for (&function, &limit) in limits {
            let turns = all.entry(function).or_insert_with(|| Turns::new(limit));
            turns.set_limit(limit);
        }
    }
}

/// One version of one function as a worker calls it: loaded with the first call.
pub(crate) struct LiveFunction {
    functions: Arc<Functions>,
    function: Arc<Function>,
    version: Arc<Version>,
    callable: OnceCell<Arc<fnctl_invoker::Function>>,
}

impl LiveFunction {
    /// A version that is not loaded yet.
    pub(crate) fn new(
        functions: Arc<Functions>,
        function: Arc<Function>,
        version: Arc<Version>,
    ) -> Self {
        Self {
            functions,
            function,
            version,
            callable: OnceCell::new(),
        }
    }
}

impl LiveFunction {
    /// Calls another version: a canary, or one that dead letters are redriven with.
    async fn invoke_other(&self, call: Call) -> Result<Completed, InvokerFault> {
        let number = call.context.version;
        let failed = |why: String| {
            let name = &self.function.name;
            InvokerFault(format!("failed to load version {number} of {name}: {why}"))
        };
        let version = self.function.versions.get(&number);
        let version = version.ok_or_else(|| failed("it is not kept any more".to_owned()))?;
        let loaded = self.functions.get(&self.function, version).await;
        loaded
            .map_err(|error| failed(error.to_string()))?
            .invoke(call)
            .await
    }
}

impl Invoker for LiveFunction {
    async fn invoke(&self, call: Call) -> Result<Completed, InvokerFault> {
        if call.context.version != self.version.number {
            return self.invoke_other(call).await;
        }
        let load = || self.functions.get(&self.function, &self.version);
        let callable = self.callable.get_or_try_init(load).await;
        match callable {
            Ok(callable) => callable.invoke(call).await,
            Err(error) => Err(InvokerFault(format!(
                "failed to load version {} of {}: {error}",
                self.version.number, self.function.name
            ))),
        }
    }
}
