//! Judges a commit: the guards, in the order of commit and storage rules §3.

use std::sync::Arc;

use super::NodeView;
use crate::{
    commit::{Commit, CommitAnswer, DeadLetter, Unavailable},
    entry::{Entry, Placement},
    id::{LeaseEpoch, Timestamp},
    settled::SettledRange,
    window::WindowChange,
};

/// Why a commit is fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitFault {
    /// The unit does not exist: its mapping was deleted.
    #[error("the unit does not exist")]
    NoSuchUnit,
    /// The unit has another owner, or none.
    #[error("the unit's epoch is {current}")]
    StaleEpoch {
        /// The unit's epoch.
        current: LeaseEpoch,
    },
    /// The slot's commits are not dense: an error of ours.
    #[error("the slot's next commit has the number {expected}")]
    NumberGap {
        /// The number that the slot's next commit has.
        expected: u64,
    },
    /// Something in this range is settled already: an error of ours.
    #[error("{range:?} is settled already, in part or whole")]
    SettledTwice {
        /// The range.
        range: SettledRange,
    },
    /// A window's state was made from another one than is known: an error of ours.
    #[error("the window of group {group} has version {current}")]
    StateForked {
        /// The group.
        group: u32,
        /// The version that is known.
        current: u64,
    },
}

impl CommitFault {
    /// Whether it shows an error of ours, to be alarmed, and not just an owner that lost its unit.
    #[must_use]
    pub const fn is_bug(self) -> bool {
        matches!(
            self,
            Self::NumberGap { .. } | Self::SettledTwice { .. } | Self::StateForked { .. }
        )
    }
}

impl NodeView {
    /// Resolves a commit into an entry, or answers why not. Room on the disk is the store's to ask.
    ///
    /// # Errors
    /// `Fenced`, `Refused` or `Unavailable`; the view is as before. Of a fenced commit,
    /// [`Self::commit_fault`] says why.
    pub fn evaluate_commit(
        &self,
        commit: &Arc<Commit>,
        now: Timestamp,
    ) -> Result<Entry, CommitAnswer> {
        if self.ownership_fault(commit).is_some() {
            return Err(CommitAnswer::Fenced);
        }
        if let Some(closed) = self.closed_letter(commit) {
            return Err(CommitAnswer::Refused { closed });
        }
        let outputs = self
            .place_outputs(commit, now)
            .map_err(CommitAnswer::Unavailable)?;
        let dead_letters = self
            .place_dead_letters(commit, now)
            .map_err(CommitAnswer::Unavailable)?;
        if self.assertion_fault(commit).is_some() {
            return Err(CommitAnswer::Fenced);
        }
        Ok(Entry::Commit {
            commit: Arc::clone(commit),
            outputs,
            dead_letters,
        })
    }

    /// Why this commit would be fenced, if it would.
    #[must_use]
    pub fn commit_fault(&self, commit: &Commit) -> Option<CommitFault> {
        self.ownership_fault(commit)
            .or_else(|| self.assertion_fault(commit))
    }

    /// A unit that does not exist has no epoch, and epoch 0 is nobody's.
    fn ownership_fault(&self, commit: &Commit) -> Option<CommitFault> {
        let Some(unit) = self.units.get(&commit.unit) else {
            return Some(CommitFault::NoSuchUnit);
        };
        let current = unit.view().epoch;
        (commit.epoch != current || current == LeaseEpoch(0))
            .then_some(CommitFault::StaleEpoch { current })
    }

    fn assertion_fault(&self, commit: &Commit) -> Option<CommitFault> {
        let unit = self.units.get(&commit.unit)?;
        let expected = unit.last_number(commit.slot) + 1;
        if commit.number != expected {
            return Some(CommitFault::NumberGap { expected });
        }
        if let Some(WindowChange { group, becomes }) = &commit.window {
            let known = unit.view().windows.get(group);
            let current = known.map_or(0, |known| known.version);
            if becomes.version != current + 1 {
                let group = *group;
                return Some(CommitFault::StateForked { group, current });
            }
        }
        commit
            .settles
            .as_slice()
            .iter()
            .find(|range| unit.view().settled.overlaps(**range))
            .map(|&range| CommitFault::SettledTwice { range })
    }

    /// Outputs go to whichever stream has the name now: a recreated one means the new one.
    fn place_outputs(
        &self,
        commit: &Commit,
        now: Timestamp,
    ) -> Result<Vec<Placement>, Unavailable> {
        let mut placed: Vec<Placement> = Vec::with_capacity(commit.outputs.len());
        for output in &commit.outputs {
            let (id, view) = self
                .registry
                .stream_by_name(&output.stream)
                .filter(|stream| !stream.is_internal)
                .and_then(|stream| Some((stream.id, self.streams.get(&stream.id)?)))
                .filter(|(_, view)| view.is_open())
                .ok_or_else(|| Unavailable::NoSuchOutput(output.stream.clone()))?;
            let earlier = placed
                .iter()
                .zip(&commit.outputs)
                .map(|(placement, output)| (placement, output.records.len()));
            let placement = view.place(id, &output.records.hash_keys, now, earlier);
            placed.push(placement);
        }
        Ok(placed)
    }

    fn place_dead_letters(
        &self,
        commit: &Commit,
        now: Timestamp,
    ) -> Result<Option<Placement>, Unavailable> {
        if commit.dead_letters.is_empty() {
            return Ok(None);
        }
        let (id, view) = self
            .registry
            .mapping(commit.unit.mapping)
            .and_then(|mapping| {
                let id = mapping.dead_letters;
                Some((id, self.streams.get(&id)?))
            })
            .filter(|(_, view)| view.is_open())
            .ok_or(Unavailable::DeadLettersFull)?;
        let bytes: u64 = commit.dead_letters.iter().map(DeadLetter::byte_len).sum();
        // A redriven letter takes the place of itself: were it held here, it would hold the retry slot.
        let is_full = self.open_letter_bytes(id) + bytes > self.dead_letter_bytes_max;
        if is_full && commit.redriven.is_none() {
            return Err(Unavailable::DeadLettersFull);
        }
        let hash_keys: Vec<u128> = commit
            .dead_letters
            .iter()
            .map(|letter| letter.hash_key)
            .collect();
        Ok(Some(view.place(id, &hash_keys, now, std::iter::empty())))
    }
}
