//! What every operation has at hand: the log, the time, who asks, and the words for common errors.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use fnctl_core::{
    id::{ShardNumber, StreamName, Timestamp},
    shard::Stream,
};
use serde::Serialize;

use crate::{
    log::{CommandError, Log, ReadError},
    protocol::{
        error::{ApiError, ErrorCode},
        member::{Checked, STREAM_ARN, STREAM_NAME, stream_of_arn},
    },
    seal::Seal,
    service::Options,
};

/// One request's surroundings.
pub(crate) struct Call<'a, L> {
    pub(crate) log: &'a L,
    pub(crate) options: &'a Options,
    pub(crate) seal: &'a Seal,
    /// Rises with every token, so that no two are the same.
    pub(crate) nonce: &'a AtomicU64,
    /// The region that the request is signed for.
    pub(crate) region: &'a str,
    pub(crate) now: Timestamp,
}

impl<L: Log> Call<'_, L> {
    /// The name of the stream that a request means, by name or ARN; `None` if it gives neither.
    ///
    /// # Errors
    /// The two disagree, or the ARN's name cannot be a stream's.
    pub(crate) fn stream_name(&self, request: Checked<'_>) -> Result<Option<StreamName>, ApiError> {
        let name = request.text(STREAM_NAME.name);
        let arn = request.text(STREAM_ARN.name);
        let arn_name = arn.and_then(stream_of_arn);
        if let (Some(name), Some(arn), Some(arn_name)) = (name, arn, arn_name)
            && name != arn_name
        {
            return Err(ApiError::new(
                ErrorCode::InvalidArgument,
                format!("StreamName {name} and StreamARN {arn} do not name the same stream."),
            ));
        }
        match name.or(arn_name) {
            Some(name) => StreamName::parse(name)
                .map(Some)
                .map_err(|_| self.stream_not_found(name)),
            None => Ok(None),
        }
    }

    /// The name that a checked request must have.
    ///
    /// # Errors
    /// As [`Self::stream_name`].
    pub(crate) fn required_stream_name(
        &self,
        request: Checked<'_>,
    ) -> Result<StreamName, ApiError> {
        let name = self.stream_name(request)?;
        name.ok_or_else(|| ApiError::bare(ErrorCode::InternalFailure))
    }

    /// The stream that a request means.
    ///
    /// # Errors
    /// There is none, or it is internal, which is the same to a client.
    pub(crate) fn stream(&self, request: Checked<'_>) -> Result<Arc<Stream>, ApiError> {
        let name = self.required_stream_name(request)?;
        self.visible(&name)
            .ok_or_else(|| self.stream_not_found(name.as_str()))
    }

    /// The stream of a name, unless it is internal.
    pub(crate) fn visible(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.log.stream(name).filter(|stream| !stream.is_internal)
    }

    /// Every stream by name that a client sees.
    pub(crate) fn visible_streams(&self) -> impl Iterator<Item = Arc<Stream>> {
        self.log
            .streams()
            .into_iter()
            .filter(|stream| !stream.is_internal)
    }

    /// The stream's ARN.
    pub(crate) fn arn(&self, name: &StreamName) -> String {
        format!(
            "arn:aws:kinesis:{}:{}:stream/{name}",
            self.region, self.options.account
        )
    }

    /// A number that no token had before.
    pub(crate) fn next_nonce(&self) -> u64 {
        self.nonce.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn stream_not_found(&self, name: &str) -> ApiError {
        ApiError::new(
            ErrorCode::ResourceNotFound,
            format!(
                "Stream {name} under account {} not found.",
                self.options.account
            ),
        )
    }

    /// For reads: no full stop, as on Kinesis.
    pub(crate) fn shard_does_not_exist(&self, name: &StreamName, shard: ShardNumber) -> ApiError {
        ApiError::new(
            ErrorCode::ResourceNotFound,
            format!(
                "Shard {} in stream {name} under account {} does not exist",
                shard.shard_id(),
                self.options.account
            ),
        )
    }

    /// For a shard id that cannot be read.
    pub(crate) fn shard_not_found(&self, name: &StreamName, shard_id: &str) -> ApiError {
        ApiError::new(
            ErrorCode::ResourceNotFound,
            format!(
                "Could not find shard {shard_id} in stream {name} under account {}.",
                self.options.account
            ),
        )
    }

    /// Words of an overloaded or full node, which clients retry.
    pub(crate) fn rate_exceeded(&self, name: &StreamName, shard: ShardNumber) -> String {
        format!(
            "Rate exceeded for shard {} in stream {name} under account {}.",
            shard.shard_id(),
            self.options.account
        )
    }

    pub(crate) fn command_failed(&self, name: &StreamName, error: CommandError) -> ApiError {
        match error {
            CommandError::Exists => ApiError::new(
                ErrorCode::ResourceInUse,
                format!(
                    "Stream {name} under account {} already exists.",
                    self.options.account
                ),
            ),
            CommandError::NoSuchStream => self.stream_not_found(name.as_str()),
            CommandError::Refused(words) => ApiError::new(ErrorCode::InvalidArgument, words),
            CommandError::Reshard(why) => {
                ApiError::new(ErrorCode::InvalidArgument, why.to_string())
            }
            CommandError::Stopped(_) => ApiError::bare(ErrorCode::InternalFailure),
        }
    }

    pub(crate) fn read_failed(
        &self,
        name: &StreamName,
        shard: ShardNumber,
        error: &ReadError,
    ) -> ApiError {
        match error {
            ReadError::NoSuchShard => self.shard_does_not_exist(name, shard),
            ReadError::Failed(_) => ApiError::bare(ErrorCode::InternalFailure),
        }
    }
}

/// The answer to a call that was only to be tried.
pub(crate) fn dry_run() -> ApiError {
    ApiError::new(
        ErrorCode::DryRunOperation,
        "The call would succeed; nothing was done.",
    )
}

/// A body.
pub(crate) fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("texts and numbers are always JSON")
}

/// Reads a shard id as Kinesis reads it: what stands behind the first `-`, or all of it.
pub(crate) fn parse_shard_id(shard_id: &str) -> Option<ShardNumber> {
    let digits = shard_id
        .split('-')
        .nth(1)
        .filter(|rest| !rest.is_empty())
        .unwrap_or(shard_id);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u32 = is_number.then(|| digits.parse().ok())??;
    (number <= i32::MAX.unsigned_abs()).then_some(ShardNumber(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_ids_are_read_leniently() {
        for (text, expected) in [
            ("shardId-000000000005", Some(5)),
            ("shardId-5", Some(5)),
            ("5", Some(5)),
            ("x-5", Some(5)),
            ("shardId-2147483647", Some(2_147_483_647)),
            ("shardId-2147483648", None),
            ("shardId-", None),
            ("shardId--1", None),
            ("a", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_shard_id(text), expected.map(ShardNumber), "{text}");
        }
    }
}
