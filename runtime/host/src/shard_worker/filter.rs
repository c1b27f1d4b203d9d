//! Judges records by the mapping's filter as they are read. A mapping without one pays nothing.

use std::sync::Arc;

use fnctl_core::{
    filter::{Envelope, Filter, FilterScratch, FilterVerdict},
    id::Timestamp,
    pipeline::RecordMeta,
    record::RecordBlock,
};
use fnctl_streams::sequence;

/// A mapping's filter, and what it takes to judge one record after another.
#[derive(Debug)]
pub(crate) struct Judge {
    filter: Arc<Filter>,
    asks_for_sequence_number: bool,
    shard_created_at: Timestamp,
    shard_id: String,
    scratch: FilterScratch,
    sequence_number: Vec<u8>,
}

impl Judge {
    /// For a shard that was made at `shard_created_at`.
    pub(crate) fn new(filter: Arc<Filter>, shard_id: String, shard_created_at: Timestamp) -> Self {
        Self {
            asks_for_sequence_number: filter.asks_for_sequence_number(),
            filter,
            shard_created_at,
            shard_id,
            scratch: FilterScratch::default(),
            sequence_number: Vec::new(),
        }
    }

    /// Judges records of a block; how many of them the filter cannot judge.
    pub(super) fn judge(&mut self, block: &RecordBlock, records: &mut [RecordMeta]) -> u64 {
        let mut unparsable = 0;
        for record in records {
            record.verdict = self.verdict(block, record.index as usize);
            unparsable += u64::from(record.verdict == FilterVerdict::Unparsable);
        }
        unparsable
    }

    /// Judges record `index` of a block.
    pub(crate) fn verdict(&mut self, block: &RecordBlock, index: usize) -> FilterVerdict {
        let arrival = block.arrival(index);
        let (keys, data) = (&block.records.keys, &block.records.data);
        self.sequence_number.clear();
        if self.asks_for_sequence_number {
            let position = block.ordinal(index);
            sequence::Run::new(self.shard_created_at, block.shard, position, arrival)
                .write_next(&mut self.sequence_number);
        }
        let envelope = Envelope {
            key: (!keys.is_null(index)).then(|| keys.get(index)),
            data: (!data.is_null(index)).then(|| data.get(index)),
            arrival,
            sequence_number: std::str::from_utf8(&self.sequence_number).unwrap_or_default(),
            shard_id: &self.shard_id,
        };
        self.filter.verdict(&envelope, &mut self.scratch)
    }
}

#[cfg(test)]
mod tests {
    use fnctl_core::{
        id::{Ordinal, ShardNumber, StreamId},
        pipeline::BlockId,
        record::{ColumnBuilder, Records},
        source::describe,
    };

    use super::*;

    #[test]
    fn records_are_judged_by_payload_key_and_sequence_number() {
        let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
        for (key, payload) in [("k", "{\"a\":1}"), ("k", "{\"a\":2}"), ("x", "nonsense")] {
            keys.push(key.as_bytes());
            data.push(payload.as_bytes());
        }
        let block = RecordBlock {
            stream: StreamId(1),
            shard: ShardNumber(0),
            first: Ordinal(7),
            records: Records {
                keys: keys.finish(),
                data: data.finish(),
                arrival_ms: vec![5_000; 3],
            },
            hash_keys: vec![0; 3],
            hops: Vec::new(),
            origins: Vec::new(),
        };
        let mut records = Vec::new();
        describe(&block, BlockId(1), Ordinal(6), 10, &mut records);
        let second = sequence::encode(
            Timestamp(1_000),
            ShardNumber(0),
            Ordinal(8),
            Timestamp(5_000),
        );
        let mut verdicts = |pattern: &str| {
            let filter = Arc::new(Filter::parse([pattern]).expect("a pattern"));
            let mut judge = Judge::new(filter, ShardNumber(0).shard_id(), Timestamp(1_000));
            let unparsable = judge.judge(&block, &mut records);
            let verdicts: Vec<_> = records.iter().map(|record| record.verdict).collect();
            (verdicts, unparsable)
        };
        use FilterVerdict::{Match, NoMatch, Unparsable};
        let expected = (vec![Match, NoMatch, Unparsable], 1);
        assert_eq!(verdicts(r#"{"data": {"a": [1]}}"#), expected);
        let expected = (vec![NoMatch, NoMatch, Match], 0);
        assert_eq!(verdicts(r#"{"partitionKey": ["x"]}"#), expected);
        let pattern = format!("{{\"sequenceNumber\": [\"{second}\"]}}");
        assert_eq!(verdicts(&pattern), (vec![NoMatch, Match, NoMatch], 0));
        let event = format!("{{\"eventID\": [\"shardId-000000000000:{second}\"]}}");
        assert_eq!(verdicts(&event), (vec![NoMatch, Match, NoMatch], 0));
    }
}
