//! `fnctl tail`: records of a stream, pushed as they arrive.

use std::time::Duration;

use base64::Engine;
use fnctl_core::{
    error_code::ErrorCode,
    spec::position::StartingPosition,
    status::{Encoding, TailHole, TailHoleLine, TailLine},
};
use tokio::time::Instant;

use crate::{
    cli::Session,
    error::CliError,
    output::{self, Format, Output, words},
    spelling,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stream
    stream: String,
    /// Where to begin: latest, trim-horizon, a time, or a duration ago
    #[arg(long, default_value = "latest", value_name = "POSITION", value_parser = spelling::position, allow_hyphen_values = true)]
    from: StartingPosition,
    /// End after so many records
    #[arg(long, short = 'n', value_name = "N", value_parser = spelling::positive, allow_negative_numbers = true)]
    count: Option<u64>,
    /// End after so long; with --count, fail when it is not reached
    #[arg(long, value_name = "DURATION", value_parser = spelling::duration, allow_negative_numbers = true)]
    timeout: Option<Duration>,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let deadline = args.timeout.map(|timeout| Instant::now() + timeout);
    let from = args.from.to_string();
    let count = args.count.map(|count| count.to_string());
    let mut query = vec![("from", from.as_str()), ("follow", "true")];
    if let Some(count) = &count {
        query.push(("count", count));
    }
    let mut lines = session
        .client
        .lines(&["v1", "streams", &args.stream, "records"], &query)
        .await?;
    let mut seen: u64 = 0;
    while args.count.is_none_or(|count| seen < count) {
        // What came is shown before the next wait, never later.
        if !lines.has_line() {
            session.out.flush()?;
        }
        let next = match deadline {
            None => lines.next().await?,
            Some(deadline) => match tokio::time::timeout_at(deadline, lines.next()).await {
                Ok(next) => next?,
                Err(_) => return timed_out(&args, seen),
            },
        };
        let Some(line) = next else {
            return Err(CliError::new(
                ErrorCode::ServerUnreachable,
                format!("{} ended the stream", session.client.server()),
            )
            .because(format!("after {}", words::count(seen, "record"))));
        };
        if line.starts_with(HOLE) {
            session.out.flush()?;
            tell_hole(&line, &session.out);
            continue;
        }
        print(&line, &mut session.out)?;
        seen += 1;
    }
    Ok(())
}

/// How a line begins that is no record: one shard cannot be read any further, the others go on.
const HOLE: &[u8] = b"{\"hole\":";

/// Tells on stderr what is missing of a shard, whoever reads: it is not among the records.
fn tell_hole(line: &[u8], out: &Output) {
    let text = String::from_utf8_lossy(line);
    match serde_json::from_slice::<TailHoleLine>(line) {
        Ok(TailHoleLine { hole }) if !out.is_json() => output::note(&hole_words(&hole)),
        _ => output::note(&text),
    }
}

fn hole_words(hole: &TailHole) -> String {
    let records = match (hole.first_record, hole.last_record) {
        (Some(first), Some(last)) => format!("records {first} to {last} cannot be read"),
        (Some(first), None) => format!("records from {first} on cannot be read"),
        _ => "it cannot be read".to_owned(),
    };
    let mut words = format!(
        "warning: {} has a hole, {records}; the other shards go on\n  why   {}",
        hole.shard_id, hole.message
    );
    for (label, number) in [
        ("after", &hole.after_sequence_number),
        ("next", &hole.before_sequence_number),
    ] {
        if let Some(number) = number {
            words.push_str(&format!("\n  {label:<5} sequence number {number}"));
        }
    }
    words
}

fn timed_out(args: &Args, seen: u64) -> Result<(), CliError> {
    match args.count {
        None => Ok(()),
        Some(count) => Err(CliError::new(
            ErrorCode::WaitedTooLong,
            format!(
                "{seen} of {} arrived in time",
                words::count(count, "record")
            ),
        )
        .at(args.stream.clone())
        .fix("a longer --timeout; or --from trim-horizon, to begin with what is there already")),
    }
}

fn print(line: &[u8], out: &mut Output) -> Result<(), CliError> {
    if out.format == Format::Json {
        out.bytes(line)?;
        return out.bytes(b"\n");
    }
    let record: TailLine = serde_json::from_slice(line).map_err(|error| {
        CliError::new(
            ErrorCode::AnswerUnreadable,
            "a record of the answer cannot be read",
        )
        .because(error.to_string())
    })?;
    let data = match record.data.encoding {
        Encoding::Text => record.data.data.into_bytes(),
        Encoding::Base64 if out.format == Format::Raw => base64::engine::general_purpose::STANDARD
            .decode(&record.data.data)
            .map_err(|error| {
                CliError::new(
                    ErrorCode::AnswerUnreadable,
                    "a record of the answer is no base64",
                )
                .because(error.to_string())
            })?,
        Encoding::Base64 => format!("base64:{}", record.data.data).into_bytes(),
    };
    if out.format == Format::Text {
        let key = words::shown(&record.partition_key, 40);
        out.bytes(format!("{}  {key:<6}  ", words::local_time(&record.arrival)).as_bytes())?;
    }
    out.bytes(&data)?;
    out.bytes(b"\n")
}
