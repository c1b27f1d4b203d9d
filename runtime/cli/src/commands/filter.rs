//! `fnctl filter test`: which records a filter lets pass, and what keeps the others back. No server is
//! asked.

use std::{collections::BTreeMap, path::Path};

use clap::Subcommand;
use fnctl_core::{
    error_code::{ErrorCode, ErrorObject},
    filter::{Envelope, Filter, FilterVerdict, Unmet},
    id::{ShardNumber, Timestamp},
    mapping::OnUnparsable,
    spec::Setting,
};
use serde::Serialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};

use crate::{
    cli::Session,
    error::CliError,
    limits,
    output::{Output, words},
    spelling,
};

/// Characters of a record that are shown to a person.
const SHOWN_CHARS: usize = 60;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say which records pass, and what keeps the others back
    Test(TestArgs),
}

#[derive(Debug, clap::Args)]
struct TestArgs {
    /// A pattern, or a file that holds one; of several one match is enough
    #[arg(long, value_name = "JSON|@FILE", required = true)]
    pattern: Vec<String>,
    /// Records, one a line; `-` or nothing is standard input
    #[arg(long, value_name = "F", value_hint = clap::ValueHint::FilePath)]
    file: Option<String>,
    /// What becomes of records that are not JSON: drop, pass or dead-letter [default: drop]
    #[arg(long, value_name = "WHAT", value_parser = spelling::setting::<OnUnparsable>)]
    on_unparsable: Option<Setting<OnUnparsable>>,
    /// Partition key of every record
    #[arg(long, value_name = "K", conflicts_with = "key_field", value_parser = spelling::key, allow_hyphen_values = true)]
    key: Option<String>,
    /// Field of each record's JSON that is its partition key, such as user.id
    #[arg(long, value_name = "A.B", value_parser = spelling::field)]
    key_field: Option<String>,
}

/// A pattern: the text given, or what the file holds that `@FILE` names.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn pattern(given: &str) -> Result<String, CliError> {
    let Some(path) = given.strip_prefix('@') else {
        return Ok(given.to_owned());
    };
    std::fs::read_to_string(path).map_err(|error| {
        CliError::new(
            ErrorCode::FileUnreadable,
            format!("`{path}` cannot be read"),
        )
        .because(error.to_string())
        .fix("@FILE is a file that holds one pattern; without `@` it is the pattern itself")
    })
}

/// What becomes of one record.
#[derive(Serialize)]
struct Line {
    line: u64,
    /// `pass`, `filtered` or `dead-letter`.
    outcome: &'static str,
    /// Whether the payload decides and is not JSON.
    unparsable: bool,
    /// What kept each pattern from matching.
    unmet: Vec<UnmetLine>,
}

/// A field that is not as a pattern asks.
#[derive(Serialize)]
struct UnmetLine {
    pattern: usize,
    field: String,
    /// `absent`, `present`, `other-value`, `other-element`, `unparsable`.
    reason: String,
}

/// What became of all records.
#[derive(Default, Serialize)]
struct Counts {
    records: u64,
    passed: u64,
    filtered: u64,
    dead_lettered: u64,
    /// Of the records, however they ended.
    unparsable: u64,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let Action::Test(args) = args.action;
    let filter = compiled(&args.pattern)?;
    let on_unparsable = match args.on_unparsable {
        Some(Setting::Value(what)) => what,
        _ => OnUnparsable::default(),
    };
    let (mut lines, name) = open(args.file.as_deref()).await?;
    let mut counts = Counts::default();
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line).await;
        if read.map_err(|error| unreadable(&name, &error))? == 0 {
            break;
        }
        number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.is_empty() || line == b"\r" {
            continue;
        }
        let key = match (&args.key, &args.key_field) {
            (Some(key), _) => Some(key.clone()),
            (None, Some(field)) => fnctl_host::key_at(&line, field),
            (None, None) => None,
        };
        let judged = judge(&filter, on_unparsable, number, key.as_deref(), &line);
        counts.add(&judged);
        tell(&judged, &line, &mut session.out)?;
    }
    if session.out.is_json() {
        return session.out.json(&counts);
    }
    session.out.line(&counts.words())
}

