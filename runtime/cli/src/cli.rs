//! The words of the command line: what can be said, and which command answers.

mod later;
mod signs;
mod slips;

use std::{
    fmt,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{
    Parser, Subcommand, ValueHint,
    builder::{OsStringValueParser, TypedValueParser as _},
    error::ErrorKind,
};

use crate::{
    client::{Client, Credentials},
    commands::{
        backup, build, capture, completion, deploy, dev, dlq, doctor, dump, explain, filter,
        functions, invoke, logs, man, mappings, new, promote, put, replay, restore, rollback,
        server, shadow, status, streams, tail, tokens, version,
    },
    error::CliError,
    limits,
    output::{Format, Output, pasted, unwritten},
};

/// Streams in, your function, streams out
#[derive(Parser)]
#[command(
    name = "fnctl",
    version = version::LINE,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[arg(long, global = true, env = "FNCTL_SERVER", value_name = "URL", help = SERVER_HELP)]
    server: Option<String>,
    /// Token that lets in; better in the environment, where `ps` does not show it
    #[arg(
        long,
        global = true,
        env = "FNCTL_TOKEN",
        hide_env_values = true,
        value_name = "T"
    )]
    token: Option<String>,
    /// Certificate to trust, PEM, instead of those of this machine
    // That of paths refuses what is empty.
    #[arg(
        long,
        global = true,
        env = "FNCTL_TLS_CA",
        value_name = "F",
        value_hint = ValueHint::FilePath,
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    tls_ca: Option<PathBuf>,
    /// How to print results
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a project from the template
    New(new::Args),
    /// Serve, build and deploy on every change
    Dev(dev::Args),
    /// Build the component of fnctl.toml
    Build(build::Args),
    /// Deploy a function, its streams and its mappings
    Deploy(Box<deploy::Args>),
    /// Make a canary live, or give it another share of the keys
    Promote(promote::Args),
    /// Take a canary back, or make an older version live
    Rollback(rollback::Args),
    /// Call a function once and publish nothing
    Invoke(invoke::Args),
    /// Put records into a stream
    Put(put::Args),
    /// Print the records of a stream as they arrive
    Tail(tail::Args),
    /// Print what a function writes
    Logs(logs::Args),
    /// Create, list, describe, update, split, merge, resize and delete streams
    #[command(visible_alias = "stream")]
    Streams(streams::Args),
    /// List, describe and delete functions
    #[command(visible_alias = "function")]
    Functions(functions::Args),
    /// Say what each mapping is doing, or what keeps it from it; the worst first
    ///
    /// Of one mapping it says why it stands where it stands, since when, and what to do, with commands that can
    /// be pasted. Exit 0 whatever it says: it could be read.
    Status(status::Args),
    /// List, describe, update, pause, resume, seek and delete mappings, and tend parked keys
    #[command(visible_alias = "mapping")]
    Mappings(mappings::Args),
    /// List, show, redrive, export and purge dead letters
    Dlq(dlq::Args),
    /// Write what fails now to a file that reproduces it
    Capture(capture::Args),
    /// Call what was captured again, without a server
    ///
    /// Each batch is called as the attempt that failed, in a world that is the same each time: two runs print
    /// the same. Exit 0: every batch ended as it did; 4: some did not, or could
    /// not be compared.
    Replay(replay::Args),
    /// Run another version beside the live one, and print where they differ
    ///
    /// Both versions are called in the server with the same records, and what they emit is captured, not
    /// emitted: what is compared is what the live version emits for a record when it is called for it, not what
    /// the mapping emitted then. Nothing is charged, settled or put. Exit 0: no difference; 4: some.
    Shadow(shadow::Args),
    /// Try a mapping's filter on records, without a server
    Filter(filter::Args),
    /// Run a server
    Server(server::Args),
    /// Make, list and revoke tokens, which say who may do what
    #[command(visible_alias = "token")]
    Tokens(tokens::Args),
    /// Check the environment and the server, or a data directory
    Doctor(doctor::Args),
    /// Copy everything a running server holds
    Backup(backup::Args),
    /// Make a data directory of a backup
    Restore(restore::Args),
    /// Print journal, segments or image of a data directory
    Dump(dump::Args),
    /// Say what an error's code, or a word of `fnctl status` or of a dead letter, means and what to do about it
    Explain(explain::Args),
    /// Print a page of the manual, or write all of them
    Man(man::Args),
    /// Print what a shell needs to complete words and names: source <(fnctl completion bash)
    Completion(completion::Args),
    /// Print the version
    Version(version::Args),
}

const SERVER_HELP: &str = "Address of the server [default: http://127.0.0.1:4700]";

/// What a command works with.
pub(crate) struct Session {
    /// The server's API.
    pub(crate) client: Client,
    /// Whether a server was named, by flag or environment.
    pub(crate) server_given: bool,
    /// stdout.
    pub(crate) out: Output,
}

impl fmt::Debug for Cli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of the token.
        f.debug_struct("Cli")
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

