//! What an accepted command changed, as a person reads it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value in a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ChangeValue {
    /// Absent.
    Null,
    /// A number.
    Number(u64),
    /// Anything else.
    Text(String),
}

impl fmt::Display for ChangeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("unset"),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// One value that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `mapping.max_attempts`, `function.memory`, `config.minimum_age`; of a function with several mappings
    /// `mapping[STREAM].max_attempts`.
    pub path: String,
    /// What it was.
    pub from: ChangeValue,
    /// What it is.
    pub to: ChangeValue,
}

/// Something that was named, or is not named any more, and stays as it is: said, never passed by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// `mapping[clicks]`, `mapping.starting_position`, `streams.clicks.shards`.
    pub path: String,
    /// What stands, and why.
    pub message: String,
    /// How it is changed.
    pub fix: String,
}

impl Note {
    /// Of a starting position named for a mapping that exists; `path` is where mapping `function/stream`
    /// stands, as changes say it.
    #[must_use]
    pub fn position_is_used_once(path: &str, mapping: &str) -> Self {
        Self {
            path: format!("{path}.starting_position"),
            message: format!(
                "used once, when a mapping is made: `{mapping}` goes on where it stands"
            ),
            fix: format!(
                "fnctl mappings delete {mapping}, then deploy again: what it had reached is forgotten"
            ),
        }
    }
}

/// Collects changes: equal values are none.
#[derive(Debug, Default)]
pub(super) struct Changes(pub(super) Vec<Change>);

impl Changes {
    pub(super) fn number(&mut self, path: &str, from: u64, to: u64) {
        self.add(path, ChangeValue::Number(from), ChangeValue::Number(to));
    }

    pub(super) fn text(&mut self, path: &str, from: &str, to: &str) {
        self.add(
            path,
            ChangeValue::Text(from.to_owned()),
            ChangeValue::Text(to.to_owned()),
        );
    }

    pub(super) fn add(&mut self, path: &str, from: ChangeValue, to: ChangeValue) {
        if from != to {
            self.0.push(Change {
                path: path.to_owned(),
                from,
                to,
            });
        }
    }
}
