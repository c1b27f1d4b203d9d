//! stdout: data, as text or as JSON, one object a line (command line and SDK §4).

pub(crate) mod hangup;
pub(crate) mod pasted;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod words;

use std::{
    borrow::Cow,
    io::{self, BufWriter, ErrorKind, IsTerminal, Write},
};

use fnctl_core::error_code::ErrorCode;
use fnctl_invoker::clean_text;
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
    /// Whether control characters of records and keys would act on a person's terminal.
    is_guarded: bool,
    out: BufWriter<io::Stdout>,
}

impl Output {
    /// Over the process's stdout.
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            is_guarded: format == Format::Text && io::stdout().is_terminal(),
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
    /// stdout was closed, or takes no more.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), CliError> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Prints an object as one line.
    ///
    /// # Errors
    /// stdout was closed, or takes no more.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let line = serde_json::to_string(value).expect("our values are JSON");
        self.line(&line)
    }

    /// Prints bytes as they are; as text on a terminal, without control characters.
    ///
    /// # Errors
    /// stdout was closed, or takes no more.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let shown = if self.is_guarded {
            guarded(bytes)
        } else {
            Cow::Borrowed(bytes)
        };
        self.out.write_all(&shown).map_err(unwritten)
    }

    /// Hands on what was printed.
    ///
    /// # Errors
    /// stdout was closed, or takes no more.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(unwritten)
    }

    /// Tells a person something on the way, on stderr; scripts are not told.
    pub(crate) fn note(&self, text: &str) {
        if !self.is_json() {
            note(text);
        }
    }
}

/// What a terminal may be given: nothing of a record or a key acts on it.
fn guarded(bytes: &[u8]) -> Cow<'_, [u8]> {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => match clean_text(text) {
            Cow::Borrowed(text) => text.as_bytes().into(),
            Cow::Owned(text) => text.into_bytes().into(),
        },
        Cow::Owned(text) => clean_text(&text).into_owned().into_bytes().into(),
    }
}

/// A reader that has gone is no failure; a full disk is one.
pub(crate) fn unwritten(error: io::Error) -> CliError {
    if error.kind() == ErrorKind::BrokenPipe {
        return CliError::StdoutClosed;
    }
    CliError::new(ErrorCode::FileUnwritable, "failed to write to stdout")
        .because(error.to_string())
        .fix("what was asked for is done; what it says did not arrive whole")
}

/// A line on stderr. Nobody is left to be told when it is closed.
pub(crate) fn note(text: &str) {
    let _gone = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_given_nothing_that_acts_on_it() {
        for (text, shown) in [
            (&b"plain\ttext\n"[..], "plain\ttext\n"),
            (
                b"\x1b]0;title\x07\x1b[2J",
                "\u{fffd}]0;title\u{fffd}\u{fffd}[2J",
            ),
            ("\u{9b}2J\u{7f}\r".as_bytes(), "\u{fffd}2J\u{fffd}\u{fffd}"),
            (b"a\xff", "a\u{fffd}"),
            (
                "a\u{202e}b\u{2066}c\u{200f}".as_bytes(),
                "a\u{fffd}b\u{fffd}c\u{200f}",
            ),
        ] {
            assert_eq!(guarded(text), shown.as_bytes());
        }
    }

    #[test]
    fn a_full_disk_is_a_failure_and_a_reader_that_went_is_none() {
        let exit = |kind| unwritten(io::Error::from(kind)).exit_code();
        assert_eq!(exit(ErrorKind::BrokenPipe), 0);
        assert_eq!(exit(ErrorKind::StorageFull), 1);
    }
}
