//! The last call of a window, without records.
//!
//! It closes in the same commit that carries what the call emitted. A call that fails is made again after
//! the mapping's backoff, and the group waits. Out of attempts, or where another one cannot help, or past the
//! age that records may reach, the window closes all the same: its state becomes a dead letter with the
//! cause, so that nothing is lost without a word and the group goes on.

use super::{Close, Task};
use crate::{
    commit::ErrorKind,
    id::Timestamp,
    mapping::OnFatal,
    outcome::{Cause, FailureKind, Outcome, Rows},
    pipeline::{
        Action, Invocation, LostWindow, PlannedWindow, RowSource, ShardPipeline, StopReason,
        judge::Judgement,
        slot::{Call, Phase},
    },
    window::{GroupWindow, OpenWindow, WindowChange},
};

impl ShardPipeline {
    /// Before anything else is called, windows of a mapping that has other ones now, or none, have their
    /// final call; whether some are left.
    pub(in crate::pipeline) fn ends_old_windows(
        &mut self,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(windows) = &mut self.windows else {
            return false;
        };
        if !windows.has_old() {
            windows.forget_old();
            if !windows.is_on() {
                self.windows = None;
                // It waited for that, and goes in front of the first call.
                self.take_given_up(now, actions);
            }
            return false;
        }
        for index in 0..self.lanes.len() {
            let slot = &self.slots[index];
            if slot.is_free()
                && slot.not_before <= now
                && self.may_call_in(index, now)
                && let Some((_, is_fresh)) = self.next_in_windows(index, false, now, actions)
            {
                self.begin_close(index, is_fresh, actions);
            }
        }
        true
    }

    /// Makes the call that ends the window of the group in a lane's hand.
    pub(in crate::pipeline) fn begin_close(
        &mut self,
        index: usize,
        is_fresh: bool,
        actions: &mut Vec<Action>,
    ) {
        let Some((close, open)) = self.closing(index) else {
            debug_assert!(false, "a window is open");
            return;
        };
        let window = open.last_call(close == Close::Early);
        let version = self.version_in(index, &[]);
        let attempt = self.next_attempt;
        self.next_attempt = attempt.next();
        let slot = &mut self.slots[index];
        slot.call = Some(Call {
            attempt,
            records: Vec::new(),
        });
        actions.push(Action::Invoke(Invocation {
            attempt,
            slot: slot.id,
            records: Vec::new(),
            version,
            is_fresh,
            redrive: None,
            window: Some(window),
        }));
    }

    /// The group whose window a slot's call was to end, and how many such calls failed in a row.
    pub(in crate::pipeline) fn closing_failures(&self, index: usize) -> Option<(u32, u32)> {
        let hand = self.windows.as_ref()?.hands.get(index)?;
        let failures = self.windows.as_ref()?.in_hand(index)?.failures;
        Some((hand.group?, failures))
    }

    fn closing(&self, index: usize) -> Option<(Close, OpenWindow)> {
        let windows = self.windows.as_ref()?;
        let Some(Task::Close(close)) = windows.hands[index].task else {
            return None;
        };
        Some((close, windows.in_hand(index)?.known.open.clone()?))
    }

    /// Such a call ended.
    pub(in crate::pipeline) fn conclude_close(
        &mut self,
        index: usize,
        outcome: Outcome,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if let Some(cause) = self.unreadable(index, &outcome) {
            let lost = self.lost(index, cause);
            return self.close(index, Vec::new(), lost, now);
        }
        let own_delay_ms = match &outcome {
            Outcome::Error(failure) => failure.retry_after_ms,
            _ => None,
        };
        let cause = match outcome {
            Outcome::Returned { rows, .. } => {
                let lost = self.unread(index).and_then(|cause| self.lost(index, cause));
                return self.close(index, rows, lost, now);
            }
            Outcome::Interrupted => return self.pause_uncharged(index, now),
            Outcome::Error(failure) => {
                let is_fatal = failure.kind == FailureKind::Fatal;
                if is_fatal && self.config.settings.on_fatal == OnFatal::Stop {
                    let (code, message) = (failure.code, failure.message);
                    let version = self.version_in(index, &[]);
                    let reason = StopReason::Fatal {
                        code,
                        message,
                        version,
                    };
                    return self.stop(reason, actions);
                }
                Cause::named(&failure)
            }
            Outcome::Trap { message, .. } => Cause::of(ErrorKind::Trap, message),
            Outcome::Timeout { after_ms } => Cause::timeout(after_ms),
            Outcome::OutOfMemory { limit_bytes } => Cause::out_of_memory(limit_bytes),
            Outcome::OutputTooLarge { limit_bytes } => {
                let words = format!("its rows pass the limit of {limit_bytes} bytes");
                Cause::of(ErrorKind::OutputTooLarge, words.into())
            }
        };
        self.close_failed(index, cause, own_delay_ms, now, actions);
    }

