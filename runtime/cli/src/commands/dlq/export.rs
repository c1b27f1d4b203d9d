//! `fnctl dlq export`: dead letters whole, as they come: nothing is gathered.

use std::{
    fs::File,
    io::{BufWriter, ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use fnctl_core::error_code::ErrorCode;

use super::filters::{self, Filters};
use crate::{cli::Session, error::CliError, output::words};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id, FUNCTION/STREAM, or FUNCTION while it has one; of a deleted one its id
    mapping: String,
    /// Into this file, not to stdout; it must not exist
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    filters: Filters,
}

pub(super) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let path = ["v1", "mappings", &args.mapping, "dead-letters", "export"];
    let query = args.filters.query();
    let mut lines = session
        .client
        .lines(&path, &filters::by_ref(&query))
        .await?;
    let Some(to) = &args.to else {
        while let Some(line) = lines.next().await? {
            session.out.bytes(&line)?;
            session.out.bytes(b"\n")?;
        }
        return Ok(());
    };
    let failed = |error| unwritable(to, &error);
    let mut file = BufWriter::new(File::create_new(to).map_err(failed)?);
    let mut count = 0;
    while let Some(line) = lines.next().await? {
        file.write_all(&line).map_err(failed)?;
        file.write_all(b"\n").map_err(failed)?;
        count += 1;
    }
    let file = file
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    if session.out.is_json() {
        let to = to.display().to_string();
        return session
            .out
            .json(&serde_json::json!({"exported": count, "to": to}));
    }
    let letters = words::count(count, "dead letter");
    session
        .out
        .line(&format!("exported   {letters} to {}", words::path(to)))
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    let code = match error.kind() {
        ErrorKind::AlreadyExists => ErrorCode::TargetExists,
        _ => ErrorCode::FileUnwritable,
    };
    let said = CliError::new(code, format!("`{}` cannot be written", words::path(path)))
        .because(error.to_string())
        .at(words::path(path));
    match error.kind() {
        ErrorKind::AlreadyExists => said.fix("another file: --to FILE"),
        ErrorKind::NotFound => said.fix("a folder that is there: --to FILE"),
        _ => said,
    }
}
