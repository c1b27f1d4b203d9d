use std::sync::Arc;

use fnctl_core::{
    entry::{Entry, Placement, ShardRun},
    id::{Ordinal, ShardNumber, StreamId, Timestamp},
    record::RecordBlock,
};
use proptest::prelude::*;

use super::{Blocks, slice};
use crate::testing::records;

fn payloads(blocks: &[Arc<RecordBlock>], shard: u32) -> Vec<(u64, Vec<u8>)> {
    let of = blocks
        .iter()
        .filter(|block| block.shard == ShardNumber(shard));
    of.flat_map(|block| {
        (0..block.len()).map(|i| (block.ordinal(i).0, block.records.data.get(i).to_vec()))
    })
    .collect()
}

proptest! {
    #[test]
    fn entries_become_blocks_record_for_record(
        appends in prop::collection::vec(
            prop::collection::vec((any::<bool>(), 0..40_000_usize), 1..6), 1..8
        )
    ) {
        let mut entries = Vec::new();
        let mut expected = [Vec::new(), Vec::new()];
        for append in &appends {
            let data: Vec<Vec<u8>> = append.iter().map(|(_, size)| vec![7; *size]).collect();
            let mut runs = Vec::new();
            for (shard, expected) in expected.iter_mut().enumerate() {
                let rows: Vec<u32> = (0..)
                    .zip(append)
                    .filter(|(_, (side, _))| usize::from(*side) == shard)
                    .map(|(row, _)| row)
                    .collect();
                if rows.is_empty() {
                    continue;
                }
                let first = expected.len() as u64 + 1;
                for (at, row) in (first..).zip(&rows) {
                    expected.push((at, data[*row as usize].clone()));
                }
                runs.push(ShardRun {
                    shard: ShardNumber(u32::try_from(shard).unwrap()),
                    first: Ordinal(first),
                    rows: (rows.len() < append.len()).then_some(rows),
                });
            }
            entries.push(Entry::Append {
                placement: Placement {
                    stream: StreamId(1),
                    arrival: Timestamp(5),
                    shards: runs,
                },
                records: Arc::new(records(&data)),
                producer: None,
            });
        }
        let mut blocks = Blocks::expecting(&entries);
        for entry in &entries {
            blocks.take(entry);
        }
        let blocks = blocks.finish();
        for shard in 0..2 {
            prop_assert_eq!(&payloads(&blocks, shard), &expected[shard as usize]);
        }
        for block in &blocks {
            prop_assert!(block.records.data.check().is_ok() && block.records.keys.check().is_ok());
            prop_assert_eq!(block.hash_keys.len(), block.len());
            let middle = block.len() / 2;
            let part = slice(block, middle..block.len());
            prop_assert_eq!(part.first, block.ordinal(middle));
            for index in 0..part.len() {
                prop_assert_eq!(part.records.data.get(index), block.records.data.get(middle + index));
            }
        }
    }
}
