//! `fnctl mappings`: list, describe, update, pause, resume, seek, parked keys, delete.

mod circuit;
mod diagnosis;
mod parked;
mod seek;
mod update;

use clap::Subcommand;
use fnctl_core::{
    diagnosis::Why,
    status::{MappingLine, MappingStatus, RedrivingStatus, RelayStatus, ShardStatus},
};

use crate::{
    cli::Session,
    commands::{functions::canary_line, read_only},
    confirm::{Destroying, Doomed},
    error::CliError,
    output::{Output, table::Table, words},
};

/// Said of a mapping that does not run, instead of a time that has passed.
const WAITS_FOR_RESUME: &str = "waits for resume";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the mappings, the oldest backlog first
    #[command(visible_alias = "ls")]
    List,
    /// Show where a mapping stands
    Describe {
        /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
        mapping: String,
    },
    /// Change what is named, and nothing else; nothing is lost or done twice
    Update(Box<update::Args>),
    /// Start no more calls; nothing is lost
    Pause {
        /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
        mapping: String,
    },
    /// Go on, after a pause or a fatal error
    Resume {
        /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
        mapping: String,
    },
    /// Go on elsewhere in the stream
    Seek(seek::Args),
    /// List the keys that wait, for what, and until when
    Parked(parked::List),
    /// Try a key that waits now, or everything, whatever is left of the wait
    Release(parked::Release),
    /// Give up a waiting key's failing records by hand: they become dead letters, the rest goes on
    DeadLetter(parked::GiveUp),
    /// Delete a mapping and its progress
    #[command(visible_alias = "rm")]
    Delete {
        /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
        mapping: String,
        #[command(flatten)]
        destroying: Destroying,
    },
}

impl Args {
    /// Whether nothing is changed.
    pub(crate) const fn is_reading(&self) -> bool {
        matches!(
            self.action,
            Action::List | Action::Describe { .. } | Action::Parked(_)
        )
    }
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    match args.action {
        Action::List => {
            let is_whole = !read_only::tell(session).await?;
            list(is_whole, session).await
        }
        Action::Describe { mapping } => describe(&mapping, session).await,
        Action::Update(args) => update::run(*args, session).await,
        Action::Pause { mapping } => set(&mapping, "pause", session).await,
        Action::Resume { mapping } => set(&mapping, "resume", session).await,
        Action::Seek(args) => seek::run(args, session).await,
        Action::Parked(args) => parked::list(args, session).await,
        Action::Release(args) => parked::release(args, session).await,
        Action::DeadLetter(args) => parked::dead_letter(args, session).await,
        Action::Delete {
            mapping,
            destroying,
        } => delete(&mapping, destroying, session).await,
    }
}

async fn list(is_whole: bool, session: &mut Session) -> Result<(), CliError> {
    let mut all: Vec<MappingLine> = session.client.list(&["v1", "mappings"], &[]).await?;
    if session.out.is_json() {
        return all.iter().try_for_each(|line| session.out.json(line));
    }
    // Worst first: what does not run, what is held, then what is furthest behind.
    all.sort_by_key(|line| {
        (
            line.state == "running",
            line.circuit.is_none(),
            std::cmp::Reverse(line.iterator_age_ms),
        )
    });
    let mut headers = vec!["mapping", "state", "age>", "pending>", "id>"];
    let is_held = all.iter().any(|line| line.circuit.is_some());
    if is_held {
        headers.push("why");
    }
    let mut table = Table::new(&headers);
    for line in &all {
        let mut cells = vec![
            line.name.clone(),
            state(&line.state, line.reason.as_deref()),
            words::age(line.iterator_age_ms),
            line.pending_records.to_string(),
            line.id.clone(),
        ];
        if is_held {
            cells.push(circuit::in_list(line.circuit.as_ref()));
        }
        table.row(cells);
    }
    if table.is_empty() {
        if is_whole {
            session
                .out
                .note("no mappings yet: fnctl deploy FILE.wasm --stream NAME");
        }
        return Ok(());
    }
    table
        .lines(0)
        .iter()
        .try_for_each(|line| session.out.line(line))
}

/// Shows one mapping whole: where it stands, why, and what to do.
pub(crate) async fn describe(mapping: &str, session: &mut Session) -> Result<(), CliError> {
    let status: MappingStatus = session
        .client
        .get(&["v1", "mappings", mapping], &[])
        .await?;
    if session.out.is_json() {
        return session.out.json(&status);
    }
    print(&status, &mut session.out)
}

