//! Making and changing a mapping without its function: a deploy of one layer, so that both are judged,
//! swapped and told alike.

use std::{collections::BTreeMap, sync::Arc};

use fnctl_core::{
    error_code::{ErrorCode, ErrorObject, Problem},
    id::{FunctionName, MappingId},
    mapping::{Mapping, MappingState},
    registry::{Command, Deploy, Deployed, MappingIs, Note, Refusal},
    spec::{
        FunctionSpec, MappingSpec, Setting, StreamSpec,
        request::{ChangedMapping, CreateMappingRequest},
        setting::Text,
    },
    status::MappingStatus,
};
use hyper::StatusCode;
use tokio::time::Instant;

use crate::{
    api::{Answer, Asked, deploy, error::ApiError, json, one},
    limits,
    node::HostNode,
};

/// `PATCH /v1/mappings/{m}`: what the layer names changes, the rest stays.
pub(in crate::api) async fn update(node: &Arc<HostNode>, address: &str, asked: Asked) -> Answer {
    asked.query(&[])?;
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let asked_at = Instant::now();
    let mut layer: MappingSpec = json::read(&body)?;
    let mapping = node.mapping(address)?;
    if mapping.state == MappingState::Failed {
        let name = node.view(|view| view.registry().address(&mapping));
        return Err(Refusal::MappingFailed(name).to_error().into());
    }
    let mut problems = Vec::new();
    let fixed = [
        ("stream", layer.stream.is_some()),
        ("starting_position", layer.starting_position.is_some()),
    ];
    for (key, is_there) in fixed {
        if is_there {
            let words = "is fixed when a mapping is made: delete it, and deploy it again";
            problems.push(Problem::new(key, words));
        }
    }
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    layer.stream = Some(Setting::Value(Text(mapping.stream_name.to_string())));
    let function = function_of(node, &mapping)?;
    let known = MappingIs::There(mapping.id);
    let deployed = carry_out(node, function, layer, known, vec![mapping.id]).await?;
    answer(node, &deployed, mapping.id, asked_at).await
}

/// `POST /v1/mappings`: a mapping of a function that there is. One that exists is a conflict.
pub(in crate::api) async fn create(node: &Arc<HostNode>, asked: Asked) -> Answer {
    asked.query(&[])?;
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let asked_at = Instant::now();
    let CreateMappingRequest { function, settings } = json::read(&body)?;
    let mut problems = Vec::new();
    let name = FunctionName::parse(&function);
    if let Err(error) = &name {
        problems.push(Problem::new("function", error.to_string()));
    }
    if settings.stream.is_none() {
        problems.push(Problem::new("stream", "is missing: which stream is read"));
    }
    let Ok(function) = name else {
        return Err(invalid(problems));
    };
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    let deployed = carry_out(node, function, settings, MappingIs::New, Vec::new()).await?;
    let Some(&id) = deployed.created_mappings.first() else {
        return Err(ApiError::internal("a new mapping was not made"));
    };
    let mut made = answer(node, &deployed, id, asked_at).await?;
    *made.status_mut() = StatusCode::CREATED;
    Ok(made)
}

fn function_of(node: &HostNode, mapping: &Mapping) -> Result<FunctionName, ApiError> {
    let function = node.view(|view| view.registry().function(mapping.function).cloned());
    match function {
        Some(function) => Ok(function.name.clone()),
        None => Err(Refusal::NoSuchMapping(mapping.id).to_error().into()),
    }
}

async fn carry_out(
    node: &Arc<HostNode>,
    function: FunctionName,
    layer: MappingSpec,
    known: MappingIs,
    drained: Vec<MappingId>,
) -> Result<Deployed, ApiError> {
    let layers = [layer];
    let refused = deploy::destinations(node, &layers).await;
    refused.map_err(of_one_layer)?;
    let found = deploy::found(node, &layers).await?;
    let plan = Deploy {
        function,
        component: None,
        spec: FunctionSpec::default(),
        mappings: layers.into(),
        streams: BTreeMap::new(),
        new_streams: StreamSpec::default(),
        secrets: BTreeMap::new(),
        is_manifest: false,
        unset: Vec::new(),
        allow_loop: false,
        found,
        mapping_is: Some(known),
        canary: None,
    };
    let command = Command::Deploy(Box::new(plan));
    // Judged once in front of the swap: a refusal, or nothing to do, must not disturb what runs.
    let foreseen = deploy::deployed(node.judge(&command).map_err(of_one_layer)?)?;
    if !foreseen.changed {
        return Ok(foreseen);
    }
    let hold = node.supervisor().hold(drained).await;
    let applied = node.command(command).await;
    drop(hold);
    deploy::deployed(applied.map_err(of_one_layer)?)
}

/// The only layer is the body itself: its problems are named by their keys.
fn of_one_layer(error: ApiError) -> ApiError {
    error.under("mapping[0].")
}

async fn answer(node: &HostNode, deployed: &Deployed, id: MappingId, asked_at: Instant) -> Answer {
    let Some(mapping) = deployed.mappings.iter().find(|mapping| mapping.id == id) else {
        return Err(Refusal::NoSuchMapping(id).to_error().into());
    };
    node.live(&deployed.function).await;
    let live_ms = u64::try_from(asked_at.elapsed().as_millis()).unwrap_or(u64::MAX);
    let of_streams = deployed.created_streams.iter();
    // Of the others nothing was asked.
    let (alone, among) = (
        "mapping.".to_owned(),
        format!("mapping[{}].", mapping.stream_name),
    );
    let is_mine = |note: &&Note| note.path.starts_with(&alone) || note.path.starts_with(&among);
    one(&ChangedMapping {
        id: id.to_string(),
        name: format!("{}/{}", deployed.function.name, mapping.stream_name),
        state: node.state_of(mapping, &deployed.created_streams).to_owned(),
        changed: deployed.changed,
        changes: deployed.changes.clone(),
        notes: deployed.notes.iter().filter(is_mine).cloned().collect(),
        created: of_streams
            .map(|stream| format!("stream/{}", stream.name))
            .collect(),
        outputs: MappingStatus::outputs_of(mapping),
        live_ms,
    })
}

fn invalid(problems: Vec<Problem>) -> ApiError {
    ErrorObject::of_problems(ErrorCode::SettingsInvalid, "the request", problems).into()
}
