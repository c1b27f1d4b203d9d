//! A call of a component in this process: no server is needed.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use fnctl_core::{
    error_code::ErrorCode,
    id::{FunctionVersion, Ordinal, ShardNumber, Timestamp},
    invoker::{Call, CallContext, CallFacts, Completed, Invoker},
    record::{ColumnBuilder, Records},
    spec::resolve::FunctionSettings,
    status::{CallRecord, CallResult, Encoding, close_by_hand, window_by_hand},
    window::WindowCall,
};
use fnctl_invoker::{
    ComponentError, ComponentSource, Engine, EngineOptions, Isolation, LogSink, VersionSettings,
};

use super::kept::Kept;
use crate::{commands::deploy::refusal, error::CliError, manifest};

/// The output that every component has.
const DEFAULT: &str = "default";

/// Calls the component of a file once; one that works in windows a second time, at the end of its window.
///
/// # Errors
/// It is no such component, or a record cannot be read.
pub(super) async fn call(
    file: &str,
    bytes: Bytes,
    given: FunctionSettings,
    records: Vec<CallRecord>,
) -> Result<CallResult, CliError> {
    let path = Path::new(file);
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
        series: Arc::default(),
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
    let context = Arc::new(CallContext {
        mapping: format!("{name}/invoke").into(),
        stream: "invoke".into(),
        shard: ShardNumber(0),
        version: FunctionVersion(1),
        outputs: Arc::clone(&outputs),
        row_bytes_max: Arc::default(),
    });
    let invoke = async |records: Records, window: Option<WindowCall>| {
        let call = Call {
            context: Arc::clone(&context),
            records,
            facts: Arc::new(Numbers),
            is_fresh: true,
            window,
        };
        let completed = function.invoke(call).await;
        completed.map_err(|fault| CliError::new(ErrorCode::Internal, fault.to_string()))
    };
    let told = |completed: &Completed| {
        CallResult::of(completed, &outputs, logs.take(), |bytes| {
            STANDARD.encode(bytes)
        })
    };
    let now = now();
    let window = window_by_hand(&inspected.uses, now);
    let completed = invoke(columns(&records, now)?, window.clone()).await?;
    let result = told(&completed);
    let Some(close) = close_by_hand(window, &completed) else {
        return Ok(result);
    };
    let closed = invoke(Records::default(), Some(close)).await?;
    Ok(result.and_closed(told(&closed)))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    Timestamp(u64::try_from(ms).unwrap_or(u64::MAX))
}

fn columns(records: &[CallRecord], now: Timestamp) -> Result<Records, CliError> {
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
        arrival_ms: vec![now.0; records.len()],
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