/// Compiles the flags' patterns.
fn compiled(given: &[String]) -> Result<Filter, CliError> {
    let patterns = given.iter().map(|given| pattern(given));
    let patterns: Vec<String> = patterns.collect::<Result<_, _>>()?;
    Filter::parse(&patterns).map_err(|mistakes| {
        let problems = mistakes.iter().map(|one| one.problem("--pattern"));
        let code = ErrorCode::SettingsInvalid;
        let error = ErrorObject::of_problems(code, "the patterns", problems.collect());
        error.fix("fnctl filter test --help").into()
    })
}

fn judge(
    filter: &Filter,
    on_unparsable: OnUnparsable,
    line: u64,
    key: Option<&str>,
    data: &[u8],
) -> Line {
    let shard_id = ShardNumber(0).shard_id();
    let record = Envelope {
        key: key.map(str::as_bytes),
        data: Some(data),
        arrival: Timestamp(now_ms()),
        sequence_number: "0",
        shard_id: &shard_id,
    };
    let (verdict, reasons) = filter.explain(&record);
    let unmet = |one: Unmet| UnmetLine {
        pattern: one.pattern,
        field: one.field,
        reason: one.reason.to_string(),
    };
    Line {
        line,
        outcome: match (verdict, on_unparsable) {
            (FilterVerdict::Match, _) => "pass",
            (FilterVerdict::Unparsable, OnUnparsable::Pass) => "pass",
            (FilterVerdict::Unparsable, OnUnparsable::DeadLetter) => "dead-letter",
            (FilterVerdict::NoMatch | FilterVerdict::Unparsable, _) => "filtered",
        },
        unparsable: verdict == FilterVerdict::Unparsable,
        unmet: reasons.into_iter().map(unmet).collect(),
    }
}

fn tell(judged: &Line, data: &[u8], out: &mut Output) -> Result<(), CliError> {
    if out.is_json() {
        return out.json(judged);
    }
    let text = String::from_utf8_lossy(data);
    let shown = words::shown(&text, SHOWN_CHARS);
    out.line(&format!(
        "{:<12} {:<6} {shown}",
        judged.outcome, judged.line
    ))?;
    let mut by_pattern: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for unmet in &judged.unmet {
        let words = format!("{} {}", unmet.field, words_of(&unmet.reason));
        by_pattern.entry(unmet.pattern).or_default().push(words);
    }
    let is_one = by_pattern.len() == 1;
    for (pattern, fields) in by_pattern {
        let of = if is_one {
            String::new()
        } else {
            format!("pattern {pattern}: ")
        };
        out.line(&format!("{:<19} {of}{}", "", fields.join(", ")))?;
    }
    Ok(())
}

fn words_of(reason: &str) -> &str {
    match reason {
        "absent" => "is not there",
        "present" => "is there",
        "other-value" => "has another value",
        "other-element" => {
            "matches in another element of an array, or in an earlier value of a key that comes twice"
        }
        _ => "cannot be looked for: the record is not JSON",
    }
}

impl Counts {
    fn add(&mut self, judged: &Line) {
        self.records += 1;
        self.unparsable += u64::from(judged.unparsable);
        match judged.outcome {
            "pass" => self.passed += 1,
            "filtered" => self.filtered += 1,
            _ => self.dead_lettered += 1,
        }
    }

    fn words(&self) -> String {
        let Self {
            records,
            passed,
            filtered,
            dead_lettered,
            unparsable,
        } = self;
        format!(
            "records {records}   passed {passed}   filtered {filtered}   dead-lettered {dead_lettered}   \
             not JSON {unparsable}"
        )
    }
}

async fn open(
    file: Option<&str>,
) -> Result<(Box<dyn AsyncBufRead + Unpin + Send>, String), CliError> {
    match file {
        None | Some("-") => {
            let stdin = BufReader::new(tokio::io::stdin());
            Ok((Box::new(stdin), "standard input".to_owned()))
        }
        Some(path) => {
            let file = tokio::fs::File::open(Path::new(path)).await;
            let file = file.map_err(|error| unreadable(path, &error))?;
            let lines = BufReader::with_capacity(limits::CHUNK_BYTES, file);
            Ok((Box::new(lines), path.to_owned()))
        }
    }
}

fn unreadable(name: &str, error: &std::io::Error) -> CliError {
    let words = format!("`{name}` cannot be read");
    CliError::new(ErrorCode::FileUnreadable, words)
        .because(error.to_string())
        .fix("--file F is a file with a record a line; `-` is standard input")
}

/// A record that is tried arrives now.
fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
