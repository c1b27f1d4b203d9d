//! A server in the background, and commands against it.

use std::{
    io::{BufRead, BufReader, Lines},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{Failure, Following, text};

/// The binary under test: `FNCTL_BIN`, else `debug/fnctl` in the target folder.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("FNCTL_BIN") {
        return PathBuf::from(path);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    target.join("debug/fnctl")
}

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// The binary; `None`: [`binary`].
    pub binary: Option<PathBuf>,
    /// The data directory; `None`: one that goes with the server.
    pub data_dir: Option<PathBuf>,
    /// Arguments after the usual ones.
    pub arguments: Vec<String>,
    /// Environment.
    pub environment: Vec<(String, String)>,
}

/// A running server. Killed when dropped.
pub struct Server {
    binary: PathBuf,
    child: Child,
    folder: tempfile::TempDir,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Where the control API listens, `http://127.0.0.1:port`.
    pub api: String,
    /// Where the Kinesis API listens.
    pub kinesis: String,
}

impl Server {
    /// Starts a server on ports of the system's choice and waits until it serves.
    ///
    /// # Errors
    /// It ended instead; the message has its log.
    pub fn start(options: ServerOptions) -> Result<Self, Failure> {
        let failed = |what: &str, e: std::io::Error| Failure::new(format!("{what}: {e}"));
        let folder = tempfile::tempdir().map_err(|e| failed("no temporary folder", e))?;
        let binary = options.binary.unwrap_or_else(binary);
        let data_dir = options
            .data_dir
            .unwrap_or_else(|| folder.path().join("data"));
        let ready = folder.path().join("ready.json");
        let log = folder.path().join("server.log");
        let log_file = std::fs::File::create(&log).map_err(|e| failed("no server log", e))?;
        let mut child = Command::new(&binary)
            .args([
                "server",
                "--listen",
                "127.0.0.1:0",
                "--kinesis-listen",
                "127.0.0.1:0",
            ])
            .arg("--data-dir")
            .arg(&data_dir)
            .arg("--ready-file")
            .arg(&ready)
            .args(options.arguments)
            .envs(options.environment)
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .map_err(|e| failed(&format!("`{} server` does not start", binary.display()), e))?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| Failure::new("no standard output"))?;
        let mut lines = BufReader::new(stdout).lines();
        let Some(addresses) = addresses(&mut lines, &ready) else {
            let status = child.wait().map_err(|e| failed("wait", e))?;
            let words = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(Failure {
                message: format!("the server ended ({status}): {words}"),
                exit: status.code(),
                error: None,
            });
        };
        // What the server says later is read and dropped, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            binary,
            child,
            data_dir,
            api: text(&addresses, "api"),
            kinesis: text(&addresses, "kinesis"),
            folder,
        })
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the server has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// A folder that goes with the server, for input files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command against this server.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env("FNCTL_SERVER", &self.api)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command with `-o json` and returns the objects it prints, one a line.
    ///
    /// # Errors
    /// It failed: with its exit code and error object.
    pub fn json(&self, arguments: &[&str]) -> Result<Vec<Value>, Failure> {
        let output = self
            .command(arguments)
            .args(["-o", "json"])
            .output()
            .map_err(|e| Failure::new(format!("fnctl {arguments:?}: {e}")))?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let last = stderr
                .lines()
                .last()
                .and_then(|line| serde_json::from_str::<Value>(line).ok());
            return Err(Failure {
                message: format!("`fnctl {}` failed: {stderr}", arguments.join(" ")),
                exit: output.status.code(),
                error: last.map(|object| object["error"].clone()),
            });
        }
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| {
                serde_json::from_str(line)
                    .map_err(|e| Failure::new(format!("not JSON ({e}): {line}")))
            })
            .collect()
    }

    /// As [`Self::json`], for a command that prints one object.
    ///
    /// # Errors
    /// It failed, or printed nothing.
    pub fn one(&self, arguments: &[&str]) -> Result<Value, Failure> {
        self.json(arguments)?
            .into_iter()
            .next()
            .ok_or_else(|| Failure::new(format!("`fnctl {}` printed nothing", arguments.join(" "))))
    }

    /// Starts a command whose output is read line by line.
    ///
    /// # Errors
    /// It does not start.
    pub fn follow(&self, arguments: &[&str]) -> Result<Following, Failure> {
        Following::start(self.command(arguments))
    }

    /// Waits until the server ends by itself and returns its exit code; `None` after a signal.
    ///
    /// # Errors
    /// The system does not answer.
    pub fn wait(&mut self) -> Result<Option<i32>, Failure> {
        let status = self
            .child
            .wait()
            .map_err(|e| Failure::new(format!("wait: {e}")))?;
        Ok(status.code())
    }

    /// Asks the server to drain (SIGTERM) and returns its exit code.
    ///
    /// # Errors
    /// The system does not answer.
    pub fn stop(mut self) -> Result<Option<i32>, Failure> {
        self.signal(Signal::TERM)?;
        self.wait()
    }

    /// Kills the server at once (SIGKILL) and waits for its end.
    ///
    /// # Errors
    /// The system does not answer.
    pub fn kill(mut self) -> Result<(), Failure> {
        self.signal(Signal::KILL)?;
        self.wait().map(drop)
    }

    /// Sends SIGKILL and does not wait; a server that has ended already is fine.
    pub fn kill_now(&self) {
        // Not reaped yet, so the process id is still its own.
        let _is_gone = self.signal(Signal::KILL);
    }

    /// Sends the server a signal.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Failure::new("the server has no process id"))?;
        kill_process(pid, signal).map_err(|e| Failure::new(format!("signal: {e}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// The ready file, once the server says on standard output that it serves.
fn addresses(lines: &mut Lines<BufReader<ChildStdout>>, ready: &Path) -> Option<Value> {
    loop {
        lines.next()?.ok()?;
        if let Ok(text) = std::fs::read_to_string(ready) {
            return serde_json::from_str(&text).ok();
        }
    }
}
