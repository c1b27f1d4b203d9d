//! Files that others renew while the server runs: its certificate, the keys of the Kinesis API, the token that a file
//! gives. They are read again when somebody asks (SIGHUP), and looked at now and then, because who hands secrets to a
//! container swaps a link and tells nobody.
//!
//! What cannot be used changes nothing: what was read before stays in force, the log says why, and
//! `fnctl_reload_failing` is 1 until it is mended.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use fnctl_core::clock::Clock;
use fnctl_streams::Kinesis;
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{error, info};

use crate::{
    access::{Access, given},
    audit::Audit,
    clock::SystemClock,
    kinesis::{self, StoreLog},
    limits::{RELOAD_LOOK, RELOAD_SETTLE},
    metrics::{Metrics, reloads::Reloaded},
    secret_files,
    server::ServerOptions,
    source::blocking,
    tls::{self, Shown, Tls},
};

/// What the audit says was done when other keys may sign for Kinesis.
const KEYS_CHANGED: &str = "SetKinesisCredentials";

/// What is renewed by somebody else, and where it is put.
enum Renewed {
    /// What listeners show.
    Certificate {
        /// Where it comes from.
        from: Tls,
        /// Where one that the server makes is kept.
        data_dir: PathBuf,
        /// Where it goes.
        to: Shown,
    },
    /// Who may sign for Kinesis.
    KinesisKeys {
        /// The file.
        from: PathBuf,
        /// Where they go.
        to: Kinesis<StoreLog>,
    },
    /// The token of a file.
    Token {
        /// The file.
        from: PathBuf,
        /// Where it goes.
        to: Arc<Access>,
    },
}

/// What files hold, without keeping it: `None` for one that cannot be read.
type Seen = Vec<Option<[u8; 32]>>;

/// What a server was told to read, as it was before it read it: what changes while it starts is not missed.
pub(crate) struct Sources {
    data_dir: PathBuf,
    tls: Option<(Tls, Seen)>,
    keys: Option<(PathBuf, Seen)>,
    token: Option<(PathBuf, Seen)>,
}

impl Sources {
    /// Looks at what the options name. Blocks.
    pub(crate) fn of(options: &ServerOptions) -> Self {
        let file = |path: Option<&PathBuf>| {
            let path = path?.clone();
            let seen = vec![digest(&path)];
            Some((path, seen))
        };
        let secrets = [
            (
                Reloaded::KinesisCredentials,
                options.kinesis_credentials.as_deref(),
            ),
            (Reloaded::AdminToken, options.admin_token_file.as_deref()),
            (
                Reloaded::Certificate,
                options.tls.as_ref().and_then(Tls::key),
            ),
        ];
        for (what, file) in secrets {
            if let Some(file) = file {
                secret_files::look_at(file, secret_of(what));
            }
        }
        let tls = options.tls.clone().map(|tls| {
            let seen = tls.files().iter().map(|file| digest(file)).collect();
            (tls, seen)
        });
        Self {
            data_dir: options.data_dir.clone(),
            tls,
            keys: file(options.kinesis_credentials.as_ref()),
            token: file(options.admin_token_file.as_ref()),
        }
    }

    /// Notes that the file of the token has given another one at the start.
    pub(crate) async fn token_changed(&self, audit: &Audit) {
        if let Some((file, _)) = &self.token {
            audit.file(file, given::CHANGED, Some(given::NAME)).await;
        }
    }

    /// Keeps all of it as it is in the files, until the server drains.
    pub(crate) fn watch(
        self,
        shown: Option<Shown>,
        kinesis: &Kinesis<StoreLog>,
        access: &Arc<Access>,
        (metrics, audit): (&Arc<Metrics>, &Audit),
        draining: &watch::Receiver<bool>,
    ) -> watch::Sender<()> {
        let (ask, asked) = watch::channel(());
        let certificate = self.tls.zip(shown).map(|((from, seen), to)| {
            let data_dir = self.data_dir;
            (Renewed::Certificate { from, data_dir, to }, seen)
        });
        let keys = self.keys.map(|(from, seen)| {
            let to = kinesis.clone();
            (Renewed::KinesisKeys { from, to }, seen)
        });
        let token = self.token.map(|(from, seen)| {
            let to = Arc::clone(access);
            (Renewed::Token { from, to }, seen)
        });
        for (renewed, seen) in [certificate, keys, token].into_iter().flatten() {
            let told = (Arc::clone(metrics), audit.clone());
            tokio::spawn(run(renewed, seen, told, asked.clone(), draining.clone()));
        }
        ask
    }
}

/// What it is of these that is a secret.
const fn secret_of(what: Reloaded) -> &'static str {
    match what {
        Reloaded::Certificate => "key of the certificate",
        Reloaded::KinesisCredentials => "Kinesis credentials",
        Reloaded::AdminToken => "admin token",
    }
}

