use std::sync::Arc;

use fnctl_core::{
    id::{Ordinal, ShardNumber, StreamId},
    record::RecordBlock,
};

use super::Tail;
use crate::{block::block_bytes, testing::records};

const KEY: (StreamId, ShardNumber) = (StreamId(1), ShardNumber(0));

fn block(first: u64, count: usize) -> Arc<RecordBlock> {
    let new = records(&vec!["payload"; count]);
    Arc::new(RecordBlock {
        stream: KEY.0,
        shard: KEY.1,
        first: Ordinal(first),
        records: fnctl_core::record::Records {
            arrival_ms: vec![1; count],
            keys: new.keys,
            data: new.data,
        },
        hash_keys: new.hash_keys,
        hops: Vec::new(),
        origins: Vec::new(),
    })
}

fn firsts(tail: &Tail, after: u64) -> Option<Vec<u64>> {
    let found = tail.read(KEY, Ordinal(after), |_| true)?;
    Some(found.iter().map(|block| block.first.0).collect())
}

#[test]
fn what_is_not_applied_stays_whatever_the_budget() {
    let one = block_bytes(&block(1, 2)) as u64;
    let tail = Tail::new(one);
    drop(tail.publish(&[block(1, 2), block(3, 2), block(5, 2)]));
    tail.release();
    assert_eq!(firsts(&tail, 0), Some(vec![1, 3, 5]));
    tail.applied(KEY, Ordinal(3));
    tail.release();
    assert_eq!(firsts(&tail, 0), None, "it is in a segment");
    assert_eq!(firsts(&tail, 2), Some(vec![3, 5]));
    tail.applied(KEY, Ordinal(7));
    tail.release();
    assert_eq!(
        firsts(&tail, 4),
        Some(vec![5]),
        "the budget keeps the newest"
    );
    assert_eq!(tail.bytes(), one);
}

#[test]
fn a_read_starts_at_the_block_that_holds_the_next_record() {
    let tail = Tail::new(u64::MAX);
    drop(tail.publish(&[block(1, 3), block(4, 3)]));
    assert_eq!(firsts(&tail, 2), Some(vec![1, 4]));
    assert_eq!(firsts(&tail, 3), Some(vec![4]));
    assert_eq!(firsts(&tail, 6), None);
}

#[test]
fn a_watcher_is_told_of_new_records_and_of_the_end() {
    let tail = Tail::new(u64::MAX);
    let mut watcher = tail.watch(KEY, Ordinal(0));
    assert!(!watcher.has_changed().unwrap());
    let blocks = [block(1, 3)];
    tail.publish(&blocks).make();
    assert!(watcher.has_changed().unwrap());
    assert_eq!(*watcher.borrow_and_update(), Ordinal(3));
    tail.forget(&[KEY.0], &[]);
    assert!(watcher.has_changed().is_err());
}
