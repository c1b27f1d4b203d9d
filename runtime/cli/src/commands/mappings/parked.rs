//! `fnctl mappings parked|release|dead-letter`: keys that wait.

use fnctl_core::status::{
    Encoding, GiveUpKey, GiveUpStatus, ParkedStatus, ReleaseKeys, ReleaseStatus,
};
use fnctl_host::limits::WAITING_KEYS_LISTED_MAX;

use crate::{
    cli::Session,
    error::CliError,
    output::{table::Table, words},
    spelling,
};

/// Characters of a failure's words in a table.
const ERROR_CHARS: usize = 60;

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
    mapping: String,
    /// This shard alone
    #[arg(long, value_name = "SHARD")]
    shard: Option<String>,
    /// At most so many keys of each shard, up to 10000 [default: 256]
    #[arg(long, value_name = "N", value_parser = spelling::positive, allow_negative_numbers = true)]
    limit: Option<u64>,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").args(["key", "all"]).required(true))]
pub(super) struct Release {
    /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
    mapping: String,
    /// The partition key, as `parked` writes it; while its circuit is open it is probed next
    #[arg(long, allow_hyphen_values = true)]
    key: Option<String>,
    /// Everything that waits; a shard whose circuit is open probes
    #[arg(long)]
    all: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct GiveUp {
    /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
    mapping: String,
    /// The partition key, as `parked` writes it
    #[arg(long, allow_hyphen_values = true)]
    key: String,
    /// Everything of the key that was read and is not done, not its failing records alone; of a key of which
    /// none failed it is this or nothing
    #[arg(long)]
    all: bool,
    /// Only say what would be given up
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn list(args: List, session: &mut Session) -> Result<(), CliError> {
    let path = ["v1", "mappings", &args.mapping, "parked"];
    let limit = args.limit.map(|limit| limit.to_string());
    let given = [
        ("shard", args.shard.as_deref()),
        ("limit", limit.as_deref()),
    ];
    let query: Vec<(&str, &str)> = given
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    let all: Vec<ParkedStatus> = session.client.list(&path, &query).await?;
    if session.out.is_json() {
        return all.iter().try_for_each(|line| session.out.json(line));
    }
    let mut table = Table::new(&[
        "key",
        "shard",
        "record",
        "attempts>",
        "waiting>",
        "waits for",
        "code",
        "error",
    ]);
    for parked in &all {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let error = parked.error.as_deref();
        let record = Some(&*parked.sequence_number).filter(|number| !number.is_empty());
        table.row([
            who(parked),
            parked.shard_id.clone(),
            or_dash(record.map(words::short_number)),
            parked.attempts.to_string(),
            or_dash(parked.waiting_records.map(|waiting| waiting.to_string())),
            waits_for(parked),
            or_dash(parked.code.clone()),
            or_dash(error.map(|error| words::shown(error, ERROR_CHARS))),
        ]);
    }
    if table.is_empty() {
        session.out.note("no key waits");
        return Ok(());
    }
    table
        .lines(0)
        .iter()
        .try_for_each(|line| session.out.line(line))?;
    for note in cut(&all, &args.mapping) {
        session.out.note(&note);
    }
    Ok(())
}

/// What is said of shards of which not all keys are listed.
fn cut(all: &[ParkedStatus], mapping: &str) -> Vec<String> {
    let shards = all.chunk_by(|one, next| one.shard_id == next.shard_id);
    let notes = shards.filter_map(|listed| {
        let (count, shard) = (listed.len() as u64, &listed[0].shard_id);
        let of = match listed[0].shard_keys {
            Some(keys) if keys <= count => return None,
            Some(keys) => format!("{count} of {} of {shard}", words::count(keys, "key")),
            None => format!("{count} keys of {shard}, of more"),
        };
        Some(format!(
            "{of}, those that failed first: fnctl mappings parked {mapping} --shard {shard} --limit {WAITING_KEYS_LISTED_MAX}"
        ))
    });
    notes.collect()
}

/// A key, or the group of keys whose window cannot be closed.
fn who(parked: &ParkedStatus) -> String {
    if let Some(window) = &parked.window {
        let start = words::local_time(&window.starts_at);
        return format!("(window {start} of group {})", window.group);
    }
    match parked.key_encoding {
        Encoding::Text => parked.partition_key.clone(),
        Encoding::Base64 => format!("(base64) {}", parked.partition_key),
    }
}

/// `retry at 12:00:01`, `retry, waits for resume`, `retry, waits for room (dead-letters-full)`.
fn waits_for(parked: &ParkedStatus) -> String {
    match &parked.next_retry_at {
        Some(at) => match words::due(at) {
            now if now == words::DUE_NOW => format!("{}, {now}", parked.why),
            at => format!("{} at {at}", parked.why),
        },
        None if parked.waits_for_resume => format!("{}, {}", parked.why, super::WAITS_FOR_RESUME),
        None => match parked.blocked_by.as_deref() {
            Some(why) => format!("{}, {}", parked.why, super::waits_for_room(why)),
            None => parked.why.clone(),
        },
    }
}

pub(super) async fn release(args: Release, session: &mut Session) -> Result<(), CliError> {
    let Release { mapping, key, all } = args;
    let path = ["v1", "mappings", &mapping, "parked", "release"];
    let done: ReleaseStatus = session
        .client
        .post(&path, &ReleaseKeys { key, all })
        .await?;
    if session.out.is_json() {
        return session.out.json(&done);
    }
    let what = match &done.partition_key {
        Some(key) => format!(
            "{}  {}",
            words::one_line(key),
            words::count(done.released_records, "record")
        ),
        None => format!("all  {}", words::count(done.released_keys, "key")),
    };
    session.out.line(&format!(
        "released   {what}        fnctl mappings parked {}",
        done.name
    ))?;
    if done.untried_in_lanes > 0 {
        let untried = words::count(done.untried_in_lanes, "record");
        session.out.note(&format!(
            "{untried} was not tried yet and waits in its lane: the next probe is of what is first there, which may be another key"
        ));
    }
    Ok(())
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
    let (key, name) = (words::one_line(&done.partition_key), &done.name);
    let letters = words::count(done.dead_lettered_records, "dead letter");
    let verb = if dry_run { "would be  " } else { "given up  " };
    session.out.line(&format!(
        "{verb} {key}  {letters}        fnctl dlq list {name}"
    ))?;
    if let Some(remaining @ 1..) = done.remaining_records {
        let remaining = words::count(remaining, "record");
        session.out.note(&format!(
            "not given up of {key}: {remaining} without a failure; --all takes all of it"
        ));
    }
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
