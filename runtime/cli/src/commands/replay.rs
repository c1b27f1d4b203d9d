//! `fnctl replay`: the calls of a capture, made again here: no server is needed, and two runs print the same.

mod call;
pub(crate) mod file;
mod verdict;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use fnctl_core::{
    capture::{CapturedBatch, CapturedFailure, CapturedWindow},
    error_code::ErrorCode,
    id::Timestamp,
    rfc3339,
    spec::SecretSource,
    status::{CallFailure, CallLog, CallRow, Encoding},
};
use serde::Serialize;

use self::{
    call::{Replay, Replayed},
    file::Capture,
    verdict::{Verdict, judge},
};
use super::{deploy, invoke::print_result};
use crate::{
    cli::Session,
    error::CliError,
    manifest::{self, Named},
    output::{Output, words},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What `fnctl capture` wrote
    file: PathBuf,
    /// Call this component instead of the captured one
    #[arg(long, value_name = "OTHER.wasm")]
    component: Option<PathBuf>,
    /// A secret, from a file: a capture holds their names alone
    #[arg(long, value_name = "K=@FILE", value_parser = deploy::secret)]
    secret: Vec<(String, String)>,
}

/// One batch, as scripts are told of it.
#[derive(Debug, Serialize)]
struct BatchResult<'a> {
    batch: usize,
    verdict: Verdict,
    version: u64,
    digest: &'a str,
    dead_letter: Option<&'a str>,
    window: Option<ReplayedWindow>,
    records: Vec<ReplayedRecord<'a>>,
    captured_failures: &'a [CapturedFailure],
    replayed_failures: &'a [CapturedFailure],
    outcome: &'a str,
    memory_bytes: u64,
    rows: &'a [CallRow],
    failures: &'a [CallFailure],
    logs: &'a [CallLog],
}

/// The window of a call.
#[derive(Debug, Serialize)]
struct ReplayedWindow {
    group: u32,
    starts_at: String,
    ends_at: String,
    is_final: bool,
    is_terminated_early: bool,
    /// The state that it was called with was kept, and is not merely none.
    is_state_kept: bool,
    /// Size of the state as the call left it; `null`: as it was.
    left_state_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ReplayedRecord<'a> {
    partition_key: &'a str,
    sequence_number: &'a str,
    attempt: u32,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let capture = file::read(&args.file)?;
    let sources = args.secret.iter().map(|(name, path)| Named {
        name,
        place: format!("--secret {name}"),
        source: SecretSource::File(path.clone()),
    });
    let secrets = manifest::read_secrets(sources, Path::new(""), "the flags")?;
    let all = capture.head.versions.iter().flat_map(|v| &v.secrets);
    if let Some(other) = secrets
        .keys()
        .find(|n| all.clone().all(|known| known != *n))
    {
        let known: BTreeSet<&str> = all.map(String::as_str).collect();
        let words = format!("the capture's function has no secret `{other}`");
        let fix = match known.is_empty() {
            true => "leave --secret out".to_owned(),
            false => format!("it has {}", Vec::from_iter(known).join(", ")),
        };
        return Err(CliError::usage(words)
            .at(format!("--secret {other}"))
            .fix(fix));
    }
    let mut missing: Vec<&str> = all
        .map(String::as_str)
        .filter(|n| !secrets.contains_key(*n))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    for name in missing {
        session.out.note(&format!(
            "secret `{name}` is not set: the function is told that there is none; --secret {name}=@FILE"
        ));
    }
    let mut replay = Replay::new(&capture, args.component.as_deref(), secrets)?;
    if !session.out.is_json() {
        head(&capture, replay.other_digest().as_deref(), &mut session.out)?;
    }
    let (mut different, mut compared) = (0, 0);
    for (at, batch) in capture.batches.iter().enumerate() {
        let replayed = replay.call(batch).await?;
        let verdict = judge(batch, &replayed.failures, replayed.reads_states);
        compared += usize::from(verdict != Verdict::NotCompared);
        different += usize::from(verdict == Verdict::Different);
        if session.out.is_json() {
            session
                .out
                .json(&result(at + 1, batch, &replayed, verdict))?;
        } else {
            print(at + 1, batch, &replayed, verdict, &mut session.out)?;
        }
    }
    let all = capture.batches.len();
    if !session.out.is_json() {
        let (same, rest) = (compared - different, all - compared);
        let noun = if all == 1 { "batch" } else { "batches" };
        session.out.line(&format!(
            "replayed {all} {noun}  same {same}  different {different}  not compared {rest}"
        ))?;
    }
    ended(all, compared, different)
}

/// What a replay comes to: all is the same as it was, or why that cannot be said.
fn ended(all: usize, compared: usize, different: usize) -> Result<(), CliError> {
    let noun = if all == 1 { "batch" } else { "batches" };
    if different > 0 {
        return Err(CliError::new(
            ErrorCode::EndsOtherwise,
            format!("{different} of {all} captured {noun} end otherwise than they did"),
        ));
    }
    let rest = all - compared;
    if rest > 0 {
        return Err(CliError::new(
            ErrorCode::EndsOtherwise,
            format!("{rest} of {all} captured {noun} could not be compared with what was"),
        )
        .because(
            "no call gave it up, or what it failed with, or the state of its window, was not kept",
        ));
    }
    Ok(())
}

