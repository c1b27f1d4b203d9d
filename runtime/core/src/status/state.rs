//! The states of a mapping, as they are told.

use crate::mapping::MappingState;

/// What state a mapping is in: the one that is stored, or what the host sees in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// A person paused it.
    Paused,
    /// A `fatal` stopped it.
    Stopped,
    /// It should run, and something keeps it from it.
    Blocked,
    /// Its stream was deleted.
    Failed,
    /// It is being deleted.
    Deleting,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Running,
        Self::Paused,
        Self::Stopped,
        Self::Blocked,
        Self::Failed,
        Self::Deleting,
    ];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
        }
    }

    /// The one that is stored.
    #[must_use]
    pub const fn of(stored: &MappingState) -> Self {
        match stored {
            MappingState::Running => Self::Running,
            MappingState::Paused => Self::Paused,
            MappingState::Stopped { .. } => Self::Stopped,
            MappingState::Failed => Self::Failed,
        }
    }

    /// The one of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// The word of a stored state; `blocked` and `deleting` are seen by the host and put in its place.
#[must_use]
pub const fn state_name(state: &MappingState) -> &'static str {
    State::of(state).as_str()
}
