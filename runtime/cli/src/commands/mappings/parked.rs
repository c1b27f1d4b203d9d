//! `fnctl mappings parked|release|dead-letter`: keys that wait for a retry.

use fnctl_core::status::{
    Encoding, GiveUpKey, GiveUpStatus, ParkedKey, ParkedStatus, ReleaseStatus,
};

use crate::{
    cli::Session,
    error::CliError,
    output::{table::Table, words},
};

/// Characters of a failure's words in a table.
const ERROR_CHARS: usize = 60;

#[derive(Debug, clap::Args)]
pub(super) struct GiveUp {
    /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
    mapping: String,
    /// The partition key, as `parked` writes it
    #[arg(long, allow_hyphen_values = true)]
    key: String,
    /// Everything of the key that was read and is not done, not its failing records alone
    #[arg(long)]
    all: bool,
    /// Only say what would be given up
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn list(mapping: &str, session: &mut Session) -> Result<(), CliError> {
    let path = ["v1", "mappings", mapping, "parked"];
    let all: Vec<ParkedStatus> = session.client.list(&path, &[]).await?;
    if session.out.is_json() {
        return all.iter().try_for_each(|line| session.out.json(line));
    }
    let mut table = Table::new(&[
        "key",
        "shard",
        "record",
        "attempts>",
        "waiting>",
        "next attempt",
        "code",
        "error",
    ]);
    for parked in &all {
        let base64 = match parked.key_encoding {
            Encoding::Text => "",
            Encoding::Base64 => "(base64) ",
        };
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let next = parked.next_retry_at.as_deref().map(words::local_time);
        let error = parked.error.as_deref();
        table.row([
            format!("{base64}{}", parked.partition_key),
            parked.shard_id.clone(),
            words::short_number(&parked.sequence_number),
            parked.attempts.to_string(),
            or_dash(parked.waiting_records.map(|waiting| waiting.to_string())),
            or_dash(next),
            or_dash(parked.code.clone()),
            or_dash(error.map(|error| words::first_line(error, ERROR_CHARS))),
        ]);
    }
    if table.is_empty() {
        session.out.note("no key waits for a retry");
        return Ok(());
    }
    table
        .lines(0)
        .iter()
        .try_for_each(|line| session.out.line(line))
}

pub(super) async fn release(
    mapping: &str,
    key: String,
    session: &mut Session,
) -> Result<(), CliError> {
    let path = ["v1", "mappings", mapping, "parked", "release"];
    let done: ReleaseStatus = session.client.post(&path, &ParkedKey { key }).await?;
    if session.out.is_json() {
        return session.out.json(&done);
    }
    session.out.line(&format!(
        "released   {}  {}        fnctl mappings parked {}",
        done.partition_key,
        words::count(done.released_records, "failing record"),
        done.name
    ))
}

pub(super) async fn dead_letter(args: GiveUp, session: &mut Session) -> Result<(), CliError> {
    let GiveUp {
        mapping,
        key,
        all,
        dry_run,
    } = args;
    let path = ["v1", "mappings", &mapping, "parked", "dead-letter"];
    let body = GiveUpKey { key, all, dry_run };
    let done: GiveUpStatus = session.client.post(&path, &body).await?;
    if session.out.is_json() {
        return session.out.json(&done);
    }
    let (key, name) = (&done.partition_key, &done.name);
    let letters = words::count(done.dead_lettered_records, "dead letter");
    let verb = if dry_run { "would be  " } else { "given up  " };
    session.out.line(&format!(
        "{verb} {key}  {letters}        fnctl dlq list {name}"
    ))?;
    if done.ended_records > 0 {
        let ended = words::count(done.ended_records, "record");
        session.out.note(&format!("{ended} had ended before"));
    }
    if done.pending_records > 0 {
        let pending = words::count(done.pending_records, "record");
        session.out.note(&format!(
            "{pending} cannot be committed yet, or is in a call: given up when that ends, if the server runs that long; fnctl mappings parked {name}"
        ));
    }
    if done.left_records > 0 {
        let left = words::count(done.left_records, "record");
        session.out.note(&format!(
            "{left} had no worker any more when their turn came, and wait as before: the same again"
        ));
    }
    Ok(())
}
