//! DeleteStream. The stream is gone when the answer comes; mappings that read it fail, which they
//! say themselves.

use crate::{
    api::call::Call,
    log::Log,
    protocol::{
        error::ApiError,
        member::{Checked, Kind, Member, STREAM_ARN, STREAM_NAME},
    },
};

pub(super) const MEMBERS: &[Member] = &[
    Member {
        name: "EnforceConsumerDeletion",
        kind: Kind::Boolean,
        rules: &[],
    },
    STREAM_NAME,
    STREAM_ARN,
];

pub(super) async fn answer<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    let stream = call.stream(request)?;
    match call.log.delete_stream(&stream.name).await {
        Ok(()) => Ok(Vec::new()),
        Err(error) => Err(call.command_failed(&stream.name, error)),
    }
}