impl Renewed {
    const fn what(&self) -> Reloaded {
        match self {
            Self::Certificate { .. } => Reloaded::Certificate,
            Self::KinesisKeys { .. } => Reloaded::KinesisCredentials,
            Self::Token { .. } => Reloaded::AdminToken,
        }
    }

    /// The files that are looked at; none of a certificate that the server made itself.
    fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Certificate { from, .. } => from.files(),
            Self::KinesisKeys { from, .. } | Self::Token { from, .. } => vec![from.clone()],
        }
    }

    /// The file among them that is nobody's business.
    fn secret(&self) -> Option<PathBuf> {
        match self {
            Self::Certificate { from, .. } => from.key().map(Path::to_owned),
            Self::KinesisKeys { from, .. } | Self::Token { from, .. } => Some(from.clone()),
        }
    }

    /// Reads it again, and puts it in force. The audit tells of other people let in; a certificate lets nobody in.
    async fn read_again(&self, metrics: &Metrics, audit: &Audit) -> Result<(), String> {
        match self {
            Self::Certificate { from, data_dir, to } => {
                let (from, data_dir, now) = (from.clone(), data_dir.clone(), SystemClock.now());
                let read = blocking(move || from.load(&data_dir, now)).await;
                let secured = read.map_err(|error| error.to_string())?;
                info!(
                    sha256 = secured.fingerprint,
                    "the certificate was read again"
                );
                tls::look_at_end(secured.expires, SystemClock.now());
                metrics.reloads().expires(secured.expires);
                to.replace(secured);
            }
            Self::KinesisKeys { from, to } => {
                let file = from.clone();
                let read = blocking(move || kinesis::credentials(&file)).await;
                let keys = read.map_err(|error| error.to_string())?;
                info!(
                    keys = keys.count(),
                    "the Kinesis credentials were read again"
                );
                if to.replace_credentials(keys) {
                    audit.file(from, KEYS_CHANGED, None).await;
                }
            }
            Self::Token { from, to } => {
                let file = from.clone();
                let read = blocking(move || given::read(&file)).await;
                let secret = read.map_err(|error| error.to_string())?;
                if to.give(secret).await.map_err(|error| error.to_string())? {
                    info!(
                        token = given::NAME,
                        "the secret of the token that a file gives is another one"
                    );
                    audit.file(from, given::CHANGED, Some(given::NAME)).await;
                }
            }
        }
        Ok(())
    }
}

/// Keeps one of them as its files are, until the server drains.
async fn run(
    renewed: Renewed,
    mut known: Seen,
    (metrics, audit): (Arc<Metrics>, Audit),
    mut asked: watch::Receiver<()>,
    mut draining: watch::Receiver<bool>,
) {
    let (what, files) = (renewed.what(), renewed.files());
    loop {
        let is_asked = tokio::select! {
            biased;
            _ = draining.wait_for(|draining| *draining) => return,
            asked = wait(&mut asked, files.is_empty()) => asked,
        };
        if !is_asked {
            let now = seen(&files).await;
            if now == known {
                continue;
            }
            // Half of it may be written: what two looks see is whole.
            sleep(RELOAD_SETTLE).await;
            if seen(&files).await != now {
                continue;
            }
        }
        // Looked at before it is read: what is written meanwhile is read once more.
        known = seen(&files).await;
        if let Some(file) = renewed.secret() {
            blocking(move || secret_files::look_at(&file, secret_of(what))).await;
        }
        let done = renewed.read_again(&metrics, &audit).await;
        metrics.reloads().done(what, done.is_ok());
        if let Err(why) = done {
            let what = what.as_str();
            error!(
                what,
                error = why,
                "failed to read it again: what was read before stays in force"
            );
        }
    }
}

/// Waits until somebody asks, `true`, or it is time to look.
async fn wait(asked: &mut watch::Receiver<()>, only_asked: bool) -> bool {
    if only_asked {
        return match asked.changed().await {
            Ok(()) => true,
            // Nobody can ask any more: the server ends.
            Err(_) => std::future::pending().await,
        };
    }
    match timeout(RELOAD_LOOK, asked.changed()).await {
        Ok(Ok(())) => true,
        Ok(Err(_)) => std::future::pending().await,
        Err(_) => false,
    }
}

async fn seen(files: &[PathBuf]) -> Seen {
    let files = files.to_vec();
    blocking(move || files.iter().map(|file| digest(file)).collect()).await
}

fn digest(file: &Path) -> Option<[u8; 32]> {
    match std::fs::read(file) {
        Ok(bytes) => Some(Sha256::digest(&bytes).into()),
        // Told once it is to be read: it may be on its way.
        Err(_) => None,
    }
}
