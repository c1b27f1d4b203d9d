//! Completes what a shell has of a command line: words by the command line's own grammar, names by asking
//! the server, briefly. A server that does not answer completes nothing and says nothing.

use clap::{Command, CommandFactory};
use clap_complete::{ArgValueCandidates, CompleteEnv, CompletionCandidate};
use fnctl_core::{
    error_code::ErrorCode,
    status::{FunctionLine, MappingLine, StreamLine},
};
use serde::de::DeserializeOwned;

use crate::{cli::Cli, client::Client, limits};

/// Set by the shell's script: the process completes and does nothing else.
pub(crate) const VARIABLE: &str = "FNCTL_COMPLETE";

/// Answers the shell and ends the process, if it asks.
pub(crate) fn answer_if_asked() {
    CompleteEnv::with_factory(grammar).var(VARIABLE).complete();
}

/// The command line, with names for its arguments.
fn grammar() -> Command {
    with_names(Cli::command())
}

fn with_names(command: Command) -> Command {
    // What it names is in a data directory, by number.
    if command.get_name() == "dump" {
        return command;
    }
    let named = command.mut_args(|arg| match arg.get_id().as_str() {
        "mapping" => arg.add(ArgValueCandidates::new(mappings)),
        "function" => arg.add(ArgValueCandidates::new(functions)),
        "stream" => arg.add(ArgValueCandidates::new(streams)),
        "code" if arg.is_positional() => arg.add(ArgValueCandidates::new(codes)),
        _ => arg,
    });
    named.mut_subcommands(with_names)
}

fn mappings() -> Vec<CompletionCandidate> {
    let all: Vec<MappingLine> = listed("mappings");
    all.into_iter()
        .map(|mapping| CompletionCandidate::new(mapping.name).help(Some(mapping.state.into())))
        .collect()
}

fn functions() -> Vec<CompletionCandidate> {
    let all: Vec<FunctionLine> = listed("functions");
    all.into_iter()
        .map(|function| {
            let version = format!("version {}", function.version);
            CompletionCandidate::new(function.name).help(Some(version.into()))
        })
        .collect()
}

fn streams() -> Vec<CompletionCandidate> {
    let all: Vec<StreamLine> = listed("streams");
    all.into_iter()
        .map(|stream| {
            let shards = format!("shards {}", stream.shards);
            CompletionCandidate::new(stream.name).help(Some(shards.into()))
        })
        .collect()
}

fn codes() -> Vec<CompletionCandidate> {
    ErrorCode::ALL
        .iter()
        .map(|code| {
            let title = code.explanation().title;
            CompletionCandidate::new(code.as_str()).help(Some(title.into()))
        })
        .collect()
}

/// What the server lists; nothing if it does not answer at once.
fn listed<T: DeserializeOwned>(what: &str) -> Vec<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return Vec::new();
    };
    runtime.block_on(async {
        let Ok(client) = Client::new(&server()) else {
            return Vec::new();
        };
        let path = ["v1", what];
        let listed = client.list(&path, &[]);
        let within = tokio::time::timeout(limits::COMPLETION_TIMEOUT, listed).await;
        within.ok().and_then(Result::ok).unwrap_or_default()
    })
}

/// The server of the line that is completed: by its flag, the environment, or the usual one.
fn server() -> String {
    let words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    server_of(&words)
        .or_else(|| std::env::var("FNCTL_SERVER").ok())
        .unwrap_or_else(|| limits::SERVER_DEFAULT.to_owned())
}

fn server_of(words: &[String]) -> Option<String> {
    let joined = words.iter().find_map(|word| word.strip_prefix("--server="));
    let apart = words.windows(2).find(|pair| pair[0] == "--server");
    joined
        .or_else(|| apart.map(|pair| pair[1].as_str()))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::server_of;

    #[test]
    fn the_server_is_that_of_the_line() {
        let of = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            server_of(&words)
        };
        assert_eq!(of("fnctl logs"), None);
        assert_eq!(of("fnctl --server http://a:1 logs").unwrap(), "http://a:1");
        assert_eq!(of("fnctl logs --server=http://b:1").unwrap(), "http://b:1");
    }
}
