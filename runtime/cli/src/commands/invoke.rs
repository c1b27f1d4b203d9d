//! `fnctl invoke`: one call that publishes nothing; of a function on the server, or of a file here.

mod local;

use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::STANDARD};
use fnctl_core::{
    error_code::ErrorCode,
    spec::{duration::Duration, size::ByteSize},
    status::{CallRecord, CallRequest, CallResult, Encoding},
};

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
    #[arg(long, value_name = "K", conflicts_with = "key_field")]
    key: Option<String>,
    /// Field of each record's JSON that is its partition key, such as user.id
    #[arg(long, value_name = "A.B")]
    key_field: Option<String>,
    /// A configuration value, of a file's call
    #[arg(long, value_name = "K=V", value_parser = spelling::pair)]
    config: Vec<(String, String)>,
    /// Time limit, of a file's call
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = Duration::parse)]
    timeout: Duration,
    /// Memory limit, of a file's call
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = ByteSize::parse)]
    memory: ByteSize,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let is_file = args.target.ends_with(".wasm") || args.target.contains('/');
    let records = records(&args)?;
    let result = if is_file {
        local::call(&args, records).await?
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

fn records(args: &Args) -> Result<Vec<CallRecord>, CliError> {
    let name = args.file.as_ref().map_or_else(
        || "standard input".to_owned(),
        |path| path.display().to_string(),
    );
    let unreadable = |error: std::io::Error| {
        CliError::new(
            ErrorCode::FileUnreadable,
            format!("failed to read {name}: {error}"),
        )
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
    Ok(lines
        .map(|line| {
            let key = match (&args.key, &args.key_field) {
                (Some(key), _) => Some(key.clone()),
                (None, Some(field)) => key(line, field),
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
        .collect())
}

/// The key at a path of a record's JSON: text, or a number as JSON writes it.
fn key(line: &[u8], path: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    let found = path
        .split('.')
        .try_fold(&value, |value, name| value.get(name))?;
    match found {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn print(result: &CallResult, out: &mut Output) -> Result<(), CliError> {
    let memory = words::size(result.memory_bytes);
    out.line(&format!(
        "outcome  {}  in {:.1} ms, memory {memory}",
        result.outcome, result.duration_ms
    ))?;
    for row in &result.rows {
        let source = row
            .source
            .map_or_else(|| "-".to_owned(), |source| source.to_string());
        out.line(&format!(
            "row      {source:<4} → {}  {}  {}",
            row.output, row.partition_key, row.data.data
        ))?;
    }
    for failure in &result.failures {
        let index = failure
            .index
            .map_or_else(|| "-".to_owned(), |index| index.to_string());
        let message = failure.message.replace('\n', "\n                ");
        out.line(&format!(
            "{:<8} {index:<4} {}: {message}",
            failure.kind, failure.code
        ))?;
    }
    for line in &result.logs {
        out.line(&format!("log      {:<5} {}", line.level, line.message))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn keys_are_text_or_numbers_at_a_path() {
        assert_eq!(key(br#"{"a":{"b":7}}"#, "a.b").as_deref(), Some("7"));
        assert_eq!(key(br#"{"a":"x"}"#, "a").as_deref(), Some("x"));
        for (line, path) in [
            ("{}", "a"),
            ("[1]", "a"),
            ("nonsense", "a"),
            (r#"{"a":{}}"#, "a"),
        ] {
            assert_eq!(key(line.as_bytes(), path), None);
        }
    }
}
