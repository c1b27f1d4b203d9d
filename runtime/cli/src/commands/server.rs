//! `fnctl server`: serves until a signal, then drains.

pub(crate) mod embedded;
mod hangup;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use fnctl_core::error_code::ErrorCode;
use fnctl_host::{Running, ScrubOptions, Server, ServerOptions, Tls};
use serde::Serialize;
use tokio::time::timeout;

use super::version::COMMIT;
use crate::{cli::Session, error::CliError, limits, spelling};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where data are kept; made when missing
    #[arg(long, value_name = "D", default_value = ".fnctl")]
    data_dir: PathBuf,
    /// Where the API listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4700", value_parser = spelling::address)]
    listen: SocketAddr,
    /// Where the Kinesis API listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4701", value_parser = spelling::address)]
    kinesis_listen: SocketAddr,
    /// File that says where it serves, written once it does
    #[arg(long, value_name = "F")]
    ready_file: Option<PathBuf>,
    /// Bytes a second at which everything at rest is read and checked, 64KiB to 1GiB
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = spelling::scrub_rate)]
    scrub_rate: u64,
    /// How often that is begun, 1s to 30d
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = spelling::scrub_period)]
    scrub_period: Duration,
    /// Room of a mapping's open dead letters, 16MiB to 1TiB; at it the mapping waits, unless it drops them
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = spelling::dead_letters_max)]
    dead_letters_max: u64,
    /// Certificate of both listeners, PEM, the server's own first; read again when it changes
    #[arg(
        long,
        value_name = "F",
        requires = "tls_key",
        conflicts_with = "tls_generate"
    )]
    tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "F", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Make a certificate for ten years, keep it in the data directory, and use it
    #[arg(long)]
    tls_generate: bool,
    /// A name or address that clients use, for the certificate that is made; may be given more than once
    #[arg(long, value_name = "NAME", requires = "tls_generate")]
    tls_name: Vec<String>,
    /// Keys that may sign requests of the Kinesis API, as AWS clients keep them; signatures are verified then;
    /// read again when it changes
    #[arg(long, value_name = "F")]
    kinesis_credentials: Option<PathBuf>,
    /// File with the secret of a token that may do everything, `admin-file`; read again when it changes
    #[arg(long, value_name = "F")]
    admin_token_file: Option<PathBuf>,
    /// Ask for a token on loopback, too
    #[arg(long)]
    require_token: bool,
    /// Listen beyond loopback without tokens, credentials or TLS
    #[arg(long)]
    insecure: bool,
    /// A name that clients give this machine, besides its own and those of --tls-name; on loopback, and where nobody
    /// is asked for a token, requests to other names are refused; may be given more than once
    #[arg(long, value_name = "NAME", value_parser = spelling::host_name)]
    host_name: Vec<String>,
    /// Keep data on NFS, CIFS, 9p, FUSE or the like, whose syncs and locks nobody vouches for
    #[arg(long)]
    allow_network_file_system: bool,
}

impl Args {
    /// Where the certificate comes from, if there is to be one.
    fn tls(&self) -> Option<Tls> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(Tls::Files {
                certificate: certificate.clone(),
                key: key.clone(),
            }),
            _ => self.tls_generate.then(|| Tls::Generated {
                names: self.tls_name.clone(),
            }),
        }
    }
}

