//! Records that a person gives up: who waits to hear of them.

use std::{collections::BTreeSet, sync::Arc};

use fnctl_core::{id::Ordinal, pipeline::Event};
use tokio::sync::mpsc;

/// Records that a person gives up.
#[derive(Debug)]
pub(crate) struct GiveUpRequest {
    /// Their positions.
    pub(crate) positions: Vec<Ordinal>,
    /// Who asks.
    pub(crate) by: Arc<str>,
    /// Told once a record, when what became of it is synced: whether it was given up, or had ended
    /// otherwise. Has room for all; closed early when the worker ends.
    pub(crate) told: mpsc::Sender<bool>,
}

/// The requests of one worker that are not over.
#[derive(Debug, Default)]
pub(super) struct GivingUp(Vec<(BTreeSet<Ordinal>, mpsc::Sender<bool>)>);

impl GivingUp {
    /// Takes a request on.
    pub(super) fn asked(&mut self, request: GiveUpRequest) -> Event {
        let GiveUpRequest {
            positions,
            by,
            told,
        } = request;
        // Whoever asked may be gone; the wish stays.
        self.0.retain(|(_, told)| !told.is_closed());
        self.0.push((positions.iter().copied().collect(), told));
        Event::GiveUp { positions, by }
    }

    /// What became of a record is synced.
    pub(super) fn ended(&mut self, position: Ordinal, is_letter: bool) {
        for (open, told) in &mut self.0 {
            if open.remove(&position) {
                // It has room; nobody may listen any more.
                told.try_send(is_letter).ok();
            }
        }
        self.0.retain(|(open, _)| !open.is_empty());
    }
}
