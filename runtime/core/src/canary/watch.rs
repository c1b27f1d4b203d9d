//! The calls of a canary and of the live version beside it over a sliding window, and whether a guard is
//! passed. Kept in memory: after a restart it counts anew.

use std::collections::VecDeque;

use super::{Canary, Guard, GuardReason, Permille, Tripped};
use crate::{
    id::{FunctionVersion, Timestamp},
    limits,
    spec::duration::Duration,
};

/// Calls of one version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VersionCalls {
    /// That ended, whatever way, and were not taken back.
    pub calls: u64,
    /// That failed ([`crate::outcome::Outcome::is_failure`]).
    pub failures: u64,
}

impl VersionCalls {
    const fn add(&mut self, failed: bool) {
        self.calls += 1;
        if failed {
            self.failures += 1;
        }
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            failures: self.failures + other.failures,
        }
    }

    /// Whether more than this share of the calls failed.
    const fn is_above(self, bound: Permille) -> bool {
        self.failures * Permille::WHOLE as u64 > self.calls * bound.get() as u64
    }

    /// Whether a larger share failed than of the other's.
    const fn is_worse_than(self, other: Self) -> bool {
        self.failures as u128 * other.calls as u128 > other.failures as u128 * self.calls as u128
    }

    /// The failed share in words, with as many decimals as it takes to be seen above a bound that it is
    /// above: `5.1` for 5 of 99 and a bound of 5%.
    fn percent_above(self, bound: Permille) -> String {
        let calls = u128::from(self.calls.max(1));
        let hundredfold = u128::from(self.failures) * 100;
        let mut scale = 1;
        for decimals in 0..DECIMALS_MAX {
            let rounded = (hundredfold * scale + calls / 2) / calls;
            if rounded * 10 > u128::from(bound.get()) * scale {
                return decimal(rounded, scale, decimals);
            }
            scale *= 10;
        }
        decimal((hundredfold * scale).div_ceil(calls), scale, DECIMALS_MAX)
    }

    /// The failed share in whole per cent, rounded; 0 without a call.
    #[must_use]
    pub const fn failed_percent(self) -> u64 {
        match self.calls {
            0 => 0,
            calls => (self.failures * 100 + calls / 2) / calls,
        }
    }
}

/// Decimals of a share that is just above its bound, at most.
const DECIMALS_MAX: usize = 3;

fn decimal(scaled: u128, scale: u128, decimals: usize) -> String {
    let (whole, rest) = (scaled / scale, scaled % scale);
    match decimals {
        0 => whole.to_string(),
        _ => format!("{whole}.{rest:0decimals$}"),
    }
}

/// Calls of both versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CanaryCounts {
    /// The canary's.
    pub canary: VersionCalls,
    /// The live version's, since the canary is watched.
    pub live: VersionCalls,
}

impl CanaryCounts {
    const fn add(&mut self, is_canary: bool, failed: bool) {
        match is_canary {
            true => self.canary.add(failed),
            false => self.live.add(failed),
        }
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            canary: self.canary.plus(other.canary),
            live: self.live.plus(other.live),
        }
    }
}

/// Watches one canary.
#[derive(Clone, Debug)]
pub struct CanaryWatch {
    version: FunctionVersion,
    /// Since it is watched.
    totals: CanaryCounts,
    /// The window, cut in pieces: when each begins, and its calls. Ascending.
    pieces: VecDeque<(Timestamp, CanaryCounts)>,
    has_tripped: bool,
}

impl CanaryWatch {
    /// Nothing has happened yet.
    #[must_use]
    pub const fn new(version: FunctionVersion) -> Self {
        Self {
            version,
            totals: CanaryCounts {
                canary: VersionCalls {
                    calls: 0,
                    failures: 0,
                },
                live: VersionCalls {
                    calls: 0,
                    failures: 0,
                },
            },
            pieces: VecDeque::new(),
            has_tripped: false,
        }
    }

    /// The version that it watches.
    #[must_use]
    pub const fn version(&self) -> FunctionVersion {
        self.version
    }

    /// All calls since it is watched.
    #[must_use]
    pub const fn totals(&self) -> CanaryCounts {
        self.totals
    }

    /// The calls of the window.
    #[must_use]
    pub fn recent(&self) -> CanaryCounts {
        let none = CanaryCounts::default();
        let pieces = self.pieces.iter();
        pieces.fold(none, |all, (_, counts)| all.plus(*counts))
    }

