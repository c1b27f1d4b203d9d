//! The names of things: parsed newtypes, so that a checked value stays checked.
//!
//! Numeric ids are allocated by the journal and never reused (commit and storage rules §1).

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl $name {
            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
    };
}

number!(
    /// A stream, for as long as it exists; a recreated name gets a new id.
    StreamId, u64);
number!(
    /// A function, for as long as it exists.
    FunctionId, u64);
number!(
    /// An event source mapping, for as long as it exists.
    MappingId, u64);
number!(
    /// A function's version: 1, 2, 3 …, immutable.
    FunctionVersion, u64);
number!(
    /// A shard's number within its stream, in order of creation from 0.
    ShardNumber, u32);
number!(
    /// A record's dense place in its shard. The first record is 1, so 0 means "before the first".
    Ordinal, u64);
number!(
    /// An entry's place in the journal, from 1.
    Lsn, u64);
number!(
    /// Counts the owners a unit has had; a commit of an older epoch is fenced.
    LeaseEpoch, u64);
number!(
    /// Milliseconds since the Unix epoch, UTC.
    Timestamp, u64);
number!(
    /// One call of a function: never reused within a pipeline.
    AttemptId, u64);

impl ShardNumber {
    /// The Kinesis spelling, `shardId-000000000007`.
    #[must_use]
    pub fn shard_id(self) -> String {
        format!("shardId-{:012}", self.0)
    }

    /// Parses the Kinesis spelling; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("shardId-")?;
        (digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_digit()))
            .then(|| digits.parse().ok().map(Self))?
    }
}

impl Timestamp {
    /// This moment plus `ms` milliseconds, saturating.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this; 0 when `earlier` is later.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What is owned, fenced and committed as one: one shard as one mapping reads it
/// (commit and storage rules §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitId {
    /// Whose progress this is.
    pub mapping: MappingId,
    /// The stream read.
    pub stream: StreamId,
    /// The shard read.
    pub shard: ShardNumber,
}

/// One sequence of attempts inside a unit's owner: a lane, or the retry slot. Volatile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotId {
    /// Lane number, below the parallelization factor.
    Lane(u16),
    /// Where parked keys are tried again.
    Retry,
}

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a valid {noun} name: {rule}")]
pub struct NameError {
    /// What was given.
    pub name: String,
    /// `stream`, `function` …
    pub noun: &'static str,
    /// The rule, in words.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $noun:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks and wraps a name.
            ///
            /// # Errors
            /// The rule that the name breaks.
            pub fn parse(name: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(name) {
                    Ok(Self(name.into()))
                } else {
                    Err(NameError { name: name.to_owned(), noun: $noun, rule: $rule })
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, NameError> {
                Self::parse(&name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name!(
    /// A stream's name, by the Kinesis rule.
    StreamName,
    "stream",
    "1 to 128 of the letters a-z, A-Z, 0-9, `_`, `.` and `-`",
    |name| (1..=128).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
);
impl StreamName {
    /// The name of the stream that tells who changed what.
    pub const AUDIT: &str = "fnctl.audit";

    /// Whether it is that stream, which nobody but the server writes to: not by a put, and not by a function.
    #[must_use]
    pub fn is_audit(&self) -> bool {
        self.as_str() == Self::AUDIT
    }
}
name!(
    /// A function's name.
    FunctionName,
    "function",
    "1 to 64 of the letters a-z, A-Z, 0-9, `_` and `-`, starting with a letter or digit",
    |name| (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        && name.as_bytes()[0].is_ascii_alphanumeric()
);
name!(
    /// An access token's name.
    TokenName,
    "token",
    "1 to 64 of the letters a-z, A-Z, 0-9, `_`, `.` and `-`, starting with a letter or digit",
    |name| (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        && name.as_bytes()[0].is_ascii_alphanumeric()
);
name!(
    /// An output's name, as the component declares it.
    OutputName,
    "output",
    "1 to 64 of the letters a-z, 0-9, `_` and `-`, starting with a letter",
    |name| (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
        && name.as_bytes()[0].is_ascii_lowercase()
);
