//! Records for a test.

use std::time::{Duration, SystemTime};

use crate::{call::native::NativeColumns, host::native::Facts};

/// 2026-01-01T00:00:00Z: when a record arrives, unless a test says otherwise.
pub(super) const ARRIVAL_MS: u64 = 1_767_225_600_000;

/// A record for a test, made by [`record`] or [`ndjson`].
#[derive(Clone, Debug)]
#[must_use = "a record does nothing until a function is run over it"]
#[non_exhaustive]
pub struct Input {
    key: Option<Vec<u8>>,
    data: Option<Vec<u8>>,
    arrival_ms: u64,
    attempt: u32,
    headers: Vec<(String, Vec<u8>)>,
}

/// A record with this body, a key of its own, at its first attempt.
pub fn record(data: impl Into<Vec<u8>>) -> Input {
    Input {
        key: None,
        data: Some(data.into()),
        arrival_ms: ARRIVAL_MS,
        attempt: 1,
        headers: Vec::new(),
    }
}

/// A record a line, empty lines left out, as `fnctl put --file` reads them.
pub fn ndjson(text: &str) -> Vec<Input> {
    text.lines()
        .filter(|line| !line.is_empty())
        .map(record)
        .collect()
}

impl Input {
    /// Its partition key.
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(key.as_ref().to_vec());
        self
    }

    /// When it reached its stream; in whole milliseconds, and not before 1970.
    pub fn arrival(mut self, at: SystemTime) -> Self {
        let since = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        self.arrival_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// How often it is being tried, this time included.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Makes it a tombstone: a record without a body.
    pub fn tombstone(mut self) -> Self {
        self.data = None;
        self
    }

    /// Appends it to a batch.
    pub(super) fn push_to(self, columns: &mut NativeColumns, keys: &mut Vec<Vec<u8>>) -> Facts {
        let key = self
            .key
            .unwrap_or_else(|| format!("record-{}", keys.len()).into_bytes());
        columns.push(&key, self.data.as_deref(), self.arrival_ms);
        keys.push(key);
        Facts {
            attempt: self.attempt,
            headers: self.headers,
        }
    }
}
