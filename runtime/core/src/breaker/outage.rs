//! What of an open circuit outlives its unit's owner: an outage does not end because a process does, and were
//! each new owner to find it out by itself, each would charge a score of good records for that.

use crate::{
    id::{FunctionVersion, Timestamp},
    outcome::Cause,
};

/// A circuit that is open, as commits say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The version whose calls it holds.
    pub version: FunctionVersion,
    /// Since when.
    pub since: Timestamp,
    /// How the last call had failed then, in brief ([`Cause::in_brief`]).
    pub cause: Cause,
}

/// The circuits of a unit that are open, as far as its commits say so. An owner begins with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outages {
    /// That of the version that most keys meet.
    pub live: Option<Outage>,
    /// That of its canary.
    pub canary: Option<Outage>,
}

impl Outages {
    /// How many are open.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.live.is_some() as u64 + self.canary.is_some() as u64
    }

    /// Whether none is open.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.count() == 0
    }

    /// What a version begins with: the circuit that it left open itself, else the one that the live version
    /// did. A new version need not be told by lost records that what it needs is down; and if it is not, the
    /// first probe says so.
    #[must_use]
    pub fn of(&self, version: FunctionVersion) -> Option<&Outage> {
        let both = self.live.iter().chain(&self.canary);
        let own = both.into_iter().find(|outage| outage.version == version);
        own.or(self.live.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::ErrorKind;

    #[test]
    fn a_version_begins_with_its_own_circuit_or_that_of_the_live_one() {
        let outage = |version| Outage {
            version: FunctionVersion(version),
            since: Timestamp(version),
            cause: Cause::of(ErrorKind::Error, "down".into()),
        };
        let outages = |live: Option<u64>, canary: Option<u64>| Outages {
            live: live.map(outage),
            canary: canary.map(outage),
        };
        for (live, canary, version, found) in [
            (None, None, 1, None),
            (Some(1), None, 1, Some(1)),
            // Deployed meanwhile, or a canary that begins.
            (Some(1), None, 2, Some(1)),
            (Some(1), Some(2), 2, Some(2)),
            // A canary that was sick by itself goes, or becomes live.
            (None, Some(2), 1, None),
            (None, Some(2), 2, Some(2)),
        ] {
            let outages = outages(live, canary);
            assert_eq!(outages.is_none(), live.or(canary).is_none());
            let since = outages.of(FunctionVersion(version));
            let since = since.map(|outage| outage.since.0);
            assert_eq!(since, found, "{live:?} {canary:?} {version}");
        }
    }
}
