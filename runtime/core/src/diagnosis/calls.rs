//! What calls do: they cannot be made, are held, fail, wait, or take their time.

use super::{
    Figures, Found, is_behind, step,
    words::{age, count, per_second, took},
};
use crate::{
    id::FunctionVersion,
    limits::{
        BUSY_PERCENT, CATCHING_UP_MS, CONCURRENCY_MAX, PARALLELIZATION_FACTOR_MAX, RESTING_PERCENT,
        SICK_EVIDENCE_MIN, SICK_PERCENT, SICK_PERCENT_SINCE_DEPLOY, SICK_SINCE_DEPLOY_MS,
        STREAM_SHARDS_MAX, THROTTLED_CALLS_MIN, THROTTLED_WAIT_MS_MIN, TIMEOUT_MS_MAX,
        WELL_CALLS_MIN,
    },
    recent::RecentVersion,
    status::NextStep,
};

pub(super) fn host_fault(figures: &Figures<'_>) -> Option<Found> {
    let fault = figures.recent.fault.as_ref()?;
    let function = &figures.status.function;
    let again = step(
        format!("fnctl deploy FILE --name {function}"),
        "of the same file as before: puts a component back that is damaged at rest",
    );
    let doctor = step(
        "fnctl doctor".to_owned(),
        "checks the server and what it needs; its log says more",
    );
    let functions = step(
        format!("fnctl functions describe {function}"),
        "its versions; another one may load",
    );
    Some(Found {
        since: Some(figures.ago(fault.ago_ms)),
        message: format!(
            "the server cannot make its calls ({}), and tries again by itself: {}",
            count(fault.count, "time"),
            fault.words
        ),
        actions: match fault.words.contains("damaged") {
            true => vec![again, functions, doctor],
            false => vec![doctor, functions, again],
        },
    })
}

pub(super) fn circuit_open(figures: &Figures<'_>) -> Option<Found> {
    let open = figures.status.open_circuits()?;
    let (name, function) = (figures.name(), &figures.status.function);
    let whose = if open.of_canary { "the canary's " } else { "" };
    let mut actions = vec![
        step(
            format!("fnctl logs {function} --since 15m"),
            match open.recovering_since {
                None => "mend what it needs: a probe that succeeds begins to end it",
                Some(_) => "some calls are well again: it closes when others are",
            },
        ),
        step(format!("fnctl mappings parked {name}"), "what is held"),
        step(
            format!("fnctl mappings release {name} --all"),
            "probes now, at no attempt's cost",
        ),
        step(
            format!("fnctl mappings update {name} --circuit-breaker=off"),
            "charges each failure to its record: what waits is given up when its attempts are used up",
        ),
    ];
    if open.of_canary {
        let rollback = step(
            format!("fnctl rollback {function}"),
            "takes the canary back",
        );
        actions.insert(0, rollback);
    }
    Some(Found {
        since: Some(open.since.clone()),
        message: format!(
            "what the function needs is down: {whose}calls end in `{}` ({}); {} of {} hold theirs back",
            open.code,
            open.error.lines().next().unwrap_or_default(),
            open.open_shards,
            count(open.shards, "shard"),
        ),
        actions,
    })
}

/// Whether so many of the records that a version was given for the first time failed.
const fn fails(live: &RecentVersion, percent: u64) -> bool {
    live.evidence >= SICK_EVIDENCE_MIN && live.tried_failed * 100 >= live.tried * percent
        || fails_wholly(live)
}

/// Whether nothing that it is given succeeds. Calls that fail as a whole, by a trap or for their time, name no record,
/// and most of them are of parts of the first one: they say little each. But a batch with a bad record in it has
/// parts that are well.
const fn fails_wholly(live: &RecentVersion) -> bool {
    let are_all = live.failed == live.calls && live.tried_failed == live.tried;
    are_all && live.calls >= SICK_EVIDENCE_MIN && live.tried >= SICK_EVIDENCE_MIN
}

/// What the version before did, where its calls tell that it did without such failures.
fn well_before<'a>(
    figures: &'a Figures<'_>,
) -> Option<(FunctionVersion, Option<&'a RecentVersion>)> {
    let before = figures.before?;
    let was = figures.recent.of(before);
    let is_bad = was.is_some_and(|was| was.failed_ever * 10 > was.calls_ever);
    (!is_bad).then_some((before, was))
}

