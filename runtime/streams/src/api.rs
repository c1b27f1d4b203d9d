//! The operations, one file each: what a request's members must be, and what is answered.

mod call;
mod create_stream;
mod decrease_stream_retention_period;
mod delete_stream;
mod describe_stream;
mod describe_stream_summary;
mod get_records;
mod get_shard_iterator;
mod increase_stream_retention_period;
mod list_shards;
mod list_streams;
mod merge_shards;
mod put;
mod put_record;
mod put_records;
mod reshard;
mod retention;
mod shard;
mod split_shard;
mod stream_description;
mod update_shard_count;

pub(crate) use call::Call;
pub(crate) use put_records::answer_fast as put_records_fast;

use fnctl_core::access::Scope;

use crate::{
    log::Log,
    protocol::{
        constraint::check_constraints,
        error::ApiError,
        member::{Checked, Member},
        type_check::check_types,
    },
};

/// The operations served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    CreateStream,
    DecreaseStreamRetentionPeriod,
    DeleteStream,
    DescribeStream,
    DescribeStreamSummary,
    GetRecords,
    GetShardIterator,
    IncreaseStreamRetentionPeriod,
    ListShards,
    ListStreams,
    MergeShards,
    PutRecord,
    PutRecords,
    SplitShard,
    UpdateShardCount,
}

impl Operation {
    /// What a key needs to call it.
    pub(crate) const fn scope(self) -> Scope {
        match self {
            Self::DescribeStream
            | Self::DescribeStreamSummary
            | Self::GetRecords
            | Self::GetShardIterator
            | Self::ListShards
            | Self::ListStreams => Scope::Read,
            Self::PutRecord | Self::PutRecords => Scope::Write,
            Self::CreateStream
            | Self::DecreaseStreamRetentionPeriod
            | Self::DeleteStream
            | Self::IncreaseStreamRetentionPeriod
            | Self::MergeShards
            | Self::SplitShard
            | Self::UpdateShardCount => Scope::Admin,
        }
    }

    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        let served = SERVED.iter().find(|(_, operation)| *operation == self);
        served.map_or("", |(name, _)| name)
    }
}

/// What an operation's name means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Served(Operation),
    /// Kinesis has it, we do not yet.
    NotYet,
    Unknown,
}

const SERVED: [(&str, Operation); 15] = [
    ("CreateStream", Operation::CreateStream),
    (
        "DecreaseStreamRetentionPeriod",
        Operation::DecreaseStreamRetentionPeriod,
    ),
    ("DeleteStream", Operation::DeleteStream),
    ("DescribeStream", Operation::DescribeStream),
    ("DescribeStreamSummary", Operation::DescribeStreamSummary),
    ("GetRecords", Operation::GetRecords),
    ("GetShardIterator", Operation::GetShardIterator),
    (
        "IncreaseStreamRetentionPeriod",
        Operation::IncreaseStreamRetentionPeriod,
    ),
    ("ListShards", Operation::ListShards),
    ("ListStreams", Operation::ListStreams),
    ("MergeShards", Operation::MergeShards),
    ("PutRecord", Operation::PutRecord),
    ("PutRecords", Operation::PutRecords),
    ("SplitShard", Operation::SplitShard),
    ("UpdateShardCount", Operation::UpdateShardCount),
];

