//! The fields of a record's envelope, named as Lambda names them for Kinesis.

/// A field at the top of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    /// The partition key; `null` where there is none.
    PartitionKey,
    /// Digits, as text.
    SequenceNumber,
    /// Seconds since 1970, with milliseconds.
    ApproximateArrivalTimestamp,
    /// `shardId-000000000000`.
    ShardId,
    /// Shard id, a colon and the sequence number.
    EventId,
    /// The payload. The last one: the others cost less.
    Data,
}

impl Field {
    pub(super) const ALL: [Self; 6] = [
        Self::PartitionKey,
        Self::SequenceNumber,
        Self::ApproximateArrivalTimestamp,
        Self::ShardId,
        Self::EventId,
        Self::Data,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::PartitionKey => "partitionKey",
            Self::SequenceNumber => "sequenceNumber",
            Self::ApproximateArrivalTimestamp => "approximateArrivalTimestamp",
            Self::ShardId => "shardId",
            Self::EventId => "eventID",
            Self::Data => "data",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}
