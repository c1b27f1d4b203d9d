//! `fnctl status`: what mappings are doing, or what keeps them from it.

use std::cmp::Reverse;

use fnctl_core::{diagnosis::Why, status::MappingLine};

use crate::{
    cli::Session,
    commands::{mappings, read_only},
    error::CliError,
    output::{table::Table, words},
};

/// Characters of a message in the list.
const MESSAGE_CHARS: usize = 100;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// This mapping alone, whole: its id, FUNCTION/STREAM, or FUNCTION while it has one
    mapping: Option<String>,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    match args.mapping {
        Some(mapping) => mappings::describe(&mapping, session).await,
        None => {
            let is_whole = !read_only::tell(session).await?;
            list(is_whole, session).await
        }
    }
}

async fn list(is_whole: bool, session: &mut Session) -> Result<(), CliError> {
    let mut all: Vec<MappingLine> = session.client.list(&["v1", "mappings"], &[]).await?;
    all.sort_by_key(|line| (rank(line), Reverse(line.iterator_age_ms)));
    if session.out.is_json() {
        return all.iter().try_for_each(|line| session.out.json(line));
    }
    let mut table = Table::new(&["mapping", "state", "age>", "pending>", "why", ""]);
    for line in &all {
        let (code, message) = match &line.diagnosis {
            Some(found) => (found.code.as_str(), found.message.as_str()),
            None => ("", ""),
        };
        table.row([
            line.name.clone(),
            line.state.clone(),
            words::age(line.iterator_age_ms),
            line.pending_records.to_string(),
            code.to_owned(),
            words::shown(message, MESSAGE_CHARS),
        ]);
    }
    if table.is_empty() {
        if is_whole {
            session
                .out
                .note("no mappings yet: fnctl deploy FILE.wasm --stream NAME");
        }
        return Ok(());
    }
    let lines = table.lines(0);
    lines.iter().try_for_each(|line| session.out.line(line))?;
    if all.iter().any(|line| rank(line) < Some(Why::CatchingUp)) {
        session
            .out
            .note("what to do about one of them: fnctl status MAPPING");
    }
    Ok(())
}

/// The worst has the least; what this command line does not know yet comes first.
fn rank(line: &MappingLine) -> Option<Why> {
    Why::parse(&line.diagnosis.as_ref()?.code)
}
