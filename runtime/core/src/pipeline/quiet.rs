//! Pausing, going on, draining and stopping.

use super::{Action, Mode, ShardPipeline, StopReason};
use crate::id::Timestamp;

impl ShardPipeline {
    /// Starts no call any more, and lets running ones commit until then.
    pub(super) fn quiet(&mut self, until: Timestamp, is_drain: bool, now: Timestamp) {
        let is_draining = matches!(self.mode, Mode::Quiet { is_drain: true, .. });
        // A pause does not end a drain.
        if self.mode != Mode::New && (is_drain || !is_draining) {
            self.mode = Mode::Quiet {
                until,
                moment_ms: until.since_ms(now),
                is_drain,
            };
        } else if is_drain {
            self.mode = Mode::Quiet {
                until: now,
                moment_ms: 0,
                is_drain,
            };
        }
    }

    /// Goes on after a pause.
    pub(super) fn resume(&mut self) {
        if let Mode::Quiet {
            is_drain: false, ..
        } = self.mode
        {
            self.mode = Mode::Running;
        }
    }

    /// Ends for good.
    pub(super) fn stop(&mut self, reason: StopReason, actions: &mut Vec<Action>) {
        self.interrupt_calls(actions);
        self.mode = Mode::Stopped;
        actions.push(Action::Stop(reason));
    }

    /// Whether everything that was read is settled and accepted, and nothing is under way: with nothing more to
    /// read the owner may end, and the low watermark is where reading ended.
    #[must_use]
    pub fn has_settled_all_read(&self) -> bool {
        self.backlog.low_watermark() == self.backlog.read_position() && !self.is_under_way()
    }

    /// Whether a call runs, a commit is not accepted, or a mark stands that must be taken back; or somebody waits to
    /// hear of a record that they gave up, which is told when its commit is synced.
    pub(super) fn is_under_way(&self) -> bool {
        let mut slots = self.slots.iter();
        slots.any(|slot| slot.call.is_some() || slot.unaccepted.is_some() || slot.mark.is_some())
            || self.given_up.owes_an_answer()
    }
}
