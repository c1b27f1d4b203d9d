//! What `server` and `dev` share around the server they embed: its log, its signals, its refusals.

use std::{future::poll_fn, io, path::Path, task::Poll};

use fnctl_core::error_code::{ErrorCode, ErrorObject};
use fnctl_host::{ListenError, StartError, TokensError};
use fnctl_invoker::Compiler;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::error::CliError;

/// Variable that says how much the server logs.
const LOG_VARIABLE: &str = "FNCTL_LOG";

/// What it may say of how much.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// This very program, in a process of its own for each component; also when its file was replaced since.
pub(crate) fn compiler() -> Compiler {
    Compiler::Process {
        program: "/proc/self/exe".into(),
        // Else the allocator reserves a gibibyte at its first call, which is the limit.
        environment: vec![("MIMALLOC_ARENA_RESERVE".to_owned(), "32MiB".to_owned())],
    }
}

/// Sends the server's log to stderr, as text or as an object a line.
///
/// # Errors
/// `FNCTL_LOG` cannot be understood.
pub(crate) fn log_to_stderr(is_json: bool) -> Result<(), CliError> {
    log(is_json, "info")
}

/// As [`log_to_stderr`], of what someone should act on alone.
///
/// # Errors
/// As there.
pub(crate) fn warn_on_stderr(is_json: bool) -> Result<(), CliError> {
    log(is_json, "warn")
}

fn log(is_json: bool, level: &str) -> Result<(), CliError> {
    let asked = std::env::var_os(LOG_VARIABLE).unwrap_or_default();
    let filter = log_filter(&asked.to_string_lossy(), level)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false);
    // A second call, in tests, changes nothing.
    let _set = if is_json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    Ok(())
}

/// What is logged: as `FNCTL_LOG` says, or from `level` on where it says nothing. A level alone, or of a module: a word
/// that is neither would be taken for a module's name, and silence everything else.
fn log_filter(asked: &str, level: &str) -> Result<EnvFilter, CliError> {
    let refused = |part: &str, why: String| {
        CliError::usage(format!("`{part}` in {LOG_VARIABLE} is no level of the log"))
            .at(LOG_VARIABLE)
            .because(why)
            .fix(format!(
                "{LOG_VARIABLE}=debug, or by module: {LOG_VARIABLE}=fnctl_host=debug; all others stay at `{level}`"
            ))
    };
    let parts = asked
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    for part in parts.clone() {
        let (_module, named) = part.rsplit_once('=').unwrap_or(("", part));
        let is_level = LEVELS
            .iter()
            .any(|level| named.trim().eq_ignore_ascii_case(level));
        if !is_level {
            return Err(refused(part, format!("levels are {}", LEVELS.join(", "))));
        }
    }
    // A module's own level is beside the usual one, not instead of it: a name that no module has silences nothing.
    let is_alone = parts.clone().all(|part| part.contains('='));
    let usual = is_alone.then_some(level);
    let all: Vec<&str> = usual.into_iter().chain(parts).collect();
    EnvFilter::builder()
        .parse(all.join(","))
        .map_err(|error| refused(asked, error.to_string()))
}

