//! PutRecord: one record, synced when the answer comes.

use serde::Serialize;

use crate::{
    api::{
        call::{Call, dry_run, to_json},
        put::{Batch, DATA, EXPLICIT_HASH_KEY, Outcome, PARTITION_KEY, append, created_at},
    },
    log::Log,
    protocol::{
        error::{ApiError, ErrorCode},
        member::{Checked, DRY_RUN, Kind, Member, Pattern, Rule, STREAM_ARN, STREAM_NAME},
    },
    sequence,
};

const ORDERING: &str = "SequenceNumberForOrdering";

pub(super) const MEMBERS: &[Member] = &[
    Member {
        name: ORDERING,
        kind: Kind::String,
        rules: &[Rule::Matches(Pattern::SequenceNumber)],
    },
    PARTITION_KEY,
    EXPLICIT_HASH_KEY,
    DATA,
    STREAM_NAME,
    STREAM_ARN,
    DRY_RUN,
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    shard_id: String,
    sequence_number: String,
}

pub(super) async fn answer<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    let stream = call.stream(request)?;
    let mut batch = Batch::default();
    batch.add(request, None, &stream)?;
    check_ordering(call, request, stream.name.as_str())?;
    if request.is_set(DRY_RUN.name) {
        return Err(dry_run());
    }
    match append(call, stream, batch).await? {
        Outcome::Appended { stream, appended } => {
            let (shard, ordinal) = appended.rows[0];
            let created_at = created_at(&stream, shard);
            Ok(to_json(&Answer {
                shard_id: shard.shard_id(),
                sequence_number: sequence::encode(created_at, shard, ordinal, appended.arrival),
            }))
        }
        Outcome::Throttled { stream, hash_keys } => {
            let shard = stream.route(hash_keys[0]).unwrap_or_default();
            let words = call.rate_exceeded(&stream.name, shard);
            Err(ApiError::new(
                ErrorCode::ProvisionedThroughputExceeded,
                words,
            ))
        }
    }
}

/// Numbers of one shard rise anyway, so the number a producer orders by only has to be one.
fn check_ordering<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
    name: &str,
) -> Result<(), ApiError> {
    let Some(number) = request.text(ORDERING) else {
        return Ok(());
    };
    match sequence::decode(number) {
        Ok(decoded) if decoded.arrival_s <= call.now.0 / 1_000 => Ok(()),
        _ => Err(ApiError::new(
            ErrorCode::InvalidArgument,
            format!(
                "ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {name} under \
                 account {} is invalid.",
                call.options.account
            ),
        )),
    }
}
