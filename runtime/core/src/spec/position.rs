//! Where a mapping starts and a reader begins, spelt alike everywhere: `trim-horizon`, `latest`, an
//! RFC 3339 time, or a duration ago.

use std::fmt;

use serde::Serializer;

use super::{
    duration::Duration,
    setting::{SettingValue, Unfit},
};
use crate::{id::Timestamp, rfc3339};

/// A position in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartingPosition {
    /// The oldest record kept.
    #[default]
    TrimHorizon,
    /// Behind the newest record.
    Latest,
    /// The first record that arrived at this moment or later.
    At(Timestamp),
    /// The first record that arrived this long ago or later.
    Ago(Duration),
}

impl StartingPosition {
    /// Reads a position.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn parse(text: &str) -> Result<Self, Unfit> {
        match text {
            "trim-horizon" => Ok(Self::TrimHorizon),
            "latest" => Ok(Self::Latest),
            "TRIM_HORIZON" | "LATEST" => Err(Unfit::Unreadable(format!(
                "`{text}` is the Kinesis API's spelling: write {}",
                text.to_ascii_lowercase().replace('_', "-")
            ))),
            _ => {
                if let Some(time) = rfc3339::parse(text) {
                    return Ok(Self::At(time));
                }
                Duration::parse(text)
                    .map(Self::Ago)
                    .map_err(|why| match why {
                        // A bare number lacks a unit; anything else is no position at all.
                        Unfit::Unreadable(_)
                            if text.is_empty()
                                || !text.bytes().all(|byte| byte.is_ascii_digit()) =>
                        {
                            not_one(text)
                        }
                        why => why,
                    })
            }
        }
    }

    /// The moment it means, where it means one.
    #[must_use]
    pub fn moment(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::TrimHorizon | Self::Latest => None,
            Self::At(time) => Some(time),
            Self::Ago(ago) => Some(Timestamp(now.0.saturating_sub(ago.ms))),
        }
    }
}

fn not_one(text: &str) -> Unfit {
    Unfit::Unreadable(format!(
        "`{text}` is not a position: trim-horizon, latest, a time such as 2026-03-01T12:00:00Z, or 15m (ago)"
    ))
}

impl fmt::Display for StartingPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimHorizon => f.write_str("trim-horizon"),
            Self::Latest => f.write_str("latest"),
            Self::At(time) => f.write_str(&rfc3339::format(*time)),
            Self::Ago(ago) => ago.fmt(f),
        }
    }
}

impl SettingValue for StartingPosition {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        Self::parse(text)
    }

    fn from_number(number: i64) -> Result<Self, Unfit> {
        Err(Unfit::Unreadable(format!(
            "{number} has no unit: write {number}m or {number}h for a time ago"
        )))
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::StartingPosition;
    use crate::id::Timestamp;

    #[test]
    fn positions_are_read_and_written() {
        for text in ["trim-horizon", "latest", "2026-03-01T12:30:00.250Z", "15m"] {
            assert_eq!(StartingPosition::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            StartingPosition::parse("15m")
                .unwrap()
                .moment(Timestamp(1_000_000)),
            Some(Timestamp(100_000))
        );
    }

    #[test]
    fn other_spellings_are_refused_with_the_right_one() {
        assert!(
            StartingPosition::parse("TRIM_HORIZON")
                .unwrap_err()
                .words()
                .ends_with("trim-horizon")
        );
        for text in ["", "oldest", "15", "yesterday"] {
            assert!(StartingPosition::parse(text).is_err(), "{text}");
        }
    }
}
