//! stdout: data, as text or as JSON, one object a line (command line and SDK §4).

pub(crate) mod hangup;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod words;

use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;

use crate::error::CliError;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For reading; may improve in any release.
    #[default]
    Text,
    /// For scripts: one object a line.
    Json,
    /// Payloads alone, one a line (`tail`).
    Raw,
}

/// stdout, flushed line by line where somebody watches.
pub(crate) struct Output {
    /// How results are printed.
    pub(crate) format: Format,
    out: BufWriter<io::Stdout>,
}

impl Output {
    /// Over the process's stdout.
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            out: BufWriter::new(io::stdout()),
        }
    }

    /// Whether scripts read.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether a person can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        !self.is_json() && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Prints a line of text.
    ///
    /// # Errors
    /// stdout was closed.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), CliError> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Prints an object as one line.
    ///
    /// # Errors
    /// stdout was closed.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let line = serde_json::to_string(value).expect("our values are JSON");
        self.line(&line)
    }

    /// Prints bytes as they are.
    ///
    /// # Errors
    /// stdout was closed.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.out
            .write_all(bytes)
            .map_err(|_| CliError::StdoutClosed)
    }

    /// Hands on what was printed.
    ///
    /// # Errors
    /// stdout was closed.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(|_| CliError::StdoutClosed)
    }

    /// Tells a person something on the way, on stderr; scripts are not told.
    pub(crate) fn note(&self, text: &str) {
        if !self.is_json() {
            note(text);
        }
    }
}

/// A line on stderr. Nobody is left to be told when it is closed.
pub(crate) fn note(text: &str) {
    let _gone = writeln!(io::stderr().lock(), "{text}");
}
