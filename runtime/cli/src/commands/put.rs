//! `fnctl put`: lines into a stream, acknowledged one by one.
//!
//! Lines are sent while acknowledgements come back on the same connection. Those without one are kept:
//! a throttled put goes on from the first of them; after an uncertain end the command that continues is
//! printed, and the producer's id makes continuing idempotent.

mod again;
mod input;
mod pace;
mod sending;

use std::{ffi::OsString, time::Duration};

use bytes::Bytes;
use fnctl_core::{
    error_code::{ErrorCode, ErrorKind},
    status::PutLine,
};
use tokio::time::sleep;

use self::{
    again::Again,
    input::Input,
    pace::Pace,
    sending::{Pending, Upload},
};
use crate::{
    cli::Session,
    client::Lines,
    error::CliError,
    limits,
    output::{note, words},
    spelling,
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The stream
    stream: String,
    /// Records; without any, lines of --file or of standard input.
    /// A line is a record as it is, whatever its bytes; only its line feed is left out. Empty lines are
    /// passed by, those of a lone carriage return too
    data: Vec<OsString>,
    /// File of records, one a line; `-` is standard input
    #[arg(long, value_name = "F", conflicts_with = "data", value_hint = clap::ValueHint::FilePath)]
    file: Option<String>,
    /// Partition key of every record
    #[arg(long, value_name = "K", conflicts_with = "key_field", value_parser = spelling::key, allow_hyphen_values = true)]
    key: Option<String>,
    /// Field of each record's JSON that is its partition key, such as user.id; text as it is, a number as
    /// the record writes it
    #[arg(long, value_name = "A.B", value_parser = spelling::field)]
    key_field: Option<String>,
    /// Stop at the first line without a readable key field
    #[arg(long, requires = "key_field")]
    require_key: bool,
    /// At most so many records a second
    #[arg(long, value_name = "N", value_parser = spelling::positive, allow_negative_numbers = true)]
    rate: Option<u64>,
    /// Go on from this line of the input
    #[arg(long, value_name = "N", value_parser = spelling::positive, default_value_t = 1, hide_default_value = true, allow_negative_numbers = true)]
    from_line: u64,
    /// Name under which lines are counted, so that continuing never repeats one
    #[arg(long, value_name = "ID", value_parser = spelling::producer)]
    producer: Option<String>,
}

/// What was acknowledged so far.
#[derive(Default)]
struct Tally {
    put: u64,
    duplicates: u64,
    without_key: u64,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let mut pending = Pending::default();
    let mut tally = Tally::default();
    let new_id = || uuid::Uuid::new_v4().to_string();
    let producer = args.producer.clone().unwrap_or_else(new_id);
    let done = tokio::select! {
        done = all(&args, &producer, &mut pending, &mut tally, session) => done,
        _ = tokio::signal::ctrl_c() => Err(CliError::new(ErrorCode::Interrupted, "interrupted")),
    };
    // Losing whoever reads the acknowledgements does not stop a put.
    let _closed = session.out.flush();
    if tally.without_key > 0 {
        let lines = words::count(tally.without_key, "line");
        note(&format!(
            "{lines} without a readable key field, each under a key of its own"
        ));
    }
    match done {
        Ok(()) => {
            if !session.out.is_json() {
                let again = match tally.duplicates {
                    0 => String::new(),
                    count => format!(", {count} were there already"),
                };
                let put = words::count(tally.put, "record");
                let _closed = session
                    .out
                    .line(&format!("put {put} into {}{again}", args.stream));
            }
            Ok(())
        }
        Err(error) => {
            let again = Again {
                args: &args,
                server: session.server_given.then(|| session.client.server()),
                is_json: session.out.is_json(),
                producer: &producer,
            };
            Err(ended(error, &again, &pending))
        }
    }
}

/// Sends everything; throttled, it goes on from the first line without an acknowledgement.
async fn all(
    args: &Args,
    producer: &str,
    pending: &mut Pending,
    tally: &mut Tally,
    session: &mut Session,
) -> Result<(), CliError> {
    let mut input = Input::open(args).await?;
    let passed = input.skip_to(args.from_line).await?;
    if let Some(lines) = passed.ended_after {
        note(&format!(
            "{} ends after {}: nothing is left to put from line {} on",
            input.name(),
            words::count(lines, "line"),
            args.from_line
        ));
    }
    pending.start_at(passed.records, args.from_line);
    let mut pace = Pace::new(args.rate);
    let mut pause = limits::THROTTLE_PAUSE;
    loop {
        let before = pending.acknowledged();
        match attempt(
            args, producer, &mut input, &mut pace, pending, tally, session,
        )
        .await
        {
            Err(error) if error.is(ErrorCode::Throttled) => {
                if pending.acknowledged() > before {
                    pause = limits::THROTTLE_PAUSE;
                }
                sleep(pause).await;
                pause = (pause * 2).min(limits::THROTTLE_PAUSE_MAX);
            }
            other => return other,
        }
    }
}

