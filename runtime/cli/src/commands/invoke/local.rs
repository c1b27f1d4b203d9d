//! A call of a component in this process: no server is needed.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fnctl_core::{
    error_code::ErrorCode,
    id::{FunctionVersion, Ordinal, ShardNumber},
    invoker::{Call, CallContext, CallFacts, Invoker},
    record::{ColumnBuilder, Records},
    spec::resolve::FunctionSettings,
    status::{CallRecord, CallResult, Encoding},
};
use fnctl_invoker::{
    ComponentError, ComponentSource, Engine, EngineOptions, Isolation, LogSink, VersionSettings,
};

use super::kept::Kept;
use crate::{
    commands::deploy::{read_component, refusal},
    error::CliError,
    manifest,
};

/// The output that every component has.
const DEFAULT: &str = "default";

/// Calls the component once.
///
/// # Errors
/// It is no such component, or a record cannot be read.
pub(super) async fn call(
    file: &str,
    given: FunctionSettings,
    records: Vec<CallRecord>,
) -> Result<CallResult, CliError> {
    let path = Path::new(file);
    let bytes = read_component(path)?;
    let logs = Arc::new(Kept::default());
    let options = EngineOptions {
        slots: 1,
        guest_threads: 1,
        memory_bytes_max: given.memory_bytes,
        ..EngineOptions::default()
    };
    let engine = Engine::new(options, Arc::clone(&logs) as Arc<dyn LogSink>)
        .map_err(|error| CliError::new(ErrorCode::Internal, error.to_string()))?;
    let refused = |error: ComponentError| refusal(&error, path);
    let inspected = engine.inspect(bytes.clone()).await.map_err(refused)?;
    let name: Arc<str> = manifest::name_of_file(path)?.into();
    let settings = VersionSettings {
        function: Arc::clone(&name),
        version: FunctionVersion(1),
        memory_bytes: given.memory_bytes,
        timeout: Duration::from_millis(given.timeout_ms),
        isolation: Isolation::Fresh,
        concurrency: None,
        config: given.config,
        secrets: Default::default(),
    };
    let function = engine
        .load(ComponentSource::Bytes(bytes), settings)
        .await
        .map_err(refused)?;
    // Every output is bound, the default one first, as a mapping binds them.
    let declared = inspected
        .outputs
        .iter()
        .map(String::as_str)
        .filter(|name| *name != DEFAULT);
    let outputs: Arc<[Arc<str>]> = std::iter::once(DEFAULT)
        .chain(declared)
        .map(Arc::from)
        .collect();
    let call = Call {
        context: Arc::new(CallContext {
            mapping: format!("{name}/invoke").into(),
            stream: "invoke".into(),
            shard: ShardNumber(0),
            version: FunctionVersion(1),
            outputs: Arc::clone(&outputs),
            row_bytes_max: Arc::default(),
        }),
        records: columns(&records)?,
        facts: Arc::new(Numbers),
        is_fresh: true,
        window: None,
    };
    let completed = function
        .invoke(call)
        .await
        .map_err(|fault| CliError::new(ErrorCode::Internal, fault.to_string()))?;
    Ok(CallResult::of(&completed, &outputs, logs.take(), |bytes| {
        STANDARD.encode(bytes)
    }))
}

fn columns(records: &[CallRecord]) -> Result<Records, CliError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_millis());
    let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
    for (index, record) in records.iter().enumerate() {
        match &record.key {
            Some(key) => keys.push(key.as_bytes()),
            // As on the server: a record without a key has one of its own.
            None => keys.push(format!("record-{}", index + 1).as_bytes()),
        }
        if record.encoding == Some(Encoding::Base64) {
            let bytes = STANDARD.decode(&record.data).map_err(|error| {
                CliError::new(
                    ErrorCode::RecordsUnreadable,
                    format!("record {index} is no base64: {error}"),
                )
                .fix("mend its `data`, or leave `encoding` out where it is text")
            })?;
            data.push(&bytes);
        } else {
            data.push(record.data.as_bytes());
        }
    }
    Ok(Records {
        keys: keys.finish(),
        data: data.finish(),
        arrival_ms: vec![u64::try_from(now).unwrap_or(u64::MAX); records.len()],
    })
}

/// Records of no stream: numbered from 1.
struct Numbers;

impl CallFacts for Numbers {
    fn attempt(&self, _: u32) -> u32 {
        1
    }

    fn ordinal(&self, index: u32) -> Ordinal {
        Ordinal(u64::from(index) + 1)
    }

    fn sequence_number(&self, index: u32) -> String {
        (u64::from(index) + 1).to_string()
    }

    fn record_id(&self, index: u32) -> String {
        format!("invoke:{}", u64::from(index) + 1)
    }

    fn header(&self, _: u32, _: &str) -> Option<Vec<u8>> {
        None
    }
}