/// Where a server serves.
#[derive(Debug, Serialize)]
struct Ready {
    api: String,
    kinesis: String,
    pid: u32,
    /// SHA-256 of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_fingerprint: Option<String>,
    /// The certificate for clients, where the server made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_certificate: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    embedded::log_to_stderr(session.out.is_json())?;
    let mut signals = embedded::Signals::listen()?;
    let mut hangups = hangup::Hangups::listen()?;
    let options = ServerOptions {
        listen: args.listen,
        kinesis_listen: args.kinesis_listen,
        insecure: args.insecure,
        host_names: args.host_name.clone(),
        require_token: args.require_token,
        tls: args.tls(),
        kinesis_credentials: args.kinesis_credentials.clone(),
        admin_token_file: args.admin_token_file.clone(),
        ready_file: args.ready_file.clone(),
        allows_network_file_system: args.allow_network_file_system,
        scrub: ScrubOptions {
            bytes_per_second: args.scrub_rate,
            period: args.scrub_period,
        },
        dead_letter_bytes_max: args.dead_letters_max,
        compiler: embedded::compiler(),
        commit: COMMIT,
        last_resort: Some(end),
        ..ServerOptions::new(&args.data_dir)
    };
    if let Some(path) = &args.ready_file {
        // Before the data are touched: what cannot be told is no reason to have opened them.
        try_beside(path).map_err(|error| not_written(path, &error))?;
    }
    let starting = Server::start(options);
    tokio::pin!(starting);
    let started = tokio::select! {
        started = &mut starting => started,
        // What was opened by then is closed, so that it is no death of the process.
        _ = signals.next() => {
            let started = tokio::select! {
                started = timeout(limits::START_ENDS_WITHIN, starting) => started,
                _ = signals.next() => return Ok(()),
            };
            return match started {
                Ok(Ok(running)) => ended(running, &mut signals).await,
                _ => Ok(()),
            };
        }
    };
    let mut running = started.map_err(|error| embedded::not_started(error, &args.data_dir))?;
    let tls = running.tls.clone();
    let ready = Ready {
        api: running.api_url.clone(),
        kinesis: running.kinesis_url.clone(),
        pid: std::process::id(),
        tls_fingerprint: tls.as_ref().map(|tls| tls.fingerprint.clone()),
        tls_certificate: tls.and_then(|tls| tls.certificate),
    };
    if let Some(path) = &args.ready_file
        && let Err(error) = write_whole(path, &ready)
    {
        ended(running, &mut signals).await?;
        return Err(not_written(path, &error));
    }
    // A server does not stop because nobody reads where it is.
    let _closed = say(&ready, &args.data_dir, session);
    let stopped = loop {
        tokio::select! {
            _ = signals.next() => break None,
            () = hangups.next() => running.reload(),
            stopped = running.stopped() => break Some(stopped),
        }
    };
    if let Some(stopped) = stopped {
        drop(running);
        // The last that happens here: what is left is to tell why.
        let ms = stopped.since.map(|since| since.elapsed().as_millis());
        tracing::error!(took_ms = ms, "ending after the failure");
        return Err(
            CliError::new(ErrorCode::DataDirectoryUnusable, stopped.to_string())
                .because("nothing more can be made durable; what was acknowledged is")
                .fix("see the log above, mend the disk, start again"),
        );
    }
    ended(running, &mut signals).await
}

/// Stops in order, unless somebody cannot wait for it.
async fn ended(running: Running, signals: &mut embedded::Signals) -> Result<(), CliError> {
    tokio::select! {
        ended = running.shutdown() => ended.map_err(|error| CliError::new(ErrorCode::DataDirectoryUnusable, error.to_string())),
        _ = signals.next() => Err(CliError::new(ErrorCode::Interrupted, "interrupted while draining")
            .because("a second signal came before calls under way had ended")
            .fix("start it again: what was acknowledged is there, and calls that were cut off are made again, uncharged")),
    }
}

/// Ends the process at once, whatever its threads wait for.
fn end() -> ! {
    std::process::exit(ErrorCode::DataDirectoryUnusable.kind().exit_code().into())
}

fn say(ready: &Ready, data_dir: &Path, session: &mut Session) -> Result<(), CliError> {
    let out = &mut session.out;
    if out.is_json() {
        out.json(ready)?;
    } else {
        out.line(&format!(
            "api  {}   kinesis  {}   data {}",
            ready.api,
            ready.kinesis,
            data_dir.display()
        ))?;
        if let Some(fingerprint) = &ready.tls_fingerprint {
            out.line(&format!("tls  sha256 {fingerprint}"))?;
        }
        if let Some(certificate) = &ready.tls_certificate {
            // What this machine's clients need; others get a copy of the file.
            out.line(&format!("export FNCTL_TLS_CA={}", certificate.display()))?;
        }
        out.line(&format!(
            "export AWS_ENDPOINT_URL_KINESIS={}",
            ready.kinesis
        ))?;
    }
    out.flush()
}

/// Whether the file can be written: a file beside it is made, and goes.
fn try_beside(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let beside = beside(path);
    fs::write(&beside, "")?;
    fs::remove_file(&beside)
}

fn not_written(path: &Path, error: &io::Error) -> CliError {
    let words = format!("failed to write `{}`: {error}", path.display());
    CliError::new(ErrorCode::FileUnwritable, words)
        .fix("name a file in a folder that this user may write in: --ready-file F")
}

/// A name beside the file that no other process takes.
fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    beside.into()
}

/// Whoever sees the file sees all of it.
fn write_whole(path: &Path, ready: &Ready) -> io::Result<()> {
    let text = serde_json::to_string(ready).map_err(io::Error::other)?;
    let beside = beside(path);
    fs::write(&beside, text + "\n")?;
    fs::rename(&beside, path)
}