pub(super) fn failing_since_deploy(figures: &Figures<'_>) -> Option<Found> {
    let live = figures.live()?;
    let (_, was) = well_before(figures)?;
    was.filter(|was| was.calls_ever >= WELL_CALLS_MIN)?;
    let runs_ms = figures.now.since_ms(figures.live_since);
    let sick_ms = live.sick_ago_ms.unwrap_or(0);
    let is_new = runs_ms.saturating_sub(sick_ms) <= SICK_SINCE_DEPLOY_MS;
    (is_new && fails(live, SICK_PERCENT_SINCE_DEPLOY)).then(|| told(figures, live, true))
}

pub(super) fn failing(figures: &Figures<'_>) -> Option<Found> {
    let live = figures.live()?;
    fails(live, SICK_PERCENT).then(|| told(figures, live, false))
}

/// Most of what it is given it gives up by itself. That is its decision, and no call fails for it; where a version
/// decides so of most, somebody should know.
pub(super) fn skipping(figures: &Figures<'_>) -> Option<Found> {
    let live = figures.live()?;
    let (skipped, tried) = (live.tried_skipped, live.tried);
    if skipped < SICK_EVIDENCE_MIN || skipped * 100 < tried * SICK_PERCENT {
        return None;
    }
    let (name, function) = (figures.name(), &figures.status.function);
    let code = live.skip_code.as_deref().unwrap_or("skip");
    let runs_ms = figures.now.since_ms(figures.live_since);
    let before = well_before(figures).filter(|_| runs_ms <= SICK_SINCE_DEPLOY_MS);
    let mut actions: Vec<NextStep> = before
        .iter()
        .map(|(before, _)| rollback(figures, *before))
        .collect();
    actions.extend([
        step(
            format!("fnctl dlq list {name} --code {}", super::quoted(code)),
            "what was given up for it; redrive goes once it is mended",
        ),
        step(
            format!("fnctl logs {function} --since 15m"),
            "what the function wrote",
        ),
    ]);
    Some(Found {
        since: None,
        message: format!(
            "it skips {skipped} of {} that it is given (`{code}`): they become dead letters",
            count(tried, "record"),
        ),
        actions,
    })
}

fn told(figures: &Figures<'_>, live: &RecentVersion, is_new: bool) -> Found {
    let (name, function) = (figures.name(), &figures.status.function);
    let cause = live.cause.as_ref();
    let code = cause.map_or("an error", |cause| &*cause.code);
    let limit = match code {
        "timeout" => format!(" ({})", age(figures.timeout_ms)),
        _ => String::new(),
    };
    let mut message = format!(
        "{} of {} end in `{code}`{limit}",
        cause.map_or(live.failed, |cause| cause.calls),
        count(live.calls, "call"),
    );
    let others = live.failed - cause.map_or(live.failed, |cause| cause.calls);
    if others > 0 {
        message.push_str(&format!(", {others} fail otherwise"));
    }
    let mut actions = Vec::new();
    if let Some((before, was)) = well_before(figures) {
        if let Some(was) = was {
            message.push_str(&match was.failed_ever {
                0 => format!(", none did on version {before}"),
                failed => {
                    let calls = count(was.calls_ever, "call");
                    format!(", {failed} of {calls} failed on version {before}")
                }
            });
        }
        let runs_ms = figures.now.since_ms(figures.live_since);
        let is_new = is_new || runs_ms <= SICK_SINCE_DEPLOY_MS;
        if is_new {
            actions.push(rollback(figures, before));
        }
    }
    if let Some(open) = figures.status.open_circuits() {
        message.push_str(&format!(
            "; the circuit of {} of {} is open: nothing is given up for it",
            open.open_shards,
            count(open.shards, "shard")
        ));
    }
    let is_old = actions.is_empty();
    actions.push(step(
        format!("fnctl logs {function} --since 15m"),
        "what the function wrote",
    ));
    if is_old {
        actions.extend(in_time(figures));
    }
    let letters = figures.status.dead_letters_by_code.get(code);
    if letters.is_some_and(|letters| *letters > 0) {
        actions.push(step(
            format!("fnctl dlq list {name} --code {}", super::quoted(code)),
            "what was given up for it",
        ));
    } else {
        actions.push(step(
            format!("fnctl mappings parked {name}"),
            "which keys wait, and what they failed with",
        ));
    }
    actions.push(step(
        format!("fnctl capture {function} --failing"),
        "a file that reproduces it elsewhere",
    ));
    Found {
        since: live.sick_ago_ms.map(|ms| figures.ago(ms)),
        message,
        actions,
    }
}

