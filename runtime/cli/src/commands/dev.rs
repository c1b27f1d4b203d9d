//! `fnctl dev`: an embedded server, and a build and a deploy after every change.

mod event;
mod follow;
mod server;
mod watch;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    time::Instant,
};

use bytes::Bytes;
use fnctl_core::{error_code::ErrorCode, registry::Note, spec::request::DeployResult};
use fnctl_host::Running;
use http_body_util::{BodyExt, Full};
use tokio::sync::mpsc;

use self::{event::Event, follow::Followers};
use super::{
    deploy,
    server::embedded::{self, Ending, Signals},
};
use crate::{
    cli::Session,
    client::Client,
    error::CliError,
    limits,
    manifest::{self, Manifest},
    process, spelling,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder with fnctl.toml
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Forget the data of earlier runs
    #[arg(long)]
    fresh: bool,
    /// Keep data on NFS, CIFS, 9p, FUSE or the like, whose syncs and locks nobody vouches for
    #[arg(long)]
    allow_network_file_system: bool,
    /// Where the API listens [default: 127.0.0.1:4700]
    #[arg(long, value_name = "ADDRESS", value_parser = spelling::address)]
    listen: Option<SocketAddr>,
    /// Where the Kinesis API listens [default: 127.0.0.1:4701]
    #[arg(long, value_name = "ADDRESS", value_parser = spelling::address)]
    kinesis_listen: Option<SocketAddr>,
}

/// A build and a deploy under way.
type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// How they ended.
enum Outcome {
    Live {
        took_ms: u64,
        done: Box<DeployResult>,
        /// What was deployed; the file may have been edited since.
        manifest: Box<Manifest>,
    },
    BuildFailed {
        took_ms: u64,
        words: String,
    },
    Refused(CliError),
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    if !args.folder.join(manifest::FILE).is_file() {
        return Err(CliError::new(
            ErrorCode::FileUnreadable,
            format!("no {} in `{}`", manifest::FILE, args.folder.display()),
        )
        .because("dev builds and deploys what it describes")
        .fix("fnctl new NAME && cd NAME && fnctl dev"));
    }
    let manifest = Manifest::load(&args.folder)?;
    embedded::warn_on_stderr(session.out.is_json())?;
    let mut signals = Signals::listen()?;
    let mut running = match session.server_given {
        true => {
            server::join(&args, session).await?;
            None
        }
        false => Some(server::serve(&args).await?),
    };
    // Whatever ends it, the server behind it is stopped in order.
    let ended = async {
        if let Some(running) = &running {
            server::speak_to(running, &args, session)?;
        }
        let mut loops = Dev::new(manifest, session.client.clone())?;
        loops.run(session, &mut signals, running.as_mut()).await
    }
    .await;
    match running {
        Some(running) => {
            let stopped = running.shutdown().await;
            ended?;
            stopped
                .map_err(|error| CliError::new(ErrorCode::DataDirectoryUnusable, error.to_string()))
        }
        None => ended,
    }
}

struct Dev {
    folder: PathBuf,
    client: Client,
    changes: watch::Changes,
    followers: Followers,
    events: mpsc::Receiver<Event>,
    live: Option<u64>,
    /// What the last deploy left as it was.
    noted: Vec<Note>,
    is_seeded: bool,
}

impl Dev {
    fn new(manifest: Manifest, client: Client) -> Result<Self, CliError> {
        let (sender, events) = mpsc::channel(limits::EVENTS_MAX);
        Ok(Self {
            changes: watch::Changes::of(&manifest)?,
            folder: manifest.folder,
            followers: Followers::new(client.clone(), sender),
            client,
            events,
            live: None,
            noted: Vec::new(),
            is_seeded: false,
        })
    }

    async fn run(
        &mut self,
        session: &mut Session,
        signals: &mut Signals,
        mut running: Option<&mut Running>,
    ) -> Result<(), CliError> {
        let mut work: Option<Work> = Some(self.work());
        loop {
            session.out.flush()?;
            tokio::select! {
                ending = signals.next() => return match ending {
                    Ending::Asked => Ok(()),
                    Ending::Interrupted => Err(CliError::Ended),
                },
                () = crate::output::hangup::stdout_closed() => return Err(CliError::StdoutClosed),
                stopped = stopped(&mut running) => {
                    return Err(CliError::new(ErrorCode::DataDirectoryUnusable, stopped));
                }
                Some(event) = self.events.recv() => event.print(&mut session.out)?,
                outcome = done(&mut work) => {
                    work = None;
                    self.tell(outcome, session).await?;
                }
                () = self.changes.next(), if work.is_none() => work = Some(self.work()),
            }
        }
    }

    /// Builds and deploys what the folder holds now.
    fn work(&self) -> Work {
        let (folder, client) = (self.folder.clone(), self.client.clone());
        Box::pin(async move {
            build(&folder, &client)
                .await
                .unwrap_or_else(Outcome::Refused)
        })
    }