/// Who wants the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Whoever looks after it: SIGTERM.
    Asked,
    /// The person in front of it: SIGINT, Ctrl-C.
    Interrupted,
}

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    term: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on, instead of ending the process.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn listen() -> Result<Self, CliError> {
        let on = |kind| {
            signal(kind).map_err(|error| {
                CliError::new(
                    ErrorCode::Internal,
                    format!("failed to listen for signals: {error}"),
                )
            })
        };
        Ok(Self {
            term: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) -> Ending {
        poll_fn(|cx| {
            if self.term.poll_recv(cx).is_ready() {
                return Poll::Ready(Ending::Asked);
            }
            self.interrupt.poll_recv(cx).map(|_| Ending::Interrupted)
        })
        .await
    }
}

/// What keeps strangers out of a listener.
fn exposed(data_dir: &Path, what: &str) -> String {
    let data_dir = data_dir.display();
    let who = if what == "API" {
        format!(
            "fnctl tokens create NAME --scope admin --data-dir {data_dir}, or --admin-token-file F, then"
        )
    } else {
        "--kinesis-credentials F and".to_owned()
    };
    format!(
        "{who} --tls-cert F --tls-key F or --tls-generate; or listen on 127.0.0.1; or add --insecure, for a network where nobody is a stranger"
    )
}

/// Why a server did not start, and what to do.
pub(crate) fn not_started(error: StartError, data_dir: &Path) -> CliError {
    let words = error.to_string();
    let object = match error {
        StartError::Listen(ListenError::NotLoopback { address, what, missing }) => {
            ErrorObject::new(ErrorCode::ListenerExposed, format!("`{address}` is not a loopback address, and nothing keeps strangers out of the {what} there"))
                .because(missing.join("; "))
                .fix(exposed(data_dir, what))
        }
        StartError::Listen(ListenError::NoToken) => {
            ErrorObject::new(ErrorCode::TokenRefused, words)
                .because("nobody could ask for anything")
                .fix(format!("fnctl tokens create NAME --scope admin --data-dir {}", data_dir.display()))
        }
        StartError::Tokens(TokensError::File { .. }) => ErrorObject::new(ErrorCode::AccessFileUnusable, words)
            .because("such a file holds the secret of one token, and nothing else")
            .fix("openssl rand -hex 32 > F, readable by the server alone"),
        StartError::Tokens(TokensError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            ErrorObject::new(ErrorCode::DataDirectoryUnusable, words)
                .because("whoever the server runs as may not read it")
                .fix("a directory that is theirs: --data-dir D, or chown")
        }
        StartError::Tokens(TokensError::Io { .. }) => {
            ErrorObject::new(ErrorCode::DataDirectoryUnusable, words)
                .fix("name a directory on a local disk that this user may read and write: --data-dir D")
        }
        StartError::Tokens(_) => ErrorObject::new(ErrorCode::AccessFileUnusable, words)
            .because("nobody is let in by guessing what such a file says, so nothing is served")
            .fix("mend it; or remove `access.json`, and make every token anew"),
        StartError::Credentials(_) => ErrorObject::new(ErrorCode::AccessFileUnusable, words)
            .because("the file is as AWS clients keep theirs: `[name]`, `aws_access_key_id = …`, `aws_secret_access_key = …`, and `fnctl_scope = read|write|admin`")
            .fix("mend it, and start again"),
        StartError::Tls(_) => ErrorObject::new(ErrorCode::TlsUnusable, words)
            .fix("--tls-cert F --tls-key F: PEM files that belong together; or --tls-generate [--tls-name NAME]"),
        StartError::Listen(ListenError::Bind { address, source }) if source.kind() == io::ErrorKind::AddrInUse => {
            ErrorObject::new(ErrorCode::AddressInUse, format!("`{address}` is taken"))
                .because("another process listens there")
                .fix("stop it, or choose another with --listen and --kinesis-listen; port 0 takes a free one")
        }
        StartError::Listen(ListenError::Bind { address, source }) => {
            let fix = match source.kind() {
                io::ErrorKind::AddrNotAvailable => "name an address that this machine has: ip addr; or 127.0.0.1, or 0.0.0.0 for all of them",
                io::ErrorKind::PermissionDenied => "ports below 1024 are for root: choose another with --listen and --kinesis-listen",
                _ => "choose another with --listen and --kinesis-listen; port 0 takes a free one",
            };
            ErrorObject::new(ErrorCode::Usage, format!("failed to listen on `{address}`")).because(source.to_string()).fix(fix)
        }
        StartError::Listen(ListenError::Same { .. }) => ErrorObject::new(ErrorCode::Usage, words)
            .because("the API and the Kinesis API each have a port of their own")
            .fix("give --listen and --kinesis-listen different ports; port 0 takes a free one"),
        StartError::Open(fnctl_host::OpenError::NetworkFileSystem { name, .. }) => {
            ErrorObject::new(ErrorCode::DataDirectoryUnusable, format!("the data directory `{}` lies on a network file system ({name})", data_dir.display()))
                .because("what such a file system has synced, locked or renamed is not what a disk has: acknowledged records could be lost")
                .fix("name a directory on a local disk: --data-dir D; or accept it: --allow-network-file-system")
        }
        StartError::Open(fnctl_host::OpenError::Locked { holder, .. }) => {
            let by = holder.map_or("another server".to_owned(), |holder| holder.to_string());
            ErrorObject::new(ErrorCode::DataDirectoryLocked, format!("the data directory `{}` is in use by {by}", data_dir.display()))
                .because("one process at a time may write there")
                .fix("stop that server, or give this one --data-dir of its own")
        }
        StartError::Open(fnctl_host::OpenError::NewerVersion { .. }) => {
            ErrorObject::new(ErrorCode::DataDirectoryNewer, format!("the data directory `{}` was written by a newer version", data_dir.display()))
                .because(words)
                .fix("use the fnctl that wrote it, or a later one; nothing was changed")
        }
        StartError::Open(fnctl_host::OpenError::NoDataDirectory { found, .. }) => {
            ErrorObject::new(ErrorCode::TargetExists, format!("`{}` is not a data directory of fnctl", data_dir.display()))
                .because(format!("it is not empty, and holds `{found}`; nothing was written there"))
                .fix("name an empty directory, or one that is not there yet: --data-dir D")
        }
        StartError::Open(fnctl_host::OpenError::Damaged(_)) => ErrorObject::new(ErrorCode::DataDirectoryUnusable, "the data directory cannot be opened")
            .at(data_dir.display().to_string())
            .because(words)
            .fix(format!("fnctl doctor --data-dir {}", data_dir.display())),
        StartError::Open(fnctl_host::OpenError::Io { path, source }) if source.kind() == io::ErrorKind::NotADirectory && path == data_dir => {
            ErrorObject::new(ErrorCode::DataDirectoryUnusable, format!("`{}` is no directory", data_dir.display()))
                .because("data are kept in a directory, which is made when it is missing; nothing was changed")
                .fix("name a directory: --data-dir D")
        }
        StartError::Open(_) => ErrorObject::new(ErrorCode::DataDirectoryUnusable, "the data directory cannot be opened")
            .at(data_dir.display().to_string())
            .because(words)
            .fix("name a directory on a local disk that this user may write in: --data-dir D"),
        _ => ErrorObject::new(ErrorCode::Internal, words),
    };
    object.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_is_understood_or_refused_and_named() {
        for (asked, is) in [
            ("", "info"),
            (" , ", "info"),
            ("WARN", "warn"),
            ("info, fnctl_host=debug", "fnctl_host=debug,info"),
            ("fnctl_store=off", "fnctl_store=off,info"),
            ("fnctl_stor=debug", "fnctl_stor=debug,info"),
        ] {
            let filter = log_filter(asked, "info").unwrap_or_else(|e| panic!("{asked}: {e:?}"));
            assert_eq!(filter.to_string(), is, "{asked}");
        }
        for (asked, named) in [
            ("loud", "loud"),
            ("info,fnctl_host=chatty", "fnctl_host=chatty"),
            ("fnctl_host", "fnctl_host"),
            ("fnctl_host=", "fnctl_host="),
            ("[=info", "[=info"),
        ] {
            let CliError::Told(error) = log_filter(asked, "info").expect_err(asked) else {
                panic!("{asked}");
            };
            assert_eq!(error.exit_code, 2, "{asked}");
            assert!(
                error.message.contains(&format!("`{named}`")),
                "{}",
                error.message
            );
            assert!(error.fix.is_some_and(|fix| fix.contains("FNCTL_LOG=debug")));
        }
    }
}
