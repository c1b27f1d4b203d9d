//! A command that runs while its lines are read.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use crate::Failure;

/// A running command: lines in, lines out. Killed when dropped.
pub struct Following {
    child: Child,
    input: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
}

impl Following {
    pub(crate) fn start(mut command: Command) -> Result<Self, Failure> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| Failure::new(format!("{command:?} does not start: {e}")))?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| Failure::new("no standard output"))?;
        let input = child.stdin.take();
        Ok(Self {
            child,
            input,
            lines: BufReader::with_capacity(1 << 20, stdout),
        })
    }

    /// The next line, without its end; `None` at the end of output.
    ///
    /// # Errors
    /// The output cannot be read.
    pub fn next_line(&mut self) -> Result<Option<String>, Failure> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(line.trim_end_matches('\n').to_owned())),
            Err(e) => Err(Failure::new(format!("a command cannot be read: {e}"))),
        }
    }

    /// The next line as JSON.
    ///
    /// # Errors
    /// The command ended, or the line is no JSON.
    pub fn next_json(&mut self) -> Result<Value, Failure> {
        let line = self
            .next_line()?
            .ok_or_else(|| Failure::new("a command ended before its time"))?;
        serde_json::from_str(&line).map_err(|e| Failure::new(format!("not JSON ({e}): {line}")))
    }

    /// Writes a line to the command's standard input.
    ///
    /// # Errors
    /// The command does not read any more.
    pub fn write_line(&mut self, line: &str) -> Result<(), Failure> {
        let input = self
            .input
            .as_mut()
            .ok_or_else(|| Failure::new("standard input is closed"))?;
        input
            .write_all(format!("{line}\n").as_bytes())
            .and_then(|()| input.flush())
            .map_err(|e| Failure::new(format!("a command does not read: {e}")))
    }

    /// Ends the command's standard input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Waits for the command's end and returns its exit code; `None` after a signal.
    ///
    /// # Errors
    /// The system does not answer.
    pub fn wait(&mut self) -> Result<Option<i32>, Failure> {
        self.end_input();
        let status = self
            .child
            .wait()
            .map_err(|e| Failure::new(format!("wait: {e}")))?;
        Ok(status.code())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}
