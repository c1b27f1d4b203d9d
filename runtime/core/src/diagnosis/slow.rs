//! Calls take their time.

use super::{
    Figures, Found, canary,
    failing::rollback,
    is_behind, step,
    words::{age, count, per_second, took},
};
use crate::{
    id::FunctionVersion,
    limits::{
        BUSY_PERCENT, CATCHING_UP_MS, PARALLELIZATION_FACTOR_MAX, SICK_SINCE_DEPLOY_MS,
        STALL_GAP_MS, STALL_MS, STALL_TIMEOUT_MS_MIN, STALL_TIMES, STREAM_SHARDS_MAX,
        TIMEOUT_MS_MAX,
    },
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
    /// Since when it has been so, ms ago.
    since_ago_ms: u64,
}

/// Whether a call of a version that has run for so long runs for far longer than those that are well.
fn is_long(figures: &Figures<'_>, version: FunctionVersion, ran_ms: u64) -> bool {
    let of = figures.recent.of(version);
    let well_ns = of.and_then(|of| of.well_mean_ns()).unwrap_or(0);
    ran_ms >= STALL_MS && ran_ms.saturating_mul(1_000_000) >= well_ns.saturating_mul(STALL_TIMES)
}

fn stall(figures: &Figures<'_>) -> Option<Stall> {
    let recent = figures.recent;
    let cut = recent.cut.filter(|cut| {
        cut.ended_ago_ms <= STALL_GAP_MS && is_long(figures, cut.version, cut.ran_ms)
    });
    let is_stalled = |of: &&crate::recent::UnderWay| is_long(figures, of.version, of.ran_ms);
    let mut stalled = recent.under_way.iter().filter(is_stalled);
    // Where all wait for their turn none of them runs.
    let runs = recent.running > figures.waiting_calls;
    if let Some(oldest) = stalled.next().filter(|_| runs) {
        // It goes on where one was cut for its time just before.
        let known = recent.cut.filter(|cut| {
            let began_ms = oldest.ran_ms.saturating_add(STALL_GAP_MS);
            cut.ended_ago_ms <= began_ms && is_long(figures, cut.version, cut.ran_ms)
        });
        let since_ago_ms = known.map_or(0, |cut| cut.since_ago_ms);
        let others: u64 = stalled.map(|of| u64::from(of.calls)).sum();
        return Some(Stall {
            version: oldest.version,
            calls: u64::from(oldest.calls) + others,
            ran_ms: oldest.ran_ms,
            since_ago_ms: since_ago_ms.max(oldest.ran_ms),
        });
    }
    cut.map(|cut| Stall {
        version: cut.version,
        calls: 0,
        ran_ms: cut.ran_ms,
        since_ago_ms: cut.since_ago_ms,
    })
}

/// Whether the oldest record waits for a call that hangs: then it grows older, whatever else is settled.
pub(super) fn is_stalled(figures: &Figures<'_>) -> bool {
    is_behind(figures.status) && stall(figures).is_some()
}

/// A call that hangs, told of.
fn hangs(figures: &Figures<'_>, stall: &Stall) -> String {
    let is_live = stall.version == FunctionVersion(figures.status.version);
    let whose = match is_live {
        true => String::new(),
        false => format!(" of {}", canary::named(figures, stall.version)),
    };
    let may = match is_live && stall.calls > 0 {
        true => format!(" (it may take {})", age(figures.timeout_ms)),
        false => String::new(),
    };
    let ran = age(stall.ran_ms);
    match stall.calls {
        0 => format!("a call{whose} was cut after {ran}, as it hung"),
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
    if of_canary.is_some_and(|canary| canary.version == stall.version.0) {
        actions.push(canary::rollback(figures));
    } else if let Some(before) = is_new(figures).then_some(figures.before).flatten() {
        actions.push(rollback(figures, before));
    }
    actions.push(step(
        format!("fnctl logs {function} --since {}", since_minutes(&stall)),
        "what the call wrote, and which record it has in hand",
    ));
    let longest_ms = of.filter(|of| of.calls > of.failed);
    let longest_ms = longest_ms.map(|of| of.well_longest_ns.div_ceil(1_000_000));
    match longest_ms.and_then(|longest_ms| shorter_timeout(figures, longest_ms)) {
        Some(shorter) => actions.push(shorter),
        None => actions.extend(in_time(figures)),
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
fn shorter_timeout(figures: &Figures<'_>, longest_ms: u64) -> Option<NextStep> {
    let seconds = longest_ms.saturating_mul(2).div_ceil(1_000);
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
                "one that hangs is cut sooner: none that was well took more than {}",
                age(longest_ms)
            ),
        )
    })
}

