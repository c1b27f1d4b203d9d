//! Days with tumbling windows. The function's state is the list of the records that it was given; when a
//! window ends it emits that list, or what is left of it becomes a letter.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use fnctl_core::{
    id::Ordinal,
    invariants,
    mapping::MappingSettings,
    outcome::{Failure, FailureKind, Outcome, Rows, WHOLE_CALL},
    record::ColumnBuilder,
    window::{GroupWindow, WindowCall, WindowChange},
};

use super::{Branch, World, profile::Trouble, worker::Call};
use crate::{ledger, random::Random};

/// The stream that lists go to.
pub(super) const CLOSED: &str = "closed";
/// The number of the output that is bound to it.
const OUTPUT: u16 = 2;

/// What is drawn about windows, apart from everything else, so that seeds make the days that they made
/// before there were some.
#[derive(Debug)]
pub(super) struct Day {
    random: Random,
    /// Length and groups; none: there are no windows.
    windows: Option<(u32, u32)>,
    /// No worker ran without.
    pub(super) is_always_on: bool,
}

impl Day {
    pub(super) fn draw(seed: u64, without: &[Trouble]) -> Self {
        let mut random = Random::new(seed ^ 0x5157_4E44_4F57_5321);
        let is_drawn = random.chance(350) && !without.contains(&Trouble::Windows);
        let span = random.pick(&[10, 300, 1_000, 5_000, 900_000]);
        let groups = random.pick(&[1, 2, 3, 8]);
        Self {
            random,
            windows: is_drawn.then_some((span, groups)),
            is_always_on: is_drawn,
        }
    }

    /// Whether there are windows at all.
    pub(super) const fn has_windows(&self) -> bool {
        self.windows.is_some()
    }

    /// Puts windows into settings.
    pub(super) fn apply(&self, settings: &mut MappingSettings) {
        if let Some((span, groups)) = self.windows {
            settings.tumbling_window_ms = span;
            settings.key_groups = groups;
        }
    }

    /// The same, where somebody may have changed them.
    pub(super) fn apply_changed(&mut self, settings: &mut MappingSettings) {
        self.apply(settings);
        if !self.has_windows() {
            return;
        }
        match self.random.below(6) {
            0 => {
                settings.tumbling_window_ms = 0;
                self.is_always_on = false;
            }
            1 => settings.tumbling_window_ms = self.random.pick(&[20, 700, 60_000]),
            2 => settings.key_groups = self.random.pick(&[1, 4, 5]),
            _ => {}
        }
    }
}

/// What a commit says of a window follows from what was accepted.
pub(super) fn check(known: &BTreeMap<u32, Arc<GroupWindow>>, change: Option<&WindowChange>) {
    let Some(change) = change else {
        return;
    };
    let known = known.get(&change.group).cloned().unwrap_or_default();
    if let Err(broken) = invariants::window_is_sound(&known, &change.becomes) {
        panic!("{broken}");
    }
}

/// The list with the records of a call behind it. One may be in it: its letter was redriven, and it again, or
/// a seek went back over it. Whether that is right is the ledger's to judge.
pub(super) fn fold(window: &WindowCall, call: &Call) -> Bytes {
    let mut state = window.state.to_vec();
    for record in &call.seen {
        let place = (call.shard, Ordinal(record.position));
        state.extend_from_slice(&ledger::entry(place));
    }
    state.into()
}

impl World {
    /// A call that ends a window.
    pub(super) fn window_ends(&mut self, window: &WindowCall) -> Outcome {
        assert!(window.is_final != window.is_terminated_early);
        if !self.is_calm && !self.is_mended && self.random.chance(300) {
            self.coverage.note(Branch::FinalCallFailed);
            let failed = |kind| {
                Outcome::Error(Failure {
                    kind,
                    retry_after_ms: None,
                    code: "final".into(),
                    message: "words".into(),
                })
            };
            return match self.random.below(4) {
                0 => failed(FailureKind::Skip),
                1 => Outcome::Trap {
                    record: None,
                    message: "trap".into(),
                },
                2 => Outcome::Interrupted,
                _ => failed(FailureKind::Retry),
            };
        }
        self.coverage.note(Branch::WindowEnded);
        let mut keys = ColumnBuilder::default();
        let mut data = ColumnBuilder::default();
        let listed = ledger::listed(&window.state);
        let listed: Vec<String> = listed.into_iter().map(ledger::write).collect();
        keys.push(b"w0");
        data.push(format!("window {} {}", self.calls, listed.join(",")).as_bytes());
        Outcome::Returned {
            rows: vec![Rows {
                output: OUTPUT,
                sources: vec![WHOLE_CALL],
                keys: keys.finish(),
                data: data.finish(),
            }],
            failures: Vec::new(),
        }
    }
}