    async fn tell(&mut self, outcome: Outcome, session: &mut Session) -> Result<(), CliError> {
        match outcome {
            Outcome::BuildFailed { took_ms, words } => Event::BuildFailed {
                duration_ms: took_ms,
                live: self.live,
                output: words,
            }
            .print(&mut session.out),
            Outcome::Refused(error) => self.refused(error, session),
            Outcome::Live {
                took_ms,
                done,
                manifest,
            } => match self.live(took_ms, &done, &manifest, session).await {
                Ok(()) => Ok(()),
                Err(error) => self.refused(error, session),
            },
        }
    }

    /// Without a server nothing further can happen; all else is mended by an edit.
    fn refused(&self, error: CliError, session: &mut Session) -> Result<(), CliError> {
        match error {
            CliError::Told(error) if error.code != ErrorCode::ServerUnreachable.as_str() => {
                let live = self.live;
                Event::Refused { live, error }.print(&mut session.out)
            }
            error => Err(error),
        }
    }

    async fn live(
        &mut self,
        took_ms: u64,
        done: &DeployResult,
        manifest: &Manifest,
        session: &mut Session,
    ) -> Result<(), CliError> {
        let is_first = self.live.is_none();
        self.live = Some(done.version);
        let streams: BTreeSet<String> = done
            .mappings
            .iter()
            .flat_map(|mapping| mapping.outputs.values().chain(done.outputs.values()))
            .filter(|stream| *stream != "none")
            .cloned()
            .collect();
        // Followed from before the seed is put, so that its outputs are seen.
        self.followers
            .follow(&done.function, &done.mappings, &streams)
            .await?;
        let seeded = self.seed(done, manifest).await?;
        let event = if is_first {
            let flow = done.mappings.first().map(|mapping| {
                let source = mapping
                    .name
                    .split_once('/')
                    .map_or("", |(_, stream)| stream);
                let to = mapping
                    .outputs
                    .get("default")
                    .map_or("none", String::as_str);
                format!("{source} → {} → {to}", done.function)
            });
            Event::Built {
                duration_ms: took_ms,
                version: done.version,
                flow,
                seeded,
            }
        } else {
            Event::Rebuilt {
                duration_ms: took_ms,
                version: done.version,
                changed: done.changed,
            }
        };
        // Not after every save again.
        let noted = std::mem::replace(&mut self.noted, done.notes.clone());
        for note in done.notes.iter().filter(|note| !noted.contains(note)) {
            let line = format!("note  {}  {}\n      {}", note.path, note.message, note.fix);
            session.out.note(&line);
        }
        event.print(&mut session.out)
    }

    /// Puts the seed, once: when the first mapping's stream was made just now.
    async fn seed(
        &mut self,
        done: &DeployResult,
        manifest: &Manifest,
    ) -> Result<Option<u64>, CliError> {
        let Some(source) = manifest
            .spec
            .mapping
            .first()
            .and_then(|mapping| mapping.stream_text().map(str::to_owned))
        else {
            return Ok(None);
        };
        let Some(seed) = manifest::text(manifest.spec.dev.seed.as_ref()) else {
            return Ok(None);
        };
        let is_new = done.created.contains(&format!("stream/{source}"));
        if self.is_seeded || !is_new {
            return Ok(None);
        }
        self.is_seeded = true;
        let path = self.folder.join(seed);
        let text = std::fs::read(&path).map_err(|error| {
            CliError::new(
                ErrorCode::FileUnreadable,
                format!("the seed `{}` cannot be read", path.display()),
            )
            .at("[dev] seed in fnctl.toml")
            .because(error.to_string())
            .fix("name a file with a record a line, then: fnctl dev --fresh; or leave `seed` out")
        })?;
        let field = manifest::text(manifest.spec.dev.key_field.as_ref());
        let query: Vec<(&str, &str)> = field
            .map(|field| ("key_field", field))
            .into_iter()
            .collect();
        let body = Full::new(Bytes::from(text)).boxed_unsync();
        let mut lines = self
            .client
            .post_lines(&["v1", "streams", &source, "records"], &query, &[], body)
            .await?;
        let mut count = 0;
        while lines.next().await?.is_some() {
            count += 1;
        }
        Ok(Some(count))
    }
}

async fn build(folder: &Path, client: &Client) -> Result<Outcome, CliError> {
    let started = Instant::now();
    let took_ms = || u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let manifest = Manifest::load(folder)?;
    let built = process::build(
        manifest.build_command(),
        folder,
        &manifest.component()?,
        true,
    )
    .await?;
    if !built.status.success() {
        let took_ms = u64::try_from(built.took.as_millis()).unwrap_or(u64::MAX);
        return Ok(Outcome::BuildFailed {
            took_ms,
            words: built.words,
        });
    }
    let source = deploy::of_manifest(&manifest)?;
    let done = deploy::send(client, &source).await?;
    Ok(Outcome::Live {
        took_ms: took_ms(),
        done: Box::new(done),
        manifest: Box::new(manifest),
    })
}

async fn done(work: &mut Option<Work>) -> Outcome {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

async fn stopped(running: &mut Option<&mut Running>) -> String {
    match running {
        Some(running) => running.stopped().await.to_string(),
        None => std::future::pending().await,
    }
}
