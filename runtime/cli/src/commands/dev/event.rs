//! What happens in `dev`: one line each, or one object a line.

use fnctl_core::{
    error_code::ErrorObject,
    status::{DeadLetterStatus, LogLine, RetryStatus, TailLine},
};
use serde::Serialize;

use crate::{
    error::{self, CliError},
    output::{Output, words},
};

/// Characters shown of a partition key.
const KEY_CHARS: usize = 12;

/// Something that happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Event {
    /// The server serves.
    Serving {
        api: String,
        kinesis: String,
        data_dir: String,
    },
    /// The first version is live.
    Built {
        duration_ms: u64,
        version: u64,
        flow: Option<String>,
        seeded: Option<u64>,
    },
    /// A later one is.
    Rebuilt {
        duration_ms: u64,
        version: u64,
        changed: bool,
    },
    /// The build command failed.
    BuildFailed {
        duration_ms: u64,
        live: Option<u64>,
        output: String,
    },
    /// The manifest or the component was refused.
    Refused {
        live: Option<u64>,
        error: Box<ErrorObject>,
    },
    /// A row was published.
    Out {
        stream: String,
        #[serde(flatten)]
        record: TailLine,
    },
    /// A record failed and is tried again.
    Retry {
        mapping: String,
        #[serde(flatten)]
        retry: Box<RetryStatus>,
    },
    /// So many retries came faster than they could be told.
    RetriesMissed { mapping: String, missed: u64 },
    /// A record was given up.
    Dead {
        mapping: String,
        /// The command that shows it whole.
        #[serde(skip)]
        show: String,
        #[serde(flatten)]
        letter: DeadLetterStatus,
    },
    /// The function wrote a line.
    Log {
        #[serde(flatten)]
        line: LogLine,
    },
}

impl Event {
    /// Prints it.
    ///
    /// # Errors
    /// stdout was closed.
    pub(super) fn print(&self, out: &mut Output) -> Result<(), CliError> {
        if out.is_json() {
            return out.json(self);
        }
        for line in self.lines() {
            out.line(&line)?;
        }
        Ok(())
    }

    fn lines(&self) -> Vec<String> {
        match self {
            Self::Serving {
                api,
                kinesis,
                data_dir,
            } => {
                vec![
                    format!("api  {api}   kinesis  {kinesis}   data {data_dir}"),
                    "building …".to_owned(),
                ]
            }
            Self::Built {
                duration_ms,
                version,
                flow,
                seeded,
            } => {
                let mut line = format!("built in {duration_ms} ms, version {version} live");
                if let Some(flow) = flow {
                    line.push_str(&format!(" · {flow}"));
                }
                if let Some(seeded) = seeded {
                    line.push_str(&format!(" · seeded {}", words::count(*seeded, "record")));
                }
                vec![line]
            }
            Self::Rebuilt {
                duration_ms,
                version,
                changed,
            } => {
                let same = if *changed { "" } else { "nothing changed, " };
                vec![format!(
                    "{}  rebuilt in {duration_ms} ms, {same}version {version} live",
                    words::time_now()
                )]
            }
            Self::BuildFailed {
                duration_ms,
                live,
                output,
            } => {
                let mut lines = vec![format!(
                    "{}  build failed in {duration_ms} ms{}",
                    words::time_now(),
                    stays(*live)
                )];
                lines.extend(output.lines().map(|line| format!("  {line}")));
                lines
            }
            Self::Refused { live, error } => {
                let mut lines = vec![format!("{}  refused{}", words::time_now(), stays(*live))];
                lines.extend(
                    error::render(error, false)
                        .lines()
                        .map(|line| format!("  {line}")),
                );
                lines
            }
            Self::Out { stream, record } => {
                let key = words::shown(&record.partition_key, KEY_CHARS);
                let data = words::shown(&record.data.data, 160);
                let latency = record.latency_ms.map(words::age).unwrap_or_default();
                let line = format!(
                    "{}  out   {key:<6}  {data:<60}  {latency:>8}  {stream}",
                    words::local_time(&record.arrival)
                );
                vec![line]
            }
            Self::Retry { retry, .. } => {
                let key = words::shown(&retry.partition_key, KEY_CHARS);
                let why = why(&retry.code, &retry.error_kind, &retry.error);
                let attempt = retry.attempts.saturating_add(1);
                let of = retry.max_attempts.map(|most| format!(" of {most}"));
                let line = format!(
                    "{}  retry {key:<6}  {why:<60}  attempt {attempt}{} in {}",
                    words::local_time(&retry.time),
                    of.unwrap_or_default(),
                    words::age(retry.delay_ms)
                );
                vec![line]
            }
            Self::RetriesMissed { missed, .. } => {
                let time = words::time_now();
                vec![format!(
                    "{time}  retry {missed} more: too many at once to be shown"
                )]
            }
            Self::Dead { show, letter, .. } => {
                let key = words::shown(&letter.partition_key, KEY_CHARS);
                let why = why(&letter.code, &letter.error_kind, &letter.error);
                let time = words::local_time(&letter.failed_at);
                vec![format!("{time}  dead  {key:<6}  {why:<60}  {show}")]
            }
            Self::Log { line } => {
                let message = line.message.replace('\n', "\n                      ");
                vec![format!(
                    "{}  {:<5} {message}",
                    words::local_time(&line.time),
                    line.level
                )]
            }
        }
    }
}

/// The cause in a line. A code that is only the kind says nothing beside the words.
fn why(code: &str, kind: &str, error: &str) -> String {
    if code == kind {
        return words::shown(error, 160);
    }
    words::shown(&format!("{code}: {error}"), 160)
}

fn stays(live: Option<u64>) -> String {
    live.map(|version| format!(", version {version} stays live"))
        .unwrap_or_default()
}