    /// Such a call failed: its group waits for another one, or the window closes without.
    fn close_failed(
        &mut self,
        index: usize,
        cause: Cause,
        own_delay_ms: Option<u32>,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some((close, open)) = self.closing(index) else {
            return;
        };
        self.slots[index].faults = 0;
        let Some(windows) = &mut self.windows else {
            return;
        };
        let Some(id) = windows.hands[index].group else {
            return;
        };
        let group = windows.group_mut(id);
        let is_free = self.circuit.is_free();
        let attempts = group.failures + 1;
        if !is_free {
            group.failures = attempts;
        }
        // Another attempt would give the same.
        let is_hopeless = matches!(
            cause.kind,
            ErrorKind::Skip | ErrorKind::Fatal | ErrorKind::OutputTooLarge
        );
        let is_over = is_hopeless
            || self.policy.is_exhausted(attempts) && !is_free
            || self.age.is_too_old(open.window.end);
        if !is_over {
            group.close_failure = Some(cause);
            windows.hands[index].task = None;
            let until = self
                .policy
                .next_retry(now, open.last, attempts, own_delay_ms);
            return self.rest_group(id, until, actions);
        }
        let what = match close {
            Close::Early => "the call that ends it early",
            Close::Final | Close::Changed => "its final call",
        };
        let (start, end) = (open.window.start, open.window.end);
        let words = format!(
            "window {start}-{end} of group {id} is given up: {what} failed: {}",
            cause.error
        );
        let lost = LostWindow {
            open,
            cause: Cause {
                error: words.into(),
                ..cause
            },
            attempts,
        };
        self.close(index, Vec::new(), Some(lost), now);
    }

    /// Commits that a window is closed, or that its state is, within its time.
    fn close(&mut self, index: usize, rows: Vec<Rows>, lost: Option<LostWindow>, now: Timestamp) {
        let Some((close, open)) = self.closing(index) else {
            return;
        };
        let Some(windows) = &mut self.windows else {
            return;
        };
        let hand = &mut windows.hands[index];
        hand.task = None;
        // Whatever the call left of the state goes with it.
        hand.left = None;
        let Some(id) = hand.group else {
            return;
        };
        let group = windows.group_mut(id);
        let closed = group.known.closed_through;
        let closed_through = match close {
            Close::Final => closed.max(open.window.end),
            // What still comes of its time opens it anew; where nothing does, it has ended.
            Close::Early => closed.max(open.window.start),
            Close::Changed => closed,
        };
        let source = RowSource {
            position: open.last,
            hops: open.hops,
            is_kept: true,
        };
        let becomes = GroupWindow {
            version: group.known.version + 1,
            closed_through,
            open: None,
        };
        let judgement = Judgement {
            rows,
            ..Judgement::default()
        };
        let adds = self.adds(0, &judgement, self.version_in(index, &[]));
        self.decide(index, Vec::new(), judgement, adds, now);
        if let Some(commit) = &mut self.slots[index].unaccepted
            && let Phase::Queued(plan) = &mut commit.phase
        {
            // What it emits comes from all records of the window.
            plan.rows.sources.push(source);
        }
        let change = WindowChange { group: id, becomes };
        self.plan_window(index, Some(PlannedWindow { change, lost }));
    }
}
