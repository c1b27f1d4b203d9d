//! Deploys: everything slow happens in front of the swap, the swap is one command.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use fnctl_core::{
    destination::Destination,
    error_code::{ErrorCode, ErrorObject, Problem},
    function::{SecretValue, Version},
    id::{FunctionName, Ordinal},
    registry::{Applied, Command, ComponentFacts, Deploy, Deployed, FoundPosition},
    rfc3339,
    spec::{
        MappingSpec, Setting,
        mapping::OnFailure,
        request::{
            CreatedStream, DeployRequest, DeployResult, DeployedMapping, SameBytes, WaitOutcome,
            Waited,
        },
        setting::Text,
    },
    status::MappingStatus,
};
use tokio::time::Instant;

use crate::{
    api::{Answer, Asked, error::ApiError, json, one},
    canaries, limits,
    node::HostNode,
    node::awaited::WaitEnd,
    source::blocking,
    text,
};

/// `POST /v1/deploy`.
pub(super) async fn deploy(node: &Arc<HostNode>, asked: Asked) -> Answer {
    asked.query(&[])?;
    let who = asked.who();
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let asked_at = Instant::now();
    let request: DeployRequest = json::read(&body)?;
    let wait = request.wait_ms.map(Duration::from_millis);
    let dry_run = request.dry_run;
    let plan = plan(node, request).await?;
    let name = plan.function.clone();
    let command = Command::Deploy(Box::new(plan));

    // Judged once in front of the swap: a refusal, or nothing to do, must not disturb what runs.
    let foreseen = deployed(node.judge(&command)?)?;
    if dry_run || !foreseen.changed {
        let mut result = result(node, &foreseen)?;
        result.dry_run = dry_run;
        if !dry_run {
            live(node, &foreseen, &mut result, asked_at).await;
            result.waited = waited(node, &foreseen, &result, wait).await;
        }
        return one(&result);
    }
    // Compiled, linked and fitting its limits; kept until the workers have it.
    let version = version_of(&foreseen)?;
    let ready = node.functions().check(&foreseen.function, version).await?;
    let before = node.function(name.as_str()).ok();
    let mappings = match &before {
        Some(function) if !is_limit_alone(&foreseen) => node.mappings_of(function.id),
        Some(_) | None => Vec::new(),
    };
    let hold = node.supervisor().hold(mappings).await;
    let applied = node.command(command).await;
    drop(hold);
    let deployed = deployed(applied?)?;
    canaries::log_switches(before.as_deref(), &deployed.function, &who);
    let mut result = result(node, &deployed)?;
    live(node, &deployed, &mut result, asked_at).await;
    drop(ready);
    result.waited = waited(node, &deployed, &result, wait).await;
    one(&result)
}

/// Whether the calls at once are all that a deploy changes: then what runs goes on, under the new limit.
fn is_limit_alone(foreseen: &Deployed) -> bool {
    let mut changes = foreseen.changes.iter();
    foreseen.previous_version == Some(foreseen.version)
        && foreseen.created_mappings.is_empty()
        && changes.all(|change| change.path == "function.concurrency")
}

/// The version that a deploy is about.
fn version_of(deployed: &Deployed) -> Result<&Version, ApiError> {
    let version = deployed.function.versions.get(&deployed.version);
    version
        .map(AsRef::as_ref)
        .ok_or_else(|| ApiError::internal("a deploy made a version that is not there"))
}

pub(super) fn deployed(applied: Applied) -> Result<Deployed, ApiError> {
    match applied {
        Applied::Deployed(deployed) => Ok(*deployed),
        other => Err(ApiError::internal(format!(
            "a deploy was answered {other:?}"
        ))),
    }
}

