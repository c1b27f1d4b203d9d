//! The calls of one mapping over the last minutes, and what became of its records: what a status says of
//! rates, and what a diagnosis is made from. Kept in memory: after a restart it counts anew.
//!
//! Time is cut in pieces, of which those are kept in which something was. A call costs a few additions,
//! whatever its records are; a mapping that does nothing costs nothing.

mod durations;
mod figures;
mod piece;
mod sick;
mod under_way;

use std::{collections::VecDeque, sync::Arc};

pub use self::{
    figures::{
        FilteredRun, RecentAged, RecentCut, RecentFault, RecentFigures, RecentVersion, TopCause,
        UnderWay,
    },
    piece::Cutting,
};
use self::{piece::Piece, sick::Sick, under_way::Running};
use crate::{
    commit::UnitTotals,
    id::{FunctionVersion, Timestamp},
    invoker::CallStats,
    limits::{RECENT_PIECE_MS, RECENT_PIECES, RECENT_VERSIONS_MAX, STALL_GAP_MS},
    outcome::{Outcome, OutcomeKind},
};

/// A call that ended.
#[derive(Clone, Copy, Debug)]
pub struct EndedCall<'a> {
    /// The version that was called.
    pub version: FunctionVersion,
    /// How it ended.
    pub outcome: &'a Outcome,
    /// Its records; none, where it ended a window.
    pub records: u32,
    /// None of them was tried before: what fails here is no retry of what failed already.
    pub is_first: bool,
    /// Which failures of it have its records called again in parts.
    pub cutting: Cutting,
    /// From when it was wanted until its answer, ns: what it waited for its turn included.
    pub taken_ns: u64,
    /// What it cost.
    pub stats: CallStats,
}

/// All calls of one version since the server started.
#[derive(Clone, Debug)]
struct Ever {
    version: FunctionVersion,
    calls: u64,
    failed: u64,
    /// Since when it does badly, as far as whole pieces tell.
    sick: Sick,
    last: Timestamp,
}

/// Calls that were cut for their time, one upon the other.
#[derive(Clone, Copy, Debug)]
struct Cut {
    version: FunctionVersion,
    /// When the first of them began.
    since: Timestamp,
    /// When the last of them ended.
    at: Timestamp,
    /// How long that one was waited for, ms.
    ran_ms: u64,
    /// Its records.
    records: u32,
}

/// The calls of one mapping over the last minutes. Every `now` is of one clock that never goes back.
#[derive(Clone, Debug)]
pub struct RecentCalls {
    began: Timestamp,
    /// Ascending, none twice; the last one may be the present one.
    pieces: VecDeque<Piece>,
    running: Running,
    cut: Option<Cut>,
    /// Since when no record came through the filter though some came to it, and how many.
    filtered: Option<(Timestamp, u64)>,
    /// Up to when they are counted as time of lanes.
    touched: Timestamp,
    versions: Vec<Ever>,
    progressed: Option<Timestamp>,
    fault: Option<(Timestamp, Arc<str>, u64)>,
}

