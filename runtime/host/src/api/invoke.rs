//! One call by hand: the live version, the records of the request, nothing published and nothing counted. A function that works
//! in windows gets a second one, which closes the window of the first.

use std::sync::Arc;

use fnctl_core::{
    error_code::ErrorCode,
    function::{Function, Version},
    id::{Ordinal, ShardNumber, Timestamp},
    invoker::{Call, CallContext, CallFacts, Completed, Invoker},
    limits::{BATCH_RECORDS_MAX, PARTITION_KEY_CHARS_MAX, STREAM_RECORD_BYTES_DEFAULT},
    record::{ColumnBuilder, Records},
    status::{CallResult, Encoding, close_by_hand, window_by_hand},
    window::WindowCall,
};
use fnctl_streams::sequence;
use hyper::header;
use serde::Deserialize;

use crate::{
    api::{Answer, Asked, error::ApiError, json, one},
    limits,
    node::HostNode,
    text,
};

/// `POST /v1/functions/{name}/invoke`: lines of data, or with `content-type: application/json`
/// `{"records":[{"key","data","encoding"}]}`.
pub(super) async fn invoke(node: &Arc<HostNode>, name: &str, asked: Asked) -> Answer {
    asked.query(&[])?;
    let function = node.function(name)?;
    let is_json = asked
        .header(header::CONTENT_TYPE.as_str())?
        .is_some_and(|kind| kind.starts_with("application/json"));
    let body = asked.bytes(limits::INVOKE_BODY_BYTES_MAX).await?;
    let now = node.now();
    let records = if is_json {
        from_json(&body, now)?
    } else {
        from_lines(&body, now)?
    };
    if records.is_empty() {
        return Err(ApiError::new(
            ErrorCode::RecordsUnreadable,
            "there is no record in the body",
        ));
    }
    let version = Arc::clone(&function.versions[&function.live]);
    one(&call(node, &function, &version, records, now).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InvokeRequest {
    records: Vec<GivenRecord>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenRecord {
    #[serde(default)]
    key: Option<String>,
    data: String,
    #[serde(default)]
    encoding: Option<Encoding>,
}

#[derive(Default)]
struct Given {
    keys: ColumnBuilder,
    data: ColumnBuilder,
}

impl Given {
    fn push(&mut self, key: Option<&str>, data: &[u8]) -> Result<(), ApiError> {
        let number = self.data.len() + 1;
        if number > BATCH_RECORDS_MAX as usize {
            let words = format!("a call has at most {BATCH_RECORDS_MAX} records");
            return Err(ApiError::new(ErrorCode::RecordsUnreadable, words));
        }
        match key {
            None => self.keys.push(format!("record-{number}").as_bytes()),
            Some(key) if !key.is_empty() && key.chars().count() <= PARTITION_KEY_CHARS_MAX => {
                self.keys.push(key.as_bytes());
            }
            Some(_) => {
                let words =
                    format!("a partition key has 1 to {PARTITION_KEY_CHARS_MAX} characters");
                return Err(ApiError::new(ErrorCode::KeyInvalid, words)
                    .at(format!("records[{}]", number - 1)));
            }
        }
        self.data.push(data);
        Ok(())
    }

    fn finish(self, now: Timestamp) -> Records {
        let count = self.data.len();
        Records {
            keys: self.keys.finish(),
            data: self.data.finish(),
            arrival_ms: vec![now.0; count],
        }
    }
}

fn from_json(body: &[u8], now: Timestamp) -> Result<Records, ApiError> {
    let request: InvokeRequest = json::read(body)?;
    let mut given = Given::default();
    for (index, record) in request.records.iter().enumerate() {
        match record.encoding {
            Some(Encoding::Base64) => {
                let data = text::from_base64(&record.data).ok_or_else(|| {
                    ApiError::new(ErrorCode::RecordsUnreadable, "`data` is not base64")
                        .at(format!("records[{index}].data"))
                })?;
                given.push(record.key.as_deref(), &data)?;
            }
            Some(Encoding::Text) | None => {
                given.push(record.key.as_deref(), record.data.as_bytes())?;
            }
        }
    }
    Ok(given.finish(now))
}

fn from_lines(body: &[u8], now: Timestamp) -> Result<Records, ApiError> {
    let mut given = Given::default();
    for line in body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty() && *line != b"\r")
    {
        given.push(None, line)?;
    }
    Ok(given.finish(now))
}

/// Facts of records that are in no stream.
struct Facts {
    now: Timestamp,
}

impl CallFacts for Facts {
    fn attempt(&self, _: u32) -> u32 {
        1
    }

    fn ordinal(&self, index: u32) -> Ordinal {
        Ordinal(u64::from(index) + 1)
    }

    fn sequence_number(&self, index: u32) -> String {
        sequence::encode(self.now, ShardNumber(0), self.ordinal(index), self.now)
    }

    fn record_id(&self, index: u32) -> String {
        format!("invoke-{}-{}", self.now, index)
    }

    fn header(&self, _: u32, _: &str) -> Option<Vec<u8>> {
        None
    }
}

/// The largest row of each output: what the stream behind it takes, the smallest where mappings of
/// the function send it to several.
fn row_bytes_max(node: &HostNode, function: &Function, version: &Version) -> Arc<[u64]> {
    node.view(|view| {
        let registry = view.registry();
        let of = |output| {
            let bound = registry.mappings_of_function(function.id);
            let streams = bound.filter_map(|mapping| {
                registry.stream_by_name(mapping.outputs.get(output)?.stream()?)
            });
            let most = streams.map(|stream| stream.options.record_bytes_max).min();
            most.unwrap_or(STREAM_RECORD_BYTES_DEFAULT)
        };
        version.outputs.iter().map(of).collect()
    })
}

async fn call(
    node: &HostNode,
    function: &Function,
    version: &Version,
    records: Records,
    now: Timestamp,
) -> Result<CallResult, ApiError> {
    let callable = node.functions().by_hand(function, version).await?;
    let context = Arc::new(CallContext {
        mapping: format!("{}/invoke", function.name).into(),
        stream: "invoke".into(),
        shard: ShardNumber(0),
        version: version.number,
        outputs: version
            .outputs
            .iter()
            .map(|name| Arc::from(name.as_str()))
            .collect(),
        row_bytes_max: row_bytes_max(node, function, version),
    });
    let capture = node.log().capture(&context);
    let invoke = async |records: Records, window: Option<WindowCall>| {
        let call = Call {
            context: Arc::clone(&context),
            records,
            facts: Arc::new(Facts { now }),
            is_fresh: true,
            window,
        };
        callable.invoke(call).await.map_err(ApiError::internal)
    };
    let told = |completed: &Completed, logs| {
        CallResult::of(completed, &context.outputs, logs, text::base64)
    };
    let window = window_by_hand(&version.uses, now);
    let completed = invoke(records, window.clone()).await?;
    let Some(close) = close_by_hand(window, &completed) else {
        return Ok(told(&completed, capture.take()));
    };
    let result = told(&completed, Vec::new());
    let closed = invoke(Records::default(), Some(close)).await?;
    Ok(result.and_closed(told(&closed, capture.take())))
}
