//! Captured calls made again, in this process, in a world that is the same each time.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use fnctl_core::{
    capture::{CapturedBatch, CapturedFailure, CapturedRecord, CapturedVersion, CapturedWindow},
    error_code::ErrorCode,
    function::WINDOW_STATE,
    id::{FunctionVersion, Ordinal, ShardNumber, Timestamp},
    invoker::{Call, CallContext, CallFacts, Completed, Invoker},
    record::{ColumnBuilder, Records},
    rfc3339,
    status::{CallResult, Encoding},
    window::{Window, WindowCall},
};
use fnctl_invoker::{
    ComponentError, ComponentSource, Engine, EngineOptions, FixedWorld, Function, Isolation,
    LogSink, VersionSettings, digest,
};

use super::file::Capture;
use crate::{
    commands::{
        deploy::{read_component, refusal},
        invoke::kept::Kept,
    },
    error::CliError,
};

/// What a batch came to this time.
pub(super) struct Replayed {
    /// Digest of the component that was called, `sha256:…`.
    pub(super) digest: String,
    /// The call.
    pub(super) result: CallResult,
    /// Why each record that failed did, or the call that ends a window.
    pub(super) failures: Vec<CapturedFailure>,
    /// The component asks for the states of windows.
    pub(super) reads_states: bool,
    /// Size of the state as the call left it, bytes; `None`: as it was.
    pub(super) state_bytes: Option<u64>,
}

/// A version that was loaded.
struct Loaded {
    function: Arc<Function>,
    context: CallContext,
    reads_states: bool,
}

/// Calls what a capture holds.
pub(super) struct Replay<'a> {
    capture: &'a Capture,
    world: FixedWorld,
    logs: Arc<Kept>,
    engine: Engine,
    /// Instead of what was captured, with the file it is from.
    component: Option<(&'a Path, Bytes)>,
    secrets: BTreeMap<String, Vec<u8>>,
    loaded: HashMap<u64, Loaded>,
}

