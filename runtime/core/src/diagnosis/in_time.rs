//! What lets calls end in time.

use super::{
    Figures, Found, canary, is_behind,
    slow::is_soon_caught_up,
    stalls, step,
    words::{age, count, took},
};
use crate::{
    id::FunctionVersion,
    limits::{STALL_GAP_MS, TIMEOUT_MS_MAX},
    recent::{RecentCut, RecentVersion},
    status::NextStep,
};

/// How many records a call of a version gets through in so much time, with a fifth of it to spare; `None`: none
/// ended by which to know.
fn fitting(of: &RecentVersion, limit_ms: u64) -> Option<u64> {
    let each_ns = of.record_ns()?.max(1);
    let fits = limit_ms.saturating_mul(800_000) / each_ns;
    // Where calls of no more were cut, too, some records take longer than others.
    let least = of.cut_least.map(u64::from);
    let least = least.filter(|least| (2..=fits).contains(least));
    Some(least.map_or(fits, |least| least / 2))
}

/// Fewer records in a call, where that is what ends it in time.
pub(super) fn smaller_batches(
    figures: &Figures<'_>,
    of: &RecentVersion,
    limit_ms: u64,
) -> Option<NextStep> {
    let batch = u64::from(figures.status.settings.batch_size);
    let (less, effect) = match (fitting(of, limit_ms), of.record_ns()) {
        (Some(fits), Some(each_ns)) => (
            fits,
            format!(
                "a record takes {}, a call may take {}: so many end in time",
                took(each_ns),
                age(limit_ms)
            ),
        ),
        // Of one that ends in time with no record alone the number is not the reason.
        _ if of.cut_least == Some(1) => return None,
        _ => {
            let half = of.cut_least.map_or(batch, |least| u64::from(least / 2));
            (
                (batch / 10).min(half).max(1),
                "where it takes its time for each record; a guess, as no call has ended in time yet"
                    .to_owned(),
            )
        }
    };
    let name = figures.name();
    (1..batch).contains(&less).then(|| {
        let command = format!("fnctl mappings update {name} --batch-size {less}");
        step(command, effect)
    })
}

/// Longer for a call, where that may end it in time.
fn longer_timeout(figures: &Figures<'_>, of: &RecentVersion) -> Option<NextStep> {
    let (function, batch) = (&figures.status.function, figures.status.settings.batch_size);
    let each_ns = of.record_ns();
    let full_ms = each_ns.map(|each_ns| each_ns.saturating_mul(batch.into()) / 1_000_000);
    // In whole seconds, and with a quarter to spare.
    let full_ms = full_ms.map(|full_ms| (full_ms.saturating_mul(5) / 4).div_ceil(1_000) * 1_000);
    let (longer_ms, effect) = match full_ms.filter(|full_ms| *full_ms > figures.timeout_ms) {
        Some(full_ms) => (
            full_ms,
            format!("so long {} take", count(batch.into(), "record")),
        ),
        None => (
            figures.timeout_ms.saturating_mul(2),
            "where it needs longer".to_owned(),
        ),
    };
    let limit = match longer_ms % 1_000 {
        0 => format!("{}s", longer_ms / 1_000),
        _ => format!("{longer_ms}ms"),
    };
    (longer_ms <= TIMEOUT_MS_MAX).then(|| {
        step(
            format!("fnctl deploy --name {function} --timeout {limit}"),
            format!(
                "{effect}: a version of the same file{}",
                canary::ended_by_deploy(figures)
            ),
        )
    })
}

/// What lets calls end in time, where most of those that fail do not.
pub(super) fn in_time(figures: &Figures<'_>) -> Vec<NextStep> {
    let live = figures.live().filter(|live| {
        let cause = live.cause.as_ref();
        cause.is_some_and(|cause| &*cause.code == "timeout")
    });
    live.map_or_else(Vec::new, |live| steps(figures, live))
}

fn steps(figures: &Figures<'_>, of: &RecentVersion) -> Vec<NextStep> {
    let less = smaller_batches(figures, of, figures.timeout_ms);
    let longer = longer_timeout(figures, of);
    less.into_iter().chain(longer).collect()
}

/// The last call that was cut for its time, a moment ago, where its records are known to take as long one after the
/// other: it did not hang.
pub(super) fn too_many<'a>(
    figures: &'a Figures<'_>,
) -> Option<(RecentCut, &'a RecentVersion, u64)> {
    let cut = figures.recent.cut?;
    let of = figures.recent.of(cut.version)?;
    let each_ns = of.record_ns()?;
    let needed_ns = each_ns.saturating_mul(cut.records.into());
    // What records take is an average.
    let is_their_sum = needed_ns.saturating_mul(2) >= cut.ran_ms.saturating_mul(1_000_000);
    let is_so = cut.ended_ago_ms <= STALL_GAP_MS && cut.records > 1 && is_their_sum;
    is_so.then_some((cut, of, each_ns))
}

/// A call that had too many records, told of.
pub(super) fn had_too_many(
    cut: &RecentCut,
    whose: &str,
    of: &RecentVersion,
    each_ns: u64,
) -> String {
    let fits = fitting(of, cut.ran_ms).unwrap_or(1).max(1);
    format!(
        "a call{whose} with {} was cut after {}: a record takes {}, so that no more than {fits} end in time",
        count(cut.records.into(), "record"),
        age(cut.ran_ms),
        took(each_ns),
    )
}

/// Calls are given more records than end in their time.
pub(super) fn oversized(figures: &Figures<'_>) -> Option<Found> {
    let (cut, of, each_ns) = too_many(figures)?;
    if !is_behind(figures.status) || is_soon_caught_up(figures) {
        return None;
    }
    let whose = stalls::whose(figures, cut.version);
    let mut actions = match cut.version == FunctionVersion(figures.status.version) {
        true => steps(figures, of),
        // A time limit is a new version's, made of the live one.
        false => {
            let less = smaller_batches(figures, of, cut.ran_ms);
            less.into_iter()
                .chain([canary::rollback(figures)])
                .collect()
        }
    };
    actions.push(step(
        format!("fnctl logs {} --since 5m", figures.status.function),
        "what the function wrote",
    ));
    Some(Found {
        since: Some(figures.ago(cut.since_ago_ms)),
        message: had_too_many(&cut, &whose, of, each_ns),
        actions,
    })
}
