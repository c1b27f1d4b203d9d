//! A few seconds of calls.

use std::sync::Arc;

use super::{EndedCall, durations::Durations};
use crate::{
    commit::UnitTotals,
    id::{FunctionVersion, Timestamp},
    limits::{RECENT_CAUSES_MAX, RECENT_VERSIONS_MAX},
    outcome::{FailureKind, ItemFailure, Outcome},
};

/// Which failures of a call have its records called again in parts, at nobody's cost: then it is the parts that
/// tell of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutting {
    /// One that fails as a whole is cut (`bisect_on_error`).
    pub bisects: bool,
    /// A record that fails by name is charged alone (`partial_failures`); else its call failed as a whole.
    pub by_name: bool,
}

/// What a version did in one piece.
#[derive(Clone, Debug)]
pub(super) struct OfVersion {
    pub(super) version: FunctionVersion,
    pub(super) calls: u64,
    pub(super) failed: u64,
    /// Time that its calls ran, ns.
    pub(super) run_ns: u64,
    /// Time that those of them ran that did not fail, ns.
    pub(super) well_ns: u64,
    /// The longest of those, ns.
    pub(super) well_longest_ns: u64,
    /// Records of those.
    pub(super) well_records: u64,
    /// Least records of a call that was cut for its time.
    pub(super) cut_least: Option<u32>,
    /// Time in which lanes had a call of it, ms, summed over lanes.
    pub(super) busy_ms: u64,
    /// Records of calls in which none was tried before, as far as these calls decided of them.
    pub(super) tried: u64,
    /// Those of them that failed and were not skipped; all of a call that failed as a whole and is cut no further.
    pub(super) tried_failed: u64,
    /// Records of calls that failed as a whole and are called again in parts: nothing is known of them yet.
    pub(super) tried_cut: u64,
    /// Failures of them: each record that failed by name, each call that failed as a whole.
    pub(super) evidence: u64,
    /// Those of them that the function skipped.
    pub(super) tried_skipped: u64,
    /// What it skipped last for.
    pub(super) skip_code: Option<Arc<str>>,
    /// When its first call of the piece failed.
    pub(super) first_failed: Option<Timestamp>,
    /// When it first skipped a record.
    pub(super) first_skipped: Option<Timestamp>,
    /// Calls by what their first failure was: the author's code, else the kind.
    pub(super) causes: Vec<(Arc<str>, u64)>,
}

impl OfVersion {
    fn failed_by(&mut self, code: Arc<str>) {
        let known = self.causes.iter().position(|(known, _)| *known == code);
        match known {
            Some(at) => self.causes[at].1 += 1,
            // Of very many codes the first are told apart.
            None if self.causes.len() < RECENT_CAUSES_MAX => self.causes.push((code, 1)),
            None => {}
        }
    }
}

/// A few seconds.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) start: Timestamp,
    pub(super) durations: Durations,
    pub(super) memory_bytes: u64,
    /// Time in which lanes had a call, ms, summed over lanes.
    pub(super) busy_ms: u64,
    /// Time that calls which ended ran, ns.
    pub(super) run_ns: u64,
    /// Time that they waited for their turn before it, ns.
    pub(super) wait_ns: u64,
    /// Calls that waited longer than they ran.
    pub(super) waited: u64,
    pub(super) adds: UnitTotals,
    /// Records of those that were given up for their age.
    pub(super) aged: u64,
    pub(super) versions: Vec<OfVersion>,
}

impl Piece {
    pub(super) fn at(start: Timestamp) -> Self {
        Self {
            start,
            durations: Durations::default(),
            memory_bytes: 0,
            busy_ms: 0,
            run_ns: 0,
            wait_ns: 0,
            waited: 0,
            adds: UnitTotals::default(),
            aged: 0,
            versions: Vec::new(),
        }
    }

    /// Lanes had calls of a version for so long, ms.
    pub(super) fn busy(&mut self, version: FunctionVersion, ms: u64) {
        if let Some(of) = self.of_mut(version) {
            of.busy_ms += ms;
        }
    }

    pub(super) fn of(&self, version: FunctionVersion) -> Option<&OfVersion> {
        self.versions.iter().find(|of| of.version == version)
    }

    pub(super) fn ended(&mut self, call: &EndedCall<'_>, is_failure: bool, now: Timestamp) {
        let run = call.stats.duration_ns;
        let waited = call.taken_ns.saturating_sub(run);
        self.durations.add(run);
        self.memory_bytes = self.memory_bytes.max(call.stats.memory_bytes);
        self.run_ns += run;
        self.wait_ns += waited;
        self.waited += u64::from(waited > run);
        let Some(of) = self.of_mut(call.version) else {
            return;
        };
        of.calls += 1;
        of.failed += u64::from(is_failure);
        of.run_ns += run;
        if !is_failure {
            of.well_ns += run;
            of.well_longest_ns = of.well_longest_ns.max(run);
            of.well_records += u64::from(call.records);
        }
        if let Outcome::Timeout { .. } = call.outcome {
            let least = of.cut_least.unwrap_or(call.records);
            of.cut_least = Some(least.min(call.records));
        }
        if call.is_first {
            let First {
                tried,
                failed,
                cut,
                evidence,
            } = First::of(call);
            of.tried += tried;
            of.tried_failed += failed;
            of.tried_cut += cut;
            of.evidence += evidence;
            let (skipped, code) = match cut {
                0 => skips_of(call.outcome, call.records),
                _ => (0, None),
            };
            if skipped > 0 {
                of.first_skipped.get_or_insert(now);
            }
            of.tried_skipped += skipped;
            of.skip_code = code.or_else(|| of.skip_code.take());
        }
        if is_failure {
            of.first_failed.get_or_insert(now);
            if let Some(code) = code_of(call.outcome) {
                of.failed_by(code);
            }
        }
    }

