//! A call hangs, and holds what is behind it.

use super::{
    Figures, Found, canary,
    failing::rollback,
    in_time, is_behind,
    slow::{is_new, is_short_of_lanes, those_that_fail},
    step,
    words::{age, count, took},
};
use crate::{
    id::FunctionVersion,
    limits::{STALL_GAP_MS, STALL_MS, STALL_TIMEOUT_MS_MIN, STALL_TIMES},
    recent::{RecentCut, RecentVersion, UnderWay},
    status::NextStep,
};

/// Calls that run for far longer than others do, and hold what is behind them.
#[derive(Clone, Copy, Debug)]
struct Stall {
    version: FunctionVersion,
    /// How many are under way; 0: the last one was cut for its time a moment ago, and the next is as likely to be.
    calls: u64,
    /// How long the longest has run, or ran, ms.
    ran_ms: u64,
    /// Its records.
    records: u32,
    /// Since when it has been so, ms ago.
    since_ago_ms: u64,
}

/// Whether a call of a version that has run for so long runs for far longer than those that are well: with many
/// records in hand it may take as long as they do one after the other.
fn is_long(figures: &Figures<'_>, version: FunctionVersion, ran_ms: u64, records: u32) -> bool {
    let of = figures.recent.of(version);
    let well_ns = of.and_then(|of| of.expected_ns(records)).unwrap_or(0);
    ran_ms >= STALL_MS && ran_ms.saturating_mul(1_000_000) >= well_ns.saturating_mul(STALL_TIMES)
}

fn stall(figures: &Figures<'_>) -> Option<Stall> {
    let recent = figures.recent;
    let is_cut_long = |cut: &RecentCut| is_long(figures, cut.version, cut.ran_ms, cut.records);
    let cut = recent
        .cut
        .filter(|cut| cut.ended_ago_ms <= STALL_GAP_MS && is_cut_long(cut));
    let is_stalled = |of: &&UnderWay| is_long(figures, of.version, of.ran_ms, of.records);
    let mut stalled = recent.under_way.iter().filter(is_stalled);
    // Where all wait for their turn none of them runs.
    let runs = recent.running > figures.waiting_calls;
    if let Some(oldest) = stalled.next().filter(|_| runs) {
        // It goes on where one was cut for its time just before.
        let known = recent.cut.filter(|cut| {
            let began_ms = oldest.ran_ms.saturating_add(STALL_GAP_MS);
            cut.ended_ago_ms <= began_ms && is_cut_long(cut)
        });
        let since_ago_ms = known.map_or(0, |cut| cut.since_ago_ms);
        let others: u64 = stalled.map(|of| u64::from(of.calls)).sum();
        return Some(Stall {
            version: oldest.version,
            calls: u64::from(oldest.calls) + others,
            ran_ms: oldest.ran_ms,
            records: oldest.records,
            since_ago_ms: since_ago_ms.max(oldest.ran_ms),
        });
    }
    cut.map(|cut| Stall {
        version: cut.version,
        calls: 0,
        ran_ms: cut.ran_ms,
        records: cut.records,
        since_ago_ms: cut.since_ago_ms,
    })
}

/// Whether the oldest record waits for a call that hangs: then it grows older, whatever else is settled.
pub(super) fn is_stalled(figures: &Figures<'_>) -> bool {
    is_behind(figures.status) && stall(figures).is_some()
}

/// Whose a call is, where it is not the live version's.
pub(super) fn whose(figures: &Figures<'_>, version: FunctionVersion) -> String {
    match version == FunctionVersion(figures.status.version) {
        true => String::new(),
        false => format!(" of {}", canary::named(figures, version)),
    }
}

/// Calls that hang beside those that are told of, as a message goes on with them.
pub(super) fn also_hang(figures: &Figures<'_>) -> String {
    let stall = stall(figures).filter(|stall| stall.calls > 0);
    stall.map_or_else(String::new, |stall| format!("; {}", hangs(figures, &stall)))
}

