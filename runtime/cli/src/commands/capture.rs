//! `fnctl capture`: what fails now, in one file that reproduces it elsewhere.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use fnctl_core::{capture::CaptureHead, error_code::ErrorCode};

use super::replay::file;
use crate::{cli::Session, error::CliError, output::words, spelling};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
    mapping: String,
    /// Take what fails now: the records that wait for a retry, or the open dead letters where none waits
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
    #[arg(long, value_name = "K", value_parser = spelling::key)]
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
    if let Some(path) = args
        .out
        .as_deref()
        .filter(|path| !args.force && path.exists())
    {
        return Err(unwritable(path, &io::ErrorKind::AlreadyExists.into()));
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
    let mut file = Written::create(&to, args.force).map_err(|error| unwritable(&to, &error))?;
    file.line(&first)?;
    while let Some(line) = lines.next().await? {
        file.line(&line)?;
    }
    let capture = file.finish(session.client.server())?;
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
    let mapping = &capture.head.mapping;
    let size = words::size(bytes);
    session.out.line(&format!(
        "captured   {records} of {mapping} to {name}  {size}"
    ))?;
    session
        .out
        .line(&format!("next       fnctl replay {name}"))?;
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

fn unwritable(path: &Path, error: &io::Error) -> CliError {
    let name = words::path(path);
    if error.kind() == io::ErrorKind::AlreadyExists {
        return CliError::new(
            ErrorCode::TargetExists,
            format!("`{name}` is there already"),
        )
        .at(name)
        .fix("--out FILE names another, --force overwrites it");
    }
    CliError::new(
        ErrorCode::FileUnwritable,
        format!("`{name}` cannot be written"),
    )
    .because(error.to_string())
    .at(name)
}

fn broke_off(server: &str) -> CliError {
    CliError::new(
        ErrorCode::ServerUnreachable,
        format!("the capture of {server} broke off"),
    )
    .fix("fnctl doctor says whether it answers; then the same again")
}

/// A file that goes away unless it was written to its end.
struct Written {
    to: PathBuf,
    /// Where it is written: elsewhere where something is to be overwritten.
    path: PathBuf,
    /// `None` once it is whole.
    file: Option<BufWriter<File>>,
}

impl Written {
    fn create(to: &Path, is_forced: bool) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        // It holds payloads.
        options.write(true).mode(0o600);
        let path = if is_forced {
            let mut path = to.as_os_str().to_owned();
            path.push(".partial");
            PathBuf::from(path)
        } else {
            to.to_owned()
        };
        if is_forced {
            // What an earlier one left behind may be readable by others.
            drop(fs::remove_file(&path));
        }
        let file = options.create_new(true).open(&path)?;
        Ok(Self {
            to: to.to_owned(),
            path,
            file: Some(BufWriter::new(file)),
        })
    }

    fn line(&mut self, line: &[u8]) -> Result<(), CliError> {
        let file = self.file.as_mut().expect("it is taken at the end");
        file.write_all(line)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(|error| unwritable(&self.path, &error))
    }

    /// Checks what came, and gives the file its name.
    fn finish(mut self, server: &str) -> Result<file::Capture, CliError> {
        let file = self.file.as_mut().expect("it is taken here alone");
        file.flush()
            .and_then(|()| file.get_ref().sync_all())
            .map_err(|error| unwritable(&self.path, &error))?;
        let capture = file::read(&self.path).map_err(|error| match error {
            CliError::Told(object) => {
                broke_off(server).because(object.why.unwrap_or(object.message))
            }
            error => error,
        })?;
        if self.path != self.to {
            fs::rename(&self.path, &self.to).map_err(|error| unwritable(&self.to, &error))?;
        }
        self.file = None;
        Ok(capture)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if self.file.is_some() {
            // What is not whole is no capture.
            drop(fs::remove_file(&self.path));
        }
    }
}