fn print(status: &MappingStatus, out: &mut Output) -> Result<(), CliError> {
    out.line(&format!(
        "{}  {}, {}        {} version {}, live since {}",
        status.name,
        state(&status.state, status.reason.as_deref()),
        diagnosis::behind(status),
        status.function,
        status.version,
        words::local(&status.live_since),
    ))?;
    if let Some(canary) = &status.canary {
        out.line(&format!("  {}", canary_line(canary)))?;
    }
    if let Some(found) = &status.diagnosis {
        let lines = diagnosis::why(found);
        lines.iter().try_for_each(|line| out.line(line))?;
    }
    let mut table = Table::new(&["shard", "age>", "pending>", "parked>", "checkpoint", "now"]);
    for shard in &status.shards {
        table.row([
            shard.shard_id.clone(),
            words::age(shard.iterator_age_ms),
            shard.pending_records.to_string(),
            parked_keys(shard),
            shard
                .checkpoint
                .as_deref()
                .map_or_else(|| "-".to_owned(), words::short_number),
            waiting(shard)
                .or_else(|| next_attempt(shard, status))
                .unwrap_or_default(),
        ]);
    }
    table.lines(2).iter().try_for_each(|line| out.line(line))?;
    if let Some(rates) = &status.rates {
        out.line(&diagnosis::recent(rates))?;
    }
    let totals = &status.totals;
    let dropped = match totals.dropped {
        0 => String::new(),
        dropped => format!("  dropped {dropped}"),
    };
    out.line(&format!(
        "  totals  polled {}  filtered {}  processed {}  failed {}  dead-lettered {}  expired {}  emitted {}{dropped}",
        totals.polled, totals.filtered, totals.processed, totals.failed, totals.dead_lettered, totals.expired, totals.emitted
    ))?;
    let dead: Vec<String> = status
        .dead_letters_by_code
        .iter()
        .map(|(code, count)| format!("{code} {count}"))
        .chain(
            (status.dead_letters_damaged > 0)
                .then(|| format!("(damaged at rest) {}", status.dead_letters_damaged)),
        )
        .collect();
    if !dead.is_empty() {
        out.line(&format!(
            "  dead    {} (open)        fnctl dlq list {}",
            dead.join("  "),
            status.name
        ))?;
    }
    if let Some(redriving) = &status.redriving {
        out.line(&redriving_line(redriving))?;
    }
    if let Some(relay) = &status.relay {
        out.line(&relay_line(relay))?;
    }
    if let Some(line) = windows_line(status) {
        out.line(&line)?;
    }
    for pattern in &status.settings.filter {
        out.line(&format!("  filter  {}", words::shown(pattern, 400)))?;
    }
    out.line(&format!("  outputs {}", outputs(&status.outputs)))
}

/// How long windows are, and those that are open.
fn windows_line(status: &MappingStatus) -> Option<String> {
    let open: u64 = status.shards.iter().map(|shard| shard.open_windows).sum();
    let settings = &status.settings;
    if settings.tumbling_window_ms == 0 && open == 0 {
        return None;
    }
    let length = match settings.tumbling_window_ms {
        0 => "off".to_owned(),
        length => format!("of {}", words::age(length.into())),
    };
    let ends = status.shards.iter();
    let ends = ends.filter_map(|shard| shard.oldest_window_ends_at.as_deref());
    let ends = ends.min().map_or_else(String::new, |end| {
        format!(", the oldest ends {}", words::local(end))
    });
    Some(format!("  windows {length}, {open} open{ends}"))
}

/// How many dead letters are given to the function again, and how fast.
fn redriving_line(redriving: &RedrivingStatus) -> String {
    let letters = words::count(redriving.letters, "letter");
    let rate = redriving.rate;
    let rate = rate.map_or_else(String::new, |rate| format!(", {rate} a second"));
    format!("  dead    redriving {letters}{rate}")
}

