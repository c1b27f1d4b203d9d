//! CreateStream. A stream is usable when the answer comes: there is no CREATING in between.

use crate::{
    api::call::Call,
    limits::{ON_DEMAND_SHARDS, STREAM_SHARDS_MAX},
    log::{CommandError, Log},
    protocol::{
        error::{ApiError, ErrorCode},
        member::{Checked, Kind, Member, Rule},
    },
};

const ON_DEMAND: &str = "ON_DEMAND";
const PROVISIONED: &str = "PROVISIONED";

pub(super) const MEMBERS: &[Member] = &[
    Member {
        name: "ShardCount",
        kind: Kind::Integer,
        rules: &[Rule::ValueMin(1)],
    },
    Member {
        name: "StreamModeDetails",
        kind: Kind::Structure(&[Member {
            name: "StreamMode",
            kind: Kind::String,
            rules: &[Rule::NotNull, Rule::OneOf(&[PROVISIONED, ON_DEMAND])],
        }]),
        rules: &[],
    },
    Member {
        name: "Tags",
        kind: Kind::Map,
        rules: &[
            Rule::LengthMin(1),
            Rule::LengthMax(200),
            Rule::KeyLengths(1, 128),
            Rule::ValueLengths(0, 256),
        ],
    },
    Member {
        name: "WarmThroughputMiBps",
        kind: Kind::Integer,
        rules: &[Rule::ValueMin(0)],
    },
    Member {
        name: "MaxRecordSizeInKiB",
        kind: Kind::Integer,
        rules: &[Rule::ValueMin(1_024), Rule::ValueMax(10_240)],
    },
    Member {
        name: "RecordDistributionStrategy",
        kind: Kind::String,
        rules: &[Rule::OneOf(&["AUTO", "USER_PARTITION_KEY"])],
    },
    Member::required_name("StreamName"),
];

pub(super) async fn answer<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    refuse_what_is_not_there_yet(request)?;
    let name = call.required_stream_name(request)?;
    let shards = shards(request)?;
    if call.log.stream(&name).is_some() {
        return Err(call.command_failed(&name, CommandError::Exists));
    }
    check_shard_limit(call, shards)?;
    match call.log.create_stream(&name, shards).await {
        Ok(()) => Ok(Vec::new()),
        Err(error) => Err(call.command_failed(&name, error)),
    }
}

/// How many shards: the count, or what an on-demand stream starts with.
fn shards(request: Checked<'_>) -> Result<u32, ApiError> {
    let mode = request
        .structure("StreamModeDetails")
        .and_then(|details| details.text("StreamMode"));
    let count = request
        .integer("ShardCount")
        .map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    let refuse = |words| Err(ApiError::new(ErrorCode::InvalidArgument, words));
    match (mode, count) {
        (Some(PROVISIONED), None) => refuse("ShardCount is required in PROVISIONED mode."),
        (Some(ON_DEMAND), Some(_)) => refuse("ShardCount cannot be given in ON_DEMAND mode."),
        (_, Some(count)) => Ok(count),
        (_, None) => Ok(ON_DEMAND_SHARDS),
    }
}

/// Settings that would be lost silently are refused by name.
fn refuse_what_is_not_there_yet(request: Checked<'_>) -> Result<(), ApiError> {
    let is_larger = request
        .integer("MaxRecordSizeInKiB")
        .is_some_and(|kib| kib > 1_024);
    let is_auto = request.text("RecordDistributionStrategy") == Some("AUTO");
    for (is_asked, what) in [
        (request.get("Tags").is_some(), "Tags"),
        (
            request.get("WarmThroughputMiBps").is_some(),
            "WarmThroughputMiBps",
        ),
        (is_larger, "MaxRecordSizeInKiB above 1024"),
        (is_auto, "RecordDistributionStrategy AUTO"),
    ] {
        if is_asked {
            let words = format!("{what} is not there yet in fnctl.");
            return Err(ApiError::new(ErrorCode::InvalidArgument, words));
        }
    }
    Ok(())
}

fn check_shard_limit<L: Log>(call: &Call<'_, L>, shards: u32) -> Result<(), ApiError> {
    let options = call.options;
    let open: usize = call
        .visible_streams()
        .map(|stream| {
            stream
                .shards
                .iter()
                .filter(|shard| !shard.is_closed)
                .count()
        })
        .sum();
    let is_above_account = open as u64 + u64::from(shards) > u64::from(options.shard_limit);
    let limit = match (shards > STREAM_SHARDS_MAX, is_above_account) {
        (true, _) => STREAM_SHARDS_MAX,
        (false, true) => options.shard_limit,
        (false, false) => return Ok(()),
    };
    Err(ApiError::new(
        ErrorCode::LimitExceeded,
        format!(
            "This request would exceed the shard limit for the account {} in {}. Current shard \
             count for the account: {open}. Limit: {limit}. Number of additional shards that \
             would have resulted from this request: {shards}. Refer to the AWS Service Limits \
             page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for \
             current limits and how to request higher limits.",
            options.account, call.region
        ),
    ))
}
