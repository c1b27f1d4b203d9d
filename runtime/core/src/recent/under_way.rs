//! Calls under way, by when each began.

use std::collections::BTreeMap;

use crate::id::{FunctionVersion, Timestamp};

/// Calls under way: as many as the mapping has lanes, at most.
#[derive(Clone, Debug)]
pub(super) struct Running {
    began: BTreeMap<(Timestamp, FunctionVersion), u32>,
    calls: u32,
}

impl Running {
    /// None.
    pub(super) const fn new() -> Self {
        Self {
            began: BTreeMap::new(),
            calls: 0,
        }
    }

    /// How many there are.
    pub(super) const fn calls(&self) -> u32 {
        self.calls
    }

    /// One more.
    pub(super) fn add(&mut self, version: FunctionVersion, began: Timestamp) {
        *self.began.entry((began, version)).or_default() += 1;
        self.calls += 1;
    }

    /// One less; one that was never added takes nothing away.
    pub(super) fn take(&mut self, version: FunctionVersion, began: Timestamp) {
        let Some(count) = self.began.get_mut(&(began, version)) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.began.remove(&(began, version));
        }
        self.calls -= 1;
    }

    /// When they began, of which version, and how many at once: the oldest first.
    pub(super) fn oldest_first(
        &self,
    ) -> impl Iterator<Item = (Timestamp, FunctionVersion, u32)> + '_ {
        let began = self.began.iter();
        began.map(|((began, version), calls)| (*began, *version, *calls))
    }
}
