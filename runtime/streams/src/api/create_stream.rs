//! CreateStream. A stream is usable when the answer comes: there is no CREATING in between.

use std::collections::BTreeMap;

use fnctl_core::shard::{StreamMode, StreamOptions};
use serde_json::Value;

use crate::{
    api::{call::Call, reshard::check_shard_limit},
    limits::{ON_DEMAND_SHARDS, RECORD_KIB_MAX, RECORD_KIB_MIN, TAGS_MAX},
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
        rules: &[
            Rule::ValueMin(RECORD_KIB_MIN),
            Rule::ValueMax(RECORD_KIB_MAX),
        ],
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
    let (shards, mode) = shards(request)?;
    let options = StreamOptions {
        record_bytes_max: request
            .integer("MaxRecordSizeInKiB")
            .and_then(|kib| u64::try_from(kib).ok())
            .map_or(StreamOptions::default().record_bytes_max, |kib| kib << 10),
        mode,
        tags: tags(request)?,
        ..StreamOptions::default()
    };
    if call.log.stream(&name).is_some() {
        return Err(call.command_failed(&name, CommandError::Exists));
    }
    check_shard_limit(call, shards, shards)?;
    match call.log.create_stream(&name, shards, options).await {
        Ok(()) => Ok(Vec::new()),
        Err(error) => Err(call.command_failed(&name, error)),
    }
}

/// How many shards, and how that is said: the count, or what an on-demand stream starts with. Neither a
/// count nor a mode is an on-demand stream.
fn shards(request: Checked<'_>) -> Result<(u32, StreamMode), ApiError> {
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
        (_, Some(count)) => Ok((count, StreamMode::Provisioned)),
        (_, None) => Ok((ON_DEMAND_SHARDS, StreamMode::OnDemand)),
    }
}

/// Tags, checked as a whole: lengths are the member's rules.
fn tags(request: Checked<'_>) -> Result<BTreeMap<String, String>, ApiError> {
    let Some(Value::Object(given)) = request.get("Tags") else {
        return Ok(BTreeMap::new());
    };
    let refuse = |words: String| Err(ApiError::new(ErrorCode::InvalidArgument, words));
    let is_allowed = |text: &str| {
        text.chars()
            .all(|c| c.is_alphanumeric() || c.is_whitespace() || "_./=+-%@:".contains(c))
    };
    // A null value was dropped by the checks before; what is left is text.
    let tags: BTreeMap<String, String> = given
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    if !tags
        .iter()
        .all(|(key, value)| is_allowed(key) && is_allowed(value))
    {
        return refuse(
            "Some tags contain invalid characters. Valid characters: Unicode letters, digits, \
             white space, _ . / = + - % @."
                .to_owned(),
        );
    }
    if tags.len() > TAGS_MAX {
        return refuse(format!(
            "Failed to add tags to stream: a given stream cannot have more than {TAGS_MAX} tags \
             associated with it."
        ));
    }
    Ok(tags)
}

/// Settings that would be lost silently are refused by name.
fn refuse_what_is_not_there_yet(request: Checked<'_>) -> Result<(), ApiError> {
    let is_auto = request.text("RecordDistributionStrategy") == Some("AUTO");
    for (is_asked, what) in [
        (
            request.get("WarmThroughputMiBps").is_some(),
            "WarmThroughputMiBps",
        ),
        (is_auto, "RecordDistributionStrategy AUTO"),
    ] {
        if is_asked {
            let words = format!("{what} is not there yet in fnctl.");
            return Err(ApiError::new(ErrorCode::InvalidArgument, words));
        }
    }
    Ok(())
}
