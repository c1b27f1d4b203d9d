//! Producers that put with sequences of their own, so that a repeated put appends nothing.

use std::{collections::BTreeMap, sync::Arc};

use crate::{id::Timestamp, limits::PRODUCERS_MAX};

/// What is remembered of one producer of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerState {
    /// Its last accepted sequence.
    pub last: u64,
    /// Arrival of its last accepted append: the longest silent is forgotten first.
    pub seen: Timestamp,
}

/// The producers of one stream, at most [`PRODUCERS_MAX`].
#[derive(Clone, Debug, Default)]
pub(super) struct Producers(BTreeMap<Arc<str>, ProducerState>);

impl Producers {
    pub(super) fn get(&self, producer: &str) -> Option<&ProducerState> {
        self.0.get(producer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &ProducerState)> {
        self.0.iter()
    }

    /// Remembers a producer; answers the one that was forgotten for it.
    ///
    /// An older mark than the one known is ignored: redo brings them over newer values, and whom it
    /// brings back is the longest silent, so it is forgotten again.
    pub(super) fn remember(
        &mut self,
        producer: &Arc<str>,
        state: ProducerState,
    ) -> Option<Arc<str>> {
        if let Some(known) = self.0.get_mut(producer) {
            if (known.seen, known.last) < (state.seen, state.last) {
                *known = state;
            }
            return None;
        }
        self.0.insert(Arc::clone(producer), state);
        if self.0.len() <= PRODUCERS_MAX {
            return None;
        }
        let silent = self
            .0
            .iter()
            .min_by_key(|(name, state)| (state.seen, Arc::clone(name)))
            .map(|(name, _)| Arc::clone(name))?;
        self.0.remove(&silent);
        Some(silent)
    }
}
