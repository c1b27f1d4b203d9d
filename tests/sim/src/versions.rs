//! Versions of the function: the live one, and the canary that some keys meet beside it.

use std::sync::Arc;

use fnctl_core::{
    canary::{Canary, Guard, Permille, UnitVersions},
    id::{FunctionId, FunctionVersion, Timestamp, UnitId},
    lane::KeyHash,
    mapping::{MappingSettings, OutputBinding},
    pipeline::{OtherVersion, PipelineCanary},
    window::group_of,
};

use crate::random::Random;

/// Both are of one function: which keys meet the canary follows from it.
const FUNCTION: FunctionId = FunctionId(1);
/// What the number of a version that only letters meet is above that of the live one.
pub(crate) const OTHER_VERSION: u64 = 1_000;
/// Weights that a canary is given, in thousandths.
const WEIGHTS: [u16; 4] = [100, 500, 500, 900];

/// What became of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It began.
    Begun,
    /// It has another weight.
    Changed,
    /// It was given the weight that it had.
    Kept,
    /// It became live.
    Promoted,
    /// A person took it back.
    Dropped,
}

/// What is deployed at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The version that is live.
    pub live: u64,
    canary: Option<(u64, Permille)>,
    /// The last one that was made.
    latest: u64,
}

impl Versions {
    /// The first version alone.
    #[must_use]
    pub const fn first() -> Self {
        Self {
            live: 1,
            canary: None,
            latest: 1,
        }
    }

    /// The next version is live for everything.
    pub const fn deploy(&mut self) {
        self.latest += 1;
        self.live = self.latest;
        self.canary = None;
    }

    /// One switch of a canary: it begins, meets more keys or fewer, becomes live or goes. Now and then it is
    /// a version that was called before, so that a record may meet a version, then another, then that again.
    pub fn switch(&mut self, random: &mut Random) -> Switch {
        let Some((version, weight)) = self.canary else {
            let weight = draw_weight(random);
            let again = random.between(1, self.latest);
            let version = match random.chance(300) && again != self.live {
                true => again,
                false => self.latest + 1,
            };
            self.latest = self.latest.max(version);
            self.canary = Some((version, weight));
            return Switch::Begun;
        };
        match random.below(3) {
            0 => {
                let other = draw_weight(random);
                self.canary = Some((version, other));
                match other == weight {
                    true => Switch::Kept,
                    false => Switch::Changed,
                }
            }
            1 => {
                self.live = version;
                self.canary = None;
                Switch::Promoted
            }
            _ => {
                self.canary = None;
                Switch::Dropped
            }
        }
    }

    /// A version said `fatal`: a canary goes, as its guard has it; whether that is what it was.
    pub fn take_back(&mut self, version: FunctionVersion) -> bool {
        self.canary
            .take_if(|(canary, _)| *canary == version.0)
            .is_some()
    }

    /// What an owner of a unit calls: a version for all keys, and the canary for some.
    #[must_use]
    pub fn of_unit(
        &self,
        settings: &MappingSettings,
        unit: UnitId,
        outputs: &Arc<[OutputBinding]>,
    ) -> (FunctionVersion, Option<PipelineCanary>) {
        let live = FunctionVersion(self.live);
        let Some((version, weight)) = self.canary else {
            return (live, None);
        };
        let canary = Canary {
            version: FunctionVersion(version),
            weight,
            since: Timestamp(0),
            guard: Guard::default(),
        };
        match canary.of_unit(FUNCTION, settings, unit.stream, unit.shard) {
            UnitVersions::Live => (live, None),
            UnitVersions::Canary => (canary.version, None),
            UnitVersions::Both(share) => {
                let version = OtherVersion {
                    version: canary.version,
                    outputs: Arc::clone(outputs),
                };
                (live, Some(PipelineCanary { share, version }))
            }
        }
    }
}

/// The version that a key, or its group where there are windows, meets, of those that an owner calls.
#[must_use]
pub fn met(
    calls: &(FunctionVersion, Option<PipelineCanary>),
    settings: &MappingSettings,
    key: KeyHash,
) -> FunctionVersion {
    let subject = match settings.has_windows() {
        true => group_of(key, settings.window_groups()).into(),
        false => key.0,
    };
    match &calls.1 {
        Some(canary) if canary.share.takes(subject) => canary.version.version,
        _ => calls.0,
    }
}

fn draw_weight(random: &mut Random) -> Permille {
    Permille::new(random.pick(&WEIGHTS)).expect("none is 0, none is above the whole")
}
