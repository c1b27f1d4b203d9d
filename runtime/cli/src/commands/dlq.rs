//! `fnctl dlq`: list, show, redrive, export and purge dead letters.

mod codes;
mod export;
mod filters;
mod purge;
mod redrive;

use clap::Subcommand;
use fnctl_core::{
    error_code::ErrorCode,
    limits::DEAD_LETTERS_LISTED_MAX,
    status::{DamagedLetters, DeadLetterStatus, Encoding, RedriveLine},
};

use self::filters::Filters;
use crate::{
    cli::Session,
    error::CliError,
    output::{table::Table, words},
    spelling,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List dead letters
    #[command(visible_alias = "ls")]
    List {
        /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
        mapping: String,
        #[command(flatten)]
        filters: Filters,
        /// At most so many
        #[arg(long, value_name = "N", value_parser = spelling::positive, allow_negative_numbers = true)]
        limit: Option<u64>,
        /// Only how many there are of each code
        #[arg(long, conflicts_with = "limit")]
        by_code: bool,
    },
    /// Show one whole
    Show {
        /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
        mapping: String,
        /// The dead letter's id
        id: String,
    },
    /// Give dead letters to their function again
    Redrive(redrive::Args),
    /// Write dead letters whole, one JSON object a line
    Export(export::Args),
    /// Throw dead letters away
    Purge(purge::Args),
}

impl Args {
    /// Whether nothing is changed.
    pub(crate) const fn is_reading(&self) -> bool {
        match self.action {
            Action::List { .. } | Action::Show { .. } | Action::Export(_) => true,
            Action::Redrive(_) | Action::Purge(_) => false,
        }
    }
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    match args.action {
        Action::List {
            mapping,
            filters,
            limit,
            by_code,
        } => {
            if by_code {
                return codes::run(&mapping, &filters, session).await;
            }
            let limit = limit.map(|limit| limit.to_string());
            let mut query = filters.query();
            query.extend(limit.map(|limit| ("limit", limit)));
            let listed = list(&mapping, &query, filters.is_all(), session).await?;
            if session.out.is_json() {
                return Ok(());
            }
            if listed.has_rows {
                codes::behind(&mapping, &filters, session).await?;
            }
            under_way(&mapping, session).await?;
            listed.damage.map_or(Ok(()), Err)
        }
        Action::Redrive(args) => redrive::run(args, session).await,
        Action::Export(args) => export::run(args, session).await,
        Action::Purge(args) => purge::run(args, session).await,
        Action::Show { mapping, id } => show(&mapping, &id, session).await,
    }
}

/// What a list came to.
struct Listed {
    /// A person was shown some.
    has_rows: bool,
    /// Others cannot be read.
    damage: Option<CliError>,
}

