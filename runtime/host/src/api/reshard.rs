//! Splits, merges and resizes of a stream's shards.

use std::sync::Arc;

use fnctl_core::{
    error_code::ErrorCode,
    id::ShardNumber,
    registry::Command,
    shard::{Reshard, Stream},
    spec::request::{MergeRequest, ResizeRequest, SplitRequest},
};

use crate::{
    api::{Answer, Asked, error::ApiError, json, one, streams},
    limits,
    node::HostNode,
};

/// `POST /v1/streams/{name}/split`, `merge` and `resize`: answers the stream with its shards as they
/// are then.
pub(super) async fn reshard(
    node: &Arc<HostNode>,
    name: &str,
    action: &str,
    asked: Asked,
) -> Answer {
    asked.query(&[])?;
    let name = node.stream_name(name)?;
    let stream = node.stream(&name)?;
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let how = match action {
        "split" => split(&stream, &json::read(&body)?)?,
        "merge" => merge(&stream, &json::read(&body)?)?,
        _ => {
            let ResizeRequest { shards } = json::read(&body)?;
            Reshard::Resize { shards }
        }
    };
    let command = Command::Reshard {
        name: name.clone(),
        how,
    };
    node.command(command).await?;
    let stream = node.stream(&name)?;
    one(&streams::status(node, &stream).await)
}

fn split(stream: &Stream, request: &SplitRequest) -> Result<Reshard, ApiError> {
    let shard = shard(stream, &request.shard)?;
    let unreadable = |text: &String| {
        let words = format!("`{text}` is no hash key");
        ApiError::new(ErrorCode::ReshardInvalid, words)
            .at("at")
            .fix("a decimal number below 2^128, or none for the middle")
    };
    let parse = |text: &String| text.parse().map_err(|_| unreadable(text));
    let at = request.at.as_ref().map(parse).transpose()?;
    Ok(Reshard::Split { shard, at })
}

/// Which of two neighbours comes first is seen from their ranges.
fn merge(stream: &Stream, request: &MergeRequest) -> Result<Reshard, ApiError> {
    let [first, second] = request.shards.as_slice() else {
        let words = format!(
            "two shards become one: name two, not {}",
            request.shards.len()
        );
        return Err(ApiError::new(ErrorCode::ReshardInvalid, words).at("shards"));
    };
    let (first, second) = (shard(stream, first)?, shard(stream, second)?);
    let start = |number| stream.shard(number).map(|shard| shard.range.start);
    let (shard, adjacent) = if start(second) < start(first) {
        (second, first)
    } else {
        (first, second)
    };
    Ok(Reshard::Merge { shard, adjacent })
}

/// A shard of a stream by its id or its number.
///
/// # Errors
/// It has no such shard.
pub(super) fn shard(stream: &Stream, text: &str) -> Result<ShardNumber, ApiError> {
    let number = ShardNumber::parse(text).or_else(|| text.parse().ok().map(ShardNumber));
    let found = number.filter(|&number| stream.shard(number).is_some());
    found.ok_or_else(|| {
        let words = format!("stream `{}` has no shard `{text}`", stream.name);
        ApiError::new(ErrorCode::NoSuchShard, words)
            .at(stream.name.as_str())
            .fix(format!("fnctl streams describe {}", stream.name))
    })
}
