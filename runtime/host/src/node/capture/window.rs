//! The windows of captured calls: a call is captured as a retry of it would be made now.
//!
//! What fails in a window leaves no state, and its group waits, so that the state which the unit has committed is
//! what a retry is given, and was what the attempt before it was given. A dead letter is behind that: its group went
//! on without it, and what it was given is not kept.

use fnctl_core::{
    capture::{CapturedBatch, CapturedFailure, CapturedWindow},
    commit::DeadLetter,
    lane::key_hash,
    mapping::Mapping,
    pipeline::WaitingWindow,
    record::RecordBlock,
    rfc3339,
    view::UnitView,
    window::{Window, group_of},
};

use super::Place;
use crate::{node::HostNode, text};

/// The window of a record that waits, alone in its block, with the state of its group; `None`: the mapping has no
/// windows.
pub(super) fn of_record(
    mapping: &Mapping,
    unit: &UnitView,
    block: &RecordBlock,
) -> Option<CapturedWindow> {
    let settings = &mapping.settings;
    if !settings.has_windows() {
        return None;
    }
    let group = group_of(block.key_hash(0), settings.window_groups());
    let known = unit.windows.get(&group).cloned().unwrap_or_default();
    let window = known.window_of(block.arrival(0), settings.tumbling_window_ms);
    Some(CapturedWindow::of(
        group,
        &known.call_in(window),
        text::base64,
    ))
}

/// The window that a dead letter's record arrived in, of the length that windows have now, and no state.
pub(super) fn of_letter(mapping: &Mapping, letter: &DeadLetter) -> Option<CapturedWindow> {
    let settings = &mapping.settings;
    if !settings.has_windows() {
        return None;
    }
    let window = Window::at(letter.arrival, settings.tumbling_window_ms);
    let key = key_hash(Some(&letter.key), letter.position);
    Some(CapturedWindow {
        group: group_of(key, settings.window_groups()),
        start_ms: window.start.0,
        end_ms: window.end.0,
        is_final: false,
        is_terminated_early: false,
        state: None,
    })
}

impl HostNode {
    /// The call that was to end a window and failed; `None`: it has ended meanwhile.
    pub(super) fn failing_close(
        &self,
        place: Place<'_>,
        waiting: &WaitingWindow,
    ) -> Option<CapturedBatch> {
        let settings = &place.mapping.settings;
        let (span_ms, groups) = (settings.tumbling_window_ms, settings.window_groups());
        let window = self.view(|view| {
            let known = view.unit(place.unit)?.windows.get(&waiting.group)?;
            let open = known.open.as_ref()?;
            let call = open.last_call(open.ends_early(span_ms, groups));
            let kept = || CapturedWindow::of(waiting.group, &call, text::base64);
            (open.window == waiting.window).then(kept)
        })?;
        let failure = &waiting.failure;
        Some(CapturedBatch {
            version: waiting.version.0,
            shard_id: place.unit.shard.shard_id(),
            at: rfc3339::format(self.now()),
            dead_letter: None,
            records: Vec::new(),
            failures: vec![CapturedFailure {
                index: 0,
                error_kind: Some(failure.kind.as_str().to_owned()),
                code: Some(failure.code.to_string()),
                error: Some(failure.error.to_string()),
            }],
            window: Some(window),
        })
    }
}
