//! What is counted while a circuit recovers, and when that is enough.
//!
//! That an outage is over is told by two things, each by itself: of what failed before,
//! [`limits::CIRCUIT_TRIED_WELL`] records in a row are well; or of the keys that the lanes tried,
//! [`limits::CIRCUIT_RECOVERY_VERDICT`] were well before [`limits::CIRCUIT_RECOVERY_KEYS`] were seen. The second tells
//! nothing of those that failed, which may be all that need what is down: it counts once the circuit has recovered for
//! [`limits::CIRCUIT_RECOVERY_MS`]. That it is
//! not is told by as many keys that were sick, or by [`limits::CIRCUIT_LANES_SICK`] sick calls of the lanes in a
//! row. A key counts once, by what it was first; when so many keys told neither, the count begins anew.

use crate::{lane::KeyHash, limits};

/// What was seen is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// The outage is over.
    Over,
    /// It is not.
    NotOver,
}

/// What was seen since a circuit recovers.
#[derive(Clone, Debug, Default)]
pub(super) struct Recovery {
    /// Probes of what failed before that were well, in a row.
    tried_well: u32,
    /// Calls of the lanes that were sick, in a row.
    lanes_sick: u32,
    /// Keys that the lanes tried since the count began.
    keys: Vec<KeyHash>,
    /// Those of them that were well.
    well: usize,
}

impl Recovery {
    /// A probe of what failed before was well.
    pub(super) fn probe_was_well(&mut self) -> Option<Judged> {
        self.tried_well += 1;
        (self.tried_well >= limits::CIRCUIT_TRIED_WELL).then_some(Judged::Over)
    }

    /// It failed.
    pub(super) const fn probe_was_sick(&mut self) {
        self.tried_well = 0;
    }

    /// A call of the lanes ended: whether it was sick, if it says so, and which of its keys were well. `is_long`: the
    /// circuit has recovered for so long that others may close it.
    pub(super) fn tried_anew(
        &mut self,
        is_sick: Option<bool>,
        keys: impl IntoIterator<Item = (KeyHash, bool)>,
        is_long: bool,
    ) -> Option<Judged> {
        if let Some(judged) = keys
            .into_iter()
            .find_map(|(key, is_well)| self.saw(key, is_well, is_long))
        {
            return Some(judged);
        }
        match is_sick {
            Some(true) => self.lanes_sick += 1,
            Some(false) => self.lanes_sick = 0,
            None => {}
        }
        (self.lanes_sick >= limits::CIRCUIT_LANES_SICK).then_some(Judged::NotOver)
    }

    fn saw(&mut self, key: KeyHash, is_well: bool, is_long: bool) -> Option<Judged> {
        if self.keys.contains(&key) {
            return None;
        }
        self.keys.push(key);
        self.well += usize::from(is_well);
        let is_over = self.well >= limits::CIRCUIT_RECOVERY_VERDICT;
        if is_over && is_long {
            return Some(Judged::Over);
        }
        if self.keys.len() - self.well >= limits::CIRCUIT_RECOVERY_VERDICT {
            return Some(Judged::NotOver);
        }
        if is_over || self.keys.len() >= limits::CIRCUIT_RECOVERY_KEYS {
            self.keys.clear();
            self.well = 0;
        }
        None
    }
}
