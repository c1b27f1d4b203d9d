//! Who of the keys that were tried last failed by name and for the first time.

use super::Sign;
use crate::{
    id::{FunctionVersion, Timestamp},
    lane::KeyHash,
    limits,
};

/// A key that failed by name for the first time.
#[derive(Clone, Copy, Debug)]
struct Witness {
    key: KeyHash,
    /// How many keys had been tried then.
    tried: u64,
    at: Timestamp,
}

/// The keys that were tried last: those of one unit, or of all units of a mapping.
///
/// Few shards have as many keys at once as an outage is told by. So what the units of a mapping see is counted in
/// one as well, in the order in which it is told: an outage that no unit could tell by its own keys is told by
/// those of all, and a unit whose keys are well outweighs those of others.
#[derive(Clone, Debug, Default)]
pub struct Witnesses {
    /// Keys that were tried so far; a call that was well counts its records.
    tried: u64,
    /// Those that failed by name for the first time, in that order.
    sick: Vec<Witness>,
}

impl Witnesses {
    /// A call was well: it had so many records done.
    pub fn was_well(&mut self, records: u64, now: Timestamp) {
        self.tried += records;
        self.forget(now);
    }

    /// These keys failed by name and had not before. One key is one witness, whatever becomes of its records.
    pub fn failed(&mut self, keys: &[KeyHash], now: Timestamp) {
        for &key in keys {
            if self.sick.iter().all(|known| known.key != key) {
                self.tried += 1;
                let (tried, at) = (self.tried, now);
                self.sick.push(Witness { key, tried, at });
            }
        }
        self.forget(now);
    }

    /// Whether there are as many as an outage is told by ([`limits::CIRCUIT_SICK_KEYS`]), of those that were seen last.
    #[must_use]
    pub fn are_enough(&self) -> bool {
        self.sick.len() >= limits::CIRCUIT_SICK_KEYS
    }

    /// The clock went back to `now`: nothing is remembered longer than if it had been seen now.
    pub fn clock_went_back(&mut self, now: Timestamp) {
        for witness in &mut self.sick {
            witness.at = witness.at.min(now);
        }
    }

    /// Forgets keys behind which enough others were tried, and those that failed too long ago.
    fn forget(&mut self, now: Timestamp) {
        let tried = self.tried;
        self.sick.retain(|witness| {
            let is_near = witness.tried + limits::CIRCUIT_KEYS > tried;
            is_near && now.since_ms(witness.at) < limits::CIRCUIT_WITNESS_MS
        });
    }
}

/// The witnesses of all units of a mapping, by the version that was called.
#[derive(Clone, Debug, Default)]
pub struct MappingWitnesses {
    /// In the order in which they failed first.
    versions: Vec<(FunctionVersion, Witnesses)>,
}

impl MappingWitnesses {
    /// A call of a version ended that says this.
    pub fn felt(&mut self, version: FunctionVersion, sign: &Sign, now: Timestamp) {
        match sign {
            Sign::None => {}
            Sign::Well { records } => {
                // Where nobody failed, being well says nothing new.
                let known = self
                    .versions
                    .iter_mut()
                    .find(|(known, _)| *known == version);
                if let Some((_, witnesses)) = known {
                    witnesses.was_well(*records, now);
                }
            }
            Sign::Sick { keys, .. } if keys.is_empty() => {}
            Sign::Sick { keys, .. } => self.of(version).failed(keys, now),
        }
        self.versions
            .retain(|(_, witnesses)| !witnesses.sick.is_empty());
    }

    /// Whether the witnesses of a version are enough.
    pub fn are_enough(&mut self, version: FunctionVersion, now: Timestamp) -> bool {
        let mut known = self.versions.iter_mut();
        let known = known.find(|(known, _)| *known == version);
        known.is_some_and(|(_, witnesses)| {
            witnesses.clock_went_back(now);
            witnesses.forget(now);
            witnesses.are_enough()
        })
    }

    /// Whether nobody is remembered of any version.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    fn of(&mut self, version: FunctionVersion) -> &mut Witnesses {
        let known = self
            .versions
            .iter()
            .position(|(known, _)| *known == version);
        let at = known.unwrap_or_else(|| {
            // A version and its canary are called, and one that another shard has not left yet.
            if self.versions.len() >= limits::CIRCUIT_VERSIONS_MAX {
                self.versions.remove(0);
            }
            self.versions.push((version, Witnesses::default()));
            self.versions.len() - 1
        });
        &mut self.versions[at].1
    }
}
