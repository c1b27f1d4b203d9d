//! A canary: a version that some keys meet while all others meet the live one, who meets it, and what is
//! known of how it came and went.
//!
//! Which keys that are follows from their hash alone, so a key meets one version at a time, everywhere and
//! after every restart; more weight adds keys and takes none away. Where state or order belongs to more than
//! a key, to a group of keys in windows or to a shard, that decides as a whole: no state is ever handled by
//! two versions at once.

mod watch;

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    id::{FunctionId, FunctionVersion, ShardNumber, StreamId, Timestamp},
    limits,
    mapping::{MappingSettings, Ordering},
};

pub use watch::{CanaryCounts, CanaryWatch, VersionCalls};

/// A share in thousandths, 1 to 1 000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permille(u16);

impl Permille {
    /// A share of the whole.
    pub const WHOLE: u16 = 1_000;

    /// From thousandths; `None`: it is none, or more than the whole.
    #[must_use]
    pub const fn new(thousandths: u16) -> Option<Self> {
        match thousandths {
            1..=Self::WHOLE => Some(Self(thousandths)),
            _ => None,
        }
    }

    /// In thousandths.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether it is the whole.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.0 == Self::WHOLE
    }
}

/// As people write it: `10%`, `0.5%`.
impl fmt::Display for Permille {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 10, self.0 % 10) {
            (percent, 0) => write!(f, "{percent}%"),
            (percent, tenths) => write!(f, "{percent}.{tenths}%"),
        }
    }
}

/// When a canary is taken back without anybody asking for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Share of its calls that may fail; `None`: any. It must fail more than the live version does, too.
    pub errors: Option<Permille>,
    /// Iterator age that no mapping of the function may pass, ms; `None`: any. A record that came before the
    /// canary waits from the canary's beginning.
    pub age_ms: Option<u64>,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            errors: Permille::new(limits::CANARY_ERRORS_PERMILLE_DEFAULT),
            age_ms: None,
        }
    }
}

/// A version that some keys meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary {
    /// The version; never the live one.
    pub version: FunctionVersion,
    /// How many of the keys; never all.
    pub weight: Permille,
    /// Since when it is a canary, with whatever weight.
    pub since: Timestamp,
    /// When it is taken back by itself.
    pub guard: Guard,
}

/// Which keys, groups or shards meet a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    function: FunctionId,
    weight: Permille,
}

impl Share {
    /// Of a function's canary.
    #[must_use]
    pub const fn new(function: FunctionId, weight: Permille) -> Self {
        Self { function, weight }
    }

    /// Whether what this hash or number stands for meets the canary. The place of a subject among the
    /// thousand depends on the function alone, so that more weight only adds, and so that the keys which try
    /// the canary of one function are not those of every other.
    #[must_use]
    pub fn takes(self, subject: u64) -> bool {
        let mixed = xxh3_64_with_seed(&subject.to_le_bytes(), self.function.0);
        mixed % u64::from(Permille::WHOLE) < u64::from(self.weight.get())
    }
}

/// Which versions a unit calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitVersions {
    /// The live one for everything.
    Live,
    /// The canary for everything.
    Canary,
    /// The canary for what this takes, the live one for the rest.
    Both(Share),
}

impl Canary {
    /// Which versions a unit of a mapping calls. With order within the shard the shard decides: what follows
    /// each other is called by one version, and so is the state of windows that belong to the shard.
    #[must_use]
    pub fn of_unit(
        &self,
        function: FunctionId,
        settings: &MappingSettings,
        stream: StreamId,
        shard: ShardNumber,
    ) -> UnitVersions {
        let share = Share::new(function, self.weight);
        match settings.ordering {
            Ordering::Key => UnitVersions::Both(share),
            Ordering::Shard => match share.takes((stream.0 << 32) | u64::from(shard.0)) {
                true => UnitVersions::Canary,
                false => UnitVersions::Live,
            },
        }
    }
}

/// How a canary came, changed or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SwitchKind {
    /// A deploy made it.
    Begun,
    /// It has another weight, or another guard.
    Changed,
    /// It became live.
    Promoted,
    /// A person took it back, or another deploy or rollback took its place.
    Dropped,
    /// Its guard took it back.
    RolledBack,
}

impl SwitchKind {
    /// The word in listings and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Changed => "changed",
            Self::Promoted => "promoted",
            Self::Dropped => "dropped",
            Self::RolledBack => "rolled-back",
        }
    }
}

/// One switch between versions, as it is kept for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// When.
    pub at: Timestamp,
    /// What it was.
    pub kind: SwitchKind,
    /// The canary.
    pub canary: FunctionVersion,
    /// Its weight from then on; `None`: it is a canary no more.
    pub weight: Option<Permille>,
    /// The live version from then on.
    pub live: FunctionVersion,
    /// Why, in words; empty where a person asked for just that.
    pub why: String,
}

/// Why a guard took a canary back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GuardReason {
    /// Too many of its calls failed.
    Errors,
    /// Records waited too long.
    Age,
    /// It said `fatal`.
    Fatal,
}

impl GuardReason {
    /// All, for counters.
    pub const ALL: [Self; 3] = [Self::Errors, Self::Age, Self::Fatal];

    /// The word in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Age => "iterator-age",
            Self::Fatal => "fatal",
        }
    }
}

/// What a guard found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tripped {
    /// What sort of thing.
    pub reason: GuardReason,
    /// With figures: `37% of 54 calls failed (bound 5%)`.
    pub words: String,
}

/// What a function has beside its live version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollout {
    /// Its canary.
    pub canary: Option<Canary>,
    /// The last switches since it was last deployed without a canary, oldest first.
    pub switches: Vec<Switch>,
}

impl Rollout {
    /// Whether there is nothing to keep.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.canary.is_none() && self.switches.is_empty()
    }

    /// Keeps a switch, and forgets the oldest above the bound.
    pub fn note(&mut self, switch: Switch) {
        self.switches.push(switch);
        let surplus = self.switches.len();
        let surplus = surplus.saturating_sub(limits::CANARY_SWITCHES_MAX);
        self.switches.drain(..surplus);
    }

    /// The guard's last act, while nobody did anything about the function since.
    #[must_use]
    pub fn rolled_back(&self) -> Option<&Switch> {
        let last = self.switches.last()?;
        (last.kind == SwitchKind::RolledBack).then_some(last)
    }
}

#[cfg(test)]
mod tests;
