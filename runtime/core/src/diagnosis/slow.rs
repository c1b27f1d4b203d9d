//! Calls take their time.

use super::{
    Figures, Found, canary,
    failing::rollback,
    in_time::in_time,
    is_behind, stalls, step,
    words::{age, count, per_second, took},
};
use crate::{
    limits::{
        BUSY_PERCENT, CATCHING_UP_MS, CONCURRENCY_MAX, PARALLELIZATION_FACTOR_MAX,
        SICK_SINCE_DEPLOY_MS, STREAM_SHARDS_MAX,
    },
    status::NextStep,
};

/// Whether the live version came about when the oldest record did: one that had long been live is not what made
/// it wait.
pub(super) fn is_new(figures: &Figures<'_>) -> bool {
    let runs_ms = figures.now.since_ms(figures.live_since);
    runs_ms.saturating_sub(figures.status.iterator_age_ms) <= SICK_SINCE_DEPLOY_MS
}

/// Whether lanes have calls all the time, and that is not enough.
pub(super) fn is_short_of_lanes(figures: &Figures<'_>) -> bool {
    // A canary has lanes of its own: none that are added here would be those.
    let is_busy = figures.live_busy_percent() >= BUSY_PERCENT;
    is_behind(figures.status) && is_busy && !is_soon_caught_up(figures)
}

/// Whether the backlog is gone soon, at this pace.
pub(super) fn is_soon_caught_up(figures: &Figures<'_>) -> bool {
    let soon = figures.caught_up_in_ms();
    soon.is_some_and(|ms| ms <= CATCHING_UP_MS)
}

/// What each version takes, where there are several.
fn by_version(figures: &Figures<'_>) -> String {
    let means = figures.recent.versions.iter().filter_map(|of| {
        let version = canary::named(figures, of.version);
        Some(format!("{version} {}", took(of.mean_ns()?)))
    });
    let means: Vec<String> = means.collect();
    match means.len() {
        0 | 1 => String::new(),
        _ => format!("; a call takes on average: {}", means.join(", ")),
    }
}

/// What a proposal is made by, where it is by figures.
pub(super) fn by_pace(figures: &Figures<'_>) -> String {
    let (settled, over) = (figures.recent.kept_up(), figures.recent.over_ms);
    let arrived = figures
        .came()
        .filter(|arrived| settled > 0 && *arrived > settled);
    arrived.map_or_else(String::new, |arrived| {
        let (arrived, settled) = (per_second(arrived, over), per_second(settled, over));
        format!(": {arrived} come where these settle {settled}")
    })
}

/// How much of something that there is now would settle what comes: by the figures, else twice as much.
pub(super) fn called_for(figures: &Figures<'_>, present: u64) -> u64 {
    let settled = figures.recent.kept_up();
    let arrived = figures.came().filter(|arrived| *arrived > settled);
    let wanted = arrived.map(|arrived| u128::from(arrived) * u128::from(present));
    let wanted = wanted.filter(|_| settled > 0);
    let wanted = wanted.map(|wanted| wanted.div_ceil(u128::from(settled)));
    let wanted = wanted.and_then(|wanted| u64::try_from(wanted).ok());
    let wanted = wanted.unwrap_or(present.saturating_mul(2));
    wanted.max(present.saturating_add(1))
}

/// `3 of 9 calls fail (`timeout`)`.
pub(super) fn those_that_fail(figures: &Figures<'_>) -> String {
    let recent = figures.recent;
    let cause = figures.live().and_then(|live| live.cause.as_ref());
    let code = cause.map_or_else(String::new, |cause| format!(" (`{}`)", cause.code));
    let fail = if recent.calls() == 1 { "fails" } else { "fail" };
    let calls = count(recent.calls(), "call");
    format!("{} of {calls} {fail}{code}", recent.failed_calls())
}

pub(super) fn slow(figures: &Figures<'_>) -> Option<Found> {
    if !is_short_of_lanes(figures) {
        return None;
    }
    let busy = figures.live_busy_percent();
    let (recent, lanes) = (figures.recent, figures.lanes());
    let takes = match (recent.p50_ns, recent.p99_ns) {
        (Some(p50), Some(p99)) => format!("a call takes {} (p99 {})", took(p50), took(p99)),
        // None ended: those that run take longer than anybody looked.
        _ => format!(
            "{} under way, and none has ended",
            count(recent.running.into(), "call")
        ),
    };
    let over = recent.over_ms;
    let mut pace = per_second(recent.settled(), over);
    if let Some(arrived) = figures.arrived {
        pace.push_str(&format!(" of {} that come", per_second(arrived, over)));
    }
    let well = match recent.failed_calls() {
        0 => "calls succeed".to_owned(),
        _ => those_that_fail(figures),
    };
    let soon = figures.caught_up_in_ms();
    let soon = soon.map_or_else(String::new, |ms| {
        format!("; caught up in about {}", age(ms))
    });
    let mut actions = in_time(figures);
    actions.extend(faster(figures));
    if let Some(before) = figures.before.filter(|_| is_new(figures)) {
        actions.insert(0, rollback(figures, before));
    }
    let also = stalls::also_hang(figures);
    Some(Found {
        since: figures.oldest(),
        message: format!(
            "{well}, and are not enough: {} busy {busy}% of the time, {takes}, {pace} are settled{soon}{also}{}",
            count(lanes, "lane"),
            by_version(figures),
        ),
        actions,
    })
}

/// What makes more calls at once: more lanes, and where the function may not make as many, more of those.
pub(super) fn lanes_to_add(figures: &Figures<'_>) -> Vec<NextStep> {
    let (status, name) = (figures.status, figures.name());
    let factor = status.settings.parallelization_factor;
    let open = figures.shards().max(1);
    let mut actions = Vec::new();
    let mut lanes = open * 2;
    if status.settings.ordering != "shard" && factor < PARALLELIZATION_FACTOR_MAX {
        let present = u64::from(factor.max(1));
        // More calls at once than the server makes would wait for their turn.
        let useful = u64::from(figures.node_calls) / open;
        let most = useful
            .max(present * 2)
            .min(PARALLELIZATION_FACTOR_MAX.into());
        let more = called_for(figures, present).min(most);
        lanes = more * open;
        actions.push(step(
            format!("fnctl mappings update {name} --parallelization-factor {more}"),
            format!(
                "{more} lanes a shard instead of {present}{}; each key stays in order",
                by_pace(figures)
            ),
        ));
    }
    if open < u64::from(STREAM_SHARDS_MAX) / 2 {
        actions.push(step(
            format!(
                "fnctl streams resize {} --shards {}",
                status.stream,
                open * 2
            ),
            "more shards, for what comes from now on",
        ));
    }
    // Lanes above it would wait for their turn.
    if let Some(own) = figures.own_calls().filter(|own| u64::from(*own) < lanes)
        && !actions.is_empty()
    {
        let most = figures.node_calls.min(CONCURRENCY_MAX).into();
        let (more, function) = (lanes.min(most), &status.function);
        actions.insert(
            0,
            step(
                format!("fnctl deploy --name {function} --concurrency {more}"),
                format!(
                    "it may make {} at once: without more, more lanes wait for their turn",
                    count(own.into(), "call")
                ),
            ),
        );
    }
    actions
}

/// What makes more calls at once, or says why so few are made.
pub(super) fn faster(figures: &Figures<'_>) -> Vec<NextStep> {
    let mut actions = lanes_to_add(figures);
    actions.push(step(
        format!("fnctl logs {} --since 5m", figures.status.function),
        "what it does for so long, if it says so",
    ));
    actions
}
