//! The node: everything that the API and the supervisor share, and the look-ups they have in common.

pub(crate) mod awaited;
pub(crate) mod capture;
pub(crate) mod dead_letters;
mod deleting;
mod diagnosis;
mod exposition;
mod holes;
pub(crate) mod parked;
mod polled;
mod positions;
mod relays;
mod status;
mod work;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use fnctl_core::{
    admission::InFlight,
    clock::Clock,
    error_code::ErrorCode,
    function::Function,
    id::{FunctionId, FunctionName, MappingId, StreamId, StreamName, Timestamp},
    mapping::Mapping,
    registry::{AddressError, Applied, Command, ComponentFacts, Refusal},
    shard::Stream,
    view::NodeView,
};
use fnctl_store::{ArtifactPin, CommandError, Store};
use fnctl_streams::Kinesis;
use tokio::{sync::watch, time::Instant};

use self::{dead_letters::LetterCounts, deleting::Deleting, polled::Polled, positions::Ages};
pub(crate) use self::{
    dead_letters::{DamagedLetter, LettersRead, StoredLetter},
    work::WorkerNode,
};
use crate::{
    api::{error::ApiError, put::buffers::PutBuffers},
    canaries::Canaries,
    clock::SystemClock,
    functions::Functions,
    kinesis::StoreLog,
    limits,
    logs::{FunctionLogs, sink::HostLog},
    metrics::{Metrics, scrape::BuildInfo},
    own_files::OwnFiles,
    redrives::Redrives,
    relay::Relays,
    source::blocking,
    supervisor::Supervisor,
};

/// Where this server is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Its data directory.
    pub(crate) data_dir: PathBuf,
    /// It, and the other files where no letters are written.
    pub(crate) own_files: OwnFiles,
    /// URL of its Kinesis API.
    pub(crate) kinesis: String,
    /// The commit that the binary was built from, where that is known.
    pub(crate) commit: Option<&'static str>,
}

/// An uploaded component that waits for its deploy.
struct Upload {
    facts: ComponentFacts,
    at: Instant,
    _pin: ArtifactPin,
}

/// Everything the API works with.
pub(crate) struct HostNode {
    store: Store,
    functions: Arc<Functions>,
    supervisor: Supervisor,
    log: Arc<HostLog>,
    metrics: Arc<Metrics>,
    build: BuildInfo,
    place: Place,
    drain: watch::Receiver<bool>,
    uploads: Mutex<HashMap<String, Upload>>,
    ages: Ages,
    polled: Polled,
    letters: LetterCounts,
    deleting: Deleting,
    put_buffers: Arc<PutBuffers>,
    relays: Relays,
    redrives: Redrives,
    kinesis: Option<Kinesis<StoreLog>>,
    canaries: Arc<Canaries>,
}

impl HostNode {
    pub(crate) fn new(
        store: Store,
        functions: Arc<Functions>,
        supervisor: Supervisor,
        log: Arc<HostLog>,
        metrics: Arc<Metrics>,
        place: Place,
        drain: watch::Receiver<bool>,
    ) -> Self {
        Self {
            store,
            functions,
            supervisor,
            log,
            metrics,
            build: build_info(place.commit),
            place,
            drain,
            uploads: Mutex::default(),
            ages: Ages::default(),
            polled: Polled::default(),
            letters: LetterCounts::default(),
            deleting: Deleting::default(),
            put_buffers: Arc::default(),
            relays: Relays::default(),
            redrives: Redrives::default(),
            kinesis: None,
            canaries: Arc::default(),
        }
    }

    /// With the Kinesis API beside it, whose bodies the exposition counts.
    #[must_use]
    pub(crate) fn beside(mut self, kinesis: Kinesis<StoreLog>) -> Self {
        self.kinesis = Some(kinesis);
        self
    }

