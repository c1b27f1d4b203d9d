//! What the three operations that change a stream's shards share: who may, and how a refusal reads
//! (Kinesis reference B3, B10). Children are there when the answer comes: no UPDATING in between.

use fnctl_core::{
    id::ShardNumber,
    shard::{Reshard, ReshardError, Stream, StreamMode},
};

use crate::{
    api::call::{Call, parse_shard_id},
    limits::STREAM_SHARDS_MAX,
    log::{CommandError, Log},
    protocol::error::{ApiError, ErrorCode},
};

/// The shard that a request means; whether there is one the log says.
///
/// # Errors
/// The text is no shard's id.
pub(super) fn shard<L: Log>(
    call: &Call<'_, L>,
    stream: &Stream,
    shard_id: &str,
) -> Result<ShardNumber, ApiError> {
    parse_shard_id(shard_id).ok_or_else(|| call.shard_not_found(&stream.name, shard_id))
}

/// Refuses a stream whose capacity is not set by shards.
///
/// # Errors
/// The stream is on demand.
pub(super) fn check_mode<L: Log>(call: &Call<'_, L>, stream: &Stream) -> Result<(), ApiError> {
    match stream.options.mode {
        StreamMode::Provisioned => Ok(()),
        StreamMode::OnDemand => Err(ApiError::new(
            ErrorCode::Validation,
            format!(
                "Request is invalid. Stream {} under account {} is in On-Demand mode.",
                stream.name, call.options.account
            ),
        )),
    }
}

/// Refuses what would be too many open shards: of one stream, which would have `shards`, or of all,
/// which would have `more` than now.
///
/// # Errors
/// As Kinesis words it.
pub(super) fn check_shard_limit<L: Log>(
    call: &Call<'_, L>,
    shards: u32,
    more: u32,
) -> Result<(), ApiError> {
    let options = call.options;
    let open: usize = call
        .visible_streams()
        .map(|stream| stream.open_shards().count())
        .sum();
    let is_above_account = open as u64 + u64::from(more) > u64::from(options.shard_limit);
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
             would have resulted from this request: {more}. Refer to the AWS Service Limits \
             page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for \
             current limits and how to request higher limits.",
            options.account, call.region
        ),
    ))
}

/// Changes the shards; `at` is the hash key as the request spells it.
///
/// # Errors
/// As Kinesis words them.
pub(super) async fn reshard<L: Log>(
    call: &Call<'_, L>,
    stream: &Stream,
    how: Reshard,
    at: &str,
) -> Result<(), ApiError> {
    let name = &stream.name;
    let account = &call.options.account;
    let error = match call.log.reshard(name, how).await {
        Ok(()) => return Ok(()),
        Err(CommandError::Reshard(error)) => error,
        Err(error) => return Err(call.command_failed(name, error)),
    };
    let invalid = |words: String| ApiError::new(ErrorCode::InvalidArgument, words);
    Err(match error {
        ReshardError::NoSuchShard(shard) => call.shard_not_found(name, &shard.shard_id()),
        ReshardError::Closed(shard) => invalid(format!(
            "Shard {} in stream {name} under account {account} has already been merged or split, \
             and thus is not eligible for merging or splitting.",
            shard.shard_id()
        )),
        ReshardError::SplitPoint { shard, range, .. } => invalid(format!(
            "NewStartingHashKey {at} used in SplitShard() on shard {} in stream {name} under \
             account {account} is not both greater than one plus the shard's StartingHashKey {} \
             and less than the shard's EndingHashKey {}.",
            shard.shard_id(),
            range.start,
            range.end
        )),
        ReshardError::NotAdjacent { shard, adjacent } => invalid(format!(
            "Shards {} and {} in stream {name} under account {account} are not an adjacent pair \
             of shards eligible for merging",
            shard.shard_id(),
            adjacent.shard_id()
        )),
        ReshardError::ShardCount { .. }
        | ReshardError::TooNarrow { .. }
        | ReshardError::TooManyListed { .. } => ApiError::new(
            ErrorCode::LimitExceeded,
            format!("Stream {name} under account {account}: {error}."),
        ),
    })
}