fn rollback(figures: &Figures<'_>, before: FunctionVersion) -> NextStep {
    let function = &figures.status.function;
    let effect = format!("version {before} is kept ready; under a second, loses nothing");
    match figures.status.canary {
        // Without a number it would take the canary back.
        Some(_) => step(format!("fnctl rollback {function} --to {before}"), effect),
        None => step(format!("fnctl rollback {function}"), effect),
    }
}

pub(super) fn throttled(figures: &Figures<'_>) -> Option<Found> {
    let recent = figures.recent;
    // Those that waited until a version was loaded are few among many.
    let are_many = recent.waited_calls >= THROTTLED_CALLS_MIN.max(recent.calls() / 2);
    let mean_ms = recent.wait_ms / recent.calls().max(1);
    // What every call costs beside its run, a fresh instance or a wake, is no wait for a turn.
    let waited = are_many && recent.wait_ms >= recent.run_ms && mean_ms >= THROTTLED_WAIT_MS_MIN;
    // Those that wait now have not ended, and are in no sum.
    let all_wait = figures.waiting_calls > 0 && figures.waiting_calls >= recent.running;
    // Where lanes rest, what waits does so for something else.
    let is_resting = figures.busy_percent() < RESTING_PERCENT;
    if !is_behind(figures.status) || is_resting || !(waited || all_wait) {
        return None;
    }
    let function = &figures.status.function;
    let share = recent.wait_ms * 100 / (recent.wait_ms + recent.run_ms).max(1);
    let at_once = |calls: u64| format!("{} at once", count(calls, "call"));
    let own = figures.concurrency.filter(|own| *own < figures.node_calls);
    let (bound, mut actions) = match own {
        Some(own) => {
            let more = own.saturating_mul(2).min(CONCURRENCY_MAX);
            let bound = format!("`{function}` may make {}", at_once(own.into()));
            let command = format!("fnctl deploy --name {function} --concurrency {more}");
            (bound, vec![step(command, "in force at once")])
        }
        None => {
            let node = figures.node_calls.into();
            (format!("the server makes {}", at_once(node)), Vec::new())
        }
    };
    actions.push(step("fnctl status".to_owned(), "who else is busy"));
    Some(Found {
        since: figures.oldest(),
        message: match waited {
            true => format!(
                "calls wait for their turn {share}% of the time, {} on average: {bound}",
                took(recent.wait_ms * 1_000_000 / recent.calls().max(1))
            ),
            false => format!(
                "{} under way, and all wait for their turn: {bound}",
                count(figures.waiting_calls.into(), "call")
            ),
        },
        actions,
    })
}

pub(super) fn slow(figures: &Figures<'_>) -> Option<Found> {
    let busy = figures.busy_percent();
    let is_soon = figures
        .caught_up_in_ms()
        .is_some_and(|ms| ms <= CATCHING_UP_MS);
    if !is_behind(figures.status) || busy < BUSY_PERCENT || is_soon {
        return None;
    }
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
        failed => {
            let cause = figures.live().and_then(|live| live.cause.as_ref());
            let code = cause.map_or_else(String::new, |cause| format!(" (`{}`)", cause.code));
            let fail = if recent.calls() == 1 { "fails" } else { "fail" };
            format!("{failed} of {} {fail}{code}", count(recent.calls(), "call"))
        }
    };
    let soon = figures.caught_up_in_ms();
    let soon = soon.map_or_else(String::new, |ms| {
        format!("; caught up in about {}", age(ms))
    });
    let mut actions = in_time(figures);
    actions.extend(faster(figures));
    // A version that had long been live when the oldest record came is not what made it wait.
    let runs_ms = figures.now.since_ms(figures.live_since);
    let is_new = runs_ms.saturating_sub(figures.status.iterator_age_ms) <= SICK_SINCE_DEPLOY_MS;
    if let Some(before) = figures.before.filter(|_| is_new) {
        actions.insert(0, rollback(figures, before));
    }
    Some(Found {
        since: figures.oldest(),
        message: format!(
            "{well}, and are not enough: {} busy {busy}% of the time, {takes}, {pace} are settled{soon}",
            count(lanes, "lane"),
        ),
        actions,
    })
}

/// What lets calls end in time, where most of those that fail do not.
fn in_time(figures: &Figures<'_>) -> Vec<NextStep> {
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
        let more = factor
            .saturating_mul(2)
            .clamp(2, PARALLELIZATION_FACTOR_MAX);
        actions.push(step(
            format!("fnctl mappings update {name} --parallelization-factor {more}"),
            "more lanes a shard; each key stays in order",
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
