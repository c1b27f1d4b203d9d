//! `fnctl dlq export`: dead letters whole, as they come: nothing is gathered.

use std::path::PathBuf;

use fnctl_core::error_code::ErrorCode;

use super::filters::{self, Filters};
use crate::{
    cli::Session,
    error::CliError,
    output::words,
    written::{Written, unwritable},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id, FUNCTION/STREAM, or FUNCTION while it has one; of a deleted one its id
    mapping: String,
    /// Into this file, not to stdout; it must not exist, and is readable by its owner alone
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
    let failed = |error| unwritable(to, &error, "another file: --to FILE");
    let mut file = Written::create(to, false).map_err(failed)?;
    let mut count = 0;
    let damage = loop {
        match lines.next().await {
            Ok(Some(line)) => file.line(&line).map_err(failed)?,
            Ok(None) => break None,
            // All that can be read came in front of it.
            Err(error) if error.is(ErrorCode::Damaged) => break Some(error),
            Err(error) => return Err(error),
        }
        count += 1;
    };
    file.keep().map_err(failed)?;
    if session.out.is_json() {
        let to = to.display().to_string();
        session
            .out
            .json(&serde_json::json!({"exported": count, "to": to}))?;
    } else {
        let letters = words::count(count, "dead letter");
        session
            .out
            .line(&format!("exported   {letters} to {}", words::path(to)))?;
    }
    damage.map_or(Ok(()), Err)
}