    /// With those that its workers report the calls of canaries to.
    #[must_use]
    pub(crate) fn watching(mut self, canaries: Arc<Canaries>) -> Self {
        self.canaries = canaries;
        self
    }

    /// What is known of canaries.
    pub(crate) const fn canaries(&self) -> &Arc<Canaries> {
        &self.canaries
    }

    /// What lines of puts hold in memory.
    pub(crate) const fn put_buffers(&self) -> &Arc<PutBuffers> {
        &self.put_buffers
    }

    /// What relays of dead letters do.
    pub(crate) const fn relays(&self) -> &Relays {
        &self.relays
    }

    /// The redrives that are under way.
    pub(crate) const fn redrives(&self) -> &Redrives {
        &self.redrives
    }

    /// Bytes of bodies that the Kinesis API is reading or working on.
    pub(crate) fn kinesis_body_bytes(&self) -> usize {
        self.kinesis.as_ref().map_or(0, Kinesis::body_bytes)
    }

    /// Puts of which a part is still to come, over either API, or lies in no append yet.
    pub(crate) fn puts_receiving(&self) -> InFlight {
        let lines = self.put_buffers.receiving();
        let kinesis = self.kinesis.as_ref().map(Kinesis::receiving);
        let kinesis = kinesis.unwrap_or_default();
        InFlight {
            bytes: lines.bytes + kinesis.bytes,
            requests: lines.requests + kinesis.requests,
        }
    }

    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) const fn functions(&self) -> &Arc<Functions> {
        &self.functions
    }

    pub(crate) const fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    pub(crate) fn logs(&self) -> &FunctionLogs {
        self.log.logs()
    }

    pub(crate) const fn log(&self) -> &Arc<HostLog> {
        &self.log
    }

    pub(crate) const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub(crate) const fn build(&self) -> BuildInfo {
        self.build
    }

    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    /// Turns true when the server shuts down: long answers end.
    pub(crate) fn drain(&self) -> watch::Receiver<bool> {
        self.drain.clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// Looks at the published view.
    pub(crate) fn view<R>(&self, look: impl FnOnce(&NodeView) -> R) -> R {
        self.store.view(look)
    }

    /// A stream's name, checked.
    pub(crate) fn stream_name(&self, name: &str) -> Result<StreamName, ApiError> {
        StreamName::parse(name).map_err(|error| {
            ApiError::new(ErrorCode::StreamInvalid, error.to_string())
                .at(name)
                .fix("fnctl streams list")
        })
    }

    /// A stream that people see.
    pub(crate) fn stream(&self, name: &StreamName) -> Result<Arc<Stream>, ApiError> {
        let found = self.view(|view| view.registry().stream_by_name(name).cloned());
        found.filter(|stream| !stream.is_internal).ok_or_else(|| {
            let error = ApiError::from(Refusal::NoSuchStream(name.clone()).to_error());
            error.fix("fnctl streams list")
        })
    }

    /// A function by its name.
    pub(crate) fn function(&self, name: &str) -> Result<Arc<Function>, ApiError> {
        let missing = || {
            ApiError::new(ErrorCode::NoSuchFunction, format!("no function `{name}`"))
                .at(name)
                .fix("fnctl functions list")
        };
        let name = FunctionName::parse(name).map_err(|_| missing())?;
        self.view(|view| view.registry().function_by_name(&name).cloned())
            .ok_or_else(missing)
    }

    /// A mapping by its address.
    pub(crate) fn mapping(&self, address: &str) -> Result<Arc<Mapping>, ApiError> {
        self.view(|view| view.registry().find_mapping(address).cloned())
            .map_err(|error| unaddressed(address, error))
    }

    /// The function of a mapping.
    pub(crate) fn function_of(&self, mapping: &Mapping) -> Result<Arc<Function>, ApiError> {
        let (found, address) = self.view(|view| {
            let registry = view.registry();
            let function = registry.function(mapping.function).cloned();
            (function, registry.address(mapping))
        });
        found.ok_or_else(|| {
            let words = format!("the function of `{address}` is gone");
            ApiError::new(ErrorCode::NoSuchFunction, words).fix("fnctl mappings list")
        })
    }

    /// The stream that a mapping reads.
    pub(crate) fn stream_of(&self, mapping: &Mapping) -> Result<Arc<Stream>, ApiError> {
        let found = self.view(|view| view.registry().stream(mapping.stream).cloned());
        found.ok_or_else(|| {
            Refusal::NoSuchStream(mapping.stream_name.clone())
                .to_error()
                .into()
        })
    }

    /// The stream of the dead letters of a mapping, which may be deleted if it is named by its id.
    pub(crate) fn letters(&self, address: &str) -> Result<StreamId, ApiError> {
        self.view(|view| view.registry().find_letters(address))
            .map_err(|error| unaddressed(address, error))
    }

    /// The mappings of a function.
    pub(crate) fn mappings_of(&self, function: FunctionId) -> Vec<MappingId> {
        self.view(|view| {
            view.registry()
                .mappings_of_function(function)
                .map(|mapping| mapping.id)
                .collect()
        })
    }

    /// Hands a command in.
    pub(crate) async fn command(&self, command: Command) -> Result<Applied, ApiError> {
        self.store
            .command(command)
            .await
            .map_err(|error| match error {
                CommandError::Refused(refusal) => refusal.to_error().into(),
                CommandError::Stopped(stopped) => ApiError::stopping(stopped),
            })
    }

    /// What a command would do now.
    pub(crate) fn judge(&self, command: &Command) -> Result<Applied, ApiError> {
        self.view(|view| view.evaluate_command(command, self.now()))
            .map(|(_, applied)| applied)
            .map_err(|refusal| refusal.to_error().into())
    }

    /// Stores an accepted component and keeps it for its deploy.
    pub(crate) async fn keep_upload(
        &self,
        facts: ComponentFacts,
        bytes: Bytes,
    ) -> Result<(), ApiError> {
        let store = self.store.clone();
        let pin =
            blocking(move || store.put_artifact(&bytes))
                .await
                .map_err(|error| match error {
                    fnctl_store::ArtifactError::DiskFull => {
                        ApiError::new(ErrorCode::DiskFull, "no room for the component")
                    }
                    error => ApiError::internal(error),
                })?;
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.retain(|_, upload| upload.at.elapsed() < limits::UPLOAD_PIN);
        if uploads.len() >= limits::UPLOADS_PINNED_MAX {
            let oldest = uploads.iter().min_by_key(|(_, upload)| upload.at);
            if let Some(digest) = oldest.map(|(digest, _)| digest.clone()) {
                uploads.remove(&digest);
            }
        }
        let upload = Upload {
            facts: facts.clone(),
            at: Instant::now(),
            _pin: pin,
        };
        uploads.insert(facts.digest.to_string(), upload);
        Ok(())
    }

    /// An uploaded component.
    pub(crate) fn upload(&self, digest: &str) -> Option<ComponentFacts> {
        let uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.get(digest).map(|upload| upload.facts.clone())
    }
}

fn unaddressed(address: &str, error: AddressError) -> ApiError {
    let words = error.to_string();
    match error {
        AddressError::NotFound(_) => ApiError::new(ErrorCode::NoSuchMapping, words)
            .at(address)
            .fix("fnctl mappings list"),
        AddressError::Ambiguous { mappings, .. } => {
            let such = mappings.first().cloned().unwrap_or_default();
            ApiError::new(ErrorCode::Ambiguous, words)
                .at(address)
                .fix(format!("name one of them, such as {such}"))
        }
    }
}

/// What this binary is.
fn build_info(commit: Option<&'static str>) -> BuildInfo {
    BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        commit: commit.unwrap_or("unknown"),
        wasmtime: fnctl_invoker::WASMTIME_VERSION,
    }
}
