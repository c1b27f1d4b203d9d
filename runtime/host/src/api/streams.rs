//! Streams.

use std::{collections::BTreeMap, sync::Arc};

use fnctl_core::{
    error_code::{ErrorCode, ErrorObject},
    id::{ShardNumber, StreamName},
    mapping::{MappingState, OutputBinding},
    registry::{Applied, Command},
    rfc3339,
    shard::{Shard, Stream},
    spec::{
        StreamSpec,
        request::CreateStreamRequest,
        resolve::{self, Problems},
    },
    status::{DamagedLine, ShardLine, StreamLine, StreamStatus},
};
use fnctl_store::ScrubFinding;
use fnctl_streams::sequence;

use crate::{
    api::{Answer, Asked, error::ApiError, json, many, one},
    audit, limits,
    node::HostNode,
};

/// `GET /v1/streams`.
pub(super) fn list(node: &HostNode, asked: &Asked) -> Answer {
    asked.query(&[])?;
    let mut lines: Vec<StreamLine> = node.view(|view| {
        let streams = view
            .registry()
            .streams()
            .filter(|stream| !stream.is_internal);
        streams.map(|stream| line(node, stream)).collect()
    });
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    many(lines)
}

/// `POST /v1/streams`.
pub(super) async fn create(node: &HostNode, asked: Asked) -> Answer {
    asked.query(&[])?;
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let request: CreateStreamRequest = json::read(&body)?;
    let invalid = |error: fnctl_core::id::NameError| {
        ApiError::new(ErrorCode::StreamInvalid, error.to_string()).at("name")
    };
    let name = StreamName::parse(&request.name).map_err(invalid)?;
    if name.as_str() == audit::STREAM {
        return Err(audit::refused());
    }
    let mut problems = Problems::default();
    let settings = resolve::stream(&request.settings, "", &mut problems);
    if !problems.0.is_empty() {
        return Err(ErrorObject::of_problems(
            ErrorCode::StreamInvalid,
            "the stream's settings",
            problems.0,
        )
        .into());
    }
    match node
        .command(Command::CreateStream { name, settings })
        .await?
    {
        Applied::Stream(stream) => one(&line(node, &stream)),
        other => Err(ApiError::internal(format!(
            "a stream was made, and answered {other:?}"
        ))),
    }
}

/// `PATCH /v1/streams/{name}`.
pub(super) async fn update(node: &HostNode, name: &str, asked: Asked) -> Answer {
    asked.query(&[])?;
    let name = node.stream_name(name)?;
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let spec: StreamSpec = json::read(&body)?;
    match node.command(Command::AlterStream { name, spec }).await? {
        Applied::Stream(stream) => one(&line(node, &stream)),
        other => Err(ApiError::internal(format!(
            "a stream was changed, and answered {other:?}"
        ))),
    }
}

fn damaged_line(found: ScrubFinding) -> DamagedLine {
    DamagedLine {
        shard_id: found
            .shard
            .map_or_else(String::new, |(_, shard)| shard.shard_id()),
        file: found.file.display().to_string(),
        offset: found.offset,
        message: found.words,
        first_record: found.records.map(|(first, _)| first.0),
        last_record: found.records.map(|(_, last)| last.0),
    }
}

fn line(node: &HostNode, stream: &Stream) -> StreamLine {
    StreamLine::of(stream, node.store().stored_bytes(stream.id))
}

/// `GET /v1/streams/{name}`.
pub(super) async fn describe(node: &HostNode, name: &str, asked: &Asked) -> Answer {
    asked.query(&[])?;
    let stream = node.stream(&node.stream_name(name)?)?;
    one(&status(node, &stream).await)
}

/// A stream with its shards and users.
pub(super) async fn status(node: &HostNode, stream: &Stream) -> StreamStatus {
    let mut oldest = BTreeMap::new();
    for shard in &stream.shards {
        let number = node.oldest(stream.id, shard.number, shard.created_at).await;
        oldest.insert(shard.number, number);
    }
    let mut children: BTreeMap<ShardNumber, Vec<&Shard>> = BTreeMap::new();
    for shard in &stream.shards {
        for parent in &shard.parents {
            children.entry(*parent).or_default().push(shard);
        }
    }
    let mut status = node.view(|view| {
        let registry = view.registry();
        let shards = stream.shards.iter().map(|shard| {
            let tail = view.tail(stream.id, shard.number);
            let held = tail.filter(|tail| tail.next > tail.horizon);
            let number = |ordinal, arrival| {
                sequence::encode(shard.created_at, shard.number, ordinal, arrival)
            };
            let children = children.get(&shard.number).map_or(&[][..], Vec::as_slice);
            ShardLine {
                shard_id: shard.number.shard_id(),
                starting_hash_key: shard.range.start.to_string(),
                ending_hash_key: shard.range.end.to_string(),
                closed_at: children
                    .first()
                    .map(|child| rfc3339::format(child.created_at)),
                parents: shard
                    .parents
                    .iter()
                    .map(|parent| parent.shard_id())
                    .collect(),
                children: children
                    .iter()
                    .map(|child| child.number.shard_id())
                    .collect(),
                oldest: oldest.get(&shard.number).cloned().flatten(),
                newest: held.map(|tail| number(tail.last(), tail.last_arrival)),
                last_arrival: held.map(|tail| rfc3339::format(tail.last_arrival)),
                records: held.map_or(0, |tail| tail.next.0 - tail.horizon.0),
            }
        });
        let alive = || {
            registry
                .mappings()
                .filter(|m| m.state != MappingState::Failed)
        };
        StreamStatus {
            line: line(node, stream),
            shard_list: shards.collect(),
            read_by: alive()
                .filter(|mapping| mapping.stream == stream.id)
                .map(|mapping| registry.address(mapping))
                .collect(),
            written_by: alive()
                .filter(|mapping| {
                    let to = OutputBinding::Stream(stream.name.clone());
                    mapping.outputs.values().any(|binding| *binding == to)
                })
                .map(|mapping| registry.address(mapping))
                .collect(),
            damaged: Vec::new(),
        }
    });
    let damaged = node.store().damaged(stream.id).into_iter();
    status.damaged = damaged.map(damaged_line).collect();
    status
}

/// `DELETE /v1/streams/{name}`.
pub(super) async fn delete(node: &Arc<HostNode>, name: &str, asked: &Asked) -> Answer {
    let force = asked.query(&["force"])?.switch("force")?;
    let name = node.stream_name(name)?;
    let stream = node.stream(&name)?;
    let readers = node.view(|view| {
        view.registry()
            .mappings_of(stream.id)
            .map(|mapping| mapping.id)
            .collect()
    });
    let hold = match force {
        true => Some(node.supervisor().hold(readers).await),
        false => None,
    };
    node.command(Command::DeleteStream { name, force }).await?;
    drop(hold);
    one(&serde_json::json!({"deleted": format!("stream/{}", stream.name)}))
}
