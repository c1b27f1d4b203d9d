//! A canary does worse than the version beside it.

use super::{
    Figures, Found, failing, is_behind, slow, step,
    words::{count, took},
};
use crate::{
    id::{FunctionVersion, Timestamp},
    limits::{
        SICK_PERCENT, SICK_PERCENT_SINCE_DEPLOY, SLOW_CANARY_NS_MIN, SLOW_CANARY_TIMES,
        WELL_CALLS_MIN,
    },
    recent::RecentVersion,
    rfc3339,
    status::NextStep,
};

/// The canary's calls, where there is one and some ended.
fn of<'a>(figures: &'a Figures<'_>) -> Option<&'a RecentVersion> {
    let canary = figures.status.canary.as_ref()?;
    let of = figures.recent.of(FunctionVersion(canary.version));
    of.filter(|of| of.calls > 0)
}

/// `version 2`, `version 2, the canary at 50%,`.
pub(super) fn named(figures: &Figures<'_>, version: FunctionVersion) -> String {
    match &figures.status.canary {
        Some(canary) if canary.version == version.0 => {
            format!("version {version}, the canary at {},", canary.weight)
        }
        _ => format!("version {version}"),
    }
}

/// Takes the canary back.
pub(super) fn rollback(figures: &Figures<'_>) -> NextStep {
    step(
        format!("fnctl rollback {}", figures.status.function),
        "takes the canary back; its keys go on with the live version",
    )
}

/// Since when there is a canary.
fn began(figures: &Figures<'_>) -> Option<Timestamp> {
    let canary = figures.status.canary.as_ref()?;
    rfc3339::parse(&canary.since)
}

fn logs(figures: &Figures<'_>) -> NextStep {
    step(
        format!("fnctl logs {} --since 15m", figures.status.function),
        "what the function wrote, with its versions",
    )
}

/// What it is given fails, and what the live version is given does not.
pub(super) fn failing(figures: &Figures<'_>) -> Option<Found> {
    let canary = of(figures)?;
    let live = figures.live().filter(|live| live.calls >= WELL_CALLS_MIN);
    let is_live_well = live.is_some_and(|live| live.failed * 10 <= live.calls);
    let percent = match is_live_well {
        true => SICK_PERCENT_SINCE_DEPLOY,
        false => SICK_PERCENT,
    };
    if !failing::fails(canary, percent) {
        return None;
    }
    let mut message = format!(
        "{} fails: {}",
        named(figures, canary.version),
        failing::ends_in(canary, None)
    );
    if let Some(live) = live {
        let calls = count(live.calls, "call");
        let (failed, version) = (live.failed, live.version);
        message.push_str(&format!(", {failed} of {calls} on version {version}"));
    }
    let capture = step(
        format!("fnctl capture {} --failing", figures.status.function),
        "a file that reproduces it elsewhere",
    );
    let began = began(figures).unwrap_or(Timestamp(0));
    Some(Found {
        since: Some(failing::since(figures, canary, began)),
        message,
        actions: vec![rollback(figures), logs(figures), capture],
    })
}

/// Its calls take far longer than those beside it, and most of the time of all of them.
pub(super) fn slow(figures: &Figures<'_>) -> Option<Found> {
    let (canary, live) = (of(figures)?, figures.live()?);
    let (canary_ns, live_ns) = (canary.mean_ns()?, live.mean_ns()?);
    let is_slower = canary.calls >= WELL_CALLS_MIN
        && canary_ns >= SLOW_CANARY_NS_MIN
        && canary_ns >= live_ns.saturating_mul(SLOW_CANARY_TIMES);
    let all_ns: u64 = figures.recent.versions.iter().map(|of| of.run_ns).sum();
    let is_most = canary.run_ns >= all_ns / 2;
    if !is_behind(figures.status) || !is_slower || !is_most || slow::is_soon_caught_up(figures) {
        return None;
    }
    let since = began(figures).map(rfc3339::format);
    Some(Found {
        since: since.or_else(|| figures.oldest()),
        message: format!(
            "{} takes {} a call, version {} {}: {} wait",
            named(figures, canary.version),
            took(canary_ns),
            live.version,
            took(live_ns),
            count(figures.status.pending_records, "record"),
        ),
        actions: vec![rollback(figures), logs(figures)],
    })
}
