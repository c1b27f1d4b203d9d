//! DescribeStream: a stream and its shards, at most 100 a call.

use serde::Serialize;

use crate::{
    api::{
        call::{Call, parse_shard_id, to_json},
        shard::ShardView,
        stream_description::Description,
    },
    limits::DESCRIBE_SHARDS_MAX,
    log::Log,
    protocol::{
        error::ApiError,
        member::{Checked, Member, STREAM_ARN, STREAM_NAME},
    },
};

pub(super) const MEMBERS: &[Member] = &[
    Member::limit("Limit"),
    Member::name("ExclusiveStartShardId"),
    STREAM_NAME,
    STREAM_ARN,
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    stream_description: WithShards,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WithShards {
    #[serde(flatten)]
    description: Description,
    shards: Vec<ShardView>,
    has_more_shards: bool,
}

pub(super) fn answer<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    let stream = call.stream(request)?;
    let after = match request.text("ExclusiveStartShardId") {
        Some(text) => {
            Some(parse_shard_id(text).ok_or_else(|| call.shard_not_found(&stream.name, text))?)
        }
        None => None,
    };
    let limit = request
        .integer("Limit")
        .and_then(|limit| usize::try_from(limit).ok());
    let limit = limit
        .unwrap_or(DESCRIBE_SHARDS_MAX)
        .min(DESCRIBE_SHARDS_MAX);
    let mut shards = stream
        .shards
        .iter()
        .filter(|shard| after.is_none_or(|a| shard.number > a));
    let page = shards.by_ref().take(limit);
    let page = page.map(|shard| ShardView::new(&stream, shard)).collect();
    Ok(to_json(&Answer {
        stream_description: WithShards {
            description: Description::new(call, &stream),
            shards: page,
            has_more_shards: shards.next().is_some(),
        },
    }))
}
