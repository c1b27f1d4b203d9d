//! `fnctl doctor`: whether this machine can build, and whether the server answers; or whether a data
//! directory is whole.

mod data;

use std::path::{Path, PathBuf};

use fnctl_core::{error_code::ErrorCode, spec::request::VersionResult};
use serde::Serialize;
use tokio::process::Command;

use super::{no_room, read_only, version::VERSION};
use crate::{
    cli::Session,
    error::CliError,
    manifest::{self, Manifest},
    output::{pasted, words},
    process,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Check this data directory instead, every file of it; no server may use it
    #[arg(long, value_name = "D")]
    data_dir: Option<PathBuf>,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    Ok,
    /// It may be meant so.
    Note,
    Problem,
}

#[derive(Serialize)]
struct Check {
    check: &'static str,
    status: Status,
    message: String,
    fix: Option<String>,
}

impl Check {
    fn new(check: &'static str, status: Status, message: impl Into<String>) -> Self {
        Self {
            check,
            status,
            message: message.into(),
            fix: None,
        }
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    if let Some(data_dir) = &args.data_dir {
        return data::examine(data_dir, session);
    }
    let mut checks = vec![
        Check::new("fnctl", Status::Ok, format!("version {VERSION}")),
        on_path(),
        tool("rust", "rustc", &["--version"], "https://rustup.rs").await,
        tool("cargo", "cargo", &["--version"], "https://rustup.rs").await,
        target().await,
    ];
    checks.extend(project());
    checks.push(server(session).await);
    for check in &checks {
        if session.out.is_json() {
            session.out.json(check)?;
            continue;
        }
        let mark = match check.status {
            Status::Ok => "ok",
            Status::Note => "note",
            Status::Problem => "problem",
        };
        session
            .out
            .line(&format!("{mark:<8} {:<10} {}", check.check, check.message))?;
        if let Some(fix) = &check.fix {
            for line in fix.lines() {
                session
                    .out
                    .line(&format!("{:<20}{}", "", pasted::line(line)))?;
            }
        }
    }
    match checks
        .iter()
        .filter(|check| check.status == Status::Problem)
        .count()
    {
        0 => Ok(()),
        count => Err(CliError::new(
            ErrorCode::Unhealthy,
            words::count(count as u64, "problem"),
        )),
    }
}

fn on_path() -> Check {
    if process::is_on_path("fnctl") {
        Check::new("path", Status::Ok, "fnctl is on the path")
    } else {
        Check::new("path", Status::Note, "fnctl is not on the path").fix("make install")
    }
}

async fn tool(check: &'static str, program: &str, arguments: &[&str], fix: &str) -> Check {
    match said(program, arguments).await {
        Some(words) => Check::new(check, Status::Ok, words),
        None => Check::new(check, Status::Problem, format!("`{program}` does not run")).fix(fix),
    }
}

/// The target's library is asked for, not rustup: it may have come another way.
async fn target() -> Check {
    const TARGET: &str = "wasm32-wasip2";
    let library = said("rustc", &["--print", "target-libdir", "--target", TARGET]).await;
    match library {
        Some(path) if Path::new(&path).is_dir() => Check::new("target", Status::Ok, TARGET),
        _ => Check::new(
            "target",
            Status::Problem,
            format!("{TARGET} is not installed"),
        )
        .fix(format!("rustup target add {TARGET}")),
    }
}

async fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    let words = String::from_utf8_lossy(&output.stdout);
    output
        .status
        .success()
        .then(|| words::first_line(&words, 200))
}

fn project() -> Option<Check> {
    if !Path::new(manifest::FILE).is_file() {
        return None;
    }
    Some(match Manifest::load(Path::new(".")) {
        Ok(_) => Check::new(
            "manifest",
            Status::Ok,
            format!("{} has no problem", manifest::FILE),
        ),
        Err(CliError::Told(error)) => {
            let all: Vec<String> = error
                .problems
                .iter()
                .map(|problem| format!("{}: {}", problem.path, problem.message))
                .collect();
            Check::new(
                "manifest",
                Status::Problem,
                if all.is_empty() {
                    error.message
                } else {
                    all.join("; ")
                },
            )
        }
        Err(CliError::StdoutClosed | CliError::Ended) => return None,
    })
}

async fn server(session: &Session) -> Check {
    let address = session.client.server();
    let asked: Result<VersionResult, CliError> = session.client.get(&["v1", "version"], &[]).await;
    match asked {
        Ok(VersionResult {
            read_only: Some(why),
            data_dir,
            ..
        }) => {
            let [what, how @ ..] = read_only::words(&why, &data_dir);
            Check::new("server", Status::Problem, what)
                .fix(how.map(|line| line.trim().to_owned()).join("\n"))
        }
        Ok(VersionResult {
            no_room: Some(no_room),
            ..
        }) => Check::new("server", Status::Problem, &*no_room.message)
            .fix(no_room::fixes(&no_room).join("\n")),
        Ok(server) if server.version == VERSION => Check::new(
            "server",
            Status::Ok,
            format!(
                "{address}  version {}, kinesis {}, data {}",
                server.version, server.kinesis, server.data_dir
            ),
        ),
        Ok(server) => Check::new(
            "server",
            Status::Note,
            format!(
                "{address} has version {}, this is {VERSION}",
                server.version
            ),
        ),
        Err(CliError::Told(error)) if error.code == ErrorCode::ServerUnreachable.as_str() => {
            Check::new("server", Status::Note, error.message).fix("fnctl server, or fnctl dev")
        }
        Err(CliError::Told(error)) => Check::new("server", Status::Problem, error.message),
        Err(CliError::StdoutClosed | CliError::Ended) => {
            Check::new("server", Status::Note, "not asked")
        }
    }
}
