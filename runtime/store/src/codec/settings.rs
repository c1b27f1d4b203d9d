//! A mapping's settings. Those that every version had are fields; later ones are options behind them,
//! written only where they are not the default. So a mapping that uses none is encoded as ever, and one
//! that does is refused by a version that does not know what it asks for.

use std::sync::Arc;

use bytes::Bytes;
use fnctl_core::{
    destination::{Destination, Relay},
    filter::Filter,
    mapping::{MappingSettings, MaxAttempts, OnFailureFull, OnFatal, OnUnparsable, Ordering},
};

use crate::codec::{DecodeError, Decoder, Value, plain, put_length};

/// Set in the stored parallelization factor, which is 256 at most: options follow the fields.
const HAS_OPTIONS: u16 = 1 << 15;

/// Age above which a record is given up, ms. Tags 1 to 15 are the failure policy's, those from 16 on say
/// which records are delivered and how they are grouped. A tag is never used again for something else.
const MAX_RECORD_AGE: u8 = 1;
/// Whether a call that failed as a whole is cut in two.
const BISECT_ON_ERROR: u8 = 2;
/// What order holds within.
const ORDERING: u8 = 3;
/// Whether a record that failed fails itself alone.
const PARTIAL_FAILURES: u8 = 4;
/// What a `fatal` does.
const ON_FATAL: u8 = 5;
/// What becomes of a record given up when the dead letters are full.
const ON_FAILURE_FULL: u8 = 6;
/// Where dead letters are copied to, as it is written, and the last one that is not.
const ON_FAILURE: u8 = 7;
/// Whether calls are held while what the function needs is down.
const CIRCUIT_BREAKER: u8 = 8;
/// The patterns of the filter, each as it was written.
const FILTER: u8 = 16;
/// What becomes of records that the filter cannot judge.
const ON_UNPARSABLE: u8 = 17;
/// Length of a tumbling window, ms.
const TUMBLING_WINDOW: u8 = 18;
/// Groups of keys that each have windows of their own.
const KEY_GROUPS: u8 = 19;

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

/// A value that is to be written: one that is not the default.
fn other_than<'a, T: PartialEq>(value: &'a T, default: &T) -> Option<&'a T> {
    (value != default).then_some(value)
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
            on_failure,
            max_record_age_ms,
            bisect_on_error,
            circuit_breaker,
            ordering,
            partial_failures,
            on_fatal,
            on_failure_full,
            filter,
            on_unparsable,
            tumbling_window_ms,
            key_groups,
        } = self;
        let default = Self::default();
        let mut options = Options::default();
        options.add(MAX_RECORD_AGE, max_record_age_ms.as_ref());
        options.add(
            BISECT_ON_ERROR,
            other_than(bisect_on_error, &default.bisect_on_error),
        );
        options.add(ORDERING, other_than(ordering, &default.ordering));
        options.add(
            PARTIAL_FAILURES,
            other_than(partial_failures, &default.partial_failures),
        );
        options.add(ON_FATAL, other_than(on_fatal, &default.on_fatal));
        options.add(
            ON_FAILURE_FULL,
            other_than(on_failure_full, &default.on_failure_full),
        );
        options.add(ON_FAILURE, on_failure.as_ref());
        options.add(
            CIRCUIT_BREAKER,
            other_than(circuit_breaker, &default.circuit_breaker),
        );
        options.add(FILTER, filter.as_deref());
        options.add(
            ON_UNPARSABLE,
            other_than(on_unparsable, &default.on_unparsable),
        );
        options.add(
            TUMBLING_WINDOW,
            other_than(tumbling_window_ms, &default.tumbling_window_ms),
        );
        options.add(KEY_GROUPS, other_than(key_groups, &default.key_groups));
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
                BISECT_ON_ERROR => settings.bisect_on_error = Value::take(&mut option)?,
                ORDERING => settings.ordering = Value::take(&mut option)?,
                PARTIAL_FAILURES => settings.partial_failures = Value::take(&mut option)?,
                ON_FATAL => settings.on_fatal = Value::take(&mut option)?,
                ON_FAILURE_FULL => settings.on_failure_full = Value::take(&mut option)?,
                ON_FAILURE => settings.on_failure = Some(Value::take(&mut option)?),
                CIRCUIT_BREAKER => settings.circuit_breaker = Value::take(&mut option)?,
                FILTER => settings.filter = Some(Arc::new(Value::take(&mut option)?)),
                ON_UNPARSABLE => settings.on_unparsable = Value::take(&mut option)?,
                TUMBLING_WINDOW => settings.tumbling_window_ms = Value::take(&mut option)?,
                KEY_GROUPS => settings.key_groups = Value::take(&mut option)?,
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

plain!(
    OnFatal,
    "a reaction to `fatal` is not known",
    Stop = 0,
    DeadLetter = 1
);
plain!(
    OnFailureFull,
    "a reaction to full dead letters is not known",
    Hold = 0,
    DropAndCount = 1
);
plain!(Ordering, "an ordering is not known", Key = 0, Shard = 1);
impl Value for Relay {
    fn put(&self, out: &mut Vec<u8>) {
        let to: Arc<str> = self.to.to_string().into();
        to.put(out);
        self.after.put(out);
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let to = Arc::<str>::take(from)?;
        let to = Destination::parse(&to).map_err(|_| from.fail("a destination breaks its rule"))?;
        Ok(Self {
            to,
            after: Value::take(from)?,
        })
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

plain!(
    OnUnparsable,
    "what becomes of records that are not JSON is not known",
    Drop = 0,
    Pass = 1,
    DeadLetter = 2
);

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
