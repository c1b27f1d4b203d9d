//! A server whose only mapping does what its records say (`tests/guests/hostile`), from the stream `in` to
//! `out`; rows of `side` go nowhere.

use std::fmt::Write as _;

use base64::{Engine, engine::general_purpose::STANDARD};
use fnctl_tests::{Failure, Server, ServerOptions, get, request};
use serde_json::Value;

use crate::guests::component;

/// Records of a request; the Kinesis API takes no more.
const REQUEST_RECORDS: u64 = 500;

/// Such a server, with a data directory of its own; killed when dropped.
pub struct Hostile {
    server: Server,
}

impl Hostile {
    /// Starts it; both streams have so many shards, `options` are those of `fnctl deploy`.
    ///
    /// # Errors
    /// It does not start, or an option is refused.
    pub fn deploy(shards: &str, options: &[&str]) -> Result<Self, Failure> {
        Self::deploy_to(ServerOptions::default(), shards, options)
    }

    /// The same on a server that is started so.
    ///
    /// # Errors
    /// It does not start, or an option is refused.
    pub fn deploy_to(how: ServerOptions, shards: &str, options: &[&str]) -> Result<Self, Failure> {
        let server = Server::start(how)?;
        server.one(&["streams", "create", "in", "--shards", shards])?;
        server.one(&["streams", "create", "out", "--shards", shards])?;
        let guest = component("hostile");
        let mut words = vec!["deploy", &guest, "--stream", "in", "--to", "out"];
        words.extend_from_slice(&["--to", "side=none", "--name", "hostile"]);
        words.extend_from_slice(options);
        server.one(&words)?;
        Ok(Self { server })
    }

    /// Where its control API listens.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.server.api
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Puts so many records in their order; each is a key and data.
    ///
    /// # Errors
    /// One is refused.
    pub fn put(
        &self,
        records: u64,
        record: impl Fn(u64) -> (String, String),
    ) -> Result<(), Failure> {
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "Kinesis_20131202.PutRecords"),
            ("x-amz-date", "20260101T000000Z"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/kinesis/aws4_request, \
                 SignedHeaders=host, Signature=b",
            ),
        ];
        for first in (0..records).step_by(REQUEST_RECORDS as usize) {
            let mut body = String::from(r#"{"StreamName":"in","Records":["#);
            for n in first..records.min(first + REQUEST_RECORDS) {
                let (key, data) = record(n);
                let comma = if n == first { "" } else { "," };
                let data = STANDARD.encode(data);
                write!(body, r#"{comma}{{"Data":"{data}","PartitionKey":"{key}"}}"#)
                    .expect("a string takes everything");
            }
            body.push_str("]}");
            let to = &self.server.kinesis;
            let answer = request(to, "POST", "/", &headers, body.as_bytes())?;
            if !answer.body.starts_with(br#"{"FailedRecordCount":0,"#) {
                return Err(Failure::new(format!("put: {}", answer.text())));
            }
        }
        Ok(())
    }

    /// Pauses the mapping.
    ///
    /// # Errors
    /// The server refuses.
    pub fn pause(&self) -> Result<(), Failure> {
        self.set("pause")
    }

    /// Lets the mapping go on.
    ///
    /// # Errors
    /// The server refuses.
    pub fn resume(&self) -> Result<(), Failure> {
        self.set("resume")
    }

    fn set(&self, state: &str) -> Result<(), Failure> {
        let path = format!("/v1/mappings/hostile/{state}");
        let answer = request(&self.server.api, "POST", &path, &[], b"{}")?;
        match answer.status {
            200 => Ok(()),
            _ => Err(Failure::new(format!("{state}: {}", answer.text()))),
        }
    }

    /// What the mapping is doing.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn describe(&self) -> Result<Value, Failure> {
        let text = get(&self.server.api, "/v1/mappings/hostile")?.text();
        serde_json::from_str(&text).map_err(|e| Failure::new(format!("not JSON ({e}): {text}")))
    }

    /// What the series that begin so sum up to, as `/metrics` has them.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn sum(&self, series: &str) -> Result<f64, Failure> {
        let metrics = get(&self.server.api, "/metrics")?.text();
        let its = |line: &str| {
            let value = line.strip_prefix(series)?;
            value.rsplit(' ').next()?.parse::<f64>().ok()
        };
        Ok(metrics.lines().filter_map(its).sum())
    }
}
