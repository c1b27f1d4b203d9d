//! `fnctl logs`: what a function writes. Lines are kept in memory, bounded.

use fnctl_core::{error_code::ErrorCode, spec::duration::Duration, status::LogLine};

use crate::{
    cli::Session,
    error::CliError,
    output::{Output, words},
    spelling,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The function
    function: String,
    /// Go on as lines come
    #[arg(long, short)]
    follow: bool,
    /// Only lines of the last so long
    #[arg(long, value_name = "DURATION", value_parser = Duration::parse)]
    since: Option<Duration>,
    /// Only the last so many lines
    #[arg(long, value_name = "N", value_parser = spelling::count, allow_negative_numbers = true)]
    tail: Option<u64>,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let since = args.since.map(|since| since.to_string());
    let tail = args.tail.map(|tail| tail.to_string());
    let mut query = Vec::new();
    if args.follow {
        query.push(("follow", "true"));
    }
    if let Some(since) = &since {
        query.push(("since", since.as_str()));
    }
    if let Some(tail) = &tail {
        query.push(("tail", tail.as_str()));
    }
    let mut lines = session
        .client
        .lines(&["v1", "functions", &args.function, "logs"], &query)
        .await?;
    session.out.note(
        "(kept in memory: a restart of the server forgets, old lines make room for new ones)",
    );
    let mut is_empty = true;
    loop {
        if !lines.has_line() {
            session.out.flush()?;
        }
        let Some(line) = lines.next().await? else {
            if is_empty {
                session.out.note("no lines");
            }
            return Ok(());
        };
        is_empty = false;
        print(&line, &mut session.out)?;
    }
}

fn print(line: &[u8], out: &mut Output) -> Result<(), CliError> {
    if out.is_json() {
        out.bytes(line)?;
        return out.bytes(b"\n");
    }
    let line: LogLine = serde_json::from_slice(line).map_err(|error| {
        CliError::new(
            ErrorCode::AnswerUnreadable,
            "a line of the answer cannot be read",
        )
        .because(error.to_string())
    })?;
    let place = [
        line.mapping.clone(),
        line.shard_id.clone(),
        line.sequence_number.as_deref().map(words::short_number),
    ];
    let place: Vec<String> = place.into_iter().flatten().collect();
    let place = match place.is_empty() {
        true => String::new(),
        false => format!("  ({})", place.join(" ")),
    };
    let source = if line.source == "log" {
        String::new()
    } else {
        format!("{}: ", line.source)
    };
    let time = words::local_time(&line.time);
    let message = line.message.replace('\n', "\n              ");
    // What the host says of lines that are lost is of no version.
    let version = match line.version {
        0 => String::new(),
        version => format!("v{version} "),
    };
    out.line(&format!(
        "{time}  {version}{:<5}  {source}{message}{place}",
        line.level
    ))
}
