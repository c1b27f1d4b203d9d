//! DescribeStreamSummary: a stream without its shards.

use serde::Serialize;

use crate::{
    api::{
        call::{Call, to_json},
        stream_description::Description,
    },
    log::Log,
    protocol::{
        error::ApiError,
        member::{Checked, Member, STREAM_ARN, STREAM_NAME},
    },
};

pub(super) const MEMBERS: &[Member] = &[STREAM_NAME, STREAM_ARN];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    stream_description_summary: Summary,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    #[serde(flatten)]
    description: Description,
    open_shard_count: usize,
    consumer_count: usize,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: u64,
}

pub(super) fn answer<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    let stream = call.stream(request)?;
    Ok(to_json(&Answer {
        stream_description_summary: Summary {
            description: Description::new(call, &stream),
            open_shard_count: stream.open_shards().count(),
            consumer_count: 0,
            max_record_size_in_kib: stream.options.record_bytes_max >> 10,
        },
    }))
}
