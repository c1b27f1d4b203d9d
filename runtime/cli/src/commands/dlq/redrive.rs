//! `fnctl dlq redrive`: give dead letters to their function again.

use fnctl_core::{
    error_code::ErrorCode,
    spec::duration::Duration,
    status::{CancelledRedrives, RedriveLine, RedriveStatus},
};

use super::purge::Selection;
use crate::{cli::Session, error::CliError, output::words, spelling};

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "fnctl dlq redrive [OPTIONS] <MAPPING> <ID...|--code|--kind|--key|--since|--all>\n       fnctl dlq redrive <MAPPING> --cancel"
)]
pub(crate) struct Args {
    /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
    mapping: String,
    #[command(flatten)]
    selection: Selection,
    /// Call off what is under way: letters that the function was not given stay open
    #[arg(
        long,
        group = "Selection",
        conflicts_with_all = [
            "ids", "code", "kind", "key", "since", "all", "version", "rate", "dry_run", "wait"
        ]
    )]
    cancel: bool,
    /// With this version of the function, not with the live one
    #[arg(long, value_name = "N", value_parser = spelling::positive, allow_negative_numbers = true)]
    version: Option<u64>,
    /// At most so many a second
    #[arg(long, value_name = "R", value_parser = spelling::small, allow_negative_numbers = true)]
    rate: Option<u32>,
    /// Only say how many it would be
    #[arg(long)]
    dry_run: bool,
    /// Wait until all have ended, at the longest so long
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "60s",
        value_parser = Duration::parse
    )]
    wait: Option<Duration>,
}

pub(super) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    if args.cancel {
        return cancel(&args.mapping, session).await;
    }
    let path = ["v1", "mappings", &args.mapping, "dead-letters", "redrive"];
    let mut body = args.selection.body();
    body["dry_run"] = args.dry_run.into();
    body["version"] = args.version.into();
    body["rate"] = args.rate.into();
    body["wait_ms"] = args.wait.map(|wait| wait.ms).into();
    let done: RedriveStatus = session.client.post(&path, &body).await?;
    if session.out.is_json() {
        session.out.json(&done)?;
    } else {
        session.out.line(&line(&done, &args.mapping))?;
        if done.without_record == 0
            && let Some(why) = args.selection.why_none(done.open_codes.as_ref())
        {
            session.out.note(&why);
        }
        if done.without_record > 0 {
            let letters = words::count(done.without_record, "open dead letter");
            session.out.note(&format!(
                "{letters} of these without a record: states of windows, or records too large to be kept; fnctl dlq list {}",
                args.mapping
            ));
        }
    }
    match (done.pending, args.wait) {
        (Some(pending), Some(_)) if done.is_cancelled => Err(CliError::new(
            ErrorCode::RedriveCancelled,
            format!(
                "{} did not end: the redrive was called off",
                words::count(pending, "dead letter")
            ),
        )
        .because("somebody ran `fnctl dlq redrive --cancel`; letters that the function was not given stay open")
        .fix(format!("fnctl dlq list {}", args.mapping))),
        (Some(pending @ 1..), Some(_)) if done.is_stopping => Err(CliError::new(
            ErrorCode::Stopping,
            format!(
                "{} did not end: the server stops",
                words::count(pending, "dead letter")
            ),
        )
        .because("what was asked for is kept, and each letter ends once")
        .fix(format!(
            "they go on when the server starts again: fnctl mappings describe {}",
            args.mapping
        ))),
        (Some(pending @ 1..), Some(wait)) => Err(CliError::new(
            ErrorCode::WaitedTooLong,
            format!(
                "{} did not end within {wait}",
                words::count(pending, "dead letter")
            ),
        )
        .because(
            "a letter waits while its key is in hand or waits for a retry, and after unclean stops until the \
             server is careful no more, ten minutes (fnctl_careful)",
        )
        .fix(format!(
            "fnctl mappings describe {}: they go on while the mapping runs, after a start of the server too",
            args.mapping
        ))),
        _ => match &done.damaged {
            Some(damaged) => Err(super::left(damaged, &args.mapping)),
            None => Ok(()),
        },
    }
}

async fn cancel(mapping: &str, session: &mut Session) -> Result<(), CliError> {
    let path = [
        "v1",
        "mappings",
        mapping,
        "dead-letters",
        "redrives",
        "cancel",
    ];
    let done: CancelledRedrives = session.client.post(&path, &serde_json::json!({})).await?;
    if session.out.is_json() {
        return session.out.json(&done);
    }
    for one in &done.redrives {
        session.out.line(&format!("called off {}", in_words(one)))?;
    }
    if done.redrives.is_empty() {
        session.out.note("nothing was under way");
    }
    Ok(())
}

/// What a redrive that is under way is, and how far.
pub(super) fn in_words(one: &RedriveLine) -> String {
    let mut asked = vec![match one.named {
        Some(named) => format!("of {}", words::count(named, "letter")),
        None => String::new(),
    }];
    for (flag, value) in [
        ("code", &one.code),
        ("kind", &one.kind),
        ("key", &one.key),
        ("since", &one.since),
    ] {
        asked.extend(value.as_ref().map(|value| format!("--{flag} {value}")));
    }
    let is_all = one.named.is_none() && asked.len() == 1;
    asked.extend(is_all.then(|| "--all".to_owned()));
    for (flag, value) in [("version", one.version), ("rate", one.rate)] {
        asked.extend(value.map(|value| format!("--{flag} {value}")));
    }
    let mut reached = format!(
        "pending {}  processed {}  dead-lettered {}",
        one.pending, one.processed, one.dead_lettered
    );
    if one.skipped > 0 {
        reached.push_str(&format!("  skipped {}", one.skipped));
    }
    let asked = asked.join(" ");
    let (asked, when) = (asked.trim(), words::local(&one.asked_at));
    format!("{asked}, asked {when} by {}  {reached}", one.asked_by)
}

fn line(done: &RedriveStatus, mapping: &str) -> String {
    let letters = words::count(done.redriven, "dead letter");
    if done.dry_run {
        return format!("would go   {letters} of {mapping}");
    }
    let (Some(processed), Some(failed), Some(skipped)) =
        (done.processed, done.dead_lettered, done.skipped)
    else {
        return format!("redriving  {letters} of {mapping}        fnctl dlq list {mapping} --all");
    };
    let skipped = match skipped {
        0 => String::new(),
        skipped => format!("  skipped {skipped}"),
    };
    let pending = match done.pending {
        None | Some(0) => String::new(),
        Some(pending) => format!("  pending {pending}"),
    };
    format!(
        "redriven   {letters} of {mapping}  processed {processed}  dead-lettered {failed}{skipped}{pending}"
    )
}