const NOT_YET: [&str; 43] = [
    "AcknowledgeQueueDeadLetterRecords",
    "AcknowledgeQueueRecords",
    "AddTagsToStream",
    "CreateChannel",
    "CreateQueue",
    "DeleteChannel",
    "DeleteQueue",
    "DeleteResourcePolicy",
    "DeregisterStreamConsumer",
    "DescribeAccountSettings",
    "DescribeChannel",
    "DescribeLimits",
    "DescribeQueue",
    "DescribeStreamConsumer",
    "DisableEnhancedMonitoring",
    "EnableEnhancedMonitoring",
    "GetResourcePolicy",
    "ListChannels",
    "ListQueues",
    "ListStreamConsumers",
    "ListTagsForResource",
    "ListTagsForStream",
    "PutResourcePolicy",
    "ReceiveQueueDeadLetterRecords",
    "ReceiveQueueRecords",
    "RegisterStreamConsumer",
    "RemoveTagsFromStream",
    "RestoreQueueDeadLetterRecords",
    "StartStreamEncryption",
    "StopStreamEncryption",
    "SubscribeToShard",
    "TagResource",
    "UntagResource",
    "UpdateAccountSettings",
    "UpdateChannel",
    "UpdateMaxRecordSize",
    "UpdateQueue",
    "UpdateQueueDeadLetterVisibility",
    "UpdateQueueVisibility",
    "UpdateStreamMode",
    "UpdateStreamRecordDistributionStrategy",
    "UpdateStreamWarmThroughput",
    "UpdateVisibilityQueueRecords",
];

impl Named {
    /// Looks a name up.
    pub(crate) fn of(name: &str) -> Self {
        if let Some((_, operation)) = SERVED.iter().find(|(served, _)| *served == name) {
            return Self::Served(*operation);
        }
        if NOT_YET.contains(&name) {
            Self::NotYet
        } else {
            Self::Unknown
        }
    }
}

impl Operation {
    fn members(self) -> &'static [Member] {
        match self {
            Self::CreateStream => create_stream::MEMBERS,
            Self::DecreaseStreamRetentionPeriod | Self::IncreaseStreamRetentionPeriod => {
                retention::MEMBERS
            }
            Self::DeleteStream => delete_stream::MEMBERS,
            Self::DescribeStream => describe_stream::MEMBERS,
            Self::DescribeStreamSummary => describe_stream_summary::MEMBERS,
            Self::GetRecords => get_records::MEMBERS,
            Self::GetShardIterator => get_shard_iterator::MEMBERS,
            Self::ListShards => list_shards::MEMBERS,
            Self::ListStreams => list_streams::MEMBERS,
            Self::MergeShards => merge_shards::MEMBERS,
            Self::PutRecord => put_record::MEMBERS,
            Self::PutRecords => put_records::MEMBERS,
            Self::SplitShard => split_shard::MEMBERS,
            Self::UpdateShardCount => update_shard_count::MEMBERS,
        }
    }
}

/// Checks a request's members and carries it out; the answer's body, empty for an operation without
/// output.
///
/// # Errors
/// Types first, then constraints, then what the operation itself says.
pub(crate) async fn answer<L: Log>(
    call: &Call<'_, L>,
    operation: Operation,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    let members = operation.members();
    check_types(request, members)?;
    check_constraints(request, members)?;
    match operation {
        Operation::CreateStream => create_stream::answer(call, request).await,
        Operation::DecreaseStreamRetentionPeriod => {
            decrease_stream_retention_period::answer(call, request).await
        }
        Operation::DeleteStream => delete_stream::answer(call, request).await,
        Operation::DescribeStream => describe_stream::answer(call, request),
        Operation::DescribeStreamSummary => describe_stream_summary::answer(call, request),
        Operation::GetRecords => get_records::answer(call, request).await,
        Operation::GetShardIterator => get_shard_iterator::answer(call, request).await,
        Operation::IncreaseStreamRetentionPeriod => {
            increase_stream_retention_period::answer(call, request).await
        }
        Operation::ListShards => list_shards::answer(call, request),
        Operation::ListStreams => list_streams::answer(call, request),
        Operation::MergeShards => merge_shards::answer(call, request).await,
        Operation::PutRecord => put_record::answer(call, request).await,
        Operation::PutRecords => put_records::answer(call, request).await,
        Operation::SplitShard => split_shard::answer(call, request).await,
        Operation::UpdateShardCount => update_shard_count::answer(call, request).await,
    }
}
