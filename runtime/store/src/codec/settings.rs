//! A mapping's settings. Those that every version had are fields; later ones are options behind them,
//! written only where they are not the default. So a mapping that uses none is encoded as ever, and one
//! that does is refused by a version that does not know what it asks for.

use std::sync::Arc;

use bytes::Bytes;
use fnctl_core::{
    filter::Filter,
    mapping::{MappingSettings, MaxAttempts, OnUnparsable},
};

use crate::codec::{DecodeError, Decoder, Value, put_length};

/// Set in the stored parallelization factor, which is 256 at most: options follow the fields.
const HAS_OPTIONS: u16 = 1 << 15;

/// Age above which a record is given up, ms. Tags 1 to 15 are the failure policy's, those from 16 on say
/// which records are delivered and how they are grouped. A tag is never used again for something else.
const MAX_RECORD_AGE: u8 = 1;
/// The patterns of the filter, each as it was written.
const FILTER: u8 = 16;
/// What becomes of records that the filter cannot judge.
const ON_UNPARSABLE: u8 = 17;

/// Options as they are written: a count, then each as tag, length and value, ascending by tag.
#[derive(Default)]
struct Options {
    count: u8,
    bytes: Vec<u8>,
}

impl Options {
    /// Adds one that is not the default.
    fn add(&mut self, tag: u8, value: Option<&impl Value>) {
        let Some(value) = value else { return };
        let mut encoded = Vec::new();
        value.put(&mut encoded);
        debug_assert!(!encoded.is_empty(), "a version without options misreads it");
        self.count += 1;
        self.bytes.push(tag);
        put_length(encoded.len(), &mut self.bytes);
        self.bytes.extend_from_slice(&encoded);
    }
}

impl Value for MappingSettings {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            batch_size,
            batch_bytes,
            batch_window_ms,
            parallelization_factor,
            max_attempts,
            backoff_initial_ms,
            backoff_max_ms,
            max_record_age_ms,
            filter,
            on_unparsable,
        } = self;
        let mut options = Options::default();
        options.add(MAX_RECORD_AGE, max_record_age_ms.as_ref());
        options.add(FILTER, filter.as_deref());
        let on_unparsable = Some(on_unparsable).filter(|what| **what != OnUnparsable::default());
        options.add(ON_UNPARSABLE, on_unparsable);
        let flag = if options.count > 0 { HAS_OPTIONS } else { 0 };
        debug_assert!(parallelization_factor & HAS_OPTIONS == 0, "256 at most");
        batch_size.put(out);
        batch_bytes.put(out);
        batch_window_ms.put(out);
        (parallelization_factor | flag).put(out);
        max_attempts.put(out);
        backoff_initial_ms.put(out);
        backoff_max_ms.put(out);
        if options.count > 0 {
            out.push(options.count);
            out.extend_from_slice(&options.bytes);
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let mut settings = Self {
            batch_size: Value::take(from)?,
            batch_bytes: Value::take(from)?,
            batch_window_ms: Value::take(from)?,
            parallelization_factor: Value::take(from)?,
            max_attempts: Value::take(from)?,
            backoff_initial_ms: Value::take(from)?,
            backoff_max_ms: Value::take(from)?,
            ..Self::default()
        };
        if settings.parallelization_factor & HAS_OPTIONS == 0 {
            return Ok(settings);
        }
        settings.parallelization_factor &= !HAS_OPTIONS;
        let mut last = 0;
        for _ in 0..u8::take(from)? {
            let tag = u8::take(from)?;
            if tag <= last {
                return Err(from.fail("a mapping's options do not ascend"));
            }
            last = tag;
            let length = from.count(1)?;
            let mut option = Decoder::new(from.share(length)?);
            match tag {
                MAX_RECORD_AGE => settings.max_record_age_ms = Some(Value::take(&mut option)?),
                FILTER => settings.filter = Some(Arc::new(Value::take(&mut option)?)),
                ON_UNPARSABLE => settings.on_unparsable = Value::take(&mut option)?,
                _ => {
                    let what = "a mapping has an option that this version does not know";
                    return Err(from.fail(what));
                }
            }
            option.end()?;
        }
        Ok(settings)
    }
}

/// As text: compiled again when it is read.
impl Value for Filter {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.patterns().len(), out);
        for pattern in self.patterns() {
            Bytes::copy_from_slice(pattern.as_bytes()).put(out);
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let patterns: Vec<Arc<str>> = Value::take(from)?;
        Self::parse(&patterns).map_err(|_| from.fail("a filter has a pattern that is none"))
    }
}

impl Value for OnUnparsable {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Drop => 0,
            Self::Pass => 1,
            Self::DeadLetter => 2,
        });
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        match u8::take(from)? {
            0 => Ok(Self::Drop),
            1 => Ok(Self::Pass),
            2 => Ok(Self::DeadLetter),
            _ => Err(from.fail("what becomes of records that are not JSON is not known")),
        }
    }
}

impl Value for MaxAttempts {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unlimited => out.push(0),
            Self::Count(count) => {
                out.push(1);
                count.put(out);
            }
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        match u8::take(from)? {
            0 => Ok(Self::Unlimited),
            1 => Ok(Self::Count(Value::take(from)?)),
            _ => Err(from.fail("a number of attempts is not known")),
        }
    }
}

#[cfg(test)]
mod tests;
