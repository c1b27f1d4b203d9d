//! A wall clock that goes back makes no wait longer.

use super::{Mode, ShardPipeline, slot::Phase};
use crate::{id::Timestamp, limits};

impl ShardPipeline {
    /// No wait is longer than it would have been had it begun now.
    pub(super) fn clock_went_back(&mut self, now: Timestamp) {
        for lane in &mut self.lanes {
            lane.batcher.clock_went_back(now);
        }
        self.park
            .clock_went_back(now, now.plus_ms(self.policy.max_ms()));
        for slot in &mut self.slots {
            let latest = now.plus_ms(limits::READ_RETRY_MS_MAX);
            slot.not_before = slot.not_before.min(latest);
            if let Some(commit) = &mut slot.unaccepted
                && let Phase::Refused { resend_at } = &mut commit.phase
            {
                *resend_at = (*resend_at).min(now.plus_ms(limits::RESEND_MS_MAX));
            }
        }
        let latest = now.plus_ms(self.policy.max_ms());
        for mark in self.marks.values_mut() {
            mark.next_retry = mark.next_retry.min(latest);
        }
        if let Some(windows) = &mut self.windows {
            windows.clock_went_back(now, latest);
        }
        let latest = now.plus_ms(limits::READ_RETRY_MS_MAX);
        self.reading.not_before = self.reading.not_before.min(latest);
        self.filtered.clock_went_back(now);
        self.circuit.clock_went_back(now);
        if let Mode::Quiet {
            until, moment_ms, ..
        } = &mut self.mode
        {
            *until = (*until).min(now.plus_ms(*moment_ms));
        }
    }
}
