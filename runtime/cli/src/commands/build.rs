//! `fnctl build`: runs the manifest's build command.

use std::path::PathBuf;

use fnctl_core::error_code::ErrorCode;
use serde::Serialize;

use crate::{cli::Session, error::CliError, manifest::Manifest, output::words, process};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder with fnctl.toml
    #[arg(default_value = ".")]
    folder: PathBuf,
}

#[derive(Serialize)]
struct Built {
    component: String,
    component_bytes: u64,
    duration_ms: u64,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let manifest = Manifest::load(&args.folder)?;
    let component = manifest.component()?;
    let command = manifest.build_command();
    let built = process::build(command, &manifest.folder, &component, false).await?;
    if !built.status.success() {
        return Err(CliError::new(
            ErrorCode::BuildFailed,
            format!("`{command}` failed, {}", built.status),
        )
        .at(manifest.folder.display().to_string())
        .fix("what it says is above; fnctl doctor checks the tools"));
    }
    let bytes = std::fs::metadata(&component)
        .map_err(|error| {
            CliError::new(
                ErrorCode::BuildFailed,
                format!("the build made no `{}`", component.display()),
            )
            .because(error.to_string())
            .fix("`component` in fnctl.toml is the path that the build command writes")
        })?
        .len();
    let built = Built {
        component: component.display().to_string(),
        component_bytes: bytes,
        duration_ms: u64::try_from(built.took.as_millis()).unwrap_or(u64::MAX),
    };
    if session.out.is_json() {
        return session.out.json(&built);
    }
    let size = words::size(bytes);
    session.out.line(&format!(
        "built in {} ms  {}  {size}",
        built.duration_ms, built.component
    ))
}
