//! Records are given up for their age (`max_record_age`).

use super::{
    Figures, Found,
    failing::rollback,
    is_behind, slow, step,
    words::{age, count, per_second, took},
};
use crate::limits::{AGED_FRESH_MS, AGED_PERCENT, BUSY_PERCENT, SICK_EVIDENCE_MIN};

/// `80 of the last 100 records were given up for their age (`max_record_age` is 2000 ms)`; `None`: few or none were,
/// or there is no such bound any more.
pub(super) fn told(figures: &Figures<'_>) -> Option<String> {
    let (aged, ended) = (figures.recent.aged?.records, figures.recent.settled());
    let bound_ms = figures.status.settings.max_record_age_ms?;
    let are_many = aged >= SICK_EVIDENCE_MIN && aged * 100 >= ended * AGED_PERCENT;
    are_many.then(|| {
        format!(
            "{aged} of the last {} were given up for their age (`max_record_age` is {})",
            count(ended, "record"),
            age(bound_ms),
        )
    })
}

/// Records are given up for their age: most of them, or where lanes cannot keep up. The oldest that waits is never old
/// then, and what is settled is as much as comes.
pub(super) fn given_up(figures: &Figures<'_>) -> Option<Found> {
    let words = told(figures)?;
    let recent = figures.recent;
    let aged = recent
        .aged
        .filter(|aged| aged.ended_ago_ms <= AGED_FRESH_MS)?;
    let busy = figures.busy_percent();
    let is_short = busy >= BUSY_PERCENT || is_behind(figures.status);
    if !is_short && aged.records * 2 < recent.settled() {
        return None;
    }
    let takes = match (recent.p50_ns, recent.p99_ns) {
        (Some(p50), Some(p99)) => format!("a call takes {} (p99 {}), ", took(p50), took(p99)),
        _ => String::new(),
    };
    let lanes = match is_short {
        true => format!(
            "{} busy {busy}% of the time, ",
            count(figures.lanes(), "lane")
        ),
        false => String::new(),
    };
    let over = recent.over_ms;
    let came = figures.came().map_or_else(String::new, |came| {
        format!(" of {} that come", per_second(came, over))
    });
    let (name, function) = (figures.name(), &figures.status.function);
    let mut actions = Vec::new();
    if let Some(before) = figures.before.filter(|_| slow::is_new(figures)) {
        actions.push(rollback(figures, before));
    }
    if is_short {
        actions.extend(slow::lanes_to_add(figures));
    }
    // Whatever else is named, it is to be among the first that are told.
    actions.truncate(2);
    actions.push(step(
        format!("fnctl mappings update {name} --max-record-age default"),
        "none is given up for its age: what is too much waits",
    ));
    actions.push(step(
        format!("fnctl dlq list {name} --code record-too-old"),
        "what was given up for it; redrive calls them again",
    ));
    actions.push(step(
        format!("fnctl logs {function} --since 5m"),
        "what it does for so long, if it says so",
    ));
    Some(Found {
        since: Some(figures.ago(aged.since_ago_ms)),
        message: format!(
            "{words}: {lanes}{takes}{}{came} are settled otherwise",
            per_second(recent.kept_up(), over),
        ),
        actions,
    })
}
