//! What records wait for, or whether there are any.

use super::{
    Figures, Found, aged, is_behind, slow, step,
    words::{age, count, per_second, quoted},
};
use crate::{
    limits::{CATCHING_UP_MS, FILTERED_EXPECTED_MIN, FILTERED_OVER_MS, PARKED_AGE_MS},
    rfc3339,
};

pub(super) fn waiting_for_parents(figures: &Figures<'_>) -> Option<Found> {
    let shards = &figures.status.shards;
    let waiting = shards.iter().filter(|shard| shard.waits_for.is_some());
    let pending: u64 = waiting.clone().map(|shard| shard.pending_records).sum();
    // Where most records do not, what those wait for is the reason.
    if pending == 0 || pending * 2 < figures.status.pending_records {
        return None;
    }
    let name = figures.name();
    let parent = waiting.clone().find_map(|shard| shard.waits_for.clone());
    let key = waiting
        .clone()
        .find_map(|shard| shard.waits_for_key.clone());
    let parent = parent.unwrap_or_default();
    let (held, mut actions) = match &key {
        Some(key) => (
            format!(", where key `{}` waits for a retry", one_line(key)),
            vec![
                step(
                    format!("fnctl mappings release {name} --key {}", quoted(key)),
                    "tries it now",
                ),
                step(
                    format!("fnctl mappings dead-letter {name} --key {}", quoted(key)),
                    "gives up what fails of it, and goes on",
                ),
            ],
        ),
        None => (String::new(), Vec::new()),
    };
    actions.push(step(
        format!("fnctl mappings parked {name}"),
        "which keys wait, and for what",
    ));
    Some(Found {
        since: figures.oldest(),
        message: format!(
            "{} of {} wait until those of {parent}, which they came from, are settled{held}",
            count(pending, "record"),
            count(waiting.count() as u64, "shard"),
        ),
        actions,
    })
}

/// A key as a message has it.
fn one_line(key: &str) -> String {
    key.escape_debug().to_string()
}

pub(super) fn parked_keys(figures: &Figures<'_>) -> Option<Found> {
    let (status, name) = (figures.status, figures.name());
    let keys = figures.parked_keys();
    if keys == 0 || status.pending_records == 0 || status.iterator_age_ms < PARKED_AGE_MS {
        return None;
    }
    let live = figures.live().and_then(|live| live.cause.as_ref());
    let code = live.map_or_else(String::new, |cause| {
        format!("; calls that fail end in `{}`", cause.code)
    });
    let next = status
        .shards
        .iter()
        .filter_map(|s| s.next_retry_at.as_deref());
    let next = next.min().map_or_else(String::new, |at| {
        // After a start the time of a retry may have passed while nothing ran.
        match rfc3339::parse(at) {
            Some(time) if time <= figures.now => ", due now".to_owned(),
            _ => format!(", next at {at}"),
        }
    });
    let waits = if keys == 1 { "waits" } else { "wait" };
    let others = match status.settings.ordering.as_str() {
        "shard" => "what is behind it in its shard waits, too",
        _ => "other keys go on",
    };
    let mut actions = vec![
        step(
            format!("fnctl mappings parked {name}"),
            "which, until when, and what they failed with",
        ),
        step(
            format!("fnctl mappings release {name} --all"),
            "tries them now",
        ),
    ];
    if let Some(key) = figures.parked_key {
        actions.push(step(
            format!("fnctl mappings dead-letter {name} --key {}", quoted(key)),
            "gives up what fails of the oldest",
        ));
    }
    Some(Found {
        since: figures.oldest(),
        message: format!(
            "{} {waits} for a retry{next}, the oldest record for {}; {others}{code}",
            count(keys, "key"),
            age(status.iterator_age_ms),
        ),
        actions,
    })
}

