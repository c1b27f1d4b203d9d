//! The binary as a person uses it: a server in the background, commands against it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use crate::run::Problem;

/// A server of its own on a data directory that goes with it.
pub(crate) struct Server {
    binary: PathBuf,
    child: Child,
    /// Where the control API listens.
    pub(crate) api: String,
    /// Where the Kinesis API listens.
    pub(crate) kinesis: String,
    _data: tempfile::TempDir,
}

impl Server {
    /// Starts a server on ports of the system's choice and waits until it serves.
    pub(crate) fn start(binary: &Path) -> Result<Self, Problem> {
        let data = tempfile::tempdir().map_err(|e| Problem(format!("no data directory: {e}")))?;
        let ready = data.path().join("ready.json");
        let log = std::fs::File::create(data.path().join("server.log"))
            .map_err(|e| Problem(format!("no server log: {e}")))?;
        let mut child = Command::new(binary)
            .args([
                "server",
                "--listen",
                "127.0.0.1:0",
                "--kinesis-listen",
                "127.0.0.1:0",
            ])
            .arg("--data-dir")
            .arg(data.path().join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|e| Problem(format!("`{} server` does not start: {e}", binary.display())))?;
        // The server says its addresses on standard output once it serves, after the ready file.
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| Problem("no standard output".into()))?;
        let mut lines = BufReader::new(stdout).lines();
        let addresses = loop {
            match lines.next() {
                Some(Ok(_)) if ready.exists() => {
                    let text = std::fs::read_to_string(&ready)
                        .map_err(|e| Problem(format!("the ready file cannot be read: {e}")))?;
                    break parse(&text)?;
                }
                Some(Ok(_)) => {}
                _ => {
                    let log = std::fs::read_to_string(data.path().join("server.log"));
                    return Err(Problem(format!(
                        "the server ended:\n{}",
                        log.unwrap_or_default()
                    )));
                }
            }
        };
        // What the server says later is read and dropped, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            binary: binary.to_owned(),
            child,
            api: text(&addresses, "api"),
            kinesis: text(&addresses, "kinesis"),
            _data: data,
        })
    }

    /// A command against this server.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env("FNCTL_SERVER", &self.api);
        command
    }

    /// Runs a command and returns the JSON objects it prints, one a line.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Vec<Value>, Problem> {
        let output = self
            .command(arguments)
            .args(["-o", "json"])
            .output()
            .map_err(|e| Problem(format!("fnctl {arguments:?}: {e}")))?;
        if !output.status.success() {
            return Err(Problem(format!(
                "`fnctl {}` failed: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        }
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(parse)
            .collect()
    }

    /// Starts a command whose output is read line by line.
    pub(crate) fn follow(&self, arguments: &[&str]) -> Result<Following, Problem> {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| Problem(format!("fnctl {arguments:?}: {e}")))?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| Problem("no standard output".into()))?;
        Ok(Following {
            child,
            lines: BufReader::new(stdout),
        })
    }

    /// Waits until the server ends by itself: Ctrl-C reaches it as it reaches us.
    pub(crate) fn wait(&mut self) {
        let _ended = self.child.wait();
    }

    /// Asks the server to drain and checks that it ends with 0.
    pub(crate) fn stop(mut self) -> Result<(), Problem> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)
                .map_err(|e| Problem(format!("the server cannot be stopped: {e}")))?;
        }
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            other => Err(Problem(format!("the server ended badly: {other:?}"))),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A command that runs while its lines are read.
pub(crate) struct Following {
    /// The process, for its standard input.
    pub(crate) child: Child,
    lines: BufReader<ChildStdout>,
}

impl Following {
    /// The next line as JSON.
    pub(crate) fn next(&mut self) -> Result<Value, Problem> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => Err(Problem("a command ended before its time".into())),
            Ok(_) => parse(&line),
            Err(e) => Err(Problem(format!("a command cannot be read: {e}"))),
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A field as text.
pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

fn parse(line: impl AsRef<str>) -> Result<Value, Problem> {
    let line = line.as_ref();
    serde_json::from_str(line).map_err(|e| Problem(format!("not JSON ({e}): {line}")))
}