/// The command that a request asks for.
async fn plan(node: &HostNode, request: DeployRequest) -> Result<Deploy, ApiError> {
    let mut problems = Vec::new();
    let name = match &request.function.name {
        Some(Setting::Value(Text(name))) => name.clone(),
        _ => {
            return Err(invalid(vec![Problem::new(
                "function.name",
                "is missing: the name of the function",
            )]));
        }
    };
    let function = FunctionName::parse(&name)
        .map_err(|error| invalid(vec![Problem::new("function.name", error.to_string())]))?;
    let spec = &request.function;
    let own = [
        ("component", spec.component.is_some()),
        ("build", spec.build.is_some()),
        ("watch", spec.watch.is_some()),
        ("secrets", !spec.secrets.is_empty()),
    ];
    for (key, is_there) in own {
        if is_there {
            let words =
                "is not sent: upload the component and send its `digest`, and values in `secrets`";
            problems.push(Problem::new(format!("function.{key}"), words));
        }
    }
    let component = match &request.digest {
        None => None,
        Some(digest) => Some(component(node, digest)?),
    };
    let mut secrets = BTreeMap::new();
    for (name, value) in &request.secrets {
        match text::from_base64(value) {
            Some(value) => drop(secrets.insert(name.clone(), SecretValue(value.into()))),
            None => problems.push(Problem::new(format!("secrets.{name}"), "is not base64")),
        }
    }
    if request.canary.is_some() && request.wait_ms.is_some() {
        let words = "cannot wait for a canary: it may be that none of the keys that come meets it";
        problems.push(Problem::new("wait_ms", words));
    }
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    destinations(node, &request.mappings).await?;
    let found = found(node, &request.mappings).await?;
    Ok(Deploy {
        function,
        component,
        spec: request.function,
        mappings: request.mappings,
        streams: request.streams,
        new_streams: request.new_streams,
        secrets,
        is_manifest: request.is_manifest,
        unset: request.unset,
        allow_loop: request.allow_loop,
        found,
        mapping_is: None,
        canary: request.canary,
    })
}

fn invalid(problems: Vec<Problem>) -> ApiError {
    ErrorObject::of_problems(ErrorCode::SettingsInvalid, "the request", problems).into()
}

/// A component that was uploaded, or that a version has.
fn component(node: &HostNode, digest: &str) -> Result<ComponentFacts, ApiError> {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    if let Some(facts) = node.upload(hex) {
        return Ok(facts);
    }
    let known = node.view(|view| {
        let versions = view
            .registry()
            .functions()
            .flat_map(|f| f.versions.values().cloned());
        versions
            .into_iter()
            .find(|version| *version.settings.digest == *hex)
    });
    let Some(version) = known else {
        return Err(ApiError::new(
            ErrorCode::NoSuchArtifact,
            format!("no component `{digest}` was uploaded"),
        )
        .because("an upload is kept for 15 minutes, and until the server stops")
        .fix("upload it again: PUT /v1/artifacts"));
    };
    Ok(ComponentFacts {
        digest: Arc::clone(&version.settings.digest),
        bytes: version.component_bytes,
        outputs: version.outputs.clone(),
        uses: version.uses.clone(),
    })
}

/// Refuses files that are the server's own: the catalogue asks no file system.
pub(super) async fn destinations(
    node: &HostNode,
    mappings: &[MappingSpec],
) -> Result<(), ApiError> {
    let mut files = Vec::new();
    for (index, layer) in mappings.iter().enumerate() {
        if let Some(Setting::Value(OnFailure::Copied(Destination::File(path)))) = &layer.on_failure
        {
            files.push((index, Arc::clone(path)));
        }
    }
    if files.is_empty() {
        return Ok(());
    }
    let own = node.place().own_files.clone();
    let judge = move || {
        let refused = files.iter().filter_map(|(index, path)| {
            let why = own.place_of(Path::new(&**path)).err()?;
            let words = format!("`file:{path}` {why}");
            Some(Problem::new(format!("mapping[{index}].on_failure"), words))
        });
        refused.collect::<Vec<_>>()
    };
    let problems = blocking(judge).await;
    match problems.is_empty() {
        true => Ok(()),
        false => Err(invalid(problems)),
    }
}

/// Where shards stand at the times that the layers name: the catalogue reads no records.
pub(super) async fn found(
    node: &HostNode,
    mappings: &[MappingSpec],
) -> Result<Vec<FoundPosition>, ApiError> {
    let mut found = Vec::new();
    for layer in mappings {
        let Some(Setting::Value(position)) = &layer.starting_position else {
            continue;
        };
        let (Some(moment), Some(stream)) = (position.moment(node.now()), layer.stream_text())
        else {
            continue;
        };
        // A stream that is missing is made, and empty.
        let Ok(stream) = node.stream_name(stream).and_then(|name| node.stream(&name)) else {
            continue;
        };
        for shard in &stream.shards {
            let first = node.first_at(stream.id, shard.number, moment).await?;
            found.push(FoundPosition {
                stream: stream.id,
                shard: shard.number,
                after: Ordinal(first.0.saturating_sub(1)),
            });
        }
    }
    Ok(found)
}