impl Cli {
    /// Reads the process's arguments; help, version and errors end the process.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        let mut words = signs::joined(std::env::args_os());
        if words.get(1).is_some_and(|word| word == "help") {
            // Help of help is help: the parser knows no flags there.
            words.retain(|word| word != "--help" && word != "-h");
        }
        Self::try_parse_from(&words).map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // A closed stdout ends help as quietly as any reading command.
                match error.print().and_then(|()| io::stdout().flush()) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => {
                        let error = unwritten(error);
                        let code = error.exit_code();
                        error.tell(false);
                        ExitCode::from(code)
                    }
                }
            }
            _ => {
                let words: Vec<String> = words
                    .iter()
                    .skip(1)
                    .map(|word| word.to_string_lossy().into_owned())
                    .collect();
                let error = slips::explain(&error, &words);
                let code = error.exit_code();
                error.tell(asks_for_json(&words));
                ExitCode::from(code)
            }
        })
    }

    /// Whether scripts read.
    pub(crate) fn is_json(&self) -> bool {
        self.output == Format::Json
    }

    /// Runs the command.
    ///
    /// # Errors
    /// What ends it.
    pub(crate) async fn run(self) -> Result<(), CliError> {
        if self.output == Format::Raw && !matches!(self.command, Command::Tail(_)) {
            return Err(CliError::usage("`-o raw` is for `fnctl tail` alone")
                .at("--output")
                .fix("-o text, or -o json"));
        }
        // Empty is what a variable of the shell is that was never set: as for the token, nothing is named by it.
        let server = self.server.filter(|server| !server.is_empty());
        let tls_ca = self.tls_ca.filter(|path| !path.as_os_str().is_empty());
        pasted::asks(server.as_deref(), tls_ca.as_deref());
        let session = &mut Session {
            client: Client::new(
                server.as_deref().unwrap_or(limits::SERVER_DEFAULT),
                &Credentials {
                    token: self.token,
                    tls_ca,
                },
            )?,
            server_given: server.is_some(),
            out: Output::new(self.output),
        };
        let done = match self.command {
            Command::New(args) => new::run(args, session),
            Command::Dev(args) => dev::run(args, session).await,
            Command::Build(args) => build::run(args, session).await,
            Command::Deploy(args) => deploy::run(*args, session).await,
            Command::Promote(args) => promote::run(args, session).await,
            Command::Rollback(args) => rollback::run(args, session).await,
            Command::Invoke(args) => invoke::run(args, session).await,
            Command::Put(args) => put::run(args, session).await,
            Command::Tail(args) => tail::run(args, session).await,
            Command::Logs(args) => logs::run(args, session).await,
            Command::Streams(args) => streams::run(args, session).await,
            Command::Functions(args) => functions::run(args, session).await,
            Command::Status(args) => status::run(args, session).await,
            Command::Mappings(args) => mappings::run(args, session).await,
            Command::Dlq(args) => dlq::run(args, session).await,
            Command::Capture(args) => capture::run(args, session).await,
            Command::Replay(args) => replay::run(args, session).await,
            Command::Shadow(args) => shadow::run(args, session).await,
            Command::Filter(args) => filter::run(args, session).await,
            Command::Server(args) => server::run(args, session).await,
            Command::Tokens(args) => tokens::run(args, session).await,
            Command::Doctor(args) => doctor::run(args, session).await,
            Command::Backup(args) => backup::run(args, session).await,
            Command::Restore(args) => restore::run(args, session),
            Command::Dump(args) => dump::run(args, session),
            Command::Explain(args) => explain::run(args, session),
            Command::Man(args) => man::run(&args, session),
            Command::Completion(args) => completion::run(&args, session),
            Command::Version(args) => version::run(args, session).await,
        };
        let flushed = session.out.flush();
        done.and(flushed)
    }

    /// Whether the command only looks: it ends when nobody reads what it prints.
    pub(crate) fn is_reading(&self) -> bool {
        match &self.command {
            Command::Tail(_) | Command::Logs(_) | Command::Doctor(_) | Command::Status(_) => true,
            Command::Dlq(args) => args.is_reading(),
            Command::Version(_) | Command::Dump(_) | Command::Filter(_) | Command::Replay(_) => {
                true
            }
            Command::Explain(_) | Command::Man(_) | Command::Completion(_) => true,
            Command::Streams(args) => args.is_reading(),
            Command::Tokens(args) => args.is_reading(),
            Command::Functions(args) => args.is_reading(),
            Command::Mappings(args) => args.is_reading(),
            // What changes something is done to its end; dev ends in its own time.
            _ => false,
        }
    }

    /// Whether the command ends itself on a signal, in its own time.
    pub(crate) fn handles_signals(&self) -> bool {
        matches!(
            self.command,
            Command::Server(_) | Command::Dev(_) | Command::Put(_) | Command::Shadow(_)
        )
    }
}

/// Whether `-o json` was asked for, where the arguments as a whole could not be read.
fn asks_for_json(all: &[String]) -> bool {
    all.iter()
        .any(|word| matches!(word.as_str(), "-ojson" | "-o=json" | "--output=json"))
        || all
            .windows(2)
            .any(|pair| matches!(pair[0].as_str(), "-o" | "--output") && pair[1] == "json")
}

#[cfg(test)]
mod tests;