/// Prints letters.
async fn list(
    mapping: &str,
    query: &[(&'static str, String)],
    is_all: bool,
    session: &mut Session,
) -> Result<Listed, CliError> {
    let none = Listed {
        has_rows: false,
        damage: None,
    };
    let path = ["v1", "mappings", mapping, "dead-letters"];
    let query = &filters::by_ref(query);
    if session.out.is_json() {
        // Without a limit all of them are meant: they are streamed, not gathered.
        let whole = ["v1", "mappings", mapping, "dead-letters", "export"];
        let is_limited = query.iter().any(|(key, _)| *key == "limit");
        let path = if is_limited { &path[..] } else { &whole[..] };
        let mut lines = session.client.lines(path, query).await?;
        while let Some(line) = lines.next().await? {
            session.out.bytes(&line)?;
            session.out.bytes(b"\n")?;
        }
        return Ok(none);
    }
    let asked = session
        .client
        .list_and_error::<DeadLetterStatus>(&path, query);
    let (all, damage) = asked.await?;
    let status: &[&str] = if is_all { &["status"] } else { &[] };
    let columns = ["id>", "failed", "key", "attempts>", "code", "error"];
    let columns: Vec<&str> = [&columns[..1], status, &columns[1..]].concat();
    let mut table = Table::new(&columns);
    for letter in &all {
        let status = is_all.then(|| letter.status.clone());
        let rest = [
            words::local(&letter.failed_at),
            words::shown(&letter.partition_key, 24),
            letter.attempts.to_string(),
            letter.code.clone(),
            words::shown(&letter.error, 80),
        ];
        let id = std::iter::once(letter.id.clone());
        table.row(id.chain(status).chain(rest));
    }
    if table.is_empty() {
        session.out.note("no dead letters");
        return Ok(none);
    }
    if all.len() >= DEAD_LETTERS_LISTED_MAX {
        session.out.note(&format!(
            "the first {DEAD_LETTERS_LISTED_MAX}: fnctl dlq export {mapping} gives all"
        ));
    }
    for line in table.lines(0) {
        session.out.line(&line)?;
    }
    Ok(Listed {
        has_rows: true,
        damage,
    })
}

/// The error of letters that cannot be read and were left as they are.
fn left(damaged: &DamagedLetters, mapping: &str) -> CliError {
    let letters = words::count(damaged.letters, "dead letter");
    let mut ids = damaged.ids.join(" ");
    if damaged.letters > damaged.ids.len() as u64 {
        ids.push_str(" …");
    }
    CliError::new(
        ErrorCode::Damaged,
        format!("{letters} of `{mapping}` cannot be read, left open: {ids}"),
    )
    .because(&*damaged.message)
    .fix(format!(
        "a restored backup has them whole; fnctl dlq purge {mapping} ID throws one away"
    ))
}

/// Says what is redriven of the mapping now.
async fn under_way(mapping: &str, session: &mut Session) -> Result<(), CliError> {
    let path = ["v1", "mappings", mapping, "dead-letters", "redrives"];
    let all: Vec<RedriveLine> = match session.client.list(&path, &[]).await {
        Ok(all) => all,
        // The letters of a mapping that was deleted are there still; nothing of it is redriven.
        Err(error) if error.is(ErrorCode::NoSuchMapping) => return Ok(()),
        Err(error) => return Err(error),
    };
    for one in &all {
        session
            .out
            .line(&format!("redriving  {}", redrive::in_words(one)))?;
    }
    if !all.is_empty() {
        session.out.note(&format!(
            "to call it off: fnctl dlq redrive {mapping} --cancel"
        ));
    }
    Ok(())
}

async fn show(mapping: &str, id: &str, session: &mut Session) -> Result<(), CliError> {
    let letter: DeadLetterStatus = session
        .client
        .get(&["v1", "mappings", mapping, "dead-letters", id], &[])
        .await?;
    if session.out.is_json() {
        return session.out.json(&letter);
    }
    let out = &mut session.out;
    out.line(&format!(
        "dead letter {}  {}, {}",
        letter.id, letter.status, letter.code
    ))?;
    out.line(&format!(
        "  error     {}",
        letter.error.replace('\n', "\n            ")
    ))?;
    out.line(&format!(
        "  kind      {}  after {}, version {}",
        letter.error_kind,
        words::count(letter.attempts.into(), "attempt"),
        letter.function_version
    ))?;
    if let (Some(ms), Some(bytes)) = (letter.duration_ms, letter.memory_bytes) {
        let size = words::size(bytes);
        out.line(&format!("  call      took {ms:.1} ms and {size} of memory"))?;
    }
    out.line(&format!("  key       {}", letter.partition_key))?;
    out.line(&format!(
        "  record    {} {}",
        letter.shard_id, letter.sequence_number
    ))?;
    out.line(&format!("  arrived   {}", words::local(&letter.arrival)))?;
    out.line(&format!("  failed    {}", words::local(&letter.failed_at)))?;
    let encoding = match letter.data.encoding {
        Encoding::Text => "",
        Encoding::Base64 => "(base64) ",
    };
    out.line(&format!("  data      {encoding}{}", letter.data.data))
}