fn result(node: &HostNode, deployed: &Deployed) -> Result<DeployResult, ApiError> {
    let function = &deployed.function;
    let version = version_of(deployed)?;
    let address = |mapping: &fnctl_core::mapping::Mapping| {
        format!("{}/{}", function.name, mapping.stream_name)
    };
    let mut created = Vec::new();
    if deployed.previous_version.is_none() {
        created.push(format!("function/{}", function.name));
    }
    created.extend(
        deployed
            .created_streams
            .iter()
            .map(|stream| format!("stream/{}", stream.name)),
    );
    let made = deployed
        .mappings
        .iter()
        .filter(|m| deployed.created_mappings.contains(&m.id));
    created.extend(made.map(|mapping| format!("mapping/{}", address(mapping))));
    let mappings: Vec<DeployedMapping> = deployed
        .mappings
        .iter()
        .map(|mapping| DeployedMapping {
            id: mapping.id.to_string(),
            name: address(mapping),
            state: node.state_of(mapping, &deployed.created_streams).to_owned(),
            created: deployed.created_mappings.contains(&mapping.id),
            outputs: MappingStatus::outputs_of(mapping),
        })
        .collect();
    Ok(DeployResult {
        function: function.name.to_string(),
        version: function.live.0,
        canary: node.canaries().status(function),
        previous_version: deployed.previous_version.map(|version| version.0),
        digest: format!("sha256:{}", version.settings.digest),
        changed: deployed.changed,
        changes: deployed.changes.clone(),
        notes: deployed.notes.clone(),
        created,
        outputs: outputs_of_all(&mappings),
        mappings,
        live_ms: None,
        created_streams: deployed
            .created_streams
            .iter()
            .map(|stream| CreatedStream {
                name: stream.name.to_string(),
                shards: u32::try_from(stream.open_shards().count()).unwrap_or(u32::MAX),
            })
            .collect(),
        same_bytes_as: deployed
            .same_bytes_as
            .map(|(version, rolled_back)| SameBytes {
                version: version.0,
                rolled_back_at: rolled_back.map(rfc3339::format),
            }),
        component_bytes: version.component_bytes,
        uses: version.uses.clone(),
        live_shards: None,
        waited: None,
        dry_run: false,
    })
}

/// The outputs that all mappings bind alike.
fn outputs_of_all(mappings: &[DeployedMapping]) -> BTreeMap<String, String> {
    let Some((first, others)) = mappings.split_first() else {
        return BTreeMap::new();
    };
    let mut outputs = first.outputs.clone();
    outputs.retain(|name, to| {
        others
            .iter()
            .all(|other| other.outputs.get(name) == Some(to))
    });
    outputs
}

async fn live(node: &HostNode, deployed: &Deployed, result: &mut DeployResult, asked_at: Instant) {
    let (live, of) = node.live(&deployed.function).await;
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    result.live_shards = Some((count(live), count(of)));
    result.live_ms = Some(u64::try_from(asked_at.elapsed().as_millis()).unwrap_or(u64::MAX));
}

/// Waits, where that was asked for, until each shard with data has one outcome on the live version. A
/// paused mapping calls nothing, so it is not waited for, and that is said.
async fn waited(
    node: &HostNode,
    deployed: &Deployed,
    result: &DeployResult,
    wait: Option<Duration>,
) -> Option<Waited> {
    let is_new = deployed.changed;
    Some(
        match node.outcomes(&deployed.function, is_new, wait?).await {
            WaitEnd::Open(words) => Waited {
                outcome: WaitOutcome::Timeout,
                message: Some(words),
            },
            WaitEnd::Good => Waited {
                outcome: WaitOutcome::Ok,
                message: not_waited_for(result),
            },
            WaitEnd::Bad(words) => Waited {
                outcome: WaitOutcome::Failing,
                message: Some(words),
            },
        },
    )
}

/// The paused mappings, in words.
fn not_waited_for(result: &DeployResult) -> Option<String> {
    let paused = result.paused().map(|mapping| mapping.name.as_str());
    let names = paused.collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then(|| format!("paused, so not waited for: {names}"))
}
