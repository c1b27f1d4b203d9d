//! The server that dev works with: one of its own beside the project, or one that was named.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use fnctl_core::{error_code::ErrorCode, spec::request::VersionResult};
use fnctl_host::{Running, Server, ServerOptions};

use super::{Args, event::Event};
use crate::{
    cli::Session,
    client::{Client, Credentials},
    commands::{server::embedded, version::COMMIT},
    error::CliError,
};

/// Uses the server that was named, and says which it is: what is deployed and seeded goes there.
pub(super) async fn join(args: &Args, session: &mut Session) -> Result<(), CliError> {
    let server = session.client.server().to_owned();
    let own = [
        ("--fresh", args.fresh),
        ("--listen", args.listen.is_some()),
        ("--kinesis-listen", args.kinesis_listen.is_some()),
    ];
    if let Some((flag, _)) = own.iter().find(|(_, is_given)| *is_given) {
        return Err(CliError::usage(format!(
            "{flag} is for a server that dev starts, and {server} was named"
        ))
        .because("--server, or FNCTL_SERVER in the environment, names a server to use instead")
        .fix(format!("leave {flag} out, or unset FNCTL_SERVER")));
    }
    let other: VersionResult = session.client.get(&["v1", "version"], &[]).await?;
    let event = Event::Serving {
        api: server,
        kinesis: other.kinesis,
        data_dir: other.data_dir,
    };
    event.print(&mut session.out)
}

/// Where the project's own server keeps its data.
fn data_dir(args: &Args) -> PathBuf {
    args.folder.join(".fnctl")
}

/// Starts the server beside the project.
pub(super) async fn serve(args: &Args) -> Result<Running, CliError> {
    let data_dir = data_dir(args);
    let usual = ServerOptions::new(&data_dir);
    let listen = args.listen.unwrap_or(usual.listen);
    let options = ServerOptions {
        listen,
        kinesis_listen: args.kinesis_listen.unwrap_or(usual.kinesis_listen),
        allows_network_file_system: args.allow_network_file_system,
        compiler: embedded::compiler(),
        commit: COMMIT,
        ..usual
    };
    if args.fresh {
        forget(&data_dir)?;
    }
    match Server::start(options).await {
        Ok(running) => Ok(running),
        Err(error) => {
            let error = embedded::not_started(error, &data_dir);
            Err(taken(error, listen).await)
        }
    }
}

/// Says where the server is, and speaks to it from now on.
pub(super) fn speak_to(
    running: &Running,
    args: &Args,
    session: &mut Session,
) -> Result<(), CliError> {
    session.client = Client::new(&running.api_url, &Credentials::default())?;
    let event = Event::Serving {
        api: running.api_url.clone(),
        kinesis: running.kinesis_url.clone(),
        data_dir: crate::output::words::path(&data_dir(args)),
    };
    event.print(&mut session.out)
}

/// Removes the data of earlier runs: asked for by name, and only where a server of ours left them.
fn forget(data_dir: &Path) -> Result<(), CliError> {
    let failed = |error: std::io::Error| {
        CliError::new(
            ErrorCode::FileUnwritable,
            format!("failed to remove `{}`: {error}", data_dir.display()),
        )
    };
    if !data_dir.exists() {
        return Ok(());
    }
    if !data_dir.join("journal").is_dir() {
        return Err(CliError::new(
            ErrorCode::FileUnwritable,
            format!("`{}` is not a data directory of fnctl", data_dir.display()),
        )
        .fix("remove it by hand, if it may go"));
    }
    // Held on both by a server, and the file may be gone.
    let is_held = |path: &Path| {
        std::fs::File::open(path)
            .is_ok_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
    };
    if is_held(data_dir) || is_held(&data_dir.join("LOCK")) {
        return Err(CliError::new(
            ErrorCode::DataDirectoryLocked,
            format!("`{}` is in use by another server", data_dir.display()),
        ));
    }
    std::fs::remove_dir_all(data_dir).map_err(failed)
}

/// A taken port: by whom, and that another server can be used.
async fn taken(error: CliError, listen: SocketAddr) -> CliError {
    if !error.is(ErrorCode::AddressInUse) {
        return error;
    }
    let url = format!("http://{listen}");
    let Ok(client) = Client::new(&url, &Credentials::default()) else {
        return error;
    };
    let asked: Result<VersionResult, CliError> = client.get(&["v1", "version"], &[]).await;
    match asked {
        Ok(other) => error
            .because(format!("a fnctl server is there: process {}, data {}", other.pid, other.data_dir))
            .fix(format!("fnctl dev --server {url}        uses that one; or stop it")),
        Err(_) => error.fix("stop what listens there, or: fnctl dev --listen 127.0.0.1:0 --kinesis-listen 127.0.0.1:0"),
    }
}
