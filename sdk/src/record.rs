//! One record, borrowed.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::{Error, Result, batch::Columns, host, json};

/// One record of the batch. What it holds is borrowed from the batch's memory, so reading it copies
/// nothing; a cheap copy itself: pass it about freely.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Record<'a> {
    columns: &'a Columns<'a>,
    index: u32,
}

/// Free: what came with the batch.
impl<'a> Record<'a> {
    #[inline]
    pub(crate) fn new(columns: &'a Columns<'a>, index: u32) -> Self {
        Self { columns, index }
    }

    /// Its position in the batch, from 0.
    #[inline]
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Its partition key; empty where the source gave it none.
    #[inline]
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        self.columns.keys.get(self.index)
    }

    /// Its partition key as text.
    ///
    /// # Errors
    /// `skip`, code `not-utf8`.
    pub fn key_text(&self) -> Result<&'a str> {
        text(self.key())
    }

    /// Its body; empty for a tombstone.
    #[inline]
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.columns.data.get(self.index)
    }

    /// Whether it is a tombstone: a deletion, on sources that know these. An empty body is none.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.columns.data.is_null(self.index)
    }

    /// Its body as text.
    ///
    /// # Errors
    /// `skip`, code `not-utf8`: running it again cannot help.
    pub fn text(&self) -> Result<&'a str> {
        text(self.data())
    }

    /// Its body as a `T`, from JSON. Borrow with `Cow<'a, str>` and `#[serde(borrow)]`; a `&str` would
    /// refuse every text that holds an escape, such as `"O\"Brien"`.
    ///
    /// # Errors
    /// `skip`, code `bad-json`: running it again cannot help.
    #[inline]
    pub fn json<T: Deserialize<'a>>(&self) -> Result<T> {
        json::read(self.data()).map_err(|error| Error::skip("bad-json", error))
    }

    /// When it reached its stream.
    #[must_use]
    pub fn arrival(&self) -> SystemTime {
        let arrival_ms = self.columns.arrival_ms[self.index as usize];
        SystemTime::UNIX_EPOCH + Duration::from_millis(arrival_ms)
    }
}

/// One host call each, about 150 ns: ask where it is needed.
impl Record<'_> {
    /// How often it is being tried, this time included: 1 the first time.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        host::attempt(self.index)
    }

    /// Its sequence number in its shard, decimal digits.
    #[must_use]
    pub fn sequence_number(&self) -> String {
        host::sequence_number(self.index)
    }

    /// The value of its first header of this name; embedded streams have none.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        host::header(self.index, name)
    }

    /// Its name for ever, over retries, versions and restarts: the idempotency key for whatever the
    /// function does outside.
    #[must_use]
    pub fn id(&self) -> String {
        host::record_id(self.index)
    }
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| Error::skip("not-utf8", error))
}
