//! Calls end badly.

use super::{
    Figures, Found, in_time, step,
    words::{age, count},
};
use crate::{
    id::{FunctionVersion, Timestamp},
    limits::{
        SICK_EVIDENCE_MIN, SICK_PERCENT, SICK_PERCENT_SINCE_DEPLOY, SICK_SINCE_DEPLOY_MS,
        WELL_CALLS_MIN,
    },
    recent::RecentVersion,
    status::NextStep,
};

/// Whether so many of the records that a version was given for the first time failed.
pub(super) const fn fails(live: &RecentVersion, percent: u64) -> bool {
    live.evidence >= SICK_EVIDENCE_MIN && live.tried_failed * 100 >= live.tried * percent
        || fails_wholly(live)
}

/// Whether nothing that it is given succeeds. Calls that fail as a whole, by a trap or for their time, name no record,
/// and most of them are of parts of the first one: they say little each. But a batch with a bad record in it has
/// parts that are well.
const fn fails_wholly(live: &RecentVersion) -> bool {
    let are_all = live.failed == live.calls && live.tried_failed == live.tried;
    let given = live.tried + live.tried_cut;
    are_all && live.calls >= SICK_EVIDENCE_MIN && given >= SICK_EVIDENCE_MIN
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
    let sick_ms = live.sick_ago_ms.or(live.failing_ago_ms).unwrap_or(0);
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
    if !skips(live, SICK_PERCENT) {
        return None;
    }
    let runs_ms = figures.now.since_ms(figures.live_since);
    let before = well_before(figures).filter(|_| runs_ms <= SICK_SINCE_DEPLOY_MS);
    let mut actions: Vec<NextStep> = before
        .iter()
        .map(|(before, _)| rollback(figures, *before))
        .collect();
    actions.extend(look_at_skipped(figures, live));
    let since_ms = live.skipping_ago_ms.unwrap_or(figures.recent.over_ms);
    Some(Found {
        since: Some(figures.ago(since_ms.min(runs_ms))),
        message: format!(
            "it {}: {}",
            skips_of(live),
            what_becomes_of_skipped(figures)
        ),
        actions,
    })
}

/// Whether a version skips so many of the records that it was given for the first time.
pub(super) const fn skips(of: &RecentVersion, percent: u64) -> bool {
    let (skipped, tried) = (of.tried_skipped, of.tried);
    skipped >= SICK_EVIDENCE_MIN && skipped * 100 >= tried * percent
}

/// `skips 24 of 24 records that it is given (`junk`)`.
pub(super) fn skips_of(of: &RecentVersion) -> String {
    format!(
        "skips {} of {} that it is given (`{}`)",
        of.tried_skipped,
        count(of.tried, "record"),
        skip_code(of),
    )
}

fn skip_code(of: &RecentVersion) -> &str {
    of.skip_code.as_deref().unwrap_or("skip")
}

/// Where to look for what a version skipped.
pub(super) fn look_at_skipped(figures: &Figures<'_>, of: &RecentVersion) -> [NextStep; 2] {
    let (name, function) = (figures.name(), &figures.status.function);
    let code = super::quoted(skip_code(of));
    [
        step(
            format!("fnctl dlq list {name} --code {code}"),
            "what was given up for it; redrive goes once it is mended",
        ),
        step(
            format!("fnctl logs {function} --since 15m"),
            "what the function wrote",
        ),
    ]
}

pub(super) fn what_becomes_of_skipped(figures: &Figures<'_>) -> String {
    match figures.recent.adds.dropped {
        0 => "they become dead letters".to_owned(),
        dropped => format!(
            "{} that it gave up went nowhere, as the dead letters are full (`on_failure_full` is `{}`)",
            count(dropped, "record"),
            figures.status.settings.on_failure_full,
        ),
    }
}

/// Since when calls fail, as well as is known: since most do, since more do than of a version that is well, since the
/// first of those that are told of. No version failed before it was live.
pub(super) fn since(figures: &Figures<'_>, of: &RecentVersion, began: Timestamp) -> String {
    let ago_ms = of.sick_ago_ms.or(of.failing_ago_ms);
    let ago_ms = ago_ms.or(of.first_failed_ago_ms);
    let ago_ms = ago_ms.unwrap_or(figures.recent.over_ms);
    figures.ago(ago_ms.min(figures.now.since_ms(began)))
}

/// `96 of 100 calls end in `timeout` (30.0 s), 2 fail otherwise`.
pub(super) fn ends_in(of: &RecentVersion, timeout_ms: Option<u64>) -> String {
    let cause = of.cause.as_ref();
    let code = cause.map_or("an error", |cause| &*cause.code);
    let limit = match (code, timeout_ms) {
        ("timeout", Some(ms)) => format!(" ({})", age(ms)),
        _ => String::new(),
    };
    let most = cause.map_or(of.failed, |cause| cause.calls);
    let calls = count(of.calls, "call");
    let mut message = format!("{most} of {calls} end in `{code}`{limit}");
    if of.failed > most {
        message.push_str(&format!(", {} fail otherwise", of.failed - most));
    }
    message
}

fn told(figures: &Figures<'_>, live: &RecentVersion, is_new: bool) -> Found {
    let (name, function) = (figures.name(), &figures.status.function);
    let cause = live.cause.as_ref();
    let code = cause.map_or("an error", |cause| &*cause.code);
    let mut message = ends_in(live, Some(figures.timeout_ms));
    let mut actions = Vec::new();
    if let Some((before, was)) = well_before(figures) {
        if let Some(was) = was.filter(|was| was.calls_ever > 0) {
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
        actions.extend(in_time::in_time(figures));
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
        since: Some(since(figures, live, figures.live_since)),
        message,
        actions,
    }
}

pub(super) fn rollback(figures: &Figures<'_>, before: FunctionVersion) -> NextStep {
    let function = &figures.status.function;
    let effect = format!("version {before} is kept ready; under a second, loses nothing");
    match figures.status.canary {
        // Without a number it would take the canary back.
        Some(_) => step(
            format!("fnctl rollback {function} --to {before}"),
            format!("{effect}{}", super::canary::ended_by_deploy(figures)),
        ),
        None => step(format!("fnctl rollback {function}"), effect),
    }
}