impl RecentCalls {
    /// Nothing has happened since `now`.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self {
            began: now,
            pieces: VecDeque::new(),
            running: Running::new(),
            cut: None,
            filtered: None,
            touched: now,
            versions: Vec::new(),
            progressed: None,
            fault: None,
        }
    }

    /// A call of a version with so many records is wanted: from now on its lane is busy.
    pub fn began(&mut self, version: FunctionVersion, records: u32, now: Timestamp) {
        self.pass(now);
        self.running.add(version, records, now);
        // One whose first call has not ended is told of as well.
        self.ever(version, now).last = now;
    }

    /// A call that had begun at that time is waited for no more: it ended, or was taken back.
    pub fn left(
        &mut self,
        version: FunctionVersion,
        records: u32,
        began: Timestamp,
        now: Timestamp,
    ) {
        self.pass(now);
        self.running.take(version, records, began);
    }

    /// How a call ended. One that was taken back says nothing.
    pub fn ended(&mut self, call: &EndedCall<'_>, now: Timestamp) {
        if call.outcome.kind() == OutcomeKind::Throttled {
            return;
        }
        self.pass(now);
        self.fault = None;
        let is_failure = call.outcome.is_failure();
        let piece = self.piece(now);
        piece.ended(call, is_failure, now);
        let ever = self.ever(call.version, now);
        ever.calls += 1;
        ever.failed += u64::from(is_failure);
        ever.last = now;
        if let Outcome::Timeout { .. } = call.outcome {
            self.was_cut(call, now);
        }
    }

    fn was_cut(&mut self, call: &EndedCall<'_>, now: Timestamp) {
        let ran_ms = call.taken_ns / 1_000_000;
        let began = Timestamp(now.0.saturating_sub(ran_ms));
        let follows = |cut: &Cut| began <= cut.at.plus_ms(STALL_GAP_MS);
        let since = self.cut.filter(follows).map_or(began, |cut| cut.since);
        self.cut = Some(Cut {
            version: call.version,
            since,
            at: now,
            ran_ms,
            records: call.records,
        });
    }

    /// A commit was accepted that adds this to the totals.
    pub fn settled(&mut self, adds: UnitTotals, now: Timestamp) {
        if adds == UnitTotals::default() {
            return;
        }
        if adds.processed + adds.filtered + adds.dead_lettered + adds.dropped > 0 {
            self.progressed = Some(now);
        }
        self.filtered = match (
            adds.processed + adds.dead_lettered + adds.dropped,
            adds.filtered,
        ) {
            (0, 0) => self.filtered,
            (0, more) => {
                let (since, records) = self.filtered.unwrap_or((now, 0));
                Some((since, records + more))
            }
            _ => None,
        };
        self.pass(now);
        let piece = self.piece(now);
        piece.adds = piece.adds + adds;
    }

    /// Commits were accepted that give up so many records for their age.
    pub fn aged(&mut self, records: u64, now: Timestamp) {
        if records > 0 {
            self.pass(now);
            self.piece(now).aged += records;
        }
    }

    /// The host could not make a call, for these reasons of its own.
    pub fn faulted(&mut self, words: &str, now: Timestamp) {
        let count = self.fault.as_ref().map_or(0, |(_, _, count)| *count);
        let since = self.fault.as_ref().map_or(now, |(since, _, _)| *since);
        self.fault = Some((since, words.into(), count + 1));
    }

    /// Whether the host has been at fault since the last call that ended.
    #[must_use]
    pub const fn is_faulted(&self) -> bool {
        self.fault.is_some()
    }

    /// Counts the calls under way up to `now`, as time in which their lanes were busy.
    fn pass(&mut self, now: Timestamp) {
        if self.running.calls() == 0 {
            self.touched = self.touched.max(now);
            return;
        }
        // What is older than the window is not told of.
        let oldest = now.0.saturating_sub(RECENT_PIECE_MS * RECENT_PIECES);
        self.touched = self.touched.max(Timestamp(oldest));
        while self.touched < now {
            let at = self.touched;
            let end = start_of(at).plus_ms(RECENT_PIECE_MS).min(now);
            let passed = end.since_ms(at);
            let busy = u64::from(self.running.calls()) * passed;
            self.piece(at).busy_ms += busy;
            let mut place = 0;
            while let Some((version, calls)) = self.running.version(place) {
                self.piece(at).busy(version, u64::from(calls) * passed);
                place += 1;
            }
            self.touched = end;
        }
    }

    /// The piece that `now` lies in. Those that have left the window go.
    fn piece(&mut self, now: Timestamp) -> &mut Piece {
        let start = start_of(now);
        if self.pieces.back().is_none_or(|last| last.start < start) {
            if let Some(last) = self.pieces.back() {
                for version in &mut self.versions {
                    if let Some(of) = last.of(version.version) {
                        version.sick.pass(of);
                    }
                }
            }
            let first = first_start(now);
            while self
                .pieces
                .front()
                .is_some_and(|oldest| oldest.start < first)
            {
                self.pieces.pop_front();
            }
            self.pieces.push_back(Piece::at(start));
        }
        self.pieces.back_mut().expect("one was just put there")
    }

    fn ever(&mut self, version: FunctionVersion, now: Timestamp) -> &mut Ever {
        let known = |all: &[Ever]| all.iter().position(|ever| ever.version == version);
        let at = match known(&self.versions) {
            Some(at) => at,
            None => {
                if self.versions.len() >= RECENT_VERSIONS_MAX {
                    let all = self.versions.iter().enumerate();
                    let oldest = all.min_by_key(|(_, ever)| ever.last);
                    if let Some((at, _)) = oldest {
                        self.versions.swap_remove(at);
                    }
                }
                self.versions.push(Ever {
                    version,
                    calls: 0,
                    failed: 0,
                    sick: Sick::default(),
                    last: now,
                });
                self.versions.len() - 1
            }
        };
        &mut self.versions[at]
    }
}

/// Where the piece of a moment begins.
const fn start_of(at: Timestamp) -> Timestamp {
    Timestamp(at.0 - at.0 % RECENT_PIECE_MS)
}

/// Where the oldest piece begins that is told of.
const fn first_start(now: Timestamp) -> Timestamp {
    let start = start_of(now).0;
    Timestamp(start.saturating_sub(RECENT_PIECE_MS * (RECENT_PIECES - 1)))
}

#[cfg(test)]
mod tests;
