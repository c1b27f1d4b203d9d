//! The server: opens the data directory, starts what runs for ever, serves, and stops in order.

mod opened;
mod options;

use std::{
    fs,
    io::ErrorKind,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use fnctl_core::clock::Clock;
use fnctl_invoker::{Engine, EngineError, EngineOptions};
use fnctl_store::{OpenError, Store};
use fnctl_streams::Kinesis;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{timeout, timeout_at},
};
use tracing::{info, warn};

use crate::{
    access::{Access, Failures, TokensError, given},
    api::Api,
    audit::Audit,
    canaries::{self, Canaries},
    clock::SystemClock,
    exposure,
    functions::{ArtifactLook, ArtifactPath, Functions},
    http::listener::{ListenError, Listener},
    kinesis::{self, KinesisCredentialsError, KinesisService, StoreLog},
    limits,
    logs::sink::HostLog,
    metrics::Metrics,
    node::{HostNode, Place, WorkerNode},
    redrives, relay,
    reload::Sources,
    secret,
    shard_worker::{NodeShare, Turns},
    source::blocking,
    supervisor::{self, Statuses, Supervisor},
    tls::{self, Secured, Shown, TlsError},
};

use self::opened::{Ended, Failed, Opened};
pub use self::options::ServerOptions;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The data directory cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The tokens cannot be read: nothing is served then.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The keys that may sign requests of the Kinesis API cannot be had.
    #[error(transparent)]
    Credentials(#[from] KinesisCredentialsError),
    /// The function engine cannot be started.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A thread or a file of the server's own is not to be had.
    #[error("failed to start: {0}")]
    System(#[from] std::io::Error),
}

/// The server stopped by itself: a write or sync failed, nothing more is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server stopped: {words}")]
pub struct ServerStopped {
    /// What failed.
    pub words: String,
    /// When it did, as far as that is known.
    pub since: Option<Instant>,
}

impl ServerStopped {
    fn new(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            since: None,
        }
    }
}

/// Starts servers.
#[derive(Clone, Copy, Debug)]
pub struct Server;

/// A server that serves.
#[derive(Debug)]
pub struct Running {
    /// Where the control API is.
    pub api_addr: SocketAddr,
    /// Where the Kinesis API is.
    pub kinesis_addr: SocketAddr,
    /// The API's address as a client uses it: with TLS on all addresses, by a name that the certificate is for.
    pub api_url: String,
    /// The same of the Kinesis API.
    pub kinesis_url: String,
    /// What clients compare and trust, where the listeners speak TLS.
    pub tls: Option<TlsInUse>,
    store: Store,
    engine: Engine,
    supervisor: Supervisor,
    drain: watch::Sender<bool>,
    ask: watch::Sender<()>,
    listeners: Vec<JoinHandle<()>>,
    loops: Vec<Ended>,
    stopped: watch::Receiver<Option<Failed>>,
}

/// The certificate that a server shows.
#[derive(Clone, Debug)]
pub struct TlsInUse {
    /// Its SHA-256, `AB:CD:…`.
    pub fingerprint: String,
    /// A file with it for clients, where the server made it.
    pub certificate: Option<PathBuf>,
}

/// Lets the process have as many files open as it may: a node of a thousand shards has one each, and what
/// shells start with is often 1 024.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        warn!(%error, "the limit of open files stays as it is");
    }
}

/// Writes no core files, and lets nobody of the same user look into the process: its memory holds tokens, keys and the secrets
/// of functions, and a core file lies where it fell.
fn keep_memory_private() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warn!(%error, "a core file of this process would hold its secrets");
    }
}

/// Refuses what is no directory: else the first file that is looked for in it would be blamed.
fn refuse_no_directory(path: &Path) -> Result<(), OpenError> {
    match fs::metadata(path) {
        Err(source) if source.kind() == ErrorKind::NotADirectory => Err(source),
        Ok(meta) if !meta.is_dir() => Err(ErrorKind::NotADirectory.into()),
        // Missing, it is made; what else is wrong is told where it is used.
        _ => Ok(()),
    }
    .map_err(|source| OpenError::Io {
        path: path.to_owned(),
        source,
    })
}

/// The address of a listener as a client uses it.
fn url(secured: Option<&Secured>, bound: SocketAddr) -> String {
    match secured {
        // No certificate is for all addresses.
        Some(secured) if bound.ip().is_unspecified() => {
            let name = &secured.name;
            let is_v6 = name.contains(':');
            let name = if is_v6 {
                format!("[{name}]")
            } else {
                name.clone()
            };
            format!("https://{name}:{}", bound.port())
        }
        Some(_) => format!("https://{bound}"),
        None => format!("http://{bound}"),
    }
}

