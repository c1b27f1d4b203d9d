//! What keeps calls from being made: a fault of the host, a circuit, the turn that they wait for.

use super::{
    Figures, Found, is_behind, slow, step,
    words::{count, took},
};
use crate::limits::{CONCURRENCY_MAX, RESTING_PERCENT, THROTTLED_CALLS_MIN, THROTTLED_WAIT_MS_MIN};

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

pub(super) fn throttled(figures: &Figures<'_>) -> Option<Found> {
    let recent = figures.recent;
    // Those that waited until a version was loaded are few among many.
    let are_many = recent.waited_calls >= THROTTLED_CALLS_MIN.max(recent.calls() / 2);
    let mean_ms = recent.wait_ms / recent.calls().max(1);
    // What every call costs beside its run, a fresh instance or a wake, is no wait for a turn.
    let waited = are_many && recent.wait_ms >= recent.run_ms && mean_ms >= THROTTLED_WAIT_MS_MIN;
    // Those that wait now have not ended, and are in no sum.
    let all_wait = figures.waiting_calls > 0 && figures.waiting_calls >= recent.running;
    let own = figures.own_calls();
    // Those that run are all that may: the others wait for them, whatever was so before.
    let runs = recent.running.saturating_sub(figures.waiting_calls);
    let is_full = figures.waiting_calls > 0 && own.is_some_and(|own| runs >= own);
    // Where lanes rest, what waits does so for something else.
    let is_resting = figures.busy_percent() < RESTING_PERCENT;
    let is_throttled = is_full || (!is_resting && (waited || all_wait));
    if !is_behind(figures.status) || !is_throttled {
        return None;
    }
    let function = &figures.status.function;
    let share = recent.wait_ms * 100 / (recent.wait_ms + recent.run_ms).max(1);
    let at_once = |calls: u64| format!("{} at once", count(calls, "call"));
    let (bound, mut actions) = match own {
        Some(own) => {
            // Above the node's own bound it would bound nothing.
            let most = figures.node_calls.min(CONCURRENCY_MAX).into();
            let more = slow::called_for(figures, own.into()).min(most);
            let bound = format!("`{function}` may make {}", at_once(own.into()));
            let command = format!("fnctl deploy --name {function} --concurrency {more}");
            let effect = format!("in force at once{}", slow::by_pace(figures));
            (bound, vec![step(command, effect)])
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
            false if all_wait => format!(
                "{} under way, and all wait for their turn: {bound}",
                count(figures.waiting_calls.into(), "call")
            ),
            false => format!(
                "of {} under way {} wait for their turn: {bound}",
                count(recent.running.into(), "call"),
                figures.waiting_calls,
            ),
        },
        actions,
    })
}
