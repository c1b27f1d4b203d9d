//! A state that the version which meets it cannot read.
//!
//! A function says so with a `fatal` of the code [`BAD_STATE`]. Where it left that state itself it is at fault,
//! and `on_fatal` decides as for every `fatal`. Where another version left it, before a deploy, a rollback or a
//! canary that came or went, nobody who could be stopped would mend it, and the version that could read it may
//! be gone: the state becomes a dead letter, and the window goes on from nothing.
//!
//! A canary that would stop the mapping is another matter: its `fatal` takes it back, and the live version goes
//! on with its own states, so nothing is given up for it.

use super::Task;
use crate::{
    commit::ErrorKind,
    id::Timestamp,
    mapping::OnFatal,
    outcome::{BAD_STATE, Cause, FailureKind, Outcome},
    pipeline::{LostWindow, PlannedWindow, ShardPipeline, backlog::Serial, judge::Judgement},
    window::{GroupWindow, WindowChange},
};

impl ShardPipeline {
    /// Why the state of the group in a slot's hand is given up, if a call that ended so could not read it and
    /// another version left it.
    pub(in crate::pipeline) fn unreadable(&self, index: usize, outcome: &Outcome) -> Option<Cause> {
        let Outcome::Error(failure) = outcome else {
            return None;
        };
        let is_told = failure.kind == FailureKind::Fatal && &*failure.code == BAD_STATE;
        if !is_told || self.goes_by_a_fatal(index) {
            return None;
        }
        let words = format!("cannot read it: {}", failure.message);
        self.left_by_another(index, &words)
    }

    /// Why the state of the group in a slot's hand is given up, if it has ended with a version that asks for
    /// no states, and another version left it.
    pub(super) fn unread(&self, index: usize) -> Option<Cause> {
        let version = self.version_in(index, &[]);
        if !self.config.stateless.contains(&version) {
            return None;
        }
        self.left_by_another(index, "reads no states")
    }

    /// Whether a `fatal` of the version that a slot calls takes that back, and stops nothing.
    fn goes_by_a_fatal(&self, index: usize) -> bool {
        let is_canary = self.config.is_canary || self.is_canary_lane(index);
        is_canary && self.config.settings.on_fatal == OnFatal::Stop
    }

    fn left_by_another(&self, index: usize, words: &str) -> Option<Cause> {
        // A letter that is redriven fails again, and leaves the state to the lane of its group.
        if index >= self.lanes.len() {
            return None;
        }
        let windows = self.windows.as_ref()?;
        let hand = windows.hands.get(index)?;
        let (id, open) = (hand.group?, windows.in_hand(index)?.known.open.as_ref()?);
        let version = self.version_in(index, &[]);
        if hand.task.is_none() || open.state.is_empty() || open.left_by == Some(version) {
            return None;
        }
        let (start, end) = (open.window.start, open.window.end);
        let by = match open.left_by {
            Some(other) => format!("version {other}"),
            None => "an earlier version".to_owned(),
        };
        let words = format!(
            "the state of window {start}-{end} of group {id}, which {by} left, is given up: version {version} {words}"
        );
        Some(Cause {
            code: BAD_STATE.into(),
            ..Cause::of(ErrorKind::WindowFailed, words.into())
        })
    }

    /// The window of the group in a slot's hand, to be given up.
    pub(super) fn lost(&self, index: usize, cause: Cause) -> Option<LostWindow> {
        let windows = self.windows.as_ref()?;
        Some(LostWindow {
            open: windows.in_hand(index)?.known.open.clone()?,
            cause,
            attempts: 1,
        })
    }

    /// Commits that the state which a call of records was given is a dead letter; the records are called again
    /// with none.
    pub(in crate::pipeline) fn give_state_up(
        &mut self,
        index: usize,
        records: Vec<Serial>,
        cause: Cause,
        now: Timestamp,
    ) {
        let Some(lost) = self.lost(index, cause) else {
            return;
        };
        let Some(windows) = &mut self.windows else {
            return;
        };
        let hand = &mut windows.hands[index];
        debug_assert!(matches!(hand.task, Some(Task::Fold(_))), "it had records");
        (hand.task, hand.left) = (None, None);
        let Some(group) = hand.group else {
            return;
        };
        let known = &windows.group_mut(group).known;
        let becomes = GroupWindow {
            version: known.version + 1,
            // Its records open it anew.
            closed_through: known.closed_through.max(lost.open.window.start),
            open: None,
        };
        let change = WindowChange { group, becomes };
        let planned = PlannedWindow {
            change,
            lost: Some(lost),
        };
        if self.slots[index].mark.is_some() {
            self.unmark_at_once(index, records, now);
        } else {
            let judgement = Judgement::default();
            let adds = self.adds(0, &judgement, self.version_in(index, &[]));
            self.decide(index, Vec::new(), judgement, adds, now);
            let slot = &mut self.slots[index];
            // It says nothing of what is behind.
            slot.presumes = false;
            slot.pieces.push_front(records);
        }
        self.plan_window(index, Some(planned));
    }
}
