//! `fnctl deploy`: makes or updates a function, its mappings and its streams.

mod flags;
pub(crate) mod print;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use fnctl_core::{
    error_code::{ErrorCode, ErrorObject},
    spec::{
        FunctionSpec, MappingSpec,
        request::{ArtifactResult, DeployRequest, DeployResult, WaitOutcome},
        resolve,
    },
};
use fnctl_invoker::{ComponentError, limits::COMPONENT_BYTES_MAX};
use hyper::Method;

pub(crate) use self::flags::{Args, as_flags, by_flag, refused, secret};
use crate::{
    cli::Session,
    client::Client,
    commands::promote,
    error::CliError,
    manifest::{self, Manifest},
    output::note,
    spelling,
};

/// What is deployed, before flags.
pub(crate) struct Source {
    /// The component; `None`: the live one stays.
    pub(crate) component: Option<PathBuf>,
    /// Its layers.
    pub(crate) request: DeployRequest,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let mut source = match &args.path {
        Some(path) if path.is_dir() => from_manifest(path)?,
        Some(path) if path.file_name().is_some_and(|name| name == manifest::FILE) => {
            from_manifest(path.parent().unwrap_or(Path::new(".")))?
        }
        Some(path) => from_component(path)?,
        None => from_flags(&args)?,
    };
    args.apply(&mut source.request)?;
    check(&source.request)?;
    let mut done = send(&session.client, &source).await?;
    args.note_position(&source.request, &mut done);
    if session.out.is_json() {
        session.out.json(&done)?;
    } else {
        let name = source.component.as_deref().and_then(Path::file_name);
        print::print(&done, name.and_then(|name| name.to_str()), &mut session.out)?;
    }
    let paused: Vec<_> = done.paused().collect();
    let (shown, more) = print::first(&paused);
    for mapping in shown {
        let name = &mapping.name;
        note(&format!(
            "{name} is paused: its records wait until  fnctl mappings resume {name}"
        ));
    }
    if !more.is_empty() {
        note(&more);
    }
    waited(&done)
}

/// Finds what is wrong with the layers before anything is sent; what depends on what is live, the
/// server finds.
fn check(request: &DeployRequest) -> Result<(), CliError> {
    let mut problems = resolve::layers(
        &request.function,
        &request.mappings,
        &request.streams,
        &request.new_streams,
    );
    if !request.is_manifest {
        // Without a manifest everything was a flag.
        problems = by_flag(problems);
    }
    // A canary is asked for by flags alone.
    problems.extend(request.canary.iter().flat_map(promote::problems));
    if problems.is_empty() {
        return Ok(());
    }
    let code = ErrorCode::SettingsInvalid;
    let error = ErrorObject::of_problems(code, "what was asked for", problems);
    Err(error.fix("fnctl deploy --help").into())
}

/// Uploads the component, then deploys.
///
/// # Errors
/// The component cannot be read, or a refusal.
pub(crate) async fn send(client: &Client, source: &Source) -> Result<DeployResult, CliError> {
    let mut request = source.request.clone();
    if let Some(path) = &source.component {
        let bytes = read_component(path)?;
        let uploaded: Result<ArtifactResult, CliError> = client
            .send_bytes(Method::PUT, &["v1", "artifacts"], bytes)
            .await;
        request.digest = Some(uploaded.map_err(|error| named(error, path))?.digest);
    }
    let done = client.post(&["v1", "deploy"], &request).await;
    match request.is_manifest {
        true => done,
        false => done.map_err(|error| as_flags(error, "fnctl deploy --help")),
    }
}

/// The server knows no names of files: a refusal gets it here.
fn named(error: CliError, path: &Path) -> CliError {
    let error = error.at(path.display().to_string());
    match (error, path.file_name()) {
        (CliError::Told(mut object), Some(name)) => {
            if let Some(rest) = object.message.strip_prefix("the component ") {
                object.message = format!("`{}` {rest}", name.to_string_lossy());
            }
            CliError::Told(object)
        }
        (error, _) => error,
    }
}

/// The bytes of a component.
///
/// # Errors
/// The file cannot be read, or is larger than any server takes: said before it is sent, because a server
/// that refuses it in the middle may be gone before its words are read.
pub(crate) fn read_component(path: &Path) -> Result<Bytes, CliError> {
    let bytes = std::fs::read(path).map_err(|error| {
        let words = format!("no component at `{}`", path.display());
        let said = CliError::new(ErrorCode::FileUnreadable, words);
        if ["on", "off"].iter().any(|word| path == Path::new(word)) {
            return said
                .because("a flag that is on or off is written with `=`")
                .fix("--circuit-breaker=off, for one");
        }
        said.because(error.to_string())
            .fix("fnctl build        (in the folder with fnctl.toml)")
    })?;
    if bytes.len() > COMPONENT_BYTES_MAX {
        let bytes = bytes.len();
        return Err(refusal(&ComponentError::TooLarge { bytes }, path));
    }
    Ok(Bytes::from(bytes))
}

