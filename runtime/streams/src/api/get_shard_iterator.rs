//! GetShardIterator: where a reader of a shard begins (Kinesis reference B9).

use std::sync::Arc;

use fnctl_core::{
    id::{Ordinal, Timestamp},
    shard::{Shard, Stream},
};
use serde::Serialize;

use crate::{
    api::call::{Call, dry_run, parse_shard_id, to_json},
    iterator::ShardIterator,
    log::Log,
    protocol::{
        error::{ApiError, ErrorCode},
        member::{Checked, DRY_RUN, Kind, Member, Pattern, Rule, STREAM_ARN, STREAM_NAME},
    },
    sequence,
};

const AFTER_SEQUENCE_NUMBER: &str = "AFTER_SEQUENCE_NUMBER";
const AT_SEQUENCE_NUMBER: &str = "AT_SEQUENCE_NUMBER";
const AT_TIMESTAMP: &str = "AT_TIMESTAMP";
const LATEST: &str = "LATEST";
const TRIM_HORIZON: &str = "TRIM_HORIZON";

pub(super) const MEMBERS: &[Member] = &[
    Member::required_name("ShardId"),
    Member {
        name: "ShardIteratorType",
        kind: Kind::String,
        rules: &[
            Rule::NotNull,
            Rule::OneOf(&[
                AFTER_SEQUENCE_NUMBER,
                LATEST,
                AT_TIMESTAMP,
                AT_SEQUENCE_NUMBER,
                TRIM_HORIZON,
            ]),
        ],
    },
    Member {
        name: "StartingSequenceNumber",
        kind: Kind::String,
        rules: &[Rule::Matches(Pattern::SequenceNumber)],
    },
    STREAM_NAME,
    STREAM_ARN,
    Member::timestamp("Timestamp"),
    DRY_RUN,
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    shard_iterator: String,
}

pub(super) async fn answer<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    let name = call.required_stream_name(request)?;
    let shard_id = request.text("ShardId").unwrap_or("");
    let number = parse_shard_id(shard_id).ok_or_else(|| call.shard_not_found(&name, shard_id))?;
    let found = call.visible(&name).and_then(|stream| {
        let shard = stream.shard(number)?.clone();
        Some(Place { stream, shard })
    });
    let place = found.ok_or_else(|| call.shard_does_not_exist(&name, number))?;
    let after = place.after(call, request).await?;
    if request.is_set(DRY_RUN.name) {
        return Err(dry_run());
    }
    let iterator = ShardIterator {
        name,
        stream: place.stream.id,
        shard: number,
        after,
        issued_at: call.now,
    };
    Ok(to_json(&Answer {
        shard_iterator: iterator.seal(call.seal, call.next_nonce()),
    }))
}

/// A shard that exists.
struct Place {
    stream: Arc<Stream>,
    shard: Shard,
}

impl Place {
    /// The ordinal after which the reader begins.
    async fn after<L: Log>(
        &self,
        call: &Call<'_, L>,
        request: Checked<'_>,
    ) -> Result<Ordinal, ApiError> {
        let kind = request.text("ShardIteratorType").unwrap_or("");
        let number = request.text("StartingSequenceNumber");
        match (kind, number) {
            (TRIM_HORIZON | LATEST, Some(_)) => {
                Err(type_mismatch(kind, "also a StartingSequenceNumber"))
            }
            (AT_SEQUENCE_NUMBER | AFTER_SEQUENCE_NUMBER, None) => {
                Err(type_mismatch(kind, "no StartingSequenceNumber"))
            }
            (AT_SEQUENCE_NUMBER, Some(number)) => {
                let index = self.index_of(call, number)?;
                Ok(Ordinal(index.saturating_sub(1)))
            }
            (AFTER_SEQUENCE_NUMBER, Some(number)) => self.index_of(call, number).map(Ordinal),
            (LATEST, None) => {
                let tail = call.log.tail(self.stream.id, self.shard.number);
                let tail = tail.ok_or_else(|| {
                    call.shard_does_not_exist(&self.stream.name, self.shard.number)
                })?;
                Ok(before(tail.next))
            }
            (AT_TIMESTAMP, _) => self.before_time(call, request).await,
            _ => Ok(Ordinal(0)),
        }
    }

    /// The index that a sequence number of this shard says.
    fn index_of<L: Log>(&self, call: &Call<'_, L>, number: &str) -> Result<u64, ApiError> {
        let is_invalid = |why: &str| {
            ApiError::new(
                ErrorCode::InvalidArgument,
                format!(
                    "StartingSequenceNumber {number} used in GetShardIterator on shard {} in \
                     stream {} under account {} is invalid{why}.",
                    self.shard.number.shard_id(),
                    self.stream.name,
                    call.options.account
                ),
            )
        };
        let decoded = sequence::decode(number).map_err(|_| is_invalid(""))?;
        if i64::from(decoded.shard) != i64::from(self.shard.number.0) {
            return Err(ApiError::new(
                ErrorCode::InvalidArgument,
                format!(
                    "Invalid StartingSequenceNumber. It encodes shardId-{:012}, while it was used \
                     in a call to a shard with {}",
                    decoded.shard,
                    self.shard.number.shard_id()
                ),
            ));
        }
        if decoded.version != 2 || decoded.created_s != self.shard.created_at.0 / 1_000 {
            return Err(match decoded.version {
                0 => ApiError::bare(ErrorCode::InternalFailure),
                _ => is_invalid(" because it did not come from this stream"),
            });
        }
        Ok(decoded.index)
    }

    /// In front of the first record that arrived at the time asked for, or later.
    async fn before_time<L: Log>(
        &self,
        call: &Call<'_, L>,
        request: Checked<'_>,
    ) -> Result<Ordinal, ApiError> {
        let time = time_of(call.now, request)?;
        let found = call
            .log
            .find_time(self.stream.id, self.shard.number, time)
            .await;
        found
            .map(before)
            .map_err(|error| call.read_failed(&self.stream.name, self.shard.number, &error))
    }
}

fn time_of(now: Timestamp, request: Checked<'_>) -> Result<Timestamp, ApiError> {
    let Some(time_ms) = request.timestamp_ms("Timestamp") else {
        return Err(ApiError::new(
            ErrorCode::InvalidArgument,
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current \
             request has no timestamp parameter.",
        ));
    };
    if time_ms > now.0 {
        return Err(ApiError::new(
            ErrorCode::InvalidArgument,
            format!(
                "The timestampInMillis parameter cannot be greater than the \
                 currentTimestampInMillis. timestampInMillis: {time_ms}, \
                 currentTimestampInMillis: {now}"
            ),
        ));
    }
    Ok(Timestamp(time_ms))
}

const fn before(ordinal: Ordinal) -> Ordinal {
    Ordinal(ordinal.0.saturating_sub(1))
}

fn type_mismatch(kind: &str, given: &str) -> ApiError {
    ApiError::new(
        ErrorCode::InvalidArgument,
        format!(
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and \
             StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. \
             Request specified {kind} and {given}."
        ),
    )
}
