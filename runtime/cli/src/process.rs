//! Runs the build command of a manifest.

use std::{
    io,
    path::{Path, PathBuf},
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

/// Runs `command` by the shell in `folder` to make `component`. Its words go to stderr, or are kept.
///
/// # Errors
/// It does not start.
pub(crate) async fn build(
    command: &str,
    folder: &Path,
    component: &Path,
    is_kept: bool,
) -> Result<Built, CliError> {
    let started = Instant::now();
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(command)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(target) = target_folder(component) {
        // What the manifest says holds, not a folder that Cargo was told for other builds.
        shell.env("CARGO_TARGET_DIR", target);
    }
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

/// The folder that Cargo has to build into for `component` to be there; none when it is not where Cargo
/// puts components.
fn target_folder(component: &Path) -> Option<PathBuf> {
    let triple = component.parent()?.parent()?;
    let is_cargo = triple.file_name()?.to_str()?.starts_with("wasm32-");
    let target = is_cargo.then(|| triple.parent())??;
    std::path::absolute(target).ok()
}

/// Whether a program of this name is on the path.
pub(crate) fn is_on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_builds_where_the_manifest_looks() {
        for (component, target) in [
            ("/p/target/wasm32-wasip2/release/a.wasm", Some("/p/target")),
            ("/p/../t/wasm32-wasip2/debug/a.wasm", Some("/p/../t")),
            ("/p/out/a.wasm", None),
            ("a.wasm", None),
        ] {
            assert_eq!(
                target_folder(Path::new(component)).as_deref(),
                target.map(Path::new),
                "{component}"
            );
        }
    }
}
