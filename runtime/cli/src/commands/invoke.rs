//! `fnctl invoke`: one call that publishes nothing; of a function on the server, or of a file here.

pub(crate) mod kept;
mod local;

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use fnctl_core::{
    error_code::ErrorCode,
    spec::{
        FunctionSpec, Setting,
        duration::Duration,
        resolve::{self, FunctionSettings, Problems},
        size::ByteSize,
    },
    status::{CallFailure, CallLog, CallRecord, CallRequest, CallResult, CallRow, Encoding},
};

use super::deploy::{read_component, refused};
use crate::{
    cli::Session,
    error::CliError,
    limits,
    output::{Output, words},
    spelling,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A function on the server, or a component here
    #[arg(value_name = "NAME|FILE.wasm")]
    target: String,
    /// Records, one a line; `-` or nothing is standard input
    #[arg(long, value_name = "F")]
    file: Option<PathBuf>,
    /// Partition key of every record
    #[arg(long, value_name = "K", conflicts_with = "key_field", value_parser = spelling::key, allow_hyphen_values = true)]
    key: Option<String>,
    /// Field of each record's JSON that is its partition key, such as user.id; text as it is, a number as
    /// the record writes it
    #[arg(long, value_name = "A.B", value_parser = spelling::field)]
    key_field: Option<String>,
    /// A configuration value, of a file's call
    #[arg(long, value_name = "K=V", value_parser = spelling::pair)]
    config: Vec<(String, String)>,
    /// Time limit, of a file's call [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = spelling::setting::<Duration>, allow_negative_numbers = true)]
    timeout: Option<Setting<Duration>>,
    /// Memory limit, of a file's call [default: 128MiB]
    #[arg(long, value_name = "SIZE", value_parser = spelling::setting::<ByteSize>, allow_negative_numbers = true)]
    memory: Option<Setting<ByteSize>>,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let is_file = args.target.ends_with(".wasm") || args.target.contains('/');
    let settings = settings(&args, is_file)?;
    // Before records are asked for, which may be typed.
    let component = is_file
        .then(|| read_component(Path::new(&args.target)))
        .transpose()?;
    let records = records(&args)?;
    let result = if let Some(component) = component {
        local::call(&args.target, component, settings, records).await?
    } else {
        let path = ["v1", "functions", &args.target, "invoke"];
        session.client.post(&path, &CallRequest { records }).await?
    };
    if session.out.is_json() {
        session.out.json(&result)?;
    } else {
        print(&result, &mut session.out)?;
    }
    if result.failures.is_empty() {
        return Ok(());
    }
    let failed = words::count(result.failures.len() as u64, "failure");
    Err(CliError::new(
        ErrorCode::CallFailed,
        format!("the call ended `{}`, with {failed}", result.outcome),
    ))
}

/// What a file is called with. A function on the server has settings of its own.
fn settings(args: &Args, is_file: bool) -> Result<FunctionSettings, CliError> {
    let spec = FunctionSpec {
        memory: args.memory.clone(),
        timeout: args.timeout.clone(),
        config: args
            .config
            .iter()
            .map(|(name, value)| (name.clone(), spelling::text(value)))
            .collect(),
        ..FunctionSpec::default()
    };
    if !is_file && spec != FunctionSpec::default() {
        return Err(
            CliError::usage("--config, --timeout and --memory are for the call of a file")
                .because(format!("the live version of `{}` has its own", args.target))
                .fix("fnctl deploy --name NAME changes them"),
        );
    }
    let mut problems = Problems::default();
    let live = FunctionSettings::default();
    let settings = resolve::function(&live, &spec, &[], &mut problems);
    if problems.0.is_empty() {
        return Ok(settings);
    }
    Err(refused(problems.0, "fnctl invoke --help"))
}

fn records(args: &Args) -> Result<Vec<CallRecord>, CliError> {
    let name = args.file.as_ref().map_or_else(
        || "standard input".to_owned(),
        |path| path.display().to_string(),
    );
    let unreadable = |error: std::io::Error| {
        CliError::new(
            ErrorCode::FileUnreadable,
            format!("`{name}` cannot be read"),
        )
        .because(error.to_string())
        .fix("--file F is a file with a record a line; `-` is standard input")
    };
    let text = match &args.file {
        Some(path) if path.as_os_str() != "-" => std::fs::read(path),
        _ => std::io::read_to_string(std::io::stdin()).map(String::into_bytes),
    }
    .map_err(unreadable)?;
    if text.len() as u64 > limits::INVOKE_BYTES_MAX {
        let size = ByteSize::from_bytes(limits::INVOKE_BYTES_MAX);
        return Err(CliError::new(
            ErrorCode::BodyTooLarge,
            format!("{name} is above {size}, the most of one call"),
        ));
    }
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty() && *line != b"\r");
    let records: Vec<CallRecord> = lines
        .map(|line| {
            let key = match (&args.key, &args.key_field) {
                (Some(key), _) => Some(key.clone()),
                (None, Some(field)) => fnctl_host::key_at(line, field),
                (None, None) => None,
            };
            let (data, encoding) = match std::str::from_utf8(line) {
                Ok(text) => (text.to_owned(), Encoding::Text),
                Err(_) => (STANDARD.encode(line), Encoding::Base64),
            };
            CallRecord {
                key,
                data,
                encoding: Some(encoding),
            }
        })
        .collect();
    if records.is_empty() {
        return Err(CliError::new(
            ErrorCode::RecordsUnreadable,
            format!("there is no record in {name}"),
        )
        .because("each line is a record; without --file they are read of standard input")
        .fix("echo '{}' | fnctl invoke NAME, or: fnctl invoke NAME --file F"));
    }
    Ok(records)
}

fn print(result: &CallResult, out: &mut Output) -> Result<(), CliError> {
    let memory = words::size(result.memory_bytes);
    out.line(&format!(
        "outcome  {}  in {:.1} ms, memory {memory}",
        result.outcome, result.duration_ms
    ))?;
    print_result(&result.rows, &result.failures, &result.logs, out)
}

/// Prints what a call came to, a line each.
///
/// # Errors
/// stdout was closed, or takes no more.
pub(crate) fn print_result(
    rows: &[CallRow],
    failures: &[CallFailure],
    logs: &[CallLog],
    out: &mut Output,
) -> Result<(), CliError> {
    for row in rows {
        let source = row
            .source
            .map_or_else(|| "-".to_owned(), |source| source.to_string());
        out.line(&format!(
            "row      {source:<4} → {}  {}  {}",
            row.output, row.partition_key, row.data.data
        ))?;
    }
    for failure in failures {
        let index = failure
            .index
            .map_or_else(|| "-".to_owned(), |index| index.to_string());
        let message = failure.message.replace('\n', "\n                ");
        out.line(&format!(
            "{:<8} {index:<4} {}: {message}",
            failure.kind, failure.code
        ))?;
    }
    for line in logs {
        out.line(&format!("log      {:<5} {}", line.level, line.message))?;
    }
    Ok(())
}
