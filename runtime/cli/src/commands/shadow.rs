//! `fnctl shadow`: another version beside the live one, on the same records, and where they differ.

use std::path::PathBuf;

use fnctl_core::{
    error_code::ErrorCode,
    spec::request::ArtifactResult,
    status::{Encoding, ShadowEnd, ShadowLine, ShadowRecord, ShadowSummary, ShadowWindow},
};
use hyper::Method;

use super::deploy::read_component;
use crate::{
    cli::Session,
    client::Lines,
    error::CliError,
    output::{Output, words},
    spelling,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The mapping: its id, FUNCTION/STREAM, or FUNCTION while it has one
    mapping: String,
    /// The version that is compared with the live one
    #[arg(long, value_name = "N", value_parser = spelling::positive, allow_negative_numbers = true,
          conflicts_with = "component")]
    version: Option<u64>,
    /// A component instead, with the settings of the live version
    #[arg(long, value_name = "FILE.wasm")]
    component: Option<PathBuf>,
    /// Begin there and end with what is there now: trim-horizon, a time, a duration ago, or a sequence number; with
    /// tumbling windows where the window begins that it lies in [default: follow from now on]
    #[arg(long, value_name = "POSITION", value_parser = spelling::place, allow_hyphen_values = true)]
    from: Option<String>,
    /// With --from: go on with what comes
    #[arg(long)]
    follow: bool,
    /// End after so many records
    #[arg(long, short = 'n', value_name = "N", value_parser = spelling::positive, allow_negative_numbers = true)]
    count: Option<u64>,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    if args.version.is_none() && args.component.is_none() {
        let mapping = &args.mapping;
        let words = "what is compared with the live version is not said";
        return Err(CliError::usage(words).fix(format!(
            "fnctl shadow {mapping} --version N        (or: --component FILE.wasm)"
        )));
    }
    let version = args.version.map(|version| version.to_string());
    let digest = match &args.component {
        None => None,
        Some(path) => {
            let bytes = read_component(path)?;
            let path = ["v1", "artifacts"];
            let uploaded = session.client.send_bytes(Method::PUT, &path, bytes).await;
            let uploaded: ArtifactResult = uploaded?;
            Some(uploaded.digest)
        }
    };
    let is_following = args.follow || args.from.is_none();
    let count = args.count.map(|count| count.to_string());
    let mut query = vec![
        ("from", args.from.as_deref().unwrap_or("latest")),
        ("follow", if is_following { "true" } else { "false" }),
    ];
    let given = [
        ("version", &version),
        ("digest", &digest),
        ("count", &count),
    ];
    for (name, value) in given {
        query.extend(value.as_deref().map(|value| (name, value)));
    }
    let path = ["v1", "mappings", &args.mapping, "shadow"];
    let mut lines = session.client.lines(&path, &query).await?;
    let mut summary = ShadowSummary::default();
    let ended = tokio::select! {
        ended = follow(&mut lines, &mut summary, session) => match ended {
            Ok(ended) => ended,
            Err(error) => {
                // It ended early: what was found until then is told to a person all the same.
                if !session.out.is_json() && summary.records > 0 {
                    counts(&summary, &mut session.out)?;
                    session.out.flush()?;
                }
                return Err(error);
            }
        },
        // What was found is told all the same.
        _ = tokio::signal::ctrl_c() => true,
    };
    if !ended {
        let server = session.client.server();
        let words = format!("{server} ended the comparison");
        return Err(CliError::new(ErrorCode::ServerUnreachable, words)
            .because(format!("after {}", words::count(summary.records, "record")))
            .fix("fnctl doctor says whether it answers"));
    }
    tell(&summary, &mut session.out)
}