impl Server {
    /// Opens the data directory, binds both listeners and serves. Everything acknowledged before is
    /// visible when this returns.
    ///
    /// # Errors
    /// As [`StartError`] says; nothing is left running, and a store that was opened is closed in order: a start
    /// that is refused is no unclean stop, and so is one whose future is dropped.
    pub async fn start(options: ServerOptions) -> Result<Running, StartError> {
        refuse_no_directory(&options.data_dir)?;
        let sources = Sources::of(&options);
        let own_files = options.own_files();
        // First of all: a port that is taken must not cost a recovery, nor touch the data.
        let failures = Arc::<Failures>::default();
        let is_guarded = Access::open(&options.data_dir, Arc::clone(&failures))?.is_guarded();
        let given = options.admin_token_file.as_deref();
        let given = given.map(given::read).transpose()?;
        exposure::check(&options, is_guarded || given.is_some())?;
        let credentials = options.kinesis_credentials.as_deref();
        let credentials = credentials.map(kinesis::credentials).transpose()?;
        if let Some(tls) = options.tls.clone() {
            blocking(move || tls.check()).await?;
        }
        let (listen, kinesis_listen) = (options.listen, options.kinesis_listen);
        if listen == kinesis_listen && listen.port() != 0 {
            return Err(ListenError::Same { address: listen }.into());
        }
        let names = options.names();
        let api = Listener::bind(listen).await?.called(&names);
        let kinesis_api = Listener::bind(kinesis_listen).await?.called(&names);
        let (api_addr, kinesis_addr) = (api.address(), kinesis_api.address());
        raise_open_files();
        keep_memory_private();
        let (tell_stop, stopped) = watch::channel(None);
        let tell_stop = Arc::new(tell_stop);
        let opened = {
            let store = fnctl_store::Options {
                allows_network_file_system: options.allows_network_file_system,
                dead_letter_bytes_max: options.dead_letter_bytes_max,
                ..fnctl_store::Options::new(options.data_dir.clone())
            };
            let last_resort = options.last_resort;
            tokio::task::spawn_blocking(move || Opened::open(store, &tell_stop, last_resort))
        };
        // From here on nothing ends this without the store's end: what is dropped is closed.
        let mut opened = opened.await.map_err(std::io::Error::other)??;
        let store = opened.store().clone();
        // Read again, now that nobody else changes it.
        let access = Arc::new(Access::open(&options.data_dir, Arc::clone(&failures))?);
        let is_other = match given {
            Some(secret) => access.give(secret).await?,
            None => false,
        };
        let demands_token = exposure::demands_token(&options, api_addr);
        if !access.is_guarded() && demands_token {
            warn!("no token was made yet: whoever reaches the API may do everything");
        }
        if options.kinesis_credentials.is_none() && !kinesis_addr.ip().is_loopback() {
            warn!(
                "no Kinesis credentials were given: whoever reaches the Kinesis API may read and change every stream"
            );
        }
        let secured = match options.tls.clone() {
            Some(tls) => {
                let directory = options.data_dir.clone();
                let loaded =
                    tokio::task::spawn_blocking(move || tls.load(&directory, SystemClock.now()));
                Some(loaded.await.map_err(std::io::Error::other)??)
            }
            None => None,
        };
        let shown = secured.clone().map(Shown::new);
        let (api, kinesis_api) = (
            api.secured(shown.clone()),
            kinesis_api.secured(shown.clone()),
        );
        let api_url = url(secured.as_ref(), api_addr);
        let kinesis_url = url(secured.as_ref(), kinesis_addr);
        let metrics = Arc::new(Metrics::default());
        let expires = secured.as_ref().and_then(|secured| secured.expires);
        tls::look_at_end(expires, SystemClock.now());
        metrics.reloads().expires(expires);
        let log = Arc::new(HostLog::new(Arc::clone(&metrics)));
        let mut engine = EngineOptions {
            cache_dir: Some(options.data_dir.join("cache")),
            compiler: options.compiler,
            ..EngineOptions::default()
        };
        if let Some(threads) = options.guest_threads {
            engine.guest_threads = threads;
        }
        let sink = Arc::clone(&log);
        let engine = tokio::task::spawn_blocking(move || Engine::new(engine, sink))
            .await
            .map_err(std::io::Error::other)??;
        let secret = secret::of(&options.data_dir)?;
        let server_name = secret::name_of(&secret).into();

        let artifact: ArtifactPath = {
            let store = store.clone();
            Arc::new(move |digest: &str| store.artifact_path(digest))
        };
        let look: ArtifactLook = {
            let store = store.clone();
            Arc::new(move |digest: &str| {
                // Who asked for it knows already that it cannot be had.
                drop(store.artifact(digest));
            })
        };
        opened.scrub(options.scrub)?;
        let functions = Arc::new(Functions::new(
            engine.clone(),
            artifact,
            look,
            Arc::clone(&metrics),
        ));
        let statuses = Arc::new(Statuses::default());
        let canaries = Arc::new(Canaries::default());
        let workers = WorkerNode {
            store: store.clone(),
            functions: Arc::clone(&functions),
            metrics: Arc::clone(&metrics),
            log: Arc::clone(&log),
            share: NodeShare {
                retries: Arc::clone(statuses.retries()),
                refused: Arc::default(),
                turns: Turns::default(),
                caution: store.is_careful(),
                redrivers: Arc::clone(statuses.redrivers()),
                canaries: Arc::clone(&canaries),
            },
            statuses: Arc::clone(&statuses),
        };
        let (supervisor, supervising) = supervisor::supervisor(Arc::new(workers), statuses);
        tokio::spawn(supervising);

        let (drain, draining) = watch::channel(false);
        let place = Place {
            data_dir: options.data_dir,
            own_files,
            kinesis: kinesis_url.clone(),
            commit: options.commit,
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let verifies = credentials.is_some();
        let streams = fnctl_streams::Options {
            credentials,
            ..fnctl_streams::Options::new(secret)
        };
        let streams = Kinesis::new(StoreLog::new(store.clone()), clock, streams);
        let audit = Audit::new(store.clone(), Arc::clone(&metrics));
        if is_other {
            sources.token_changed(&audit).await;
        }
        let is_known = verifies || !kinesis_addr.ip().is_loopback() || access.is_guarded();
        let kinesis_audit = is_known.then(|| audit.clone());
        let node = HostNode::new(
            store.clone(),
            functions,
            supervisor.clone(),
            log,
            Arc::clone(&metrics),
            place,
            draining.clone(),
        )
        .beside(streams.clone())
        .watching(canaries);
        let node = Arc::new(node);
        tokio::spawn(relay::run(Arc::clone(&node), server_name));
        tokio::spawn(canaries::run(Arc::clone(&node)));
        redrives::resume(&node).await;
        let told = (&metrics, &audit);
        let ask = sources.watch(shown, &streams, &access, told, &draining);
        let listeners = vec![
            tokio::spawn(api.serve(
                Api::new(node, access, audit.clone(), demands_token),
                draining.clone(),
            )),
            tokio::spawn(kinesis_api.serve(
                KinesisService::new(streams, failures, metrics, kinesis_audit),
                draining,
            )),
        ];
        info!(%api_addr, %kinesis_addr, "serving");
        Ok(Running {
            api_addr,
            kinesis_addr,
            api_url,
            kinesis_url,
            tls: secured.map(|secured| TlsInUse {
                fingerprint: secured.fingerprint,
                certificate: secured.certificate,
            }),
            store,
            engine,
            supervisor,
            drain,
            ask,
            listeners,
            loops: opened.keep(),
            stopped,
        })
    }
}

impl Running {
    /// Reads certificate, Kinesis credentials and admin token again, as far as it was given any. What cannot be used
    /// changes nothing but the log and a metric.
    pub fn reload(&self) {
        self.ask.send_replace(());
    }

