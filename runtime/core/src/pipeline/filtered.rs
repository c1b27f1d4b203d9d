//! Records that the filter lets fall. They settle without a call, and count for no batch: their progress
//! rides on the next commit of the unit, and has one of its own when none comes, at most one a second
//! (commit and storage rules §2).

use super::{
    CommitPlan, ShardPipeline,
    backlog::{Backlog, Place, Serial},
    judge::Judgement,
    slot::{Phase, Purpose, Slot},
};
use crate::{
    commit::UnitTotals, filter::FilterVerdict, id::Timestamp, limits, mapping::OnUnparsable,
    pipeline::RecordMeta,
};

/// Records let fall that are in no commit yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Filtered {
    waiting: Vec<Serial>,
    /// No commit of their own is made before.
    not_before: Timestamp,
}

impl Filtered {
    pub(super) fn push(&mut self, serial: Serial) {
        self.waiting.push(serial);
    }

    /// Puts all of them into a commit that is about to be sent, and returns them.
    pub(super) fn ride(
        &mut self,
        plan: &mut CommitPlan,
        backlog: &Backlog,
        now: Timestamp,
    ) -> Vec<Serial> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        self.not_before = now.plus_ms(limits::FILTERED_COMMIT_MS);
        let fallen = self
            .waiting
            .iter()
            .map(|serial| backlog.get(*serial).range());
        let mut ranges: Vec<_> = plan
            .settles
            .as_slice()
            .iter()
            .copied()
            .chain(fallen)
            .collect();
        ranges.sort_unstable();
        plan.settles = ranges.into_iter().collect();
        std::mem::take(&mut self.waiting)
    }

    /// No wait grows by a clock that goes back.
    pub(super) fn clock_went_back(&mut self, now: Timestamp) {
        self.not_before = self.not_before.min(now.plus_ms(limits::FILTERED_COMMIT_MS));
    }

    /// A commit that took them along is dropped: it never happened.
    pub(super) fn give_back(&mut self, mut serials: Vec<Serial>) {
        serials.append(&mut self.waiting);
        self.waiting = serials;
    }
}

impl ShardPipeline {
    /// What the filter's verdict on a record comes to, by the mapping's rule for what is not JSON.
    pub(super) fn judged(&self, record: &RecordMeta) -> FilterVerdict {
        match (record.verdict, self.config.settings.on_unparsable) {
            (FilterVerdict::Unparsable, OnUnparsable::Drop) => FilterVerdict::NoMatch,
            (FilterVerdict::Unparsable, OnUnparsable::Pass) => FilterVerdict::Match,
            (verdict, _) => verdict,
        }
    }

    /// Commits what was let fall, where it is time and no other commit is about to take it along.
    pub(super) fn settle_filtered(&mut self, now: Timestamp) {
        // The bound of the done-set counts them: reading waits for nothing else then.
        let is_full = self.backlog.len() >= limits::UNSETTLED_RECORDS_MAX;
        let is_due = self.filtered.not_before <= now || is_full;
        if self.filtered.waiting.is_empty() || !is_due || self.rides_soon() {
            return;
        }
        if let Some(slot) = self.idle_slot() {
            let nothing = UnitTotals::default();
            self.decide(slot, Vec::new(), Judgement::default(), nothing, now);
        }
    }

    /// When that is to be looked at again; `None`: not before something happens.
    pub(super) fn filtered_deadline(&self) -> Option<Timestamp> {
        let is_wanted = !self.filtered.waiting.is_empty() && !self.rides_soon();
        let is_wanted = is_wanted && self.idle_slot().is_some();
        is_wanted.then_some(self.filtered.not_before)
    }

    /// Whether a commit that takes them along waits for its turn to be sent. Marks and commits that are
    /// sent again take nothing along.
    fn rides_soon(&self) -> bool {
        self.send_queue.iter().any(|&index| {
            let commit = self.slots[index].unaccepted.as_ref();
            commit.is_some_and(|commit| {
                commit.purpose == Purpose::Outcome && matches!(commit.phase, Phase::Queued(_))
            })
        })
    }

    /// A slot that has nothing to do; the retry slot if it may be.
    fn idle_slot(&self) -> Option<usize> {
        if self.caution.is_ending() {
            return None;
        }
        let is_idle = |slot: &Slot| {
            slot.is_free() && slot.pieces.is_empty() && slot.keys.is_empty() && slot.mark.is_none()
        };
        self.slots.iter().rposition(is_idle)
    }

    /// Records of an accepted commit that were let fall are done.
    pub(super) fn take_over_filtered(
        &mut self,
        serials: &[Serial],
        actions: &mut Vec<super::Action>,
    ) {
        for &serial in serials {
            self.backlog.place(serial, Place::Done, actions);
        }
    }
}