/// Prints what comes until the last line; whether that came.
async fn follow(
    lines: &mut Lines,
    summary: &mut ShadowSummary,
    session: &mut Session,
) -> Result<bool, CliError> {
    loop {
        // What came is shown before the next wait, never later.
        if !lines.has_line() {
            session.out.flush()?;
        }
        let Some(line) = lines.next().await? else {
            return Ok(false);
        };
        let read = serde_json::from_slice(&line).map_err(|error| {
            let words = "a line of the answer cannot be read";
            CliError::new(ErrorCode::AnswerUnreadable, words)
                .because(error.to_string())
                .fix("fnctl doctor compares the versions")
        })?;
        match read {
            ShadowLine::Different(record) if session.out.is_json() => {
                session.out.json(&ShadowLine::Different(record))?;
            }
            ShadowLine::DifferentWindow(window) if session.out.is_json() => {
                session.out.json(&ShadowLine::DifferentWindow(window))?;
            }
            ShadowLine::Different(record) => print(&record, &mut session.out)?,
            ShadowLine::DifferentWindow(window) => print_window(&window, &mut session.out)?,
            ShadowLine::Progress(so_far) => *summary = so_far,
            ShadowLine::End(end) => {
                *summary = end;
                return Ok(true);
            }
        }
    }
}

fn print(record: &ShadowRecord, out: &mut Output) -> Result<(), CliError> {
    let base64 = match record.key_encoding {
        Encoding::Text => "",
        Encoding::Base64 => "(base64) ",
    };
    let key = words::shown(&record.partition_key, 40);
    let (shard, number) = (&record.shard_id, &record.sequence_number);
    out.line(&format!("{shard}  {number}  key {base64}{key}"))?;
    end("live", &record.live, out)?;
    end("shadow", &record.shadow, out)
}

fn print_window(window: &ShadowWindow, out: &mut Output) -> Result<(), CliError> {
    let ShadowWindow {
        shard_id,
        group,
        starts_at,
        ends_at,
        live,
        shadow,
    } = window;
    out.line(&format!(
        "{shard_id}  end of window {starts_at}-{ends_at}  group {group}"
    ))?;
    end("live", live, out)?;
    end("shadow", shadow, out)
}

/// How a record or a window ended, a line a row.
fn end(label: &str, end: &ShadowEnd, out: &mut Output) -> Result<(), CliError> {
    for row in &end.rows {
        let key = words::shown(&row.partition_key, 40);
        let base64 = match row.data.encoding {
            Encoding::Text => "",
            Encoding::Base64 => "base64:",
        };
        let (output, data) = (&row.output, &row.data.data);
        out.line(&format!("  {label:<7} → {output}  {key}  {base64}{data}"))?;
    }
    match &end.failure {
        Some(failure) => {
            let words = failure.error.replace('\n', "\n            ");
            let (kind, code) = (&failure.error_kind, &failure.code);
            out.line(&format!("  {label:<7} {kind} {code}: {words}"))
        }
        None if end.rows.is_empty() => out.line(&format!("  {label:<7} no rows")),
        None => Ok(()),
    }
}

fn tell(summary: &ShadowSummary, out: &mut Output) -> Result<(), CliError> {
    if out.is_json() {
        out.json(&ShadowLine::End(summary.clone()))?;
    } else {
        counts(summary, out)?;
    }
    let of = |different: u64, all: u64, noun: &str| {
        (different > 0).then(|| format!("{different} of {}", words::count(all, noun)))
    };
    let records = of(summary.different, summary.records, "record");
    let windows = of(summary.windows_different, summary.windows, "window");
    let otherwise: Vec<String> = records.into_iter().chain(windows).collect();
    if otherwise.is_empty() {
        return Ok(());
    }
    let otherwise = otherwise.join(" and ");
    Err(CliError::new(
        ErrorCode::EndsOtherwise,
        format!("{otherwise} end otherwise than with the live version"),
    ))
}

/// How many there were of what, for a person.
fn counts(summary: &ShadowSummary, out: &mut Output) -> Result<(), CliError> {
    let ShadowSummary {
        records,
        same,
        different,
        filtered,
        live_failed,
        shadow_failed,
        windows,
        windows_different,
        open_windows,
        left_out,
        ..
    } = summary;
    out.line(&format!(
        "compared {records}  same {same}  different {different}  filtered {filtered}  failed live {live_failed} shadow {shadow_failed}"
    ))?;
    if windows + open_windows + left_out > 0 {
        let same = windows - windows_different;
        out.line(&format!(
            "windows  {windows}  same {same}  different {windows_different}  open {open_windows}  records without their window's beginning {left_out}"
        ))?;
    }
    Ok(())
}
