//! A server whose minutes are short, and what is seen of it.

use std::{
    ops::Deref,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use fnctl_tests::{Server, ServerOptions, binary, get, text};
use serde_json::Value;
use tempfile::TempDir;

use super::{rules::Rules, series::Series};
use crate::support::{all, guest, one};

/// What is waited for comes within this.
const WAITS: Duration = Duration::from_secs(60);
/// The mapping of most scenes.
pub(super) const MAPPING: &str = "enrich/signups";

/// A server, its clock, and what was scraped of it.
pub(super) struct Night {
    server: Option<Server>,
    data: PathBuf,
    arguments: Vec<String>,
    folder: TempDir,
    ahead_ms: i64,
    series: Series,
    rules: Rules,
}

impl Deref for Night {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }
}

/// The library that moves a program's clock: beside this test, or one folder above.
fn library() -> PathBuf {
    const NAME: &str = "libfnctl_skew.so";
    let test = std::env::current_exe().expect("a program knows its path");
    let places = test.ancestors().skip(1).take(3);
    let mut found = places.flat_map(|folder| [folder.join(NAME), folder.join("deps").join(NAME)]);
    let found = found.find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{NAME} is not built; only Linux has it"))
}

impl Night {
    /// A server on a data directory of its own.
    pub(super) fn begins() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        Self::on(folder, data, &[])
    }

    /// A server on this data directory, with arguments of its own.
    pub(super) fn on(folder: TempDir, data: PathBuf, arguments: &[&str]) -> Self {
        std::fs::write(folder.path().join("skew"), 0_i64.to_ne_bytes()).expect("a file");
        let mut night = Self {
            server: None,
            data,
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            folder,
            ahead_ms: 0,
            series: Series::default(),
            rules: Rules::shipped(),
        };
        night.start();
        night
    }

    /// Starts the server that was stopped, on what it left.
    pub(super) fn start(&mut self) {
        let options = ServerOptions {
            data_dir: Some(self.data.clone()),
            arguments: self.arguments.clone(),
            environment: self.environment(),
            ..ServerOptions::default()
        };
        self.server = Some(Server::start(options).unwrap_or_else(|e| panic!("{e}")));
    }

    /// Stops it in order.
    pub(super) fn stop(&mut self) {
        let server = self.server.take().expect("it runs");
        assert_eq!(server.stop().unwrap_or_else(|e| panic!("{e}")), Some(0));
    }

    /// A folder beside the data.
    pub(super) fn beside(&self) -> &Path {
        self.folder.path()
    }

    /// The data directory.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    fn environment(&self) -> Vec<(String, String)> {
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        vec![
            ("LD_PRELOAD".to_owned(), path(library())),
            (
                "FNCTL_SKEW".to_owned(),
                path(self.folder.path().join("skew")),
            ),
        ]
    }

    /// Moves the wall clock of the machine: the server's, and that of the commands that are pasted.
    pub(super) fn clock_moves(&mut self, by: Duration, is_back: bool) {
        let ms = i64::try_from(by.as_millis()).expect("a few hours");
        self.ahead_ms += if is_back { -ms } else { ms };
        let file = std::fs::File::options()
            .write(true)
            .open(self.folder.path().join("skew"));
        let written = file.and_then(|file| file.write_all_at(&self.ahead_ms.to_ne_bytes(), 0));
        written.expect("the clock can be set");
    }

    /// A minute passes, and what the server says then is scraped.
    pub(super) fn minute(&mut self) {
        self.clock_moves(Duration::from_secs(60), false);
        self.scraped();
    }

    /// What the server says now is what it says at the next minute.
    pub(super) fn scraped(&mut self) {
        let answer = self.server.as_ref().map(|server| {
            let answer = get(&server.api, "/metrics");
            answer
                .unwrap_or_else(|e| panic!("{e}\nserver log: {}", server.log()))
                .text()
        });
        let real = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("it is later than 1970");
        let now = real.as_secs_f64() + self.ahead_ms as f64 / 1e3;
        let rules = &self.rules;
        self.series
            .scraped(answer.as_deref(), now, |metric| rules.read(metric));
    }

    /// These alerts fire now, and no others.
    pub(super) fn fire(&self, alerts: &[&str]) {
        if let Err(said) = self.rules.fire(&self.series, alerts) {
            panic!("minute {}: {said}", self.series.minute());
        }
    }

    /// A query has this answer now.
    pub(super) fn answers(&self, expression: &str, samples: Vec<Value>) {
        if let Err(said) = self.rules.answer(&self.series, expression, samples) {
            panic!("minute {}: {said}", self.series.minute());
        }
    }

    /// Minutes pass, at most so many, until these alerts fire, and no others; in each of them `meanwhile` happens.
    pub(super) fn until_fire(
        &mut self,
        minutes: usize,
        alerts: &[&str],
        mut meanwhile: impl FnMut(&Server),
    ) {
        let mut said = String::new();
        for _ in 0..minutes {
            meanwhile(self);
            self.minute();
            match self.rules.fire(&self.series, alerts) {
                Ok(()) => return,
                Err(words) => said = words,
            }
        }
        panic!(
            "not within {minutes} minutes: {alerts:?}: {said}\n{}",
            self.log()
        );
    }

    /// Deploys the function that does what its records say as `enrich`, from `signups` to `enriched`.
    pub(super) fn deploy(&self, options: &[&str]) -> Value {
        let guest = guest("hostile");
        let deploy = ["deploy", &guest, "--name", "enrich", "--stream", "signups"];
        let outputs = ["--to", "enriched", "--to", "side=none"];
        one(self, &[&deploy[..], &outputs, options].concat())
    }

    /// What `fnctl mappings describe` says once it names this cause.
    pub(super) fn why(&self, code: &str) -> Value {
        self.why_of(MAPPING, code)
    }

    /// The same of another mapping. `fnctl status` says it, too.
    pub(super) fn why_of(&self, mapping: &str, code: &str) -> Value {
        let began = Instant::now();
        loop {
            let described = one(self, &["mappings", "describe", mapping]);
            if described["diagnosis"]["code"] == code {
                let listed = all(self, &["status"]);
                let line = listed.iter().find(|line| line["name"] == mapping);
                assert_eq!(line.expect("it is listed")["diagnosis"]["code"], code);
                return described;
            }
            assert!(
                began.elapsed() < WAITS,
                "not `{code}`: {described:#}\n{}",
                self.log()
            );
        }
    }

    /// Pastes a command into a shell of the machine, and says yes where it asks; what it printed.
    pub(super) fn pasted(&self, command: &str) -> String {
        let binary = binary();
        let folder = binary.parent().expect("it lies somewhere");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).envs(self.environment());
        shell.env("PATH", format!("{}:{path}", folder.display()));
        shell.env("FNCTL_SERVER", &self.api);
        let output = shell.output().expect("there is a shell");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command}: {said}\n{}", self.log());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until the figures of the mapping are as wanted; all of them.
    pub(super) fn until(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let status = one(self, &["mappings", "describe", MAPPING]);
            if is_so(&status) {
                return status;
            }
            assert!(began.elapsed() < WAITS, "{status:#}\n{}", self.log());
        }
    }

    /// Every record that a stream holds, sorted.
    pub(super) fn records(&self, stream: &str) -> Vec<String> {
        let path = format!("/v1/streams/{stream}/records?from=trim-horizon&follow=false");
        let answer = get(&self.api, &path).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.text();
        let lines = body.lines().map(|line| {
            let record: Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(record["data"].is_string(), "no record: {record}");
            text(&record, "data")
        });
        let mut records: Vec<String> = lines.collect();
        records.sort_unstable();
        records
    }

    /// Nothing was lost and nothing came twice: each of these records came out once, none waits, and no dead
    /// letter is open.
    pub(super) fn has_all(&self, records: &[String]) {
        let status = self.until(|status| status["pending_records"] == 0);
        let mut expected = records.to_vec();
        expected.sort_unstable();
        assert_eq!(self.records("enriched"), expected, "{status:#}");
        assert_eq!(all(self, &["dlq", "list", MAPPING]), [Value::Null; 0]);
        self.why("caught-up");
    }
}

/// The commands that a diagnosis says, in its order.
pub(super) fn commands(described: &Value) -> Vec<String> {
    let actions = described["diagnosis"]["actions"]
        .as_array()
        .expect("a list");
    actions
        .iter()
        .map(|action| text(action, "command"))
        .collect()
}

/// The words of a diagnosis.
pub(super) fn message(described: &Value) -> String {
    text(&described["diagnosis"], "message")
}

/// `word n`, a record each.
pub(super) fn numbered(word: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("{word} {n}")).collect()
}
