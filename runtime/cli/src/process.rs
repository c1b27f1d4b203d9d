//! Runs the build command of a manifest.

use std::{
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use fnctl_core::error_code::ErrorCode;
use tokio::process::Command;

use crate::error::CliError;

/// A build that ended.
pub(crate) struct Built {
    /// Whether it succeeded.
    pub(crate) status: ExitStatus,
    /// How long it took.
    pub(crate) took: Duration,
    /// What it wrote, where that was asked for.
    pub(crate) words: String,
}

/// Runs `command` by the shell in `folder`. Its words go to stderr, or are kept.
///
/// # Errors
/// It does not start.
pub(crate) async fn build(command: &str, folder: &Path, is_kept: bool) -> Result<Built, CliError> {
    let started = Instant::now();
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(command)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let failed = |error: io::Error| {
        CliError::new(
            ErrorCode::ToolMissing,
            format!("`{command}` does not start: {error}"),
        )
        .because("a build command is run by `sh -c` in the folder of fnctl.toml")
        .fix("mend `build` in fnctl.toml, or install what it names")
    };
    let (status, words) = if is_kept {
        let output = shell.output().await.map_err(failed)?;
        let mut words = String::from_utf8_lossy(&output.stderr).into_owned();
        words.push_str(&String::from_utf8_lossy(&output.stdout));
        (output.status, words)
    } else {
        // stdout is for data: the compiler's words are not ours.
        let status = shell
            .stdout(Stdio::from(io::stderr()))
            .status()
            .await
            .map_err(failed)?;
        (status, String::new())
    };
    Ok(Built {
        status,
        took: started.elapsed(),
        words,
    })
}

/// Whether a program of this name is on the path.
pub(crate) fn is_on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}