/// One request: what is pending, then the rest of the input.
async fn attempt(
    args: &Args,
    producer: &str,
    input: &mut Input,
    pace: &mut Pace,
    pending: &mut Pending,
    tally: &mut Tally,
    session: &mut Session,
) -> Result<(), CliError> {
    let mut query = Vec::new();
    if let Some(key) = &args.key {
        query.push(("key", key.as_str()));
    }
    if let Some(field) = &args.key_field {
        query.push(("key_field", field.as_str()));
    }
    if args.require_key {
        query.push(("require_key", "true"));
    }
    let headers = [
        ("x-fnctl-first-line", pending.first_line().to_string()),
        ("x-fnctl-producer", producer.to_owned()),
        (
            "x-fnctl-first-sequence",
            pending.first_sequence().to_string(),
        ),
    ];
    let (mut upload, body) = Upload::new();
    let path = ["v1", "streams", &args.stream, "records"];
    let client = session.client.clone();
    let asked = client.post_lines(&path, &query, &headers, body);
    tokio::pin!(asked);

    upload.again(pending);
    let mut answer: Option<Lines> = None;
    loop {
        if upload.is_open() && input.has_ended() && upload.is_sent() {
            upload.close();
        }
        let reads =
            upload.is_open() && !input.has_ended() && pending.has_room() && upload.has_room();
        tokio::select! {
            biased;
            line = next(&mut answer), if answer.is_some() => match line.map_err(uncertain)? {
                Some(line) => acknowledge(&line, pending, tally, session)?,
                None if pending.is_empty() && input.has_ended() => return Ok(()),
                None => return Err(CliError::new(ErrorCode::Uncertain, "the server ended the answer early")),
            },
            lines = &mut asked, if answer.is_none() => answer = Some(lines?),
            // Lines that are there are gathered before they are sent: one write for many.
            line = input.next(pace), if reads => if let Some(line) = line? {
                upload.push(pending, line);
            },
            () = upload.flush(), if !upload.is_sent() => {}
        }
        if answer.as_ref().is_none_or(|lines| !lines.has_line()) {
            let _closed = session.out.flush();
        }
    }
}

/// A connection that breaks under a put leaves open what arrived.
fn uncertain(error: CliError) -> CliError {
    match error {
        CliError::Told(mut object) if object.code == ErrorCode::ServerUnreachable.as_str() => {
            object.code = ErrorCode::Uncertain.as_str().to_owned();
            CliError::Told(object)
        }
        other => other,
    }
}

async fn next(answer: &mut Option<Lines>) -> Result<Option<Bytes>, CliError> {
    match answer {
        Some(lines) => lines.next().await,
        None => std::future::pending().await,
    }
}

fn acknowledge(
    line: &[u8],
    pending: &mut Pending,
    tally: &mut Tally,
    session: &mut Session,
) -> Result<(), CliError> {
    let acknowledged: PutLine = serde_json::from_slice(line).map_err(|error| {
        CliError::new(ErrorCode::Uncertain, "an acknowledgement cannot be read")
            .because(error.to_string())
    })?;
    pending.acknowledge(acknowledged.line)?;
    tally.put += u64::from(!acknowledged.duplicate);
    tally.duplicates += u64::from(acknowledged.duplicate);
    tally.without_key += u64::from(acknowledged.without_key);
    if session.out.is_json() {
        let _closed = session.out.json(&acknowledged);
    }
    Ok(())
}

/// What a put that ended early says: where it stands and how it goes on.
fn ended(error: CliError, again: &Again<'_>, pending: &Pending) -> CliError {
    let CliError::Told(mut object) = error else {
        return error;
    };
    // The line is at fault, and what is in front of it is put: mended, the put goes on there.
    let at_fault = [ErrorCode::RecordTooLarge, ErrorCode::KeyMissing];
    if at_fault.iter().any(|code| object.code == code.as_str()) {
        let line = pending.first_line();
        object.fix = Some(format!(
            "mend or remove line {line}, then go on: {}",
            again.command(line)
        ));
        return CliError::Told(object);
    }
    // What is in front of the line is put: with room again, or another token where one was revoked meanwhile, the put
    // goes on there.
    let is = |code: ErrorCode| object.code == code.as_str();
    let has_no_room = is(ErrorCode::StreamFull) || is(ErrorCode::DiskFull);
    if has_no_room || (is(ErrorCode::TokenRefused) && pending.acknowledged() > 0) {
        let first = object.fix.take().unwrap_or("make room".to_owned());
        let go_on = again.command(pending.first_line());
        object.fix = Some(format!("{first}\nthen go on: {go_on}"));
        return CliError::Told(object);
    }
    let kind = object.kind;
    let is_open = matches!(kind, ErrorKind::Unreachable | ErrorKind::Interrupted);
    // Nobody answered at all: nothing arrived.
    let is_unsent = object.code == ErrorCode::ServerUnreachable.as_str();
    if !is_open || (pending.acknowledged() == 0 && (is_unsent || pending.is_empty())) {
        return CliError::Told(object);
    }
    let line = pending.first_line();
    if kind == ErrorKind::Unreachable {
        let before = object.message.clone();
        object.code = ErrorCode::Uncertain.as_str().to_owned();
        object.message = format!("line {line} and those behind it are not acknowledged: {before}");
    } else {
        object.message =
            format!("interrupted; line {line} and those behind it are not acknowledged");
    }
    object.place = Some(format!("line {line}"));
    object.fix = Some(again.command(line));
    CliError::Told(object)
}

/// One record's share of a second.
fn share(rate: u64) -> Duration {
    Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
