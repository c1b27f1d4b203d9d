//! The flags of a deploy: the keys of `fnctl.toml` with `-` for `_`.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use fnctl_core::{
    error_code::{ErrorCode, ErrorObject, Problem},
    function::Isolation,
    registry::Note,
    spec::{
        SecretSource, Setting, StartingPosition, StreamSpec,
        duration::Duration,
        mapping::MappingSpec,
        request::{DeployRequest, DeployResult},
        setting::{Count, Unfit},
        size::ByteSize,
    },
};

use super::layer;
use crate::{
    commands::{mapping_flags::MappingFlags, promote::CanaryFlags},
    error::CliError,
    limits,
    manifest::{self, Named},
    spelling,
};

/// What can be said to `fnctl deploy`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// A component, or a folder with fnctl.toml
    pub(super) path: Option<PathBuf>,
    /// The function's name [default: the file's stem]
    #[arg(long)]
    name: Option<String>,
    /// The stream read
    #[arg(long)]
    stream: Option<String>,
    /// Shards of streams that are made [default: 1]
    #[arg(long, value_name = "N", value_parser = spelling::setting::<Count>, allow_negative_numbers = true)]
    shards: Option<Setting<Count>>,
    /// Where a new mapping starts: trim-horizon, latest, a time, or a duration ago [default: trim-horizon]
    #[arg(long, value_name = "POSITION", value_parser = spelling::setting::<StartingPosition>)]
    starting_position: Option<Setting<StartingPosition>>,
    #[command(flatten)]
    canary: CanaryFlags,
    #[command(flatten)]
    policy: MappingFlags,
    /// Time limit of a call [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = spelling::setting::<Duration>)]
    timeout: Option<Setting<Duration>>,
    /// Memory limit of an instance [default: 128MiB]
    #[arg(long, value_name = "SIZE", value_parser = spelling::setting::<ByteSize>)]
    memory: Option<Setting<ByteSize>>,
    /// Whether instances serve more than one call: reuse or fresh [default: reuse]
    #[arg(long, value_name = "LIFE", value_parser = spelling::setting::<Isolation>)]
    isolation: Option<Setting<Isolation>>,
    /// Calls at once, all mappings together [default: as many as the pool holds]
    #[arg(long, value_name = "N", value_parser = spelling::setting::<Count>, allow_negative_numbers = true)]
    concurrency: Option<Setting<Count>>,
    /// A configuration value
    #[arg(long, value_name = "K=V", value_parser = spelling::pair)]
    config: Vec<(String, String)>,
    /// A secret, from a file: never a value on the command line
    #[arg(long, value_name = "K=@FILE", value_parser = secret)]
    secret: Vec<(String, String)>,
    /// Remove a configuration value or a secret
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
    /// Allow a mapping to close a cycle of streams
    #[arg(long)]
    allow_loop: bool,
    /// Wait until each shard with data has an outcome on the version
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, conflicts_with = "canary",
          default_missing_value = limits::WAIT_DEFAULT, value_parser = Duration::parse)]
    wait: Option<Duration>,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    /// Whether a function is named.
    pub(super) const fn has_name(&self) -> bool {
        self.name.is_some()
    }

    /// Puts the flags on top of what the manifest or the file gives.
    ///
    /// # Errors
    /// A secret that cannot be read, or a mapping that is not clear.
    pub(super) fn apply(&self, request: &mut DeployRequest) -> Result<(), CliError> {
        let function = &mut request.function;
        if let Some(name) = &self.name {
            function.name = Some(spelling::text(name));
        }
        function.memory = self.memory.clone().or(function.memory.take());
        function.timeout = self.timeout.clone().or(function.timeout.take());
        function.isolation = self.isolation.clone().or(function.isolation.take());
        function.concurrency = self.concurrency.clone().or(function.concurrency.take());
        for (name, value) in &self.config {
            function.config.insert(name.clone(), spelling::text(value));
        }
        let sources = self.secret.iter().map(|(name, path)| Named {
            name,
            place: format!("--secret {name}"),
            source: SecretSource::File(path.clone()),
        });
        for (name, value) in manifest::read_secrets(sources, Path::new(""), "the flags")? {
            request.secrets.insert(name, STANDARD.encode(value));
        }
        let top = self.mapping()?;
        if top != MappingSpec::default() {
            let under = layer(&mut request.mappings, self.stream.as_deref())?;
            *under = std::mem::take(under).overlay(top);
        }
        if let Some(shards) = &self.shards {
            // Streams that the manifest names are made as the flag says, too: flags win.
            for spec in request.streams.values_mut() {
                spec.shards = Some(shards.clone());
            }
            request.new_streams = StreamSpec {
                shards: Some(shards.clone()),
                ..StreamSpec::default()
            };
        }
        request.unset.clone_from(&self.unset);
        request.allow_loop = self.allow_loop;
        request.dry_run = self.dry_run;
        request.canary = self.canary.spec();
        request.wait_ms = self.wait.map(|wait| wait.ms);
        Ok(())
    }

    /// A manifest's starting position is no wish, a flag's is: where the mapping is there already, it is
    /// said that it is not used.
    pub(super) fn note_position(&self, request: &DeployRequest, done: &mut DeployResult) {
        if self.starting_position.is_none() || !request.is_manifest {
            return;
        }
        let is_only_one = done.mappings.len() == 1;
        let mut more = Vec::new();
        for mapping in done.mappings.iter().filter(|mapping| !mapping.created) {
            let stream = mapping
                .name
                .split_once('/')
                .map_or("", |(_, stream)| stream);
            let path = match is_only_one {
                true => "mapping".to_owned(),
                false => format!("mapping[{stream}]"),
            };
            let note = Note::position_is_used_once(&path, &mapping.name);
            // Of several mappings the flag's is named.
            let is_meant =
                is_only_one || self.stream.as_deref().is_none_or(|named| named == stream);
            if is_meant && !done.notes.contains(&note) {
                more.push(note);
            }
        }
        done.notes.extend(more);
    }

    fn mapping(&self) -> Result<MappingSpec, CliError> {
        Ok(MappingSpec {
            stream: self.stream.as_deref().map(spelling::text),
            starting_position: self.starting_position.clone(),
            ..self.policy.spec()?
        })
    }
}

