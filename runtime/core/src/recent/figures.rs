//! What the last minutes come to.

use std::sync::Arc;

use super::{RecentCalls, durations::Durations, first_start, piece::Piece};
use crate::{
    commit::UnitTotals,
    id::{FunctionVersion, Timestamp},
    limits::RECENT_PIECE_MS,
};

/// The last minutes of a mapping, summed. What is told as "ago" is in ms before the moment it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecentFigures {
    /// How much time is summed, ms: since the server started, where that is less.
    pub over_ms: u64,
    /// What became of records, and rows.
    pub adds: UnitTotals,
    /// Records of those that were given up for their age; `None`: none was.
    pub aged: Option<RecentAged>,
    /// Half of the calls took at most so long, ns; `None`: there was none.
    pub p50_ns: Option<u64>,
    /// All but one of a hundred took at most so long, ns.
    pub p99_ns: Option<u64>,
    /// Most memory that an instance had, bytes.
    pub memory_bytes: u64,
    /// Time that calls which ended ran, ms.
    pub run_ms: u64,
    /// Time that they waited before it for their turn, ms.
    pub wait_ms: u64,
    /// Calls that waited longer than they ran.
    pub waited_calls: u64,
    /// Lanes that had a call, on average over [`Self::busy_over_ms`], in thousandths of a lane.
    pub busy_permille: u64,
    /// The time that is an average of, ms.
    pub busy_over_ms: u64,
    /// Calls under way.
    pub running: u32,
    /// The same by when they began, the oldest first.
    pub under_way: Vec<UnderWay>,
    /// What was cut for its time last.
    pub cut: Option<RecentCut>,
    /// What a filter let fall since it let something through.
    pub filtered_run: Option<FilteredRun>,
    /// What was called, the version with most calls first.
    pub versions: Vec<RecentVersion>,
    /// When records were last settled, ms ago; `None`: not since the server started.
    pub progressed_ago_ms: Option<u64>,
    /// What the host is at fault for since the last call that ended.
    pub fault: Option<RecentFault>,
}

/// The calls of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentVersion {
    /// The version.
    pub version: FunctionVersion,
    /// Calls that ended.
    pub calls: u64,
    /// Those that failed ([`crate::outcome::Outcome::is_failure`]).
    pub failed: u64,
    /// Time that they ran, ns.
    pub run_ns: u64,
    /// Time that those ran that did not fail, ns.
    pub well_ns: u64,
    /// The longest of those, ns.
    pub well_longest_ns: u64,
    /// Records of those.
    pub well_records: u64,
    /// Least records of a call that was cut for its time; `None`: none was.
    pub cut_least: Option<u32>,
    /// Lanes that had a call of it, as [`RecentFigures::busy_permille`].
    pub busy_permille: u64,
    /// Records that it was given for the first time, and that a call decided of.
    pub tried: u64,
    /// Those of them that failed, and were not skipped.
    pub tried_failed: u64,
    /// Records of first tries that failed as a whole and are called again in parts, which tell of them.
    pub tried_cut: u64,
    /// Failures of them: each record that failed by name, each call that failed as a whole.
    pub evidence: u64,
    /// Records that it was given for the first time and skipped.
    pub tried_skipped: u64,
    /// What it skipped last for.
    pub skip_code: Option<Arc<str>>,
    /// What most failed calls failed with.
    pub cause: Option<TopCause>,
    /// Since when most of what it is given fails, ms ago.
    pub sick_ago_ms: Option<u64>,
    /// Since when more of it fails than of a version that is well, ms ago.
    pub failing_ago_ms: Option<u64>,
    /// When the first call failed that is told of here, ms ago.
    pub first_failed_ago_ms: Option<u64>,
    /// Since when it skips most of what it is given, ms ago.
    pub skipping_ago_ms: Option<u64>,
    /// Calls since the server started.
    pub calls_ever: u64,
    /// Those of them that failed.
    pub failed_ever: u64,
}

/// What most failed calls failed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopCause {
    /// The author's code, else the kind.
    pub code: Arc<str>,
    /// Calls.
    pub calls: u64,
}

/// Calls under way that began at one moment, with as many records each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// What is called.
    pub version: FunctionVersion,
    /// For how long they have been wanted, ms.
    pub ran_ms: u64,
    /// Records of each.
    pub records: u32,
    /// How many.
    pub calls: u32,
}

/// Calls that were cut for their time, one upon the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentCut {
    /// The version of the last one.
    pub version: FunctionVersion,
    /// When the first of them began, ms ago.
    pub since_ago_ms: u64,
    /// When the last of them ended, ms ago.
    pub ended_ago_ms: u64,
    /// For how long that one was wanted, ms.
    pub ran_ms: u64,
    /// Its records.
    pub records: u32,
}

