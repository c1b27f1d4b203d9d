//! Where lines come from: the command line, a file, or standard input.

use std::{os::unix::ffi::OsStrExt, path::Path};

use bytes::Bytes;
use fnctl_core::error_code::ErrorCode;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};

use super::{Args, pace::Pace};
use crate::{error::CliError, limits};

/// Lines, numbered from 1. Reading one may be taken back and asked again.
pub(super) struct Input {
    from: Box<dyn AsyncBufRead + Unpin + Send>,
    name: String,
    partial: Vec<u8>,
    has_ended: bool,
}

impl Input {
    /// Opens what the arguments name.
    ///
    /// # Errors
    /// The file cannot be read, or a record of the command line is more than one line.
    pub(super) async fn open(args: &Args) -> Result<Self, CliError> {
        if !args.data.is_empty() {
            let records: Vec<&[u8]> = args.data.iter().map(|word| word.as_bytes()).collect();
            if records.iter().any(|record| record.contains(&b'\n')) {
                return Err(CliError::usage("a record of the command line is one line")
                    .fix("put it into a file: --file F"));
            }
            if records.iter().any(|record| !is_record(record)) {
                return Err(CliError::usage("a record of the command line is empty")
                    .because(
                        "a line is a record, and empty lines are passed by: it would not be put",
                    )
                    .fix("leave it out; PutRecord of the Kinesis API takes empty records"));
            }
            return Ok(Self::new(
                Box::new(std::io::Cursor::new(records.join(&b'\n'))),
                "the command line",
            ));
        }
        match args.file.as_deref() {
            None | Some("-") => Ok(Self::new(
                Box::new(BufReader::new(tokio::io::stdin())),
                "standard input",
            )),
            Some(path) => {
                let file = tokio::fs::File::open(Path::new(path))
                    .await
                    .map_err(|error| unreadable(path, &error))?;
                Ok(Self::new(
                    Box::new(BufReader::with_capacity(limits::CHUNK_BYTES, file)),
                    path,
                ))
            }
        }
    }

    pub(super) fn new(from: Box<dyn AsyncBufRead + Unpin + Send>, name: &str) -> Self {
        Self {
            from,
            name: name.to_owned(),
            partial: Vec::new(),
            has_ended: false,
        }
    }

    /// Whether the last line was read.
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// What it reads, in words.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Passes by the lines in front of number `line`.
    ///
    /// # Errors
    /// The input cannot be read.
    pub(super) async fn skip_to(&mut self, line: u64) -> Result<Passed, CliError> {
        let mut passed = Passed::default();
        for number in 1..line {
            match self.read().await? {
                Some(text) => passed.records += u64::from(is_record(&text)),
                None => {
                    passed.ended_after = Some(number - 1);
                    return Ok(passed);
                }
            }
        }
        if line > 1 && self.from.fill_buf().await.is_ok_and(<[u8]>::is_empty) {
            passed.ended_after = Some(line - 1);
        }
        Ok(passed)
    }

    /// The next line, not before its time.
    ///
    /// # Errors
    /// The input cannot be read.
    pub(super) async fn next(&mut self, pace: &mut Pace) -> Result<Option<Bytes>, CliError> {
        pace.wait().await;
        let line = self.read().await?;
        if line.as_deref().is_some_and(is_record) {
            pace.took_one();
        }
        Ok(line)
    }

    async fn read(&mut self) -> Result<Option<Bytes>, CliError> {
        // `read_until` keeps what it has in `partial` when it is taken back.
        let read = self.from.read_until(b'\n', &mut self.partial).await;
        read.map_err(|error| unreadable(&self.name, &error))?;
        if self.partial.is_empty() {
            self.has_ended = true;
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.partial);
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(Some(line.into()))
    }
}

/// What was in front of the first line put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Lines that are records.
    pub(super) records: u64,
    /// Lines of the whole input, where it has none behind them.
    pub(super) ended_after: Option<u64>,
}

fn unreadable(name: &str, error: &std::io::Error) -> CliError {
    CliError::new(
        ErrorCode::FileUnreadable,
        format!("`{name}` cannot be read"),
    )
    .because(error.to_string())
    .fix("--file F is a file with a record a line; `-` is standard input")
}

/// Whether a line is a record: the server passes empty ones by.
pub(super) fn is_record(line: &[u8]) -> bool {
    !(line.is_empty() || line == b"\r")
}