/// Where dead letters are copied to, and what holds that.
fn relay_line(relay: &RelayStatus) -> String {
    let pending = match relay.pending_letters {
        0 => "all there".to_owned(),
        pending => format!(
            "{} to bring, the oldest since {}",
            words::count(pending, "letter"),
            words::age(relay.age_ms)
        ),
    };
    let held = relay.held.as_ref().map(|held| {
        format!(
            "; held since {}: {}, next try {}",
            words::local(&held.since),
            words::shown(&held.error, 200),
            words::local_time(&held.next_try_at)
        )
    });
    format!(
        "  relay   {}  {pending}{}",
        relay.to,
        held.unwrap_or_default()
    )
}

/// `40 (30 failed)`: keys that wait, and those of them that failed, where others are held as well.
fn parked_keys(shard: &ShardStatus) -> String {
    let (all, failed) = (shard.parked_keys, shard.failed_keys);
    if all == failed {
        return all.to_string();
    }
    format!("{all} ({failed} failed)")
}

/// When the next key is tried that failed; of a mapping that does not run nothing is until it is resumed, and what
/// cannot be committed waits for that.
fn next_attempt(shard: &ShardStatus, status: &MappingStatus) -> Option<String> {
    let has_keys = shard.parked_keys > 0;
    match (shard.next_retry_at.as_deref(), status.state.as_str()) {
        (_, "paused" | "stopped") if has_keys => Some(WAITS_FOR_RESUME.to_owned()),
        (Some(time), _) => Some(format!("next attempt {}", words::due(time))),
        (None, "blocked") if has_keys => {
            let why = status.reason.as_deref().map(Why::parse)??;
            is_of_room(why).then(|| waits_for_room(why.as_str()))
        }
        (None, _) => None,
    }
}

/// Whether commits are refused for it until there is room, or a stream.
const fn is_of_room(why: Why) -> bool {
    matches!(
        why,
        Why::DeadLettersFull | Why::DiskFull | Why::OutputFull | Why::BlockedOutput
    )
}

/// `waits for room (dead-letters-full)`.
fn waits_for_room(why: &str) -> String {
    let what = match why == Why::BlockedOutput.as_str() {
        true => "an output stream",
        false => "room",
    };
    format!("waits for {what} ({why})")
}

/// What a shard waits for that is not its turn yet, or whose turn is over.
fn waiting(shard: &ShardStatus) -> Option<String> {
    if shard.ended {
        return Some("ended".to_owned());
    }
    if let Some(open) = circuit::now(shard) {
        return Some(open);
    }
    let (why, parent) = (shard.why.as_ref()?, shard.waits_for.as_ref()?);
    let key = shard.waits_for_key.as_ref();
    let key = key.map_or_else(String::new, |key| format!(", where key `{key}` is parked"));
    Some(format!("{why}: {parent}{key}"))
}

/// `default → enriched   rejected → rejects`.
pub(crate) fn outputs(outputs: &std::collections::BTreeMap<String, String>) -> String {
    let all: Vec<String> = outputs
        .iter()
        .map(|(name, to)| format!("{name} → {to}"))
        .collect();
    all.join("   ")
}

async fn set(mapping: &str, action: &str, session: &mut Session) -> Result<(), CliError> {
    let path = ["v1", "mappings", mapping, action];
    let status: MappingLine = session.client.post(&path, &serde_json::json!({})).await?;
    if session.out.is_json() {
        return session.out.json(&status);
    }
    session.out.line(&format!(
        "mapping    {}  {}",
        status.name,
        state(&status.state, status.reason.as_deref())
    ))
}

async fn delete(
    mapping: &str,
    destroying: Destroying,
    session: &mut Session,
) -> Result<(), CliError> {
    let status: MappingStatus = session
        .client
        .get(&["v1", "mappings", mapping], &[])
        .await?;
    let windows = match status.shards.iter().map(|shard| shard.open_windows).sum() {
        0 => String::new(),
        1 => ", 1 open window without its last rows".to_owned(),
        open => format!(", {open} open windows without their last rows"),
    };
    let loss = format!(
        "mapping `{}` goes, with its progress: {} pending{windows}",
        status.name,
        words::count(status.pending_records, "record")
    );
    let doomed = Doomed {
        what: format!("mapping {}{windows}", status.name),
        loss,
        // By id: between the question and the answer the name may have come to mean another one.
        path: ["v1", "mappings", &status.id],
        line: status.line(),
    };
    destroying.delete(doomed, session).await
}

fn state(state: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) if reason != state => format!("{state} ({reason})"),
        _ => state.to_owned(),
    }
}