pub(super) fn catching_up(figures: &Figures<'_>) -> Option<Found> {
    let status = figures.status;
    let soon = figures.caught_up_in_ms()?;
    if !is_behind(status) || soon > CATCHING_UP_MS {
        return None;
    }
    let settled = per_second(figures.recent.settled(), figures.recent.over_ms);
    Some(Found {
        since: figures.oldest(),
        message: format!(
            "{} wait, {settled} are settled: caught up in about {}",
            count(status.pending_records, "record"),
            age(soon)
        ),
        actions: Vec::new(),
    })
}

/// Of calls that nothing is said of: they are well, or too few yet to judge the function by.
fn what_calls_do(figures: &Figures<'_>) -> String {
    let recent = figures.recent;
    match (recent.failed_calls(), recent.calls(), recent.running) {
        (0, 0, running) if running > 0 => {
            let calls = count(running.into(), "call");
            format!(": {calls} under way, and none has ended")
        }
        (0, ..) => ": calls neither fail nor keep the lanes busy".to_owned(),
        (failed, all, _) => format!(": {failed} of {} failed", count(all, "call")),
    }
}

pub(super) fn behind(figures: &Figures<'_>) -> Option<Found> {
    let status = figures.status;
    if !is_behind(status) {
        return None;
    }
    let over = figures.recent.over_ms;
    let mut message = format!(
        "{} wait, and {} are settled",
        count(status.pending_records, "record"),
        per_second(figures.recent.settled(), over),
    );
    if let Some(arrived) = figures.arrived {
        message.push_str(&format!(" of {} that come", per_second(arrived, over)));
    }
    let soon = figures.caught_up_in_ms();
    match soon {
        Some(soon) => message.push_str(&format!(": caught up in about {}", age(soon))),
        None => message.push_str(&what_calls_do(figures)),
    }
    let mut actions = slow::faster(figures);
    actions.insert(
        0,
        step(
            format!("fnctl logs {} --since 15m", status.function),
            "what the function wrote; the server's own log says what it does",
        ),
    );
    actions.truncate(3);
    Some(Found {
        since: figures.oldest(),
        message,
        actions,
    })
}

pub(super) fn no_data(figures: &Figures<'_>) -> Option<Found> {
    let (status, totals) = (figures.status, &figures.status.totals);
    let stream = &status.stream;
    // A seek counts anew: what ended in front of it is data as well.
    if status.pending_records > 0
        || totals.settled() > 0
        || figures.before_seeks.is_some_and(|ended| ended > 0)
    {
        return None;
    }
    let (since, stands) = match figures.before_seeks {
        None => ("the mapping began", "it began"),
        Some(_) => ("a seek put the mapping where it stands", "that is"),
    };
    let mut message = format!("no record has come to stream `{stream}` since {since}");
    let mut actions = vec![step(
        format!("fnctl tail {stream}"),
        "shows what comes, as it comes",
    )];
    if figures.older_records > 0 {
        message.push_str(&format!(
            "; {stands} behind {} that the stream holds",
            count(figures.older_records, "record")
        ));
        actions.push(step(
            format!("fnctl mappings seek {} --to trim-horizon", figures.name()),
            "calls it with those as well; asks first",
        ));
    }
    Some(Found {
        since: Some(status.created_at.clone()).filter(|at| !at.is_empty()),
        message,
        actions,
    })
}