/// A folder with `fnctl.toml`.
///
/// # Errors
/// All problems of the manifest, or a secret that cannot be read.
fn from_manifest(folder: &Path) -> Result<Source, CliError> {
    of_manifest(&Manifest::load(folder)?)
}

/// What a manifest says: the whole truth.
///
/// # Errors
/// It names no component, or a secret that cannot be read.
pub(crate) fn of_manifest(manifest: &Manifest) -> Result<Source, CliError> {
    let component = manifest.component()?;
    let mut function = sendable(manifest.spec.function.clone());
    function.name = Some(spelling::text(&manifest.function_name()?));
    let secrets = manifest::secrets(&manifest.spec.function, &manifest.folder)?;
    Ok(Source {
        component: Some(component),
        request: DeployRequest {
            secrets: encode(secrets),
            function,
            mappings: manifest.spec.mapping.clone(),
            streams: manifest.spec.streams.clone(),
            is_manifest: true,
            ..DeployRequest::default()
        },
    })
}

/// A component alone: flags change only what they name.
fn from_component(path: &Path) -> Result<Source, CliError> {
    let name = manifest::name_of_file(path)?;
    Ok(Source {
        component: Some(path.to_owned()),
        request: DeployRequest {
            function: FunctionSpec {
                name: Some(spelling::text(&name)),
                ..FunctionSpec::default()
            },
            ..DeployRequest::default()
        },
    })
}

/// Nothing but flags: the live component stays.
fn from_flags(args: &Args) -> Result<Source, CliError> {
    if args.has_name() {
        return Ok(Source {
            component: None,
            request: DeployRequest::default(),
        });
    }
    if Path::new(manifest::FILE).is_file() {
        return from_manifest(Path::new("."));
    }
    Err(CliError::usage("what to deploy is missing: a component, or a folder with fnctl.toml")
        .fix("fnctl deploy FILE.wasm --stream NAME, or: fnctl deploy FOLDER; settings alone: --name FUNCTION"))
}

/// The layer without what is the client's own.
fn sendable(function: FunctionSpec) -> FunctionSpec {
    FunctionSpec {
        component: None,
        build: None,
        watch: None,
        secrets: BTreeMap::new(),
        ..function
    }
}

fn encode(values: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    values
        .into_iter()
        .map(|(name, value)| (name, STANDARD.encode(value)))
        .collect()
}

/// A version that was waited for and fails is committed all the same.
fn waited(done: &DeployResult) -> Result<(), CliError> {
    let Some(waited) = &done.waited else {
        return Ok(());
    };
    let code = match waited.outcome {
        WaitOutcome::Ok => return Ok(()),
        WaitOutcome::Failing => ErrorCode::FailsOnRecords,
        WaitOutcome::Timeout => ErrorCode::WaitedTooLong,
    };
    let what = match waited.outcome {
        WaitOutcome::Timeout => "was not seen to get through its first records",
        _ => "is live and fails",
    };
    let name = &done.function;
    let mut error = CliError::new(code, format!("version {} of `{name}` {what}", done.version));
    if let Some(message) = &waited.message {
        error = error.because(message.clone());
    }
    let mut fix = format!("fnctl logs {name}");
    for mapping in &done.mappings {
        fix.push_str(&format!(" · fnctl mappings describe {}", mapping.name));
    }
    // What was live before this deploy; a first version has nothing to go back to.
    if done
        .previous_version
        .is_some_and(|previous| previous != done.version)
    {
        fix.push_str(&format!(" · fnctl rollback {name}"));
    }
    Err(error.fix(fix))
}

/// The mapping's layer that flags go to.
fn layer<'a>(
    mappings: &'a mut Vec<MappingSpec>,
    stream: Option<&str>,
) -> Result<&'a mut MappingSpec, CliError> {
    let index = match (mappings.len(), stream) {
        (0, _) => {
            mappings.push(MappingSpec::default());
            0
        }
        (1, _) => 0,
        (_, Some(stream)) => match mappings
            .iter()
            .position(|spec| spec.stream_text() == Some(stream))
        {
            Some(index) => index,
            None => {
                mappings.push(MappingSpec::default());
                mappings.len() - 1
            }
        },
        (_, None) => {
            let streams: Vec<&str> = mappings
                .iter()
                .filter_map(MappingSpec::stream_text)
                .collect();
            return Err(CliError::new(
                ErrorCode::Ambiguous,
                format!("the manifest has several mappings: {}", streams.join(", ")),
            )
            .fix("say which with --stream"));
        }
    };
    Ok(&mut mappings[index])
}

#[cfg(test)]
mod tests;

/// A component that is no use, in the words that a server would say.
pub(crate) fn refusal(error: &ComponentError, path: &Path) -> CliError {
    let code = ErrorCode::parse(error.code()).unwrap_or(ErrorCode::Internal);
    let name = path.file_name().unwrap_or(path.as_os_str());
    ErrorObject::new(
        code,
        error.message(&format!("`{}`", name.to_string_lossy())),
    )
    .at(path.display().to_string())
    .because(error.why())
    .fix(error.fix())
    .into()
}
