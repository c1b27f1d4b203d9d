//! What DescribeStream and DescribeStreamSummary share.

use fnctl_core::shard::{Stream, StreamMode};
use serde::Serialize;

use crate::{api::call::Call, log::Log, protocol::time_text::epoch_seconds};

const HOUR_MS: u64 = 3_600_000;

/// Hours that records are kept, as the API counts.
pub(super) const fn retention_hours(stream: &Stream) -> u64 {
    stream.retention_ms / HOUR_MS
}

/// The same in milliseconds.
pub(super) const fn hours_ms(hours: u64) -> u64 {
    hours * HOUR_MS
}

/// The members that both descriptions have. Every stream is ACTIVE from its creation to its
/// deletion, has a fixed number of shards, and is not encrypted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Description {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: ModeDetails,
    retention_period_hours: u64,
    stream_creation_timestamp: f64,
    enhanced_monitoring: [Monitoring; 1],
    encryption_type: &'static str,
}

/// How a stream's capacity is set.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ModeDetails {
    stream_mode: &'static str,
}

impl ModeDetails {
    pub(super) const fn of(stream: &Stream) -> Self {
        Self {
            stream_mode: match stream.options.mode {
                StreamMode::Provisioned => "PROVISIONED",
                StreamMode::OnDemand => "ON_DEMAND",
            },
        }
    }
}

/// The state in which every stream that exists is.
pub(super) const STATUS: &str = "ACTIVE";

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Monitoring {
    shard_level_metrics: [(); 0],
}

impl Description {
    pub(super) fn new<L: Log>(call: &Call<'_, L>, stream: &Stream) -> Self {
        Self {
            stream_name: stream.name.to_string(),
            stream_arn: call.arn(&stream.name),
            stream_status: STATUS,
            stream_mode_details: ModeDetails::of(stream),
            retention_period_hours: retention_hours(stream),
            stream_creation_timestamp: epoch_seconds(stream.created_at),
            enhanced_monitoring: [Monitoring::default()],
            encryption_type: "NONE",
        }
    }
}
