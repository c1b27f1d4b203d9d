//! Dead letters by code: what `fnctl dlq list` ends with, and `--by-code` alone.

use fnctl_core::status::DeadLetterCode;

use super::filters::{self, Filters};
use crate::{
    cli::Session,
    error::CliError,
    output::{table::Table, words},
};

/// Codes that are shown behind letters; `--by-code` shows more.
const CODES_BEHIND_MAX: usize = 20;

/// Prints the codes alone.
pub(super) async fn run(
    mapping: &str,
    filters: &Filters,
    session: &mut Session,
) -> Result<(), CliError> {
    let (all, damage) = ask(mapping, filters, session).await?;
    if session.out.is_json() {
        all.iter().try_for_each(|line| session.out.json(line))?;
    } else if all.is_empty() {
        session.out.note("no dead letters");
    } else {
        print(&all, session)?;
    }
    damage.map_or(Ok(()), Err)
}

/// Prints the codes behind the letters themselves, of all that the filters take, whatever the limit. What cannot be
/// read was met with those.
pub(super) async fn behind(
    mapping: &str,
    filters: &Filters,
    session: &mut Session,
) -> Result<(), CliError> {
    let (all, _) = ask(mapping, filters, session).await?;
    session.out.line("")?;
    print(&all[..all.len().min(CODES_BEHIND_MAX)], session)?;
    if all.len() > CODES_BEHIND_MAX {
        session.out.note(&format!(
            "the {CODES_BEHIND_MAX} codes with the most letters: fnctl dlq list {mapping} --by-code gives more"
        ));
    }
    Ok(())
}

async fn ask(
    mapping: &str,
    filters: &Filters,
    session: &Session,
) -> Result<(Vec<DeadLetterCode>, Option<CliError>), CliError> {
    let path = ["v1", "mappings", mapping, "dead-letters", "codes"];
    let query = filters.query();
    let query = filters::by_ref(&query);
    session.client.list_and_error(&path, &query).await
}

fn print(codes: &[DeadLetterCode], session: &mut Session) -> Result<(), CliError> {
    let mut table = Table::new(&["code", "kind", "letters>", "oldest", "newest"]);
    for line in codes {
        let code = line.code.as_deref();
        table.row([
            code.map_or_else(
                || "(all others)".to_owned(),
                |code| words::first_line(code, 64),
            ),
            line.error_kind.clone().unwrap_or_else(|| "-".to_owned()),
            line.letters.to_string(),
            words::local(&line.oldest_failed_at),
            words::local(&line.newest_failed_at),
        ]);
    }
    let lines = table.lines(0);
    lines.iter().try_for_each(|line| session.out.line(line))
}
