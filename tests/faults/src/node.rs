//! A server over a disk that is told afterwards what it kept.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use fnctl_tests::{Failure, Server, ServerOptions, get};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Interposed, disk::Disk};

/// A mapping with work to do that shows nothing new for this long is stuck.
const STANDS_STILL: Duration = Duration::from_secs(60);

/// The component `name.wasm` of `tests/guests`.
#[must_use]
pub fn guest(name: &str) -> String {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests");
    guests
        .join("target/wasm32-wasip2/release")
        .join(format!("{name}.wasm"))
        .to_string_lossy()
        .into_owned()
}

/// A folder for one life of a server: its data, and what the interposer records.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// A place whose data directory holds what this disk does.
    ///
    /// # Panics
    /// It cannot be written.
    #[must_use]
    pub fn of(disk: &Disk) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Self { folder };
        disk.write(&place.data()).expect("a copy of the disk");
        place
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A file beside it.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A plan for a server on it.
    #[must_use]
    pub fn interposed(&self) -> Interposed {
        Interposed::new(&self.data(), &self.folder.path().join("records"))
    }

    /// Starts a server on it.
    ///
    /// # Errors
    /// It ended instead.
    pub fn start(&self, plan: Option<&Interposed>) -> Result<Server, Failure> {
        Server::start(ServerOptions {
            data_dir: Some(self.data()),
            environment: plan.map(Interposed::environment).unwrap_or_default(),
            ..ServerOptions::default()
        })
    }
}

/// A data directory that was used in order: stream `in`, mappings `hostile` to `out` and `echo` to
/// `copy`, and both functions compiled.
///
/// # Panics
/// The server does not serve.
#[must_use]
pub fn healthy() -> Disk {
    let place = Place::of(&Disk::default());
    let server = place.start(None).unwrap_or_else(|e| panic!("{e}"));
    for (name, to, more) in [
        (
            "hostile",
            "out",
            &["--to", "side=none", "--max-attempts", "5"][..],
        ),
        ("echo", "copy", &[]),
    ] {
        let component = guest(name);
        let mut words = vec!["deploy", &component, "--stream", "in", "--to", to];
        words.extend(["--shards", "2", "--batch-size", "50", "--wait"]);
        words.extend(["--backoff-initial", "10ms", "--parallelization-factor", "2"]);
        words.extend(more);
        server.json(&words).unwrap_or_else(|e| panic!("{e}"));
    }
    let ended = server.stop().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(ended, Some(0));
    Disk::of(&place.data()).expect("a copy of the data")
}

/// The same, after load and `kill -9`: with a journal to replay and segments that lack records. The
/// records are not those of a ledger: they went to other streams.
///
/// # Panics
/// The server does not serve.
#[must_use]
pub fn crashed() -> Disk {
    let place = Place::of(&healthy());
    let server = place.start(None).unwrap_or_else(|e| panic!("{e}"));
    let one = |words: &[&str]| drop(server.json(words).unwrap_or_else(|e| panic!("{e}")));
    one(&["streams", "create", "other", "--shards", "3"]);
    let lines: String = (0..2_000).map(|n| format!("record {n}\n")).collect();
    let path = place.beside("lines");
    std::fs::write(&path, lines).expect("a file");
    let path = path.to_string_lossy();
    for _ in 0..2 {
        one(&["put", "other", "--file", &path]);
        pause(Duration::from_millis(2_200));
    }
    one(&["put", "other", "--file", &path]);
    server.kill().unwrap_or_else(|e| panic!("{e}"));
    Disk::of(&place.data()).expect("a copy of the data")
}

/// All records of a stream, one a line.
///
/// # Panics
/// The server does not answer.
#[must_use]
pub fn records(server: &Server, stream: &str) -> String {
    let path = format!("/v1/streams/{stream}/records?from=trim-horizon&follow=false");
    text(server, &path)
}

/// All open dead letters of a mapping, one a line.
///
/// # Panics
/// The server does not answer.
#[must_use]
pub fn letters(server: &Server, mapping: &str) -> String {
    text(server, &format!("/v1/mappings/{mapping}/dead-letters"))
}

fn text(server: &Server, path: &str) -> String {
    let answer = get(&server.api, path).unwrap_or_else(|e| panic!("{e}: {}", server.log()));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

/// Waits until a mapping has settled everything that arrived, however long that takes on a busy machine.
///
/// # Panics
/// Nothing of it moves for a minute.
pub fn drain(server: &Server, mapping: &str) {
    let (mut moved, mut last) = (Instant::now(), Value::Null);
    loop {
        let status = text(server, &format!("/v1/mappings/{mapping}"));
        let value: Value = serde_json::from_str(&status).unwrap_or(Value::Null);
        if value["pending_records"] == 0 {
            return;
        }
        if value["totals"] != last {
            (moved, last) = (Instant::now(), value["totals"].clone());
        }
        assert!(
            moved.elapsed() < STANDS_STILL,
            "{mapping} does not drain: {status}\n{}",
            server.log()
        );
        pause(Duration::from_millis(20));
    }
}

/// Lets a moment pass.
pub fn pause(time: Duration) {
    let (_keep, nothing) = channel::<()>();
    let _passed: Result<(), RecvTimeoutError> = nothing.recv_timeout(time);
}

/// Waits until whoever holds the other end has let go of it, at most this long; whether they have.
#[must_use]
pub fn ended_within(ended: &Receiver<()>, time: Duration) -> bool {
    ended.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
}