/// A call that hangs, told of.
fn hangs(figures: &Figures<'_>, stall: &Stall) -> String {
    let is_live = stall.version == FunctionVersion(figures.status.version);
    let whose = whose(figures, stall.version);
    let may = match is_live && stall.calls > 0 {
        true => format!(" (it may take {})", age(figures.timeout_ms)),
        false => String::new(),
    };
    let ran = age(stall.ran_ms);
    match stall.calls {
        0 => {
            // What is not known to take less may have had too many records.
            let of = figures.recent.of(stall.version);
            let why = match of.and_then(|of| of.well_mean_ns()) {
                Some(_) => "as it hung".to_owned(),
                None => format!("with {} in hand", count(stall.records.into(), "record")),
            };
            format!("a call{whose} was cut after {ran}, {why}")
        }
        1 => format!("a call{whose} has run for {ran}{may}"),
        calls => format!("{calls} calls have run for long, one{whose} for {ran}{may}"),
    }
}

/// A call hangs, and the oldest record waits for it: more lanes would not help that.
pub(super) fn stalled(figures: &Figures<'_>) -> Option<Found> {
    let stall = stall(figures).filter(|_| is_behind(figures.status))?;
    // Of many lanes that are all busy it is not the few that hang that make it slow.
    if is_short_of_lanes(figures) && stall.calls.max(1) * 2 < figures.lanes() {
        return None;
    }
    let function = &figures.status.function;
    let of = figures.recent.of(stall.version);
    let mut message = format!("{}, and what is behind it waits", hangs(figures, &stall));
    if let Some(of) = of {
        if let Some(well_ns) = of.well_mean_ns() {
            message.push_str(&format!("; calls that are well take {}", took(well_ns)));
        }
        if of.failed > 0 {
            message.push_str(&format!("; {}", those_that_fail(figures)));
        }
    }
    let mut actions = Vec::new();
    let of_canary = figures.status.canary.as_ref();
    let is_canary = of_canary.is_some_and(|canary| canary.version == stall.version.0);
    if is_canary {
        actions.push(canary::rollback(figures));
    } else if let Some(before) = is_new(figures).then_some(figures.before).flatten() {
        actions.push(rollback(figures, before));
    }
    actions.push(step(
        format!("fnctl logs {function} --since {}", since_minutes(&stall)),
        "what the call wrote, and which record it has in hand",
    ));
    // A time limit is a new version's, made of the live one: no help for a canary.
    if !is_canary {
        let well = of.filter(|of| of.calls > of.failed);
        match well.and_then(|well| shorter_timeout(figures, well)) {
            Some(shorter) => actions.push(shorter),
            None => actions.extend(in_time::in_time(figures)),
        }
    }
    Some(Found {
        since: Some(figures.ago(stall.since_ago_ms)),
        message,
        actions,
    })
}

/// As far back as a call that hangs goes, in whole minutes as `fnctl logs` takes them.
fn since_minutes(stall: &Stall) -> String {
    let minutes = stall.since_ago_ms.div_ceil(60_000) + 1;
    format!("{}m", minutes.max(5))
}

/// A time limit that those that are well keep to easily, where it is far below the present one.
fn shorter_timeout(figures: &Figures<'_>, well: &RecentVersion) -> Option<NextStep> {
    let longest_ms = well.well_longest_ns.div_ceil(1_000_000);
    // A batch that is full takes longer than those that were not.
    let full = figures.status.settings.batch_size;
    let full_ms = well.expected_ns(full)?.div_ceil(1_000_000);
    let seconds = longest_ms.max(full_ms).saturating_mul(2).div_ceil(1_000);
    let shorter_ms = (seconds * 1_000).max(STALL_TIMEOUT_MS_MIN);
    let is_far = shorter_ms.saturating_mul(2) <= figures.timeout_ms;
    is_far.then(|| {
        step(
            format!(
                "fnctl deploy --name {} --timeout {}s",
                figures.status.function,
                shorter_ms / 1_000
            ),
            format!(
                "one that hangs is cut sooner: none that was well took more than {}{}",
                age(longest_ms),
                canary::ended_by_deploy(figures),
            ),
        )
    })
}