impl<'a> Replay<'a> {
    /// Over a capture, with another component if one is named.
    ///
    /// # Errors
    /// The component cannot be read, or none is there.
    pub(super) fn new(
        capture: &'a Capture,
        component: Option<&'a Path>,
        secrets: BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, CliError> {
        let component = match component {
            Some(path) => Some((path, read_component(path)?)),
            None => None,
        };
        let world = FixedWorld::new(capture.head.seed);
        let logs = Arc::new(Kept::default());
        let memory = capture.head.versions.iter().map(|v| v.memory_bytes).max();
        let mut options = EngineOptions {
            slots: 1,
            guest_threads: 1,
            fixed: Some(world.clone()),
            ..EngineOptions::default()
        };
        options.memory_bytes_max = memory.unwrap_or(options.memory_bytes_max);
        let engine = Engine::new(options, Arc::clone(&logs) as Arc<dyn LogSink>)
            .map_err(|error| CliError::new(ErrorCode::Internal, error.to_string()))?;
        Ok(Self {
            capture,
            world,
            logs,
            engine,
            component,
            secrets,
            loaded: HashMap::new(),
        })
    }

    /// Makes a batch's call.
    ///
    /// # Errors
    /// Its component is missing or refused, or a record cannot be read.
    pub(super) async fn call(&mut self, batch: &CapturedBatch) -> Result<Replayed, CliError> {
        let damaged = |why: String| {
            CliError::new(ErrorCode::CaptureUnusable, "the capture is damaged").because(why)
        };
        let at = rfc3339::parse(&batch.at)
            .ok_or_else(|| damaged(format!("`{}` is no time", batch.at)))?;
        let shard = ShardNumber::parse(&batch.shard_id)
            .ok_or_else(|| damaged(format!("`{}` is no shard", batch.shard_id)))?;
        let records = columns(&batch.records).map_err(damaged)?;
        let window = batch.window.as_ref().map(window_call).transpose();
        let window = window.map_err(damaged)?;
        let loaded = self.load(batch.version).await?;
        let context = Arc::new(CallContext {
            shard,
            ..loaded.context.clone()
        });
        let call = Call {
            context: Arc::clone(&context),
            records,
            facts: Arc::new(Facts(batch.records.clone())),
            is_fresh: true,
            window,
        };
        let (function, reads_states) = (Arc::clone(&loaded.function), loaded.reads_states);
        self.world.set_now(at);
        drop(self.logs.take());
        let completed = function
            .invoke(call)
            .await
            .map_err(|fault| CliError::new(ErrorCode::Internal, fault.to_string()))?;
        let logs = self.logs.take();
        Ok(Replayed {
            digest: format!("sha256:{}", function.digest()),
            result: CallResult::of(&completed, &context.outputs, logs, |bytes| {
                STANDARD.encode(bytes)
            }),
            reads_states,
            state_bytes: completed.state.as_ref().map(|state| state.len() as u64),
            // A call that ends a window has no records, and fails as one.
            failures: failures(&completed, batch.records.len().max(1)),
        })
    }

    async fn load(&mut self, number: u64) -> Result<&Loaded, CliError> {
        if !self.loaded.contains_key(&number) {
            let versions = &self.capture.head.versions;
            let version = versions
                .iter()
                .find(|version| version.version == number)
                .expect("a capture has the versions that its batches name");
            let loaded = self.load_version(version).await?;
            self.loaded.insert(number, loaded);
        }
        Ok(&self.loaded[&number])
    }

    async fn load_version(&self, version: &CapturedVersion) -> Result<Loaded, CliError> {
        let captured = self.capture.components.get(&version.digest);
        let (bytes, path) = match (&self.component, captured) {
            (Some((path, bytes)), _) => (bytes.clone(), *path),
            (None, Some(bytes)) => (bytes.clone(), Path::new("the captured component")),
            (None, None) => {
                let digest = &version.digest;
                let words = format!(
                    "the capture holds no component of version {number}",
                    number = version.version
                );
                return Err(CliError::new(ErrorCode::CaptureUnusable, words)
                    .because(format!("it was left out: its digest is {digest}"))
                    .fix("--component FILE.wasm"));
            }
        };
        let head = &self.capture.head;
        let settings = VersionSettings {
            function: head.function.as_str().into(),
            version: FunctionVersion(version.version),
            memory_bytes: version.memory_bytes,
            timeout: Duration::from_millis(version.timeout_ms),
            isolation: Isolation::Fresh,
            concurrency: None,
            config: version.config.clone(),
            // A version sees its own secrets, as on the server.
            secrets: version
                .secrets
                .iter()
                .filter_map(|name| Some((name.clone(), self.secrets.get(name)?.clone())))
                .collect(),
        };
        let refused = |error: ComponentError| refusal(&error, path);
        // A component that a server took before is not judged again; another one is.
        let reads_states = match self.component {
            Some(_) => {
                let inspected = self.engine.inspect(bytes.clone()).await.map_err(refused)?;
                inspected.uses.iter().any(|used| used == WINDOW_STATE)
            }
            None => version.reads_states,
        };
        let source = ComponentSource::Bytes(bytes);
        let function = self.engine.load(source, settings).await.map_err(refused)?;
        let outputs = &version.outputs;
        Ok(Loaded {
            function,
            reads_states,
            context: CallContext {
                mapping: head.mapping.as_str().into(),
                stream: head.stream.as_str().into(),
                shard: ShardNumber(0),
                version: FunctionVersion(version.version),
                outputs: outputs.iter().map(|o| Arc::from(o.name.as_str())).collect(),
                row_bytes_max: outputs.iter().map(|output| output.row_bytes_max).collect(),
            },
        })
    }

    /// Digest of the component that is called instead of what was captured, `sha256:…`.
    pub(super) fn other_digest(&self) -> Option<String> {
        let (_, bytes) = self.component.as_ref()?;
        Some(format!("sha256:{}", digest(bytes)))
    }
}

fn failures(completed: &Completed, records: usize) -> Vec<CapturedFailure> {
    let of = |index: u32| {
        let cause = completed.outcome.cause_of(index)?;
        Some(CapturedFailure {
            index,
            error_kind: Some(cause.kind.as_str().to_owned()),
            code: Some(cause.code.to_string()),
            error: Some(cause.error.to_string()),
        })
    };
    let records = u32::try_from(records).unwrap_or(u32::MAX);
    (0..records).filter_map(of).collect()
}

fn columns(records: &[CapturedRecord]) -> Result<Records, String> {
    let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
    for record in records {
        keys.push(&bytes(&record.partition_key, record.key_encoding)?);
        match record.is_tombstone {
            true => data.push_null(),
            false => data.push(&bytes(&record.data.data, record.data.encoding)?),
        }
    }
    Ok(Records {
        keys: keys.finish(),
        data: data.finish(),
        arrival_ms: records.iter().map(|record| record.arrival_ms).collect(),
    })
}

/// What the call is told of its window; of a state that was not kept, that there is none.
fn window_call(captured: &CapturedWindow) -> Result<WindowCall, String> {
    let state = match &captured.state {
        Some(state) => bytes(&state.data, state.encoding)?,
        None => Vec::new(),
    };
    Ok(WindowCall {
        window: Window {
            start: Timestamp(captured.start_ms),
            end: Timestamp(captured.end_ms),
        },
        state: state.into(),
        is_final: captured.is_final,
        is_terminated_early: captured.is_terminated_early,
    })
}

fn bytes(text: &str, encoding: Encoding) -> Result<Vec<u8>, String> {
    match encoding {
        Encoding::Text => Ok(text.as_bytes().to_vec()),
        Encoding::Base64 => STANDARD
            .decode(text)
            .map_err(|error| format!("a record or state is no base64: {error}")),
    }
}

/// What the records were when they were captured.
struct Facts(Vec<CapturedRecord>);

impl CallFacts for Facts {
    fn attempt(&self, index: u32) -> u32 {
        self.0
            .get(index as usize)
            .map_or(1, |record| record.attempt)
    }

    fn ordinal(&self, index: u32) -> Ordinal {
        let record = self.0.get(index as usize);
        Ordinal(record.map_or(0, |record| record.ordinal))
    }

    fn sequence_number(&self, index: u32) -> String {
        let record = self.0.get(index as usize);
        record.map_or_else(String::new, |record| record.sequence_number.clone())
    }

    fn record_id(&self, index: u32) -> String {
        let record = self.0.get(index as usize);
        record.map_or_else(String::new, |record| record.record_id.clone())
    }

    fn header(&self, _: u32, _: &str) -> Option<Vec<u8>> {
        // Embedded streams have no headers.
        None
    }
}

#[cfg(test)]
mod tests {
    use fnctl_core::status::DataText;

    use super::*;

    #[test]
    fn a_record_without_a_payload_is_called_as_one() {
        let record = |is_tombstone| CapturedRecord {
            partition_key: "a".to_owned(),
            key_encoding: Encoding::Text,
            sequence_number: "49".to_owned(),
            record_id: "1-0-1".to_owned(),
            ordinal: 1,
            arrival_ms: 5,
            attempt: 1,
            is_tombstone,
            data: DataText::of(b"", |_| String::new()),
        };
        let told = serde_json::to_string(&record(true)).expect("it is JSON");
        let read: CapturedRecord = serde_json::from_str(&told).expect("what was written");
        let records = columns(&[read, record(false)]).expect("columns");
        assert!(
            records.data.is_null(0) && !records.data.is_null(1),
            "{told}"
        );
    }
}