/// Records that were given up for their age, as closely as pieces tell when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentAged {
    /// How many.
    pub records: u64,
    /// Since when, ms ago.
    pub since_ago_ms: u64,
    /// Until when, ms ago.
    pub ended_ago_ms: u64,
}

/// Records that a filter let fall since it let one through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilteredRun {
    /// Since when, ms ago.
    pub since_ago_ms: u64,
    /// How many.
    pub records: u64,
}

/// What the host is at fault for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentFault {
    /// Since when, ms ago.
    pub ago_ms: u64,
    /// What happened last.
    pub words: Arc<str>,
    /// How often something did.
    pub count: u64,
}

impl RecentVersion {
    /// How long a call takes on average, ns; `None`: none ended.
    #[must_use]
    pub const fn mean_ns(&self) -> Option<u64> {
        self.run_ns.checked_div(self.calls)
    }

    /// The same of calls that did not fail.
    #[must_use]
    pub const fn well_mean_ns(&self) -> Option<u64> {
        self.well_ns.checked_div(self.calls - self.failed)
    }

    /// How long a record takes on average, by calls that did not fail, ns; `None`: none ended.
    #[must_use]
    pub const fn record_ns(&self) -> Option<u64> {
        self.well_ns.checked_div(self.well_records)
    }

    /// How long a call of so many records is to be expected to take, by those that did not fail, ns: as long as
    /// they do, or as its records do one after the other. `None`: none ended.
    #[must_use]
    pub fn expected_ns(&self, records: u32) -> Option<u64> {
        let mean = self.well_mean_ns()?;
        let each = self.record_ns().unwrap_or(0);
        Some(mean.max(each.saturating_mul(records.into())))
    }
}

impl RecentFigures {
    /// Those of one version.
    #[must_use]
    pub fn of(&self, version: FunctionVersion) -> Option<&RecentVersion> {
        self.versions.iter().find(|of| of.version == version)
    }

    /// Calls of all versions.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.versions.iter().map(|of| of.calls).sum()
    }

    /// Those of them that failed.
    #[must_use]
    pub fn failed_calls(&self) -> u64 {
        self.versions.iter().map(|of| of.failed).sum()
    }

    /// Records that were settled and not given up for their age: what the function's lanes are enough for.
    #[must_use]
    pub const fn kept_up(&self) -> u64 {
        let aged = match self.aged {
            Some(aged) => aged.records,
            None => 0,
        };
        self.settled().saturating_sub(aged)
    }

    /// Records that were settled, whatever way.
    #[must_use]
    pub const fn settled(&self) -> u64 {
        let adds = &self.adds;
        adds.processed + adds.filtered + adds.dead_lettered + adds.dropped
    }
}

impl RecentCalls {
    /// Sums the last minutes up. How busy lanes are is asked of the last `busy_over_ms` of them.
    #[must_use]
    pub fn figures(&self, busy_over_ms: u64, now: Timestamp) -> RecentFigures {
        let mut recent = self.clone();
        recent.pass(now);
        recent.summed(busy_over_ms, now)
    }

    fn summed(&self, busy_over_ms: u64, now: Timestamp) -> RecentFigures {
        let first = first_start(now);
        let over_ms = now.since_ms(first.max(self.began));
        // Before it began no lane was looked at: that is not time without a call.
        let known_ms = over_ms.max(RECENT_PIECE_MS);
        let busy_over_ms = busy_over_ms.clamp(1, known_ms);
        let busy_from = Timestamp(now.0.saturating_sub(busy_over_ms));
        let mut sum = RecentFigures {
            over_ms,
            busy_over_ms,
            running: self.running.calls(),
            under_way: self
                .running
                .oldest_first()
                .map(|(began, version, records, calls)| UnderWay {
                    version,
                    ran_ms: now.since_ms(began),
                    records,
                    calls,
                })
                .collect(),
            cut: self.cut.map(|cut| RecentCut {
                version: cut.version,
                since_ago_ms: now.since_ms(cut.since),
                ended_ago_ms: now.since_ms(cut.at),
                ran_ms: cut.ran_ms,
                records: cut.records,
            }),
            filtered_run: self.filtered.map(|(since, records)| FilteredRun {
                since_ago_ms: now.since_ms(since),
                records,
            }),
            progressed_ago_ms: self.progressed.map(|at| now.since_ms(at)),
            fault: self
                .fault
                .as_ref()
                .map(|(since, words, count)| RecentFault {
                    ago_ms: now.since_ms(*since),
                    words: Arc::clone(words),
                    count: *count,
                }),
            ..RecentFigures::default()
        };
        let (mut durations, mut run_ns, mut wait_ns) = (Durations::default(), 0, 0);
        let mut busy = 0;
        for piece in self.pieces.iter().filter(|piece| piece.start >= first) {
            sum.adds = sum.adds + piece.adds;
            if piece.aged > 0 {
                let since_ago_ms = now.since_ms(piece.start.max(self.began));
                let before = sum
                    .aged
                    .map_or((0, since_ago_ms), |aged| (aged.records, aged.since_ago_ms));
                sum.aged = Some(RecentAged {
                    records: before.0 + piece.aged,
                    since_ago_ms: before.1,
                    ended_ago_ms: now.since_ms(piece.start.plus_ms(RECENT_PIECE_MS)),
                });
            }
            durations.merge(&piece.durations);
            sum.memory_bytes = sum.memory_bytes.max(piece.memory_bytes);
            sum.waited_calls += piece.waited;
            run_ns += piece.run_ns;
            wait_ns += piece.wait_ns;
            busy += asked_of(piece, piece.busy_ms, busy_from, now);
        }
        sum.run_ms = run_ns / 1_000_000;
        sum.wait_ms = wait_ns / 1_000_000;
        sum.busy_permille = busy * 1_000 / busy_over_ms;
        sum.p50_ns = durations.percentile(50);
        sum.p99_ns = durations.percentile(99);
        sum.versions = self.versions_since(first, now);
        for told in &mut sum.versions {
            let busy = self.pieces.iter().filter(|piece| piece.start >= first);
            let busy = busy.filter_map(|piece| Some((piece, piece.of(told.version)?.busy_ms)));
            let busy: u64 = busy
                .map(|(piece, ms)| asked_of(piece, ms, busy_from, now))
                .sum();
            told.busy_permille = busy * 1_000 / busy_over_ms;
        }
        sum
    }

