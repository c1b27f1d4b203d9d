//! Shards as answers show them.

use fnctl_core::{
    id::ShardNumber,
    shard::{HashKeyRange, Shard, Stream},
};
use serde::Serialize;

use crate::sequence::{end_of_shard, start_of_shard};

/// The Shard object of the API.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ShardView {
    shard_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_shard_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjacent_parent_shard_id: Option<String>,
    hash_key_range: RangeView,
    sequence_number_range: SequenceView,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RangeView {
    starting_hash_key: String,
    ending_hash_key: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SequenceView {
    starting_sequence_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending_sequence_number: Option<String>,
}

/// The ChildShard object of the API: where readers of a closed shard go on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChildShardView {
    shard_id: String,
    parent_shards: Vec<String>,
    hash_key_range: RangeView,
}

impl ShardView {
    pub(super) fn new(stream: &Stream, shard: &Shard) -> Self {
        let mut parents = shard.parents.iter().map(|parent| parent.shard_id());
        let closed_at = stream.closed_at(shard.number);
        let ending_sequence_number =
            closed_at.map(|closed_at| end_of_shard(shard.created_at, shard.number, closed_at));
        Self {
            shard_id: shard.number.shard_id(),
            parent_shard_id: parents.next(),
            adjacent_parent_shard_id: parents.next(),
            hash_key_range: RangeView::new(shard.range),
            sequence_number_range: SequenceView {
                starting_sequence_number: start_of_shard(shard.created_at, shard.number),
                ending_sequence_number,
            },
        }
    }
}

impl RangeView {
    fn new(range: HashKeyRange) -> Self {
        Self {
            starting_hash_key: range.start.to_string(),
            ending_hash_key: range.end.to_string(),
        }
    }
}

/// The children of a shard, in order.
pub(super) fn children(stream: &Stream, parent: ShardNumber) -> Vec<ChildShardView> {
    stream
        .children(parent)
        .map(|shard| ChildShardView {
            shard_id: shard.number.shard_id(),
            parent_shards: shard
                .parents
                .iter()
                .map(|parent| parent.shard_id())
                .collect(),
            hash_key_range: RangeView::new(shard.range),
        })
        .collect()
}
