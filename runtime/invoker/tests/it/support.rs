//! Engines, functions and calls in a line.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use fnctl_core::{
    id::{FunctionVersion, Ordinal, ShardNumber},
    invoker::{Call, CallContext, CallFacts, Completed, Invoker},
    outcome::{Failure, Outcome},
    record::{ColumnBuilder, Records},
};
use fnctl_invoker::{
    ComponentSource, Engine, EngineOptions, Function, Isolation, LogEntry, LogLevel, LogSink,
    LogSource, VersionSettings,
};

/// The component `name` of `tests/guests`, built if need be.
pub(crate) fn guest(name: &str) -> Bytes {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let dir = BUILT.get_or_init(|| {
        let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests");
        let target = guests.join("target");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"])
            .current_dir(&guests)
            .env("CARGO_TARGET_DIR", &target)
            .status();
        assert!(status.expect("cargo runs").success(), "the guests build");
        target.join("wasm32-wasip2/release")
    });
    std::fs::read(dir.join(name).with_extension("wasm"))
        .expect("the guest was built")
        .into()
}

/// Lines of functions, as they came.
#[derive(Default)]
pub(crate) struct Lines(pub(crate) Mutex<Vec<Line>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) level: LogLevel,
    pub(crate) source: LogSource,
    pub(crate) mapping: Option<String>,
    pub(crate) ordinal: Option<Ordinal>,
    pub(crate) message: String,
}

impl LogSink for Lines {
    fn write(&self, entry: &LogEntry<'_>) {
        self.0.lock().expect("no test panics in here").push(Line {
            level: entry.level,
            source: entry.source,
            mapping: entry.context.map(|context| context.mapping.to_string()),
            ordinal: entry.ordinal,
            message: entry.message.to_owned(),
        });
    }
}

impl Lines {
    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.0.lock().expect("no test panics in here"))
    }
}

/// One engine for most tests: the pool reserves a lot of address space. Its compiled guests are kept
/// below the target folder, so that a second run does not compile them again.
pub(crate) fn engine() -> (Engine, Arc<Lines>) {
    let lines = Arc::new(Lines::default());
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("artefacts");
    let options = EngineOptions {
        slots: 16,
        cache_dir: Some(cache),
        ..EngineOptions::default()
    };
    (
        Engine::new(options, Arc::clone(&lines) as _).expect("an engine"),
        lines,
    )
}

pub(crate) fn settings() -> VersionSettings {
    VersionSettings {
        function: "test".into(),
        version: FunctionVersion(7),
        memory_bytes: 64 << 20,
        timeout: Duration::from_secs(5),
        isolation: Isolation::Reuse,
        concurrency: None,
        config: BTreeMap::from([("name".to_owned(), "Ada".to_owned())]),
        secrets: BTreeMap::from([("token".to_owned(), b"s3cret".to_vec())]),
        series: Arc::default(),
    }
}

pub(crate) async fn load(engine: &Engine, name: &str, settings: VersionSettings) -> Arc<Function> {
    engine
        .load(ComponentSource::Bytes(guest(name)), settings)
        .await
        .expect("the guest loads")
}

/// Facts of record `i`: attempt `attempt`, ordinal 100 + i.
pub(crate) struct Facts {
    pub(crate) attempt: u32,
}

impl CallFacts for Facts {
    fn attempt(&self, _: u32) -> u32 {
        self.attempt
    }
    fn ordinal(&self, index: u32) -> Ordinal {
        Ordinal(100 + u64::from(index))
    }
    fn sequence_number(&self, index: u32) -> String {
        format!("4957{index}")
    }
    fn record_id(&self, index: u32) -> String {
        format!("id-{index}")
    }
    fn header(&self, _: u32, _: &str) -> Option<Vec<u8>> {
        None
    }
}

pub(crate) fn records<B: AsRef<[u8]>>(bodies: impl IntoIterator<Item = B>) -> Records {
    let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
    for (index, body) in bodies.into_iter().enumerate() {
        keys.push(format!("key-{index}").as_bytes());
        data.push(body.as_ref());
    }
    let (keys, data) = (keys.finish(), data.finish());
    let arrival_ms = vec![1_700_000_000_000; data.len()];
    Records {
        keys,
        data,
        arrival_ms,
    }
}

pub(crate) fn context() -> Arc<CallContext> {
    Arc::new(CallContext {
        mapping: "test/signups".into(),
        stream: "signups".into(),
        shard: ShardNumber(3),
        version: FunctionVersion(7),
        outputs: Arc::new(["default".into(), "side".into()]),
        row_bytes_max: Arc::default(),
    })
}

pub(crate) fn call(records: Records) -> Call {
    Call {
        context: context(),
        records,
        facts: Arc::new(Facts { attempt: 1 }),
        is_fresh: false,
        window: None,
    }
}

pub(crate) async fn complete(function: &Function, bodies: &[&str]) -> Completed {
    function
        .invoke(call(records(bodies)))
        .await
        .expect("the host is not at fault")
}

pub(crate) async fn outcome(function: &Function, bodies: &[&str]) -> Outcome {
    complete(function, bodies).await.outcome
}

/// `(rows per output as (source, key, body), failures as (index, code))`.
pub(crate) type Told = (Vec<Vec<(u32, String, String)>>, Vec<(u32, String)>);

pub(crate) fn told(outcome: &Outcome) -> Told {
    let Outcome::Returned { rows, failures } = outcome else {
        panic!("{outcome:?}")
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let row = |rows: &fnctl_core::outcome::Rows| {
        let each = rows.sources.iter().enumerate();
        each.map(|(at, source)| (*source, text(rows.keys.get(at)), text(rows.data.get(at))))
            .collect()
    };
    let failures = failures
        .iter()
        .map(|item| (item.index, item.failure.code.to_string()))
        .collect();
    (rows.iter().map(row).collect(), failures)
}

/// The bodies of output `default`.
pub(crate) fn bodies(outcome: &Outcome) -> Vec<String> {
    told(outcome)
        .0
        .into_iter()
        .flatten()
        .map(|(.., body)| body)
        .collect()
}

pub(crate) fn whole_failure(outcome: &Outcome) -> &Failure {
    let Outcome::Error(failure) = outcome else {
        panic!("{outcome:?}")
    };
    failure
}
