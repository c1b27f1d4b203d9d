//! How what a pipeline wants done is written down: a line an action.

use super::Harness;
use crate::{
    commit::AttemptMark,
    id::{FunctionVersion, SlotId},
    invariants,
    pipeline::{Action, CommitPlan, PlannedWindow, StopReason},
    window::{Window, WindowCall, WindowChange},
};

fn slot_name(slot: SlotId) -> String {
    match slot {
        SlotId::Lane(lane) => format!("lane{lane}"),
        SlotId::Retry => "retry".to_owned(),
    }
}

impl Harness {
    /// What a commit leaves to the next owner.
    fn leave(&mut self, plan: &CommitPlan) {
        let left = &mut self.left;
        left.totals = plan.totals;
        for &range in plan.settles.as_slice() {
            left.settled.settle(range);
        }
        let is_new = |mark: &AttemptMark| {
            plan.attempts
                .iter()
                .all(|new| new.position != mark.position)
        };
        left.attempts
            .retain(|mark| is_new(mark) && !left.settled.contains(mark.position));
        let charged = plan.attempts.iter().filter(|mark| mark.count > 0);
        left.attempts.extend(charged.cloned());
        if let Some(outages) = &plan.outages {
            left.outages = outages.clone();
            self.told += 1;
        }
    }

    pub(super) fn write_down(&mut self, action: Action) {
        let line = match action {
            Action::Fetch { after, .. } => {
                self.asked = Some(after);
                format!("fetch after {after}")
            }
            Action::Reread { slot, records } => {
                let records: Vec<_> = records.iter().map(ToString::to_string).collect();
                format!("reread {}: {}", slot_name(slot), records.join(" "))
            }
            Action::Invoke(call) => {
                self.running.push(call.attempt.0);
                let called = call.records.iter().map(|r| r.position.0).collect();
                self.called.push((call.version.0, called));
                let records = call.records.iter().map(|r| r.position.to_string());
                let records: Vec<_> = records.collect();
                let fresh = if call.is_fresh { " fresh" } else { "" };
                let (attempt, slot) = (call.attempt, slot_name(call.slot));
                let letter = call
                    .redrive
                    .map(|ticket| format!(" letter {}", ticket - 100));
                let letter = letter.unwrap_or_default();
                // Version 1 is called unless said otherwise.
                let version = version_words(call.version);
                let window = call.window.as_ref().map_or_else(String::new, window_words);
                format!(
                    "call {attempt} {slot}: {}{fresh}{version}{letter}{window}",
                    records.join(" ")
                )
            }
            Action::Interrupt { attempt } => {
                self.running.retain(|&running| running != attempt.0);
                format!("interrupt {attempt}")
            }
            Action::Commit(plan) => {
                self.leave(&plan);
                self.planned.remove(&plan.slot);
                if let Some(window) = &plan.window {
                    let change = window.change.clone();
                    let known = self.windows.get(&change.group).cloned();
                    let known = known.unwrap_or_default();
                    invariants::window_is_sound(&known, &change.becomes).unwrap();
                    self.planned.insert(plan.slot, change);
                }
                commit_line(&plan)
            }
            Action::Resend {
                slot,
                number,
                totals,
                drops_letters,
            } => {
                let processed = totals.processed;
                let dropped = match drops_letters {
                    true => format!(" dropped {}", totals.dropped),
                    false => String::new(),
                };
                format!(
                    "resend {}#{number} processed {processed}{dropped}",
                    slot_name(slot)
                )
            }
            Action::DropCommit { slot, number } => format!("drop {}#{number}", slot_name(slot)),
            Action::Felt { version, sign } => return self.felt.push((version, sign)),
            Action::AskTurn => "ask turn".to_owned(),
            Action::EndTurn => "end turn".to_owned(),
            Action::Redriven { ticket, ending } => format!("letter {} {ending:?}", ticket - 100),
            Action::GivenUp {
                position,
                is_letter,
            } => match is_letter {
                true => format!("given up {position}"),
                false => format!("over before {position}"),
            },
            Action::KeepOnly { block, records } => {
                let records: Vec<String> = records.iter().map(u32::to_string).collect();
                format!("keep of {}: {}", block.0, records.join(" "))
            }
            Action::ReleaseBlock(id) => format!("release {}", id.0),
            Action::Stop(StopReason::Fatal { code, message, .. }) => {
                format!("stop Fatal {code}: {message}")
            }
            Action::Stop(reason) => format!("stop {reason:?}"),
        };
        self.lines.push(line);
    }
}

fn version_words(version: FunctionVersion) -> String {
    match version.0 {
        1 => String::new(),
        version => format!(" v{version}"),
    }
}

fn span(window: Window) -> String {
    format!("{}-{}", window.start.0, window.end.0)
}

fn state_words(state: &[u8]) -> String {
    match state.len() {
        0..20 => format!("[{}]", String::from_utf8_lossy(state)),
        long => format!("[{long} bytes]"),
    }
}

fn window_words(call: &WindowCall) -> String {
    let (window, state) = (span(call.window), state_words(&call.state));
    let end = match (call.is_final, call.is_terminated_early) {
        (true, _) => "final ",
        (_, true) => "early ",
        _ => "",
    };
    format!(" {end}in {window} {state}")
}

fn change_words(planned: &PlannedWindow) -> String {
    let WindowChange { group, becomes } = &planned.change;
    let open = match &becomes.open {
        Some(open) => format!("{} {}", span(open.window), state_words(&open.state)),
        None => format!("closed {}", becomes.closed_through.0),
    };
    let lost = match &planned.lost {
        Some(lost) => format!(
            " lost {} after {}",
            state_words(&lost.open.state),
            lost.attempts
        ),
        None => String::new(),
    };
    format!("{group}:{}: {open}{lost}", becomes.version)
}

fn commit_line(plan: &CommitPlan) -> String {
    let mut line = format!("commit {}#{}", slot_name(plan.slot), plan.number);
    let mut part = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            line.push_str(&format!(" {name} {}", values.join(" ")));
        }
    };
    let settles = plan.settles.as_slice().iter();
    let settles = settles.map(|range| format!("{}-{}", range.after, range.through));
    part("settles", settles.collect());
    let marks = plan.attempts.iter();
    let marks = marks.map(|mark| {
        let in_hand = if mark.is_in_hand { " in hand" } else { "" };
        format!("{}:{}{in_hand}", mark.position, mark.count)
    });
    part("marks", marks.collect());
    let letters = plan.letters.iter().map(|letter| {
        let (position, kind) = (letter.record.position, letter.kind.as_str());
        format!("{position}:{kind}:{}", letter.attempts)
    });
    part("letters", letters.collect());
    let redriven = plan.redriven.iter();
    part(
        "redrives",
        redriven
            .map(|redrive| redrive.letter.id.to_string())
            .collect(),
    );
    let window = plan.window.as_ref().map(change_words);
    part("window", window.into_iter().collect());
    line.push_str(&version_words(plan.version));
    line
}
