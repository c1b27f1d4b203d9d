//! SplitShard: one shard becomes two.

use fnctl_core::shard::Reshard;

use crate::{
    api::{
        call::Call,
        reshard::{check_mode, check_shard_limit, reshard, shard},
    },
    log::Log,
    protocol::{
        error::ApiError,
        member::{Checked, Kind, Member, Pattern, Rule, STREAM_ARN, STREAM_NAME},
    },
};

pub(super) const MEMBERS: &[Member] = &[
    Member {
        name: "NewStartingHashKey",
        kind: Kind::String,
        rules: &[Rule::NotNull, Rule::Matches(Pattern::HashKey)],
    },
    STREAM_NAME,
    STREAM_ARN,
    Member::required_name("ShardToSplit"),
];

pub(super) async fn answer<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    let stream = call.stream(request)?;
    let shard = shard(call, &stream, request.text("ShardToSplit").unwrap_or(""))?;
    check_mode(call, &stream)?;
    let open = u32::try_from(stream.open_shards().count()).unwrap_or(u32::MAX);
    check_shard_limit(call, open.saturating_add(1), 1)?;
    let text = request.text("NewStartingHashKey").unwrap_or("");
    // Above 2^128 is as wrong as the last hash key is, of any shard.
    let at = Some(text.parse().unwrap_or(u128::MAX));
    reshard(call, &stream, Reshard::Split { shard, at }, text).await?;
    Ok(Vec::new())
}
