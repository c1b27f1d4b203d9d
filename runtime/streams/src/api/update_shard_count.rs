//! UpdateShardCount: as many open shards as asked for, at most double and at least half of what there
//! are (Kinesis reference B6). How often a day is not counted.

use fnctl_core::shard::Reshard;
use serde::Serialize;

use crate::{
    api::{
        call::{Call, to_json},
        reshard::{check_mode, check_shard_limit, reshard},
    },
    log::Log,
    protocol::{
        error::{ApiError, ErrorCode},
        member::{Checked, Kind, Member, Rule, STREAM_ARN, STREAM_NAME},
    },
};

pub(super) const MEMBERS: &[Member] = &[
    Member {
        name: "TargetShardCount",
        kind: Kind::Integer,
        rules: &[Rule::NotNull, Rule::ValueMin(1)],
    },
    Member {
        name: "ScalingType",
        kind: Kind::String,
        rules: &[Rule::NotNull, Rule::OneOf(&["UNIFORM_SCALING"])],
    },
    STREAM_NAME,
    STREAM_ARN,
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    current_shard_count: u32,
    target_shard_count: u32,
}

pub(super) async fn answer<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    let stream = call.stream(request)?;
    let target = request.integer("TargetShardCount").unwrap_or(1);
    let target = u32::try_from(target).unwrap_or(u32::MAX);
    check_mode(call, &stream)?;
    let open = u32::try_from(stream.open_shards().count()).unwrap_or(u32::MAX);
    check_range(open, target)?;
    check_shard_limit(call, target, target.saturating_sub(open))?;
    reshard(call, &stream, Reshard::Resize { shards: target }, "").await?;
    Ok(to_json(&Answer {
        stream_name: stream.name.to_string(),
        stream_arn: call.arn(&stream.name),
        current_shard_count: open,
        target_shard_count: target,
    }))
}

fn check_range(open: u32, target: u32) -> Result<(), ApiError> {
    let direction = if u64::from(target) > 2 * u64::from(open) {
        "up over double"
    } else if 2 * u64::from(target) < u64::from(open) {
        "down below half"
    } else {
        return Ok(());
    };
    Err(ApiError::new(
        ErrorCode::LimitExceeded,
        format!(
            "UpdateShardCount cannot scale {direction} your current open shard count. Current open \
             shard count: {open} Target shard count: {target}"
        ),
    ))
}
