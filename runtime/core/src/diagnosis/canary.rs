//! A canary does worse than the version beside it.

use super::{
    Figures, Found, failing, in_time, is_behind, slow, step,
    words::{count, took},
};
use crate::{
    id::{FunctionVersion, Timestamp},
    limits::{
        SICK_PERCENT, SICK_PERCENT_SINCE_DEPLOY, SKIPPING_CANARY_TIMES, SKIPPING_CANARY_TIMES_MOST,
        SLOW_CANARY_ALONE_NS_MIN, SLOW_CANARY_NS_MIN, SLOW_CANARY_TIMES, WELL_CALLS_MIN,
    },
    recent::RecentVersion,
    rfc3339,
    status::NextStep,
};

/// The canary's calls, where there is one and some were made.
fn of<'a>(figures: &'a Figures<'_>) -> Option<&'a RecentVersion> {
    let canary = figures.status.canary.as_ref()?;
    figures.recent.of(FunctionVersion(canary.version))
}

/// What a command that makes another version live does to the canary, to be said behind what it is for.
pub(super) fn ended_by_deploy(figures: &Figures<'_>) -> String {
    let canary = figures.status.canary.as_ref();
    canary.map_or_else(String::new, |canary| {
        format!("; ends the canary, version {}", canary.version)
    })
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
    let canary = of(figures).filter(|of| of.calls > 0)?;
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

/// It skips what it is given, and the version beside it does not, or far less. No call fails for a skip, so that no
/// guard takes it back.
pub(super) fn skipping(figures: &Figures<'_>) -> Option<Found> {
    let canary = of(figures)?;
    let live = figures.live().filter(|live| live.calls >= WELL_CALLS_MIN);
    // So many times the share that the version beside it skips, where that is known.
    let is_times = |times: u64| {
        live.is_none_or(|live| {
            let of_live = u128::from(live.tried_skipped) * u128::from(canary.tried);
            let of_canary = u128::from(canary.tried_skipped) * u128::from(live.tried);
            of_canary >= of_live * u128::from(times)
        })
    };
    let are_most = failing::skips(canary, SICK_PERCENT) && is_times(SKIPPING_CANARY_TIMES_MOST);
    let are_many = failing::skips(canary, SICK_PERCENT_SINCE_DEPLOY)
        && live.is_some()
        && is_times(SKIPPING_CANARY_TIMES);
    if !are_most && !are_many {
        return None;
    }
    let mut message = format!(
        "{} {}",
        named(figures, canary.version),
        failing::skips_of(canary)
    );
    if let Some(live) = live {
        let (skipped, tried) = (live.tried_skipped, count(live.tried, "record"));
        message.push_str(&format!(", version {} {skipped} of {tried}", live.version));
    }
    message.push_str(&format!(
        ": {}, and as no call fails for a skip, nothing takes the canary back by itself",
        failing::what_becomes_of_skipped(figures)
    ));
    let began = began(figures).unwrap_or(Timestamp(0));
    let since_ms = canary.skipping_ago_ms.unwrap_or(figures.recent.over_ms);
    let mut actions = vec![rollback(figures)];
    actions.extend(failing::look_at_skipped(figures, canary));
    Some(Found {
        since: Some(figures.ago(since_ms.min(figures.now.since_ms(began)))),
        message,
        actions,
    })
}

/// How long a call of a version takes, ns, and how many tell so: of those under way, those that run for longer than
/// those that ended took are told by as well.
fn takes(figures: &Figures<'_>, of: &RecentVersion) -> Option<(u64, u64)> {
    let mean_ms = of.mean_ns().unwrap_or(0) / 1_000_000;
    let under_way = figures.recent.under_way.iter();
    let longer = under_way.filter(|call| call.version == of.version && call.ran_ms > mean_ms);
    let (mut ns, mut calls) = (of.run_ns, of.calls);
    for call in longer {
        let each_ns = call.ran_ms.saturating_mul(1_000_000);
        ns = ns.saturating_add(each_ns.saturating_mul(call.calls.into()));
        calls += u64::from(call.calls);
    }
    Some((ns.checked_div(calls)?, calls))
}

/// Its calls take far longer than those beside it, and most of the time of all of them.
pub(super) fn slow(figures: &Figures<'_>) -> Option<Found> {
    let (canary, live) = (of(figures)?, figures.live()?);
    let ((canary_ns, calls), (live_ns, _)) = (takes(figures, canary)?, takes(figures, live)?);
    // One that takes a second tells as much as a few.
    let is_known = calls >= WELL_CALLS_MIN || canary_ns >= SLOW_CANARY_ALONE_NS_MIN;
    let is_slower = is_known
        && canary_ns >= SLOW_CANARY_NS_MIN
        && canary_ns >= live_ns.saturating_mul(SLOW_CANARY_TIMES);
    let is_most = canary.busy_permille * 2 >= figures.recent.busy_permille;
    if !is_behind(figures.status) || !is_slower || !is_most || slow::is_soon_caught_up(figures) {
        return None;
    }
    let since = began(figures).map(rfc3339::format);
    let name = named(figures, canary.version);
    let mut message = match canary.calls {
        0 => format!(
            "{name} has {} under way for {}, and none has ended",
            count(calls, "call"),
            took(canary_ns)
        ),
        _ => format!("{name} takes {} a call", took(canary_ns)),
    };
    message.push_str(&format!(
        ", version {} {}: {} wait",
        live.version,
        took(live_ns),
        count(figures.status.pending_records, "record"),
    ));
    let mut actions = vec![rollback(figures), logs(figures)];
    let cut = in_time::too_many(figures).filter(|(cut, ..)| cut.version == canary.version);
    if let Some((cut, of, each_ns)) = cut {
        message.push_str(&format!(
            "; {}",
            in_time::had_too_many(&cut, "", of, each_ns)
        ));
        actions.extend(in_time::smaller_batches(figures, of, cut.ran_ms));
    }
    Some(Found {
        since: since.or_else(|| figures.oldest()),
        message,
        actions,
    })
}