    fn versions_since(&self, first: Timestamp, now: Timestamp) -> Vec<RecentVersion> {
        let pieces = || self.pieces.iter().filter(|piece| piece.start >= first);
        let versions = self.versions.iter().map(|ever| {
            let mut told = RecentVersion {
                version: ever.version,
                calls: 0,
                failed: 0,
                run_ns: 0,
                well_ns: 0,
                well_longest_ns: 0,
                well_records: 0,
                cut_least: None,
                busy_permille: 0,
                tried: 0,
                tried_failed: 0,
                tried_cut: 0,
                evidence: 0,
                tried_skipped: 0,
                skip_code: None,
                cause: None,
                sick_ago_ms: None,
                failing_ago_ms: None,
                first_failed_ago_ms: None,
                skipping_ago_ms: None,
                calls_ever: ever.calls,
                failed_ever: ever.failed,
            };
            let mut causes: Vec<(Arc<str>, u64)> = Vec::new();
            for of in pieces().filter_map(|piece| piece.of(ever.version)) {
                told.calls += of.calls;
                told.failed += of.failed;
                told.run_ns += of.run_ns;
                told.well_ns += of.well_ns;
                told.well_longest_ns = told.well_longest_ns.max(of.well_longest_ns);
                told.well_records += of.well_records;
                told.cut_least = match (told.cut_least, of.cut_least) {
                    (Some(least), Some(other)) => Some(least.min(other)),
                    (least, other) => least.or(other),
                };
                told.tried += of.tried;
                told.tried_failed += of.tried_failed;
                told.tried_cut += of.tried_cut;
                told.evidence += of.evidence;
                let first_failed = of.first_failed.map(|at| now.since_ms(at));
                told.first_failed_ago_ms = told.first_failed_ago_ms.or(first_failed);
                told.tried_skipped += of.tried_skipped;
                told.skip_code = of.skip_code.clone().or(told.skip_code);
                for (code, count) in &of.causes {
                    match causes.iter_mut().find(|(known, _)| known == code) {
                        Some((_, sum)) => *sum += count,
                        None => causes.push((Arc::clone(code), *count)),
                    }
                }
            }
            let most = causes.into_iter().max_by_key(|(_, count)| *count);
            told.cause = most.map(|(code, calls)| TopCause { code, calls });
            // The present piece is not part of what whole pieces told.
            let mut sick = ever.sick;
            if let Some(of) = self.pieces.back().and_then(|piece| piece.of(ever.version)) {
                sick.pass(of);
            }
            let ago = |since: Option<Timestamp>| since.map(|since| now.since_ms(since));
            told.sick_ago_ms = ago(sick.mostly);
            told.failing_ago_ms = ago(sick.partly);
            told.skipping_ago_ms = ago(sick.skips);
            told
        });
        let mut versions: Vec<RecentVersion> = versions.collect();
        versions.sort_by_key(|of| std::cmp::Reverse((of.calls, of.version)));
        versions
    }
}

/// Of what a piece counts all over its time, what lies behind a moment, as if all of it had been alike.
fn asked_of(piece: &Piece, ms: u64, from: Timestamp, now: Timestamp) -> u64 {
    let end = piece.start.plus_ms(RECENT_PIECE_MS).min(now);
    let length = end.since_ms(piece.start).max(1);
    let asked = end.since_ms(from.max(piece.start));
    ms * asked.min(length) / length
}