fn result<'a>(
    number: usize,
    batch: &'a CapturedBatch,
    replayed: &'a Replayed,
    verdict: Verdict,
) -> BatchResult<'a> {
    let record = |record: &'a fnctl_core::capture::CapturedRecord| ReplayedRecord {
        partition_key: &record.partition_key,
        sequence_number: &record.sequence_number,
        attempt: record.attempt,
    };
    // How long it took differs each time: it is not said.
    BatchResult {
        batch: number,
        verdict,
        version: batch.version,
        digest: &replayed.digest,
        dead_letter: batch.dead_letter.as_deref(),
        window: batch.window.as_ref().map(|window| ReplayedWindow {
            group: window.group,
            starts_at: rfc3339::format(Timestamp(window.start_ms)),
            ends_at: rfc3339::format(Timestamp(window.end_ms)),
            is_final: window.is_final,
            is_terminated_early: window.is_terminated_early,
            is_state_kept: window.state.is_some(),
            left_state_bytes: replayed.state_bytes,
        }),
        records: batch.records.iter().map(record).collect(),
        captured_failures: &batch.failures,
        replayed_failures: &replayed.failures,
        outcome: &replayed.result.outcome,
        memory_bytes: replayed.result.memory_bytes,
        rows: &replayed.result.rows,
        failures: &replayed.result.failures,
        logs: &replayed.result.logs,
    }
}

fn head(capture: &Capture, other: Option<&str>, out: &mut Output) -> Result<(), CliError> {
    let head = &capture.head;
    let short = |digest: &str| digest.chars().take("sha256:".len() + 8).collect::<String>();
    let versions = head.versions.iter().map(|v| match other {
        None => format!("version {} {}", v.version, short(&v.digest)),
        Some(other) => format!(
            "version {} {} as {}",
            v.version,
            short(&v.digest),
            short(other)
        ),
    });
    let versions: Vec<String> = versions.collect();
    out.line(&format!(
        "capture  {}  of {}  {}",
        head.mapping,
        head.captured_at,
        versions.join(", ")
    ))
}

fn print(
    number: usize,
    batch: &CapturedBatch,
    replayed: &Replayed,
    verdict: Verdict,
    out: &mut Output,
) -> Result<(), CliError> {
    let from = match &batch.dead_letter {
        Some(id) => format!("dead letter {id}"),
        None => "waiting for a retry".to_owned(),
    };
    out.line(&format!("batch {number}  {}  {from}", batch.shard_id))?;
    if let Some(window) = &batch.window {
        out.line(&in_window(window))?;
    }
    for record in &batch.records {
        let key = words::shown(&record.partition_key, 40);
        let (number, attempt) = (&record.sequence_number, record.attempt);
        out.line(&format!("record   {number}  key {key}  attempt {attempt}"))?;
    }
    let result = &replayed.result;
    let memory = words::size(result.memory_bytes);
    out.line(&format!("outcome  {}  memory {memory}", result.outcome))?;
    print_result(&result.rows, &result.failures, &result.logs, out)?;
    match verdict {
        Verdict::Same => out.line("same"),
        Verdict::NotCompared => {
            let why = verdict::why_not_compared(batch);
            out.line(&format!("not compared: {why}"))?;
            told("was", &batch.failures, out)
        }
        Verdict::Different => {
            out.line("different")?;
            told("was", &batch.failures, out)?;
            told("is", &replayed.failures, out)
        }
    }
}

/// `window   2026-03-01T12:30:00.000Z-2026-03-01T12:31:00.000Z  group 7  its final call  state 170 B`.
fn in_window(window: &CapturedWindow) -> String {
    let time = |ms| rfc3339::format(Timestamp(ms));
    let (start, end) = (time(window.start_ms), time(window.end_ms));
    let call = match (window.is_final, window.is_terminated_early) {
        (true, _) => "  its final call",
        (false, true) => "  the call that ends it early",
        (false, false) => "",
    };
    let state = match &window.state {
        None => "not kept".to_owned(),
        Some(state) if state.data.is_empty() => "none".to_owned(),
        Some(state) => match state.encoding {
            Encoding::Text => words::size(state.data.len() as u64),
            Encoding::Base64 => words::size(state.data.len() as u64 / 4 * 3),
        },
    };
    let group = window.group;
    format!("window   {start}-{end}  group {group}{call}  state {state}")
}

/// Why records failed, in a line each.
fn told(label: &str, failures: &[CapturedFailure], out: &mut Output) -> Result<(), CliError> {
    if failures.is_empty() {
        return out.line(&format!("  {label:<4} processed"));
    }
    for failure in failures {
        let kind = failure.error_kind.as_deref().unwrap_or("failed");
        let words = match (&failure.code, &failure.error) {
            (Some(code), Some(error)) => format!("{code}: {error}").replace('\n', "\n         "),
            _ => "why was not kept".to_owned(),
        };
        out.line(&format!("  {label:<4} {kind} {} {words}", failure.index))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_is_good_when_all_was_compared_and_is_the_same() {
        let words = |all, compared, different| match ended(all, compared, different) {
            Ok(()) => String::new(),
            Err(CliError::Told(error)) => error.message,
            Err(error) => panic!("{error:?}"),
        };
        assert_eq!(words(2, 2, 0), "");
        assert!(words(2, 2, 1).starts_with("1 of 2 captured batches end otherwise"));
        assert!(words(2, 0, 0).starts_with("2 of 2 captured batches could not be compared"));
        assert!(words(3, 2, 0).starts_with("1 of 3"));
        assert!(words(3, 2, 1).contains("otherwise"));
    }
}
