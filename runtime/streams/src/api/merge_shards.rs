//! MergeShards: two shards, of which the first ends where the second begins, become one.

use fnctl_core::shard::Reshard;

use crate::{
    api::{
        call::Call,
        reshard::{check_mode, reshard, shard},
    },
    log::Log,
    protocol::{
        error::ApiError,
        member::{Checked, Member, STREAM_ARN, STREAM_NAME},
    },
};

pub(super) const MEMBERS: &[Member] = &[
    STREAM_NAME,
    STREAM_ARN,
    Member::required_name("ShardToMerge"),
    Member::required_name("AdjacentShardToMerge"),
];

pub(super) async fn answer<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    let stream = call.stream(request)?;
    let named = |member| shard(call, &stream, request.text(member).unwrap_or(""));
    let (first, adjacent) = (named("ShardToMerge")?, named("AdjacentShardToMerge")?);
    check_mode(call, &stream)?;
    let how = Reshard::Merge {
        shard: first,
        adjacent,
    };
    reshard(call, &stream, how, "").await?;
    Ok(Vec::new())
}
