//! The API from HTTP request to HTTP response, over a log in memory.

mod creation;
mod protocol;
mod put;
mod read;
mod resharding;
mod streams;

use std::sync::atomic::Ordering;

use fnctl_core::id::Timestamp;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::*;
use crate::log::memory::MemoryLog;

/// When every test begins.
pub(crate) const START_MS: u64 = 1_700_000_000_123;
/// What a signed request carries.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 \
    Credential=AK/20231114/eu-west-1/kinesis/aws4_request, SignedHeaders=host, Signature=ab";

/// A clock that a test moves.
#[derive(Default)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn time(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.time()
    }

    fn boot_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The API and what a test may do to its surroundings.
struct Api {
    kinesis: Kinesis<MemoryLog>,
    log: MemoryLog,
    clock: Arc<TestClock>,
}

impl Api {
    fn new() -> Self {
        Self::with_options(Options::new([3; 32]))
    }

    fn with_options(options: Options) -> Self {
        let clock = Arc::new(TestClock(AtomicU64::new(START_MS)));
        let log = MemoryLog::new(Arc::clone(&clock));
        let kinesis = Kinesis::new(log.clone(), Arc::<TestClock>::clone(&clock), options);
        Self {
            kinesis,
            log,
            clock,
        }
    }

    /// The API with one stream, `s`.
    fn with_stream(shards: u32) -> Self {
        let api = Self::new();
        let created = api.call(
            "CreateStream",
            json!({"StreamName": "s", "ShardCount": shards}),
        );
        assert_eq!(created, json!({}));
        api
    }

    fn advance(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sends a request as it is.
    fn send(&self, request: Request<Full<Bytes>>) -> (Response<()>, Bytes) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (parts, body) = self.kinesis.answer(request).await.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            (Response::from_parts(parts, ()), body)
        })
    }

    /// Sends a signed JSON body.
    fn send_body(&self, operation: &str, body: impl Into<Bytes>) -> (Response<()>, Bytes) {
        let request = Request::post("/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .header("x-amz-date", "20231114T221320Z")
            .header("authorization", AUTHORIZATION)
            .body(Full::new(body.into()));
        self.send(request.unwrap())
    }

    /// Carries out an operation; the answer, `{}` if it is empty.
    fn call(&self, operation: &str, request: Value) -> Value {
        let (response, body) = self.send_body(operation, request.to_string());
        assert_eq!(response.status(), 200, "{operation} {body:?}");
        if body.is_empty() {
            json!({})
        } else {
            serde_json::from_slice(&body).unwrap()
        }
    }

    /// Carries out an operation that is refused: `Code: message`, without the code's ending.
    fn error(&self, operation: &str, request: Value) -> String {
        let (response, body) = self.send_body(operation, request.to_string());
        let body: Value = serde_json::from_slice(&body).unwrap();
        let code = body["__type"].as_str().unwrap();
        let status = if code == "InternalFailure" { 500 } else { 400 };
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["x-amzn-errortype"], code);
        let message = body.get("message").or(body.get("Message"));
        let code = code.strip_suffix("Exception").unwrap_or(code);
        match message {
            Some(message) => format!("{code}: {}", message.as_str().unwrap()),
            None => code.to_owned(),
        }
    }

    /// Puts records with the given keys and data in one call.
    fn put(&self, records: &[(&str, &str)]) -> Value {
        let records: Vec<_> = records
            .iter()
            .map(|(key, data)| {
                json!({"PartitionKey": key, "Data": base64_simd::STANDARD.encode_to_string(data)})
            })
            .collect();
        self.call("PutRecords", json!({"StreamName": "s", "Records": records}))
    }

    /// An iterator of shard 0 of `s`, with the members of `extra`.
    fn iterator(&self, kind: &str, extra: Value) -> String {
        let mut request = json!({
            "StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": kind,
        });
        request
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let answer = self.call("GetShardIterator", request);
        answer["ShardIterator"].as_str().unwrap().to_owned()
    }

    /// Reads on: the data read, and the whole answer.
    fn read(&self, iterator: &str) -> (Vec<String>, Value) {
        self.read_at_most(iterator, 10_000)
    }

    fn read_at_most(&self, iterator: &str, limit: u32) -> (Vec<String>, Value) {
        let answer = self.call(
            "GetRecords",
            json!({"ShardIterator": iterator, "Limit": limit}),
        );
        let records = answer["Records"].as_array().unwrap().iter();
        let data = records.map(|record| {
            let data = record["Data"].as_str().unwrap();
            String::from_utf8(base64_simd::STANDARD.decode_to_vec(data).unwrap()).unwrap()
        });
        (data.collect(), answer)
    }
}