/// Whether the live version came about when the oldest record did: one that had long been live is not what made
/// it wait.
fn is_new(figures: &Figures<'_>) -> bool {
    let runs_ms = figures.now.since_ms(figures.live_since);
    runs_ms.saturating_sub(figures.status.iterator_age_ms) <= SICK_SINCE_DEPLOY_MS
}

/// Whether lanes have calls all the time, and that is not enough.
fn is_short_of_lanes(figures: &Figures<'_>) -> bool {
    let is_busy = figures.busy_percent() >= BUSY_PERCENT;
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
    let (settled, over) = (figures.recent.settled(), figures.recent.over_ms);
    let arrived = figures
        .arrived
        .filter(|arrived| settled > 0 && *arrived > settled);
    arrived.map_or_else(String::new, |arrived| {
        let (arrived, settled) = (per_second(arrived, over), per_second(settled, over));
        format!(": {arrived} come where these settle {settled}")
    })
}

/// How much of something that there is now would settle what comes: by the figures, else twice as much.
pub(super) fn called_for(figures: &Figures<'_>, present: u64) -> u64 {
    let settled = figures.recent.settled();
    let arrived = figures.arrived.filter(|arrived| *arrived > settled);
    let wanted = arrived.map(|arrived| u128::from(arrived) * u128::from(present));
    let wanted = wanted.filter(|_| settled > 0);
    let wanted = wanted.map(|wanted| wanted.div_ceil(u128::from(settled)));
    let wanted = wanted.and_then(|wanted| u64::try_from(wanted).ok());
    let wanted = wanted.unwrap_or(present.saturating_mul(2));
    wanted.max(present.saturating_add(1))
}

/// `3 of 9 calls fail (`timeout`)`.
fn those_that_fail(figures: &Figures<'_>) -> String {
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
    let busy = figures.busy_percent();
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
    let stall = stall(figures).filter(|stall| stall.calls > 0);
    let also = stall.map_or_else(String::new, |stall| format!("; {}", hangs(figures, &stall)));
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

/// What lets calls end in time, where most of those that fail do not.
pub(super) fn in_time(figures: &Figures<'_>) -> Vec<NextStep> {
    let cause = figures.live().and_then(|live| live.cause.as_ref());
    if cause.is_none_or(|cause| &*cause.code != "timeout") {
        return Vec::new();
    }
    let (name, function) = (figures.name(), &figures.status.function);
    let mut actions = Vec::new();
    let batch = figures.status.settings.batch_size;
    if batch > 1 {
        actions.push(step(
            format!(
                "fnctl mappings update {name} --batch-size {}",
                (batch / 10).max(1)
            ),
            "where it takes its time for each record: less of them in a call",
        ));
    }
    let more = figures.timeout_ms.saturating_mul(2);
    if more <= TIMEOUT_MS_MAX {
        actions.push(step(
            format!("fnctl deploy --name {function} --timeout {more}ms"),
            "where it needs longer: a version of the same file",
        ));
    }
    actions
}

/// What makes more calls at once.
pub(super) fn faster(figures: &Figures<'_>) -> Vec<NextStep> {
    let (status, name) = (figures.status, figures.name());
    let factor = status.settings.parallelization_factor;
    let mut actions = Vec::new();
    if status.settings.ordering != "shard" && factor < PARALLELIZATION_FACTOR_MAX {
        let present = u64::from(factor.max(1));
        // More calls at once than the server makes would wait for their turn.
        let useful = u64::from(figures.node_calls) / figures.shards().max(1);
        let most = useful
            .max(present * 2)
            .min(PARALLELIZATION_FACTOR_MAX.into());
        let more = called_for(figures, present).min(most);
        actions.push(step(
            format!("fnctl mappings update {name} --parallelization-factor {more}"),
            format!(
                "{more} lanes a shard instead of {present}{}; each key stays in order",
                by_pace(figures)
            ),
        ));
    }
    let open = figures.shards();
    if open < u64::from(STREAM_SHARDS_MAX) / 2 {
        actions.push(step(
            format!(
                "fnctl streams resize {} --shards {}",
                status.stream,
                open.max(1) * 2
            ),
            "more shards, for what comes from now on",
        ));
    }
    actions.push(step(
        format!("fnctl logs {} --since 5m", status.function),
        "what it does for so long, if it says so",
    ));
    actions
}
