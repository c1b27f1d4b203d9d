//! Completes what a shell has of a command line: words by the command line's own grammar, names by asking
//! the server, briefly. A server that does not answer completes nothing and says nothing.

use std::ffi::OsStr;

use clap::{Command, CommandFactory};
use clap_complete::{
    ArgValueCandidates, ArgValueCompleter, CompleteEnv, CompletionCandidate, PathCompleter,
    engine::ValueCompleter as _,
};
use fnctl_core::{
    access::TokenLine,
    error_code::ErrorCode,
    meaning,
    status::{FunctionLine, MappingLine, StreamLine},
};
use serde::de::DeserializeOwned;

use crate::{
    cli::Cli,
    client::{Client, Credentials},
    limits,
};

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
    let of = command.get_name().to_owned();
    let named = command.mut_args(|arg| match (of.as_str(), arg.get_id().as_str()) {
        (_, "mapping") => arg.add(ArgValueCandidates::new(mappings)),
        (_, "function") | ("deploy", "name") => arg.add(ArgValueCandidates::new(functions)),
        (_, "stream") | ("deploy" | "update", "to") => arg.add(ArgValueCandidates::new(streams)),
        ("invoke", "target") => arg.add(ArgValueCompleter::new(functions_and_files)),
        ("revoke", "name") => arg.add(ArgValueCandidates::new(tokens)),
        (_, "code") if arg.is_positional() => arg.add(ArgValueCandidates::new(codes)),
        _ => arg,
    });
    // A shell offers one of the words that mean the same, the shortest: it is to be the documented one.
    let alias = match of.as_str() {
        "streams" => Some("stream"),
        "functions" => Some("function"),
        "mappings" => Some("mapping"),
        "tokens" => Some("token"),
        _ => None,
    };
    let named = match alias {
        Some(alias) => named.visible_alias(None).alias(alias),
        None => named,
    };
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

/// A function of the server, or a component on the disk.
fn functions_and_files(begun: &OsStr) -> Vec<CompletionCandidate> {
    let begun_text = begun.to_string_lossy();
    let begins = |one: &CompletionCandidate| {
        let value = one.get_value().to_string_lossy();
        value.starts_with(begun_text.as_ref())
    };
    let functions = functions().into_iter().filter(begins);
    functions
        .chain(PathCompleter::any().complete(begun))
        .collect()
}

fn tokens() -> Vec<CompletionCandidate> {
    let all: Vec<TokenLine> = listed("tokens");
    all.into_iter()
        .map(|token| {
            let may = format!("may {}", token.scope);
            CompletionCandidate::new(token.name.as_str()).help(Some(may.into()))
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
    let codes = ErrorCode::ALL.iter().map(|code| {
        let title = code.explanation().title;
        CompletionCandidate::new(code.as_str()).help(Some(title.into()))
    });
    let words = meaning::all().into_iter().flat_map(|(_, all)| all);
    let words = words.map(|one| CompletionCandidate::new(one.word).help(Some(one.title.into())));
    codes.chain(words).collect()
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
        let words: Vec<String> = std::env::args_os()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let server = given(&words, "--server", "FNCTL_SERVER");
        let credentials = Credentials {
            token: given(&words, "--token", "FNCTL_TOKEN"),
            tls_ca: given(&words, "--tls-ca", "FNCTL_TLS_CA").map(Into::into),
        };
        let server = server.as_deref().unwrap_or(limits::SERVER_DEFAULT);
        let Ok(client) = Client::new(server, &credentials) else {
            return Vec::new();
        };
        let path = ["v1", what];
        let listed = client.list(&path, &[]);
        let within = tokio::time::timeout(limits::COMPLETION_TIMEOUT, listed).await;
        within.ok().and_then(Result::ok).unwrap_or_default()
    })
}

/// What the line that is completed says by a flag, or else the environment.
fn given(words: &[String], flag: &str, variable: &str) -> Option<String> {
    let said = said(words, flag).or_else(|| std::env::var(variable).ok());
    said.filter(|value| !value.is_empty())
}

fn said(words: &[String], flag: &str) -> Option<String> {
    let value = |word: &String| Some(word.strip_prefix(flag)?.strip_prefix('=')?.to_owned());
    let joined = words.iter().find_map(value);
    joined.or_else(|| apart(words, flag))
}

/// The value in words of its own. Bash breaks words at `=` and `:`: an address comes in pieces.
fn apart(words: &[String], flag: &str) -> Option<String> {
    let at = words.iter().position(|word| word == flag)? + 1;
    let at = at + usize::from(words.get(at).is_some_and(|word| word == "="));
    let mut value = words.get(at)?.clone();
    for pair in words[at + 1..].chunks_exact(2) {
        if pair[0] != ":" {
            break;
        }
        value.push(':');
        value.push_str(&pair[1]);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn the_server_is_that_of_the_line() {
        let of = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            said(&words, "--server")
        };
        assert_eq!(of("fnctl logs"), None);
        assert_eq!(of("fnctl --server http://a:1 logs").unwrap(), "http://a:1");
        assert_eq!(of("fnctl logs --server=http://b:1").unwrap(), "http://b:1");
        assert_eq!(of("fnctl logs --servers=http://b:1"), None);
        let bash = "fnctl --server http : //c : 1 logs";
        assert_eq!(of(bash).unwrap(), "http://c:1");
        assert_eq!(of("fnctl --server = http : //c logs").unwrap(), "http://c");
    }
}