    /// Waits until the server stops by itself: a write or sync failed. Within a second of that, so that
    /// the caller can end the process.
    pub async fn stopped(&mut self) -> ServerStopped {
        let mut by_workers = self.supervisor.stopped();
        // A store that serves reads alone refuses every lease; it was opened to be read, so that ends
        // nothing.
        let is_read_only = self.store.read_only().is_some();
        let (words, since) = tokio::select! {
            (words, since) = wait_for(&mut self.stopped) => (words, Some(since)),
            words = wait_for(&mut by_workers), if !is_read_only => (words, None),
        };
        // The loop tells a little later than it happened, and workers do not know when it did.
        let since = self.store.failed_at().or(since);
        ServerStopped { words, since }
    }

    /// Stops in order, within ten seconds: accepts nothing more, lets running calls commit, writes what
    /// was taken, ends the journal.
    ///
    /// # Errors
    /// The store could not end its journal; what was acknowledged is durable all the same.
    pub async fn shutdown(self) -> Result<(), ServerStopped> {
        let Self {
            store,
            engine,
            supervisor,
            drain,
            listeners,
            loops,
            ..
        } = self;
        let deadline = tokio::time::Instant::now() + limits::DRAIN_MAX;
        drain.send_replace(true);
        let drained = timeout(
            limits::SHUTDOWN_GRACE + Duration::from_secs(1),
            supervisor.shutdown(),
        );
        if drained.await.is_err() {
            warn!("workers did not drain in time");
        }
        // Requests that run get what is left, and a store that still takes their records.
        for listener in &listeners {
            let left = (deadline - limits::STORE_END)
                .saturating_duration_since(tokio::time::Instant::now())
                / 2;
            let ended = async {
                while !listener.is_finished() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            if timeout(left, ended).await.is_err() {
                listener.abort();
            }
        }
        engine.close();
        store.shutdown();
        let mut result = Ok(());
        for ended in loops {
            match timeout_at(deadline, ended).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(words))) => result = Err(ServerStopped::new(words)),
                Ok(Err(_)) => result = Err(ServerStopped::new("a loop of the store is gone")),
                Err(_) => result = Err(ServerStopped::new("the store did not end in time")),
            }
        }
        if result.is_ok() {
            info!("ended in order");
        }
        result
    }
}

async fn wait_for<T: Clone>(stopped: &mut watch::Receiver<Option<T>>) -> T {
    let told = stopped
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|told| told.clone());
    match told {
        Some(told) => told,
        // Its sender went without a word: it ended in order.
        None => std::future::pending().await,
    }
}