    /// `None`: so many versions were called within seconds that one more is not told apart.
    fn of_mut(&mut self, version: FunctionVersion) -> Option<&mut OfVersion> {
        let known = self.versions.iter().position(|of| of.version == version);
        if let Some(at) = known {
            return self.versions.get_mut(at);
        }
        if self.versions.len() >= RECENT_VERSIONS_MAX {
            return None;
        }
        self.versions.push(OfVersion {
            version,
            calls: 0,
            failed: 0,
            run_ns: 0,
            well_ns: 0,
            well_longest_ns: 0,
            well_records: 0,
            cut_least: None,
            busy_ms: 0,
            tried: 0,
            tried_failed: 0,
            tried_cut: 0,
            evidence: 0,
            tried_skipped: 0,
            skip_code: None,
            first_failed: None,
            first_skipped: None,
            causes: Vec::new(),
        });
        self.versions.last_mut()
    }
}

/// What a call of records that were not tried before says of them.
#[derive(Clone, Copy, Debug, Default)]
struct First {
    /// Those that it decides of.
    tried: u64,
    /// Those that failed and were not skipped.
    failed: u64,
    /// Those that are called again in parts: which of them fail, those tell.
    cut: u64,
    /// What that proves: one that fails as a whole and names nobody fails all its records, and is one proof.
    evidence: u64,
}

impl First {
    fn of(call: &EndedCall<'_>) -> Self {
        let records = u64::from(call.records);
        let Cutting { bisects, by_name } = call.cutting;
        let is_one = call.records <= 1;
        let cut = Self {
            cut: records,
            ..Self::default()
        };
        let decided = |tried: u64, failed: u64, evidence: u64| Self {
            tried,
            failed,
            evidence,
            ..Self::default()
        };
        match call.outcome {
            Outcome::Returned { failures, .. } => {
                let is_bad = |item: &&ItemFailure| item.failure.kind != FailureKind::Skip;
                let failed = failures.iter().filter(is_bad).count() as u64;
                match is_one || by_name || failures.is_empty() {
                    true => decided(records, failed, failed),
                    // As a whole, and skips are always cut.
                    false if bisects || failed == 0 => cut,
                    false => decided(records, records, failed),
                }
            }
            // Those in front of it are called again, and nothing is known of those behind it.
            Outcome::Trap {
                record: Some(_), ..
            } => decided(1, 1, 1),
            Outcome::Error(failure) if failure.kind == FailureKind::Skip => match is_one {
                true => decided(records, 0, 0),
                // No record is given up for its neighbours.
                false => cut,
            },
            Outcome::OutputTooLarge { .. } if !is_one => cut,
            Outcome::Error(_)
            | Outcome::Trap { record: None, .. }
            | Outcome::Timeout { .. }
            | Outcome::OutOfMemory { .. }
            | Outcome::OutputTooLarge { .. } => match bisects && !is_one {
                true => cut,
                false => decided(records, records, 1),
            },
            Outcome::Interrupted => Self::default(),
        }
    }
}

/// Records that the function skips, and with which code.
fn skips_of(outcome: &Outcome, records: u32) -> (u64, Option<Arc<str>>) {
    match outcome {
        Outcome::Returned { failures, .. } => {
            let is_skip = |item: &&ItemFailure| item.failure.kind == FailureKind::Skip;
            let mut skips = failures.iter().filter(is_skip);
            let first = skips.next().map(|item| Arc::clone(&item.failure.code));
            (u64::from(first.is_some()) + skips.count() as u64, first)
        }
        Outcome::Error(failure) if failure.kind == FailureKind::Skip => {
            (records.into(), Some(Arc::clone(&failure.code)))
        }
        _ => (0, None),
    }
}

/// What a failed call is told by: its first failure that is no skip.
fn code_of(outcome: &Outcome) -> Option<Arc<str>> {
    let index = match outcome {
        Outcome::Returned { failures, .. } => {
            let mut failures = failures.iter();
            let first = failures.find(|item| item.failure.kind != FailureKind::Skip)?;
            first.index
        }
        Outcome::Trap { record, .. } => record.unwrap_or(0),
        _ => 0,
    };
    Some(outcome.cause_of(index)?.code)
}
