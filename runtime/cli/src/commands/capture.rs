//! `fnctl capture`: what fails now, in one file that reproduces it elsewhere.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use fnctl_core::{capture::CaptureHead, error_code::ErrorCode};

use super::replay::file::{self, Capture};
use crate::{
    cli::Session,
    error::CliError,
    output::words,
    spelling,
    written::{Written, unwritable},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
    mapping: String,
    /// Take what fails now: the records that wait for a retry, and the ends of windows that do, or the open dead
    /// letters where none waits
    #[arg(long)]
    failing: bool,
    /// Take these dead letters instead
    #[arg(
        long,
        value_name = "ID,…",
        value_delimiter = ',',
        conflicts_with = "failing"
    )]
    dead_letters: Vec<String>,
    /// Only records of this partition key
    #[arg(long, value_name = "K", value_parser = spelling::key, allow_hyphen_values = true)]
    key: Option<String>,
    /// At most so many records [default: 100]
    #[arg(long, value_name = "N", value_parser = spelling::positive, allow_negative_numbers = true)]
    count: Option<u64>,
    /// Leave the component out: a replay then needs --component
    #[arg(long)]
    without_component: bool,
    /// The file to write [default: FUNCTION-STREAM-TIME.capture.ndjson]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite the file if it is there
    #[arg(long)]
    force: bool,
}

impl Args {
    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        if !self.dead_letters.is_empty() {
            query.push(("dead_letters", self.dead_letters.join(",")));
        }
        if let Some(key) = &self.key {
            query.push(("key", key.clone()));
        }
        if let Some(count) = self.count {
            query.push(("count", count.to_string()));
        }
        if self.without_component {
            query.push(("component", "false".to_owned()));
        }
        query
    }
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    if !args.failing && args.dead_letters.is_empty() {
        let mapping = &args.mapping;
        return Err(
            CliError::usage("what is to be captured is not said").fix(format!(
                "fnctl capture {mapping} --failing        (or: --dead-letters ID,…)"
            )),
        );
    }
    // Refused before the server is asked for anything.
    if args.out.as_deref() == Some(Path::new("-")) {
        return Err(
            CliError::usage("a capture goes to a file, which is checked when it is whole")
                .at("--out -")
                .fix("--out FILE"),
        );
    }
    if let Some(path) = args
        .out
        .as_deref()
        .filter(|path| !args.force && path.exists())
    {
        return Err(unwritable(
            path,
            &io::ErrorKind::AlreadyExists.into(),
            OTHER,
        ));
    }
    let query = args.query();
    let query: Vec<(&str, &str)> = query.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let path = ["v1", "mappings", &args.mapping, "capture"];
    let mut lines = session.client.lines(&path, &query).await?;
    let Some(first) = lines.next().await? else {
        return Err(broke_off(session.client.server()));
    };
    let head: CaptureHead = serde_json::from_slice(&first).map_err(|error| {
        CliError::new(ErrorCode::AnswerUnreadable, "the answer is no capture")
            .because(error.to_string())
            .fix("fnctl doctor compares the versions")
    })?;
    let to = args.out.unwrap_or_else(|| default_name(&head));
    let failed = |error| unwritable(&to, &error, OTHER);
    let mut file = Written::create(&to, args.force).map_err(failed)?;
    file.line(&first).map_err(failed)?;
    while let Some(line) = lines.next().await? {
        file.line(&line).map_err(failed)?;
    }
    let capture = finish(file, &to, session.client.server())?;
    let bytes = fs::metadata(&to).map_or(0, |file| file.len());
    if session.out.is_json() {
        return session.out.json(&serde_json::json!({
            "file": to.display().to_string(),
            "mapping": capture.head.mapping,
            "batches": capture.end.batches,
            "records": capture.end.records,
            "has_more": capture.end.has_more,
            "versions": capture.head.versions.iter().map(|v| v.version).collect::<Vec<_>>(),
            "has_component": !capture.components.is_empty(),
            "bytes": bytes,
        }));
    }
    let (name, records) = (
        words::path(&to),
        words::count(capture.end.records, "record"),
    );
    let closes = capture.batches.iter().filter(|batch| batch.is_close());
    let records = match closes.count() as u64 {
        0 => records,
        1 => format!("{records} and the end of 1 window"),
        closes => format!("{records} and the ends of {closes} windows"),
    };
    let mapping = &capture.head.mapping;
    let size = words::size(bytes);
    session.out.line(&format!(
        "captured   {records} of {mapping} to {name}  {size}"
    ))?;
    let with = match capture.components.is_empty() {
        true => " --component FILE.wasm",
        false => "",
    };
    session
        .out
        .line(&format!("next       fnctl replay {name}{with}"))?;
    if capture.end.has_more {
        session
            .out
            .note("more is failing: --count N takes more, --key K one key");
    }
    session.out.note(&format!(
        "{name} holds payloads and configuration as they are (of secrets the names alone), readable by you alone"
    ));
    Ok(())
}

/// `enrich-signups-20260301T123000Z.capture.ndjson`.
fn default_name(head: &CaptureHead) -> PathBuf {
    let seconds = head.captured_at.split('.').next().unwrap_or_default();
    let time: String = seconds
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .collect();
    let (function, stream) = (&head.function, &head.stream);
    format!("{function}-{stream}-{time}Z.capture.ndjson").into()
}

/// How another file is named.
const OTHER: &str = "--out FILE names another, --force overwrites it";

fn broke_off(server: &str) -> CliError {
    CliError::new(
        ErrorCode::ServerUnreachable,
        format!("the capture of {server} broke off"),
    )
    .fix("fnctl doctor says whether it answers; then the same again")
}

/// Checks what came, and gives the file its name.
fn finish(mut file: Written, to: &Path, server: &str) -> Result<Capture, CliError> {
    let failed = |error| unwritable(to, &error, OTHER);
    let capture = file::read(file.flush().map_err(failed)?).map_err(|error| match error {
        CliError::Told(object) => broke_off(server).because(object.why.unwrap_or(object.message)),
        error => error,
    })?;
    file.keep().map_err(failed)?;
    Ok(capture)
}
