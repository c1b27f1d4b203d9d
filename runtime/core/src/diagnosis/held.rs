//! What holds a mapping's state: its reason is known, and told.

use super::{Figures, Found, Why, step, words::quoted};
use crate::{limits::STREAM_QUOTA_BYTES_MIN, status::NextStep};

/// What is told where the state is held by `why`.
fn held(
    figures: &Figures<'_>,
    why: Why,
    message: impl FnOnce(&str) -> String,
    actions: impl FnOnce(&str) -> Vec<(String, &'static str)>,
) -> Option<Found> {
    let status = figures.status;
    if status.reason.as_deref() != Some(why.as_str()) {
        return None;
    }
    let detail = status.detail.as_deref().unwrap_or_default();
    let actions = actions(&status.name).into_iter();
    Some(Found {
        since: Some(status.since.clone()),
        message: message(detail),
        actions: actions
            .map(|(command, effect)| step(command, effect))
            .collect(),
    })
}

pub(super) fn deleting(figures: &Figures<'_>) -> Option<Found> {
    let message = "it is being deleted: what runs is drained first";
    held(
        figures,
        Why::Deleting,
        |_| message.to_owned(),
        |_| Vec::new(),
    )
}

pub(super) fn stream_deleted(figures: &Figures<'_>) -> Option<Found> {
    let (status, stream) = (figures.status, &figures.status.stream);
    let message =
        format!("stream `{stream}` was deleted: nothing is left to read, and that is final");
    held(
        figures,
        Why::StreamDeleted,
        |_| message,
        |_| {
            // A later mapping may go by the same name.
            let id = &status.id;
            let outputs = status.outputs.iter();
            let outputs: String = outputs
                .map(|(name, to)| format!(" --to {name}={to}"))
                .collect();
            // Refused without it where letters are open.
            let force = match figures.open_letters() {
                0 => "",
                _ => " --force",
            };
            vec![
                (
                    format!("fnctl mappings delete {id}{force}"),
                    "its progress goes; dead letters stay, by its id",
                ),
                (
                    format!(
                        "fnctl deploy --name {} --stream {stream}{outputs}",
                        status.function
                    ),
                    "begins anew, with a stream of that name",
                ),
            ]
        },
    )
}

pub(super) fn stopped_fatal(figures: &Figures<'_>) -> Option<Found> {
    let function = &figures.status.function;
    held(
        figures,
        Why::StoppedFatal,
        |detail| format!("the function said `fatal`: {detail}"),
        |name| {
            let detail = figures.status.detail.as_deref().unwrap_or_default();
            let mut actions = Vec::new();
            // Tried again it ends the same way, whatever is mended outside.
            if detail.starts_with("unbound-output") {
                actions.push((
                    format!("fnctl deploy FILE --name {function} --to OUTPUT=STREAM"),
                    "of a component that declares the output, which is bound: the mapping runs",
                ));
            }
            if detail.starts_with("no-window") {
                actions.push((
                    format!("fnctl mappings update {name} --tumbling-window 60s"),
                    "it folds windows and the mapping has none; resume it then",
                ));
            }
            actions.extend([
                (
                    format!("fnctl mappings resume {name}"),
                    "tries the same record again, once what it says is mended",
                ),
                (
                    format!("fnctl logs {function} --since 15m"),
                    "what the function wrote",
                ),
            ]);
            if let Some(before) = figures.before {
                actions.push((
                    format!("fnctl rollback {function} --to {before}"),
                    "the version before, and the mapping runs",
                ));
            }
            actions.push((
                format!("fnctl mappings update {name} --on-fatal dead-letter"),
                "gives such records up from then on; resume it then",
            ));
            actions
        },
    )
}

pub(super) fn paused(figures: &Figures<'_>) -> Option<Found> {
    held(
        figures,
        Why::Paused,
        |_| "somebody paused it: nothing is called, and nothing is lost".to_owned(),
        |name| vec![(format!("fnctl mappings resume {name}"), "goes on")],
    )
}

pub(super) fn damaged(figures: &Figures<'_>) -> Option<Found> {
    let stream = &figures.status.stream;
    held(
        figures,
        Why::Damaged,
        |detail| format!("a shard cannot be read: {detail}"),
        |name| {
            let to = match figures.behind_hole {
                Some((shard, number)) => format!("{number} --shard {shard}"),
                None => "latest".to_owned(),
            };
            vec![
                (
                    format!("fnctl streams describe {stream}"),
                    "says what is damaged, by shard and record",
                ),
                (
                    format!("fnctl mappings seek {name} --to {to} --dry-run"),
                    "what going on behind it passes over; a restored backup has it",
                ),
            ]
        },
    )
}

pub(super) fn disk_full(figures: &Figures<'_>) -> Option<Found> {
    held(
        figures,
        Why::DiskFull,
        |detail| format!("{detail}: it goes on by itself when there is"),
        |_| Vec::new(),
    )
    .map(|found| Found {
        actions: room_for(figures.largest),
        ..found
    })
}

/// What gives room on the disk, by the stream that takes most of it, and how much, bytes.
#[must_use]
pub fn room_for(largest: Option<(&str, u64)>) -> Vec<NextStep> {
    let shorten = largest.and_then(|(stream, bytes)| {
        let half = (bytes / 2).max(STREAM_QUOTA_BYTES_MIN);
        // A bound below what it takes, or nothing goes.
        (half < bytes).then(|| {
            step(
                format!(
                    "fnctl streams update {stream} --retention-bytes {}MiB",
                    half >> 20
                ),
                "the largest: its oldest records go within seconds",
            )
        })
    });
    let list = step(
        "fnctl streams list".to_owned(),
        "what each takes; a shorter `--retention` frees what is old: right after a flood, nothing",
    );
    shorten.into_iter().chain([list]).collect()
}

pub(super) fn blocked_output(figures: &Figures<'_>) -> Option<Found> {
    held(
        figures,
        Why::BlockedOutput,
        |detail| format!("{detail}: results wait, at no attempt's cost"),
        |name| {
            let Some(stream) = figures.output else {
                return Vec::new();
            };
            let outputs = &figures.status.outputs;
            let bound = outputs.iter().find(|(_, to)| to.as_str() == stream);
            let mut actions = vec![(
                format!("fnctl streams create {stream}"),
                "it goes on by itself",
            )];
            if let Some((output, _)) = bound {
                actions.push((
                    format!("fnctl mappings update {name} --to {output}=none"),
                    "counts such rows, and keeps none",
                ));
            }
            actions
        },
    )
}

pub(super) fn output_full(figures: &Figures<'_>) -> Option<Found> {
    held(
        figures,
        Why::OutputFull,
        |detail| detail.to_owned(),
        |_| match figures.output {
            Some(stream) => vec![
                (
                    format!("fnctl streams describe {stream}"),
                    "what it takes, and what it may",
                ),
                (
                    format!("fnctl streams update {stream} --quota default"),
                    "takes the bound off; it goes on by itself",
                ),
            ],
            None => Vec::new(),
        },
    )
}

pub(super) fn dead_letters_full(figures: &Figures<'_>) -> Option<Found> {
    let codes = &figures.status.dead_letters_by_code;
    let most = codes.iter().max_by_key(|(_, count)| **count);
    held(
        figures,
        Why::DeadLettersFull,
        |detail| detail.to_owned(),
        |name| {
            let of_code = most.map_or_else(
                || "--all".to_owned(),
                |(code, _)| format!("--code {}", quoted(code)),
            );
            vec![
                (format!("fnctl dlq list {name}"), "what lies there"),
                (
                    format!("fnctl dlq redrive {name} {of_code}"),
                    "once it is mended: each is called again",
                ),
                (
                    format!("fnctl dlq purge {name} {of_code}"),
                    "throws them away, and asks first",
                ),
                (
                    format!("fnctl mappings update {name} --on-failure-full drop-and-count"),
                    "goes on, and keeps nothing of what is given up",
                ),
            ]
        },
    )
}
