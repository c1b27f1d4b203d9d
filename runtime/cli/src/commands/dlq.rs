//! `fnctl dlq`: list and show dead letters.

use clap::Subcommand;
use fnctl_core::status::{DeadLetterStatus, Encoding};

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
        /// All that are kept, not only open ones
        #[arg(long)]
        all: bool,
        /// Only those of a code
        #[arg(long, value_name = "CODE")]
        code: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", value_parser = spelling::positive, allow_negative_numbers = true)]
        limit: Option<u64>,
    },
    /// Show one whole
    Show {
        /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
        mapping: String,
        /// The dead letter's id
        id: String,
    },
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    match args.action {
        Action::List {
            mapping,
            all,
            code,
            limit,
        } => {
            let limit = limit.map(|limit| limit.to_string());
            let mut query = Vec::new();
            if all {
                query.push(("all", "true"));
            }
            if let Some(code) = &code {
                query.push(("code", code.as_str()));
            }
            if let Some(limit) = &limit {
                query.push(("limit", limit.as_str()));
            }
            list(&mapping, &query, session).await
        }
        Action::Show { mapping, id } => show(&mapping, &id, session).await,
    }
}

async fn list(
    mapping: &str,
    query: &[(&str, &str)],
    session: &mut Session,
) -> Result<(), CliError> {
    let path = ["v1", "mappings", mapping, "dead-letters"];
    if session.out.is_json() {
        let mut lines = session.client.lines(&path, query).await?;
        while let Some(line) = lines.next().await? {
            session.out.bytes(&line)?;
            session.out.bytes(b"\n")?;
        }
        return Ok(());
    }
    let all: Vec<DeadLetterStatus> = session.client.list(&path, query).await?;
    let mut table = Table::new(&["id>", "failed", "key", "attempts>", "code", "error"]);
    for letter in &all {
        table.row([
            letter.id.clone(),
            words::local(&letter.failed_at),
            words::first_line(&letter.partition_key, 24),
            letter.attempts.to_string(),
            letter.code.clone(),
            words::first_line(&letter.error, 80),
        ]);
    }
    if table.is_empty() {
        session.out.note("no dead letters");
        return Ok(());
    }
    table
        .lines(0)
        .iter()
        .try_for_each(|line| session.out.line(line))
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
