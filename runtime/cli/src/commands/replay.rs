//! `fnctl replay`: the calls of a capture, made again here: no server is needed, and two runs print the same.

mod call;
pub(crate) mod file;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use fnctl_core::{
    capture::{CapturedBatch, CapturedFailure},
    error_code::ErrorCode,
    spec::SecretSource,
    status::{CallFailure, CallLog, CallRow},
};
use serde::Serialize;

use self::{
    call::{Replay, Replayed},
    file::Capture,
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

/// Whether a batch ended as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Same,
    Different,
    /// No call gave its records up, or what they failed with was not kept.
    NotCompared,
}

/// One batch, as scripts are told of it.
#[derive(Debug, Serialize)]
struct BatchResult<'a> {
    batch: usize,
    verdict: Verdict,
    version: u64,
    digest: &'a str,
    dead_letter: Option<&'a str>,
    records: Vec<ReplayedRecord<'a>>,
    captured_failures: &'a [CapturedFailure],
    replayed_failures: &'a [CapturedFailure],
    outcome: &'a str,
    memory_bytes: u64,
    rows: &'a [CallRow],
    failures: &'a [CallFailure],
    logs: &'a [CallLog],
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
        let verdict = judge(&batch.failures, &replayed.failures);
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
        .because("no call gave it up, or what it failed with was not kept"));
    }
    Ok(())
}

/// Compares why records failed, as far as that was kept.
fn judge(was: &[CapturedFailure], is: &[CapturedFailure]) -> Verdict {
    if was.iter().any(CapturedFailure::is_without_call) {
        return Verdict::NotCompared;
    }
    // That it fails is known then, and nothing more.
    if was.len() == is.len() && was.iter().any(is_unknown) {
        return Verdict::NotCompared;
    }
    let agrees = |was: &Option<String>, is: &Option<String>| was.is_none() || was == is;
    let is_same = was.len() == is.len()
        && was.iter().zip(is).all(|(was, is)| {
            was.index == is.index
                && agrees(&was.error_kind, &is.error_kind)
                && agrees(&was.code, &is.code)
                && agrees(&was.error, &is.error)
        });
    if is_same {
        Verdict::Same
    } else {
        Verdict::Different
    }
}

/// Whether what a record failed with was not kept: its attempts were charged by an earlier owner.
const fn is_unknown(was: &CapturedFailure) -> bool {
    was.error_kind.is_none() && was.code.is_none() && was.error.is_none()
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
    for record in &batch.records {
        let key = words::first_line(&record.partition_key, 40);
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
            out.line("not compared: no call gave it up, or what it failed with was not kept")?;
            told("was", &batch.failures, out)
        }
        Verdict::Different => {
            out.line("different")?;
            told("was", &batch.failures, out)?;
            told("is", &replayed.failures, out)
        }
    }
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

    fn failure(kind: Option<&str>, code: Option<&str>, error: Option<&str>) -> CapturedFailure {
        CapturedFailure {
            index: 0,
            error_kind: kind.map(str::to_owned),
            code: code.map(str::to_owned),
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn outcomes_are_compared_as_far_as_they_were_kept() {
        let is = failure(Some("error"), Some("busy"), Some("words"));
        for (was, verdict) in [
            (
                failure(Some("error"), Some("busy"), Some("words")),
                Verdict::Same,
            ),
            (failure(None, Some("busy"), Some("words")), Verdict::Same),
            (failure(None, None, None), Verdict::NotCompared),
            (
                failure(None, Some("busy"), Some("others")),
                Verdict::Different,
            ),
            (
                failure(Some("trap"), Some("busy"), Some("words")),
                Verdict::Different,
            ),
            (
                failure(Some("record-too-old"), None, None),
                Verdict::NotCompared,
            ),
        ] {
            let was = [was];
            assert_eq!(judge(&was, std::slice::from_ref(&is)), verdict, "{was:?}");
        }
        assert_eq!(judge(&[failure(None, None, None)], &[]), Verdict::Different);
        assert_eq!(judge(&[], &[]), Verdict::Same);
    }

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
