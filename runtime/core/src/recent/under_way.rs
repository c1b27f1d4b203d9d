//! Calls under way, by when each began.

use std::collections::BTreeMap;

use crate::id::{FunctionVersion, Timestamp};

/// Calls under way: as many as the mapping has lanes, at most.
#[derive(Clone, Debug)]
pub(super) struct Running {
    began: BTreeMap<(Timestamp, FunctionVersion, u32), u32>,
    /// Calls of each version that has some.
    versions: Vec<(FunctionVersion, u32)>,
    calls: u32,
}

impl Running {
    /// None.
    pub(super) const fn new() -> Self {
        Self {
            began: BTreeMap::new(),
            versions: Vec::new(),
            calls: 0,
        }
    }

    /// How many there are.
    pub(super) const fn calls(&self) -> u32 {
        self.calls
    }

    /// Those of the version at a place; `None`: there are no more versions.
    pub(super) fn version(&self, place: usize) -> Option<(FunctionVersion, u32)> {
        self.versions.get(place).copied()
    }

    /// One more, of so many records.
    pub(super) fn add(&mut self, version: FunctionVersion, records: u32, began: Timestamp) {
        *self.began.entry((began, version, records)).or_default() += 1;
        match self.versions.iter_mut().find(|(of, _)| *of == version) {
            Some((_, calls)) => *calls += 1,
            None => self.versions.push((version, 1)),
        }
        self.calls += 1;
    }

    /// One less; one that was never added takes nothing away.
    pub(super) fn take(&mut self, version: FunctionVersion, records: u32, began: Timestamp) {
        let Some(count) = self.began.get_mut(&(began, version, records)) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.began.remove(&(began, version, records));
        }
        if let Some((_, calls)) = self.versions.iter_mut().find(|(of, _)| *of == version) {
            *calls -= 1;
        }
        self.versions.retain(|(_, calls)| *calls > 0);
        self.calls -= 1;
    }

    /// When they began, of which version, with how many records each, and how many at once: the oldest first.
    pub(super) fn oldest_first(
        &self,
    ) -> impl Iterator<Item = (Timestamp, FunctionVersion, u32, u32)> + '_ {
        let began = self.began.iter();
        began.map(|((began, version, records), calls)| (*began, *version, *records, *calls))
    }
}
