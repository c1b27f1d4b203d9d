//! ListShards: a stream's shards, filtered, at most 1000 a call (Kinesis reference B10).

mod filter;

use std::sync::Arc;

use fnctl_core::{
    id::{ShardNumber, StreamId, StreamName, Timestamp},
    shard::Stream,
};
use serde::Serialize;

use crate::{
    api::{
        call::{Call, parse_shard_id, to_json},
        list_streams::{check_age, invalid_token},
        shard::ShardView,
    },
    limits::LIST_SHARDS_MAX,
    log::Log,
    protocol::{
        error::{ApiError, ErrorCode},
        member::{Checked, Kind, Member, STREAM_ARN},
    },
    seal::{Fields, TokenKind},
};
use filter::ShardFilter;

pub(super) const MEMBERS: &[Member] = &[
    Member::name("ExclusiveStartShardId"),
    Member::limit("MaxResults"),
    Member::next_token(),
    Member::timestamp("StreamCreationTimestamp"),
    Member {
        name: "ShardFilter",
        kind: Kind::Structure(filter::MEMBERS),
        rules: &[],
    },
    Member::name("StreamName"),
    STREAM_ARN,
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    shards: Vec<ShardView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Which shards, from where on.
struct Page {
    stream: Arc<Stream>,
    after: Option<ShardNumber>,
    filter: ShardFilter,
}

pub(super) fn answer<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    let name = call.stream_name(request)?;
    let refuse = |words| Err(ApiError::new(ErrorCode::InvalidArgument, words));
    let page = match (name, request.text("NextToken")) {
        (None, None) => return refuse("Either NextToken or StreamName should be provided."),
        (Some(_), Some(_)) => {
            return refuse("NextToken and StreamName cannot be provided together.");
        }
        (None, Some(token)) => open(call, token)?,
        (Some(name), None) => first_page(call, request, &name)?,
    };
    let limit = request
        .integer("MaxResults")
        .and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(LIST_SHARDS_MAX).min(LIST_SHARDS_MAX);
    let stream = &page.stream;
    let mut shards = stream
        .shards
        .iter()
        .filter(|shard| page.after.is_none_or(|after| shard.number > after))
        .filter(|shard| page.filter.admits(stream, shard));
    let taken: Vec<_> = shards.by_ref().take(limit).collect();
    let last = taken.last().filter(|_| shards.next().is_some());
    Ok(to_json(&Answer {
        next_token: last.map(|last| seal(call, &page, last.number)),
        shards: taken
            .iter()
            .map(|shard| ShardView::new(stream, shard))
            .collect(),
    }))
}

fn first_page<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
    name: &StreamName,
) -> Result<Page, ApiError> {
    let not_found = || call.stream_not_found(name.as_str());
    let stream = call.visible(name).ok_or_else(not_found)?;
    // Tells a recreated stream from its predecessor; clients send seconds.
    let created_s = request
        .timestamp_ms("StreamCreationTimestamp")
        .map(|ms| ms / 1_000);
    if created_s.is_some_and(|created_s| created_s != stream.created_at.0 / 1_000) {
        return Err(not_found());
    }
    let shard = |text: &str| parse_shard_id(text).ok_or_else(|| call.shard_not_found(name, text));
    let after = request
        .text("ExclusiveStartShardId")
        .map(shard)
        .transpose()?;
    let filter = match request.structure("ShardFilter") {
        Some(filter) => ShardFilter::parse(filter, shard)?,
        None => ShardFilter::FromTrimHorizon,
    };
    Ok(Page {
        stream,
        after,
        filter,
    })
}

/// A token that goes on after `last`, with the same filter.
fn seal<L: Log>(call: &Call<'_, L>, page: &Page, last: ShardNumber) -> String {
    let mut payload = call.now.0.to_be_bytes().to_vec();
    payload.extend_from_slice(&page.stream.id.0.to_be_bytes());
    payload.extend_from_slice(&last.0.to_be_bytes());
    page.filter.write(&mut payload);
    call.seal.seal(TokenKind::ListShards, &payload, 0)
}

fn open<L: Log>(call: &Call<'_, L>, token: &str) -> Result<Page, ApiError> {
    let payload = call.seal.open(TokenKind::ListShards, token);
    let parsed = payload.as_deref().and_then(|payload| {
        let mut fields = Fields(payload);
        let issued_at = Timestamp(fields.u64()?);
        let stream = StreamId(fields.u64()?);
        let last = ShardNumber(fields.u32()?);
        Some((issued_at, stream, last, ShardFilter::read(&mut fields)?))
    });
    let (issued_at, stream, last, filter) = parsed.ok_or_else(invalid_token)?;
    check_age(call.now, issued_at)?;
    // Deleted since: the token names nothing any more.
    let stream = call.log.stream_by_id(stream).ok_or_else(invalid_token)?;
    Ok(Page {
        stream,
        after: Some(last),
        filter,
    })
}