/// The flag that stands for a path of the request, `mapping[0].batch_size`.
fn of_path(path: &str) -> String {
    let key = path.split_once('.').map_or(path, |(_, key)| key);
    match key.split_once('.') {
        Some(("outputs", name)) => format!("--to {name}"),
        Some((table, name)) => format!("--{table} {name}"),
        None => format!("--{}", key.replace('_', "-")),
    }
}

/// Problems of settings that were given as flags, under the names of these.
pub(crate) fn by_flag(problems: Vec<Problem>) -> Vec<Problem> {
    let named = problems.into_iter().map(|problem| Problem {
        path: of_path(&problem.path),
        ..problem
    });
    named.collect()
}

/// The refusal of such settings; `help` tells the flags.
pub(crate) fn refused(problems: Vec<Problem>, help: &str) -> CliError {
    let code = ErrorCode::SettingsInvalid;
    let error = ErrorObject::of_problems(code, "the flags", by_flag(problems));
    error.fix(help).into()
}

/// What a server refused of such settings: it names keys.
pub(crate) fn as_flags(error: CliError, help: &str) -> CliError {
    match error {
        CliError::Told(error)
            if error.code == ErrorCode::SettingsInvalid.as_str() && !error.problems.is_empty() =>
        {
            refused(error.problems, help)
        }
        error => error,
    }
}

/// `NAME=@FILE`. Anything else may be the secret itself: it is never said.
///
/// # Errors
/// It is not spelt so.
pub(crate) fn secret(text: &str) -> Result<(String, String), Unfit> {
    match text.split_once("=@") {
        Some((name, path)) if ![name, path].contains(&"") && !name.contains('=') => {
            Ok((name.to_owned(), path.to_owned()))
        }
        _ => {
            let name = text.split_once('=').map_or("NAME", |(name, _)| name);
            Err(Unfit::Unreadable(format!(
                "a secret's value does not belong on a command line: put it into a file, --secret {name}=@FILE"
            )))
        }
    }
}