    /// Pieces of the window that are kept.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// A call of some version ended. A guard that is passed is told once.
    pub fn ended(
        &mut self,
        version: FunctionVersion,
        failed: bool,
        guard: &Guard,
        now: Timestamp,
    ) -> Option<Tripped> {
        let is_canary = version == self.version;
        self.totals.add(is_canary, failed);
        self.piece(now).add(is_canary, failed);
        if !is_canary || !failed || self.has_tripped {
            return None;
        }
        let tripped = errors_tripped(self.recent(), guard.errors?);
        self.has_tripped = tripped.is_some();
        tripped
    }

    /// The piece of the window that `now` lies in; those that have left the window go as it moves on. A clock
    /// that goes back leaves all in the last piece until it has come up again.
    fn piece(&mut self, now: Timestamp) -> &mut CanaryCounts {
        let is_over = |at: Timestamp| now.since_ms(at) >= limits::CANARY_WINDOW_PIECE_MS;
        if self.pieces.back().is_none_or(|(at, _)| is_over(*at)) {
            let mut calls = self.recent().canary.calls;
            let mut leaves = |(at, counts): &mut (Timestamp, CanaryCounts)| {
                let age = now.since_ms(*at);
                // A canary whose circuit is open makes a call each half minute: they are to be enough one day.
                let rest = calls - counts.canary.calls;
                let is_spare =
                    rest >= limits::CANARY_CALLS_MIN || age > limits::CANARY_WINDOW_MS_MAX;
                let leaves = age > limits::CANARY_WINDOW_MS && is_spare;
                if leaves {
                    calls = rest;
                }
                leaves
            };
            while self.pieces.pop_front_if(&mut leaves).is_some() {}
            self.pieces.push_back((now, CanaryCounts::default()));
        }
        let last = self.pieces.back_mut().expect("one was just put there");
        &mut last.1
    }
}

/// Whether the canary fails too much: above the bound, and more than the live version does on the same
/// stream at the same time. What is sick behind both is not the canary's fault.
pub(super) fn errors_tripped(recent: CanaryCounts, bound: Permille) -> Option<Tripped> {
    let CanaryCounts { canary, live } = recent;
    let is_known = canary.calls >= limits::CANARY_CALLS_MIN;
    let live_is_known = live.calls >= limits::CANARY_CALLS_MIN;
    let is_worse = !live_is_known || canary.is_worse_than(live);
    if !is_known || !canary.is_above(bound) || !is_worse {
        return None;
    }
    let mut words = format!(
        "{}% of {} calls failed (bound {bound}",
        canary.percent_above(bound),
        canary.calls
    );
    if live.calls > 0 {
        let (percent, calls) = (live.failed_percent(), live.calls);
        words.push_str(&format!("; of the live version's {calls}, {percent}%"));
    }
    words.push(')');
    let reason = GuardReason::Errors;
    Some(Tripped { reason, words })
}

impl Canary {
    /// How long a record counts as waiting under this canary, ms: one that came before it waits from its
    /// beginning.
    #[must_use]
    pub const fn waits_ms(&self, age_ms: u64, now: Timestamp) -> u64 {
        let runs = now.since_ms(self.since);
        if age_ms < runs { age_ms } else { runs }
    }

    /// Whether a mapping's iterator age passes the guard; else when it may at the earliest, ms from `now`;
    /// `Ok(None)`: never, the guard does not ask.
    ///
    /// # Errors
    /// What was found: the mapping, its age and the bound.
    pub fn judge_age(
        &self,
        mapping: &str,
        age_ms: u64,
        now: Timestamp,
    ) -> Result<Option<u64>, Tripped> {
        let Some(bound) = self.guard.age_ms else {
            return Ok(None);
        };
        let waits = self.waits_ms(age_ms, now);
        if waits <= bound {
            return Ok(Some(bound - waits + 1));
        }
        let spelt = |ms: u64| Duration::from_ms(ms - ms % 1_000);
        let (age, bound) = (spelt(waits), Duration::from_ms(bound));
        let words = format!("the oldest record of `{mapping}` waits for {age} (bound {bound})");
        let reason = GuardReason::Age;
        Err(Tripped { reason, words })
    }
}
