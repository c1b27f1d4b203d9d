//! Which shards a list shows (Kinesis reference B10). A shard ends when its children are made, so that
//! at every moment some shard covers each hash key: readers that start at a time count on it.

use fnctl_core::{
    id::{ShardNumber, Timestamp},
    shard::{Shard, Stream},
};

use crate::{
    protocol::{
        error::{ApiError, ErrorCode},
        member::{Checked, Kind, Member, Rule},
    },
    seal::Fields,
};

const AFTER_SHARD_ID: &str = "AFTER_SHARD_ID";
const AT_TRIM_HORIZON: &str = "AT_TRIM_HORIZON";
const FROM_TRIM_HORIZON: &str = "FROM_TRIM_HORIZON";
const AT_LATEST: &str = "AT_LATEST";
const AT_TIMESTAMP: &str = "AT_TIMESTAMP";
const FROM_TIMESTAMP: &str = "FROM_TIMESTAMP";

pub(super) const MEMBERS: &[Member] = &[
    Member {
        name: "Type",
        kind: Kind::String,
        rules: &[
            Rule::NotNull,
            Rule::OneOf(&[
                AFTER_SHARD_ID,
                AT_TRIM_HORIZON,
                FROM_TRIM_HORIZON,
                AT_LATEST,
                AT_TIMESTAMP,
                FROM_TIMESTAMP,
            ]),
        ],
    },
    Member::name("ShardId"),
    Member::timestamp("Timestamp"),
];

/// Which shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShardFilter {
    /// Those with a higher number.
    AfterShardId(ShardNumber),
    /// Those open when the oldest record still kept arrived.
    AtTrimHorizon,
    /// All.
    FromTrimHorizon,
    /// Those open now.
    AtLatest,
    /// Those open at a moment.
    AtTimestamp(Timestamp),
    /// Those open at a moment or later.
    FromTimestamp(Timestamp),
}

impl ShardFilter {
    /// Reads a filter whose members are checked; `shard` reads a shard's id.
    pub(super) fn parse(
        filter: Checked<'_>,
        shard: impl Fn(&str) -> Result<ShardNumber, ApiError>,
    ) -> Result<Self, ApiError> {
        let kind = filter.text("Type").unwrap_or(FROM_TRIM_HORIZON);
        let lacks = |member: &str| {
            let words = format!("ShardFilter of type {kind} requires {member}.");
            ApiError::new(ErrorCode::InvalidArgument, words)
        };
        let time = || {
            let ms = filter.timestamp_ms("Timestamp");
            ms.map(Timestamp).ok_or_else(|| lacks("Timestamp"))
        };
        Ok(match kind {
            AFTER_SHARD_ID => {
                let id = filter.text("ShardId").ok_or_else(|| lacks("ShardId"))?;
                Self::AfterShardId(shard(id)?)
            }
            AT_TRIM_HORIZON => Self::AtTrimHorizon,
            AT_LATEST => Self::AtLatest,
            AT_TIMESTAMP => Self::AtTimestamp(time()?),
            FROM_TIMESTAMP => Self::FromTimestamp(time()?),
            _ => Self::FromTrimHorizon,
        })
    }

    /// Whether a shard is shown.
    pub(super) fn admits(self, stream: &Stream, shard: &Shard) -> bool {
        let ends_no_earlier = |time| {
            let closed_at = || stream.closed_at(shard.number);
            !shard.is_closed || closed_at().is_some_and(|closed_at| closed_at >= time)
        };
        match self {
            Self::AfterShardId(after) => shard.number > after,
            // Open at the horizon: no parent of it is left to be read first.
            Self::AtTrimHorizon => !shard
                .parents
                .iter()
                .any(|parent| stream.shard(*parent).is_some()),
            Self::FromTrimHorizon => true,
            Self::AtLatest => !shard.is_closed,
            Self::AtTimestamp(time) => shard.created_at <= time && ends_no_earlier(time),
            Self::FromTimestamp(time) => ends_no_earlier(time),
        }
    }

    /// Writes the filter into a token: its number and its value.
    pub(super) fn write(self, payload: &mut Vec<u8>) {
        let (number, value) = match self {
            Self::AfterShardId(shard) => (0, u64::from(shard.0)),
            Self::AtTrimHorizon => (1, 0),
            Self::FromTrimHorizon => (2, 0),
            Self::AtLatest => (3, 0),
            Self::AtTimestamp(time) => (4, time.0),
            Self::FromTimestamp(time) => (5, time.0),
        };
        payload.extend_from_slice(&u32::to_be_bytes(number));
        payload.extend_from_slice(&value.to_be_bytes());
    }

    /// Reads what [`Self::write`] wrote.
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (number, value) = (fields.u32()?, fields.u64()?);
        Some(match number {
            0 => Self::AfterShardId(ShardNumber(u32::try_from(value).ok()?)),
            1 => Self::AtTrimHorizon,
            2 => Self::FromTrimHorizon,
            3 => Self::AtLatest,
            4 => Self::AtTimestamp(Timestamp(value)),
            5 => Self::FromTimestamp(Timestamp(value)),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use fnctl_core::{
        id::{StreamId, StreamName},
        shard::{Ack, HashKeyRange, StreamOptions},
    };

    use super::*;

    /// Shard 0 was split into 2 and 3 at 210; 1 was always there.
    fn shown(filter: ShardFilter) -> Vec<u32> {
        let shard = |number, created_at, parents: &[u32], is_closed| Shard {
            number: ShardNumber(number),
            range: HashKeyRange { start: 0, end: 0 },
            created_at: Timestamp(created_at),
            parents: parents.iter().copied().map(ShardNumber).collect(),
            is_closed,
        };
        let stream = Stream {
            id: StreamId(1),
            name: StreamName::parse("s").unwrap(),
            shards: vec![
                shard(0, 100, &[], true),
                shard(1, 100, &[], false),
                shard(2, 210, &[0], false),
                shard(3, 210, &[0], false),
            ],
            retention_ms: 1,
            ack: Ack::Synced,
            created_at: Timestamp(100),
            is_internal: false,
            options: StreamOptions::default(),
        };
        let shards = stream.shards.iter();
        let shown = shards.filter(|shard| filter.admits(&stream, shard));
        shown.map(|shard| shard.number.0).collect()
    }

    #[test]
    fn filters_show_the_shards_of_their_moment() {
        for (filter, expected) in [
            (ShardFilter::AfterShardId(ShardNumber(1)), vec![2, 3]),
            (ShardFilter::AtTrimHorizon, vec![0, 1]),
            (ShardFilter::FromTrimHorizon, vec![0, 1, 2, 3]),
            (ShardFilter::AtLatest, vec![1, 2, 3]),
            (ShardFilter::AtTimestamp(Timestamp(99)), vec![]),
            (ShardFilter::AtTimestamp(Timestamp(150)), vec![0, 1]),
            (ShardFilter::AtTimestamp(Timestamp(209)), vec![0, 1]),
            (ShardFilter::AtTimestamp(Timestamp(210)), vec![0, 1, 2, 3]),
            (ShardFilter::AtTimestamp(Timestamp(211)), vec![1, 2, 3]),
            (ShardFilter::FromTimestamp(Timestamp(150)), vec![0, 1, 2, 3]),
            (ShardFilter::FromTimestamp(Timestamp(211)), vec![1, 2, 3]),
        ] {
            assert_eq!(shown(filter), expected, "{filter:?}");
            let mut payload = Vec::new();
            filter.write(&mut payload);
            assert_eq!(ShardFilter::read(&mut Fields(&payload)), Some(filter));
        }
    }
}