pub(super) fn filtered_away(figures: &Figures<'_>) -> Option<Found> {
    let (status, totals) = (figures.status, &figures.status.totals);
    // What is under way may be what the filter is about to let fall: where records come all the time, there is
    // always some.
    if status.settings.filter.is_empty() {
        return None;
    }
    let passed = totals.processed + totals.dead_lettered + totals.dropped;
    let run = figures.recent.filtered_run;
    let (since, message) = if passed == 0 && totals.filtered > 0 {
        let records = count(totals.filtered, "record");
        let created = Some(status.created_at.clone()).filter(|at| !at.is_empty());
        (
            created,
            format!("the filter has let none of {records} through"),
        )
    } else {
        let run = run.filter(|run| run.since_ago_ms >= FILTERED_OVER_MS)?;
        // By what it let through before, so many should have come through.
        let before = passed + totals.filtered.saturating_sub(run.records);
        let expected = u128::from(run.records) * u128::from(passed) / u128::from(before.max(1));
        if expected < u128::from(FILTERED_EXPECTED_MIN) {
            return None;
        }
        let message = format!(
            "the filter has let none of the last {} through, within {}; of those before, {passed} passed",
            count(run.records, "record"),
            age(run.since_ago_ms),
        );
        (Some(figures.ago(run.since_ago_ms)), message)
    };
    let (name, stream) = (figures.name(), &status.stream);
    let patterns = status.settings.filter.iter();
    let patterns: Vec<String> = patterns
        .map(|pattern| format!("--pattern {}", quoted(pattern)))
        .collect();
    Some(Found {
        since,
        message,
        actions: vec![
            step(
                format!(
                    "fnctl tail {stream} --from 1h --count 10 --timeout 5s -o raw | fnctl filter test {}",
                    patterns.join(" ")
                ),
                "says of each record what keeps it back",
            ),
            step(
                format!("fnctl mappings update {name} --filter default"),
                "gives the function every record",
            ),
        ],
    })
}

/// Whether what is pending is as good as sure to wait for its batch alone.
fn waits_for_its_batch(figures: &Figures<'_>) -> bool {
    let (status, recent) = (figures.status, figures.recent);
    let is_early = status.iterator_age_ms < status.settings.batch_window_ms;
    is_early && recent.running == 0 && figures.parked_keys() == 0
}

pub(super) fn caught_up(figures: &Figures<'_>) -> Option<Found> {
    let status = figures.status;
    let sought = figures
        .before_seeks
        .filter(|_| status.totals.settled() == 0);
    let mut message = match status.pending_records {
        0 if sought.is_some() => format!(
            "no record has come to stream `{}` since a seek put the mapping behind {} that it holds; in front of \
             that {} settled",
            status.stream,
            count(figures.older_records, "record"),
            match sought {
                Some(1) => "1 record was".to_owned(),
                ended => format!("{} records were", ended.unwrap_or_default()),
            },
        ),
        0 => "every record that came is settled".to_owned(),
        pending if waits_for_its_batch(figures) => {
            let waits = if pending == 1 { "waits" } else { "wait" };
            format!(
                "it keeps up: {} {waits} for a batch to fill, the oldest for {} of {} (`batch_window`)",
                count(pending, "record"),
                age(status.iterator_age_ms),
                age(status.settings.batch_window_ms),
            )
        }
        1 => format!(
            "it keeps up: 1 record is under way, for {}",
            age(status.iterator_age_ms)
        ),
        pending => {
            let oldest = age(status.iterator_age_ms);
            format!("it keeps up: {pending} records are under way, the oldest for {oldest}")
        }
    };
    let damaged = status.dead_letters_damaged;
    let letters = figures.open_letters();
    let mut actions = Vec::new();
    if let Some(aged) = aged::told(figures) {
        message.push_str(&format!("; {aged}"));
        actions.push(step(
            format!(
                "fnctl mappings update {} --max-record-age default",
                figures.name()
            ),
            "none is given up for its age: what is too much waits",
        ));
    }
    if letters > 0 {
        message.push_str(&format!("; {} open", count(letters, "dead letter")));
        if damaged > 0 {
            message.push_str(&format!(", {damaged} of them damaged at rest"));
        }
        actions.push(step(
            format!("fnctl dlq list {}", figures.name()),
            "what was given up, and why",
        ));
    }
    let ago = figures.recent.progressed_ago_ms;
    Some(Found {
        since: ago.map(|ms| figures.ago(ms)),
        message,
        actions,
    })
}
