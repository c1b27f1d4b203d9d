//! The payload that a worker holds.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use fnctl_core::{
    pipeline::{BlockId, Payloads, RecordRef},
    record::RecordBlock,
};

/// The blocks by the pipeline's number.
pub(super) struct Shelf<'a>(pub(super) &'a BTreeMap<BlockId, Arc<RecordBlock>>);

impl Shelf<'_> {
    /// Where a record lies: its block must be held, that is what `ReleaseBlock` promises.
    pub(super) fn find(&self, record: &RecordRef) -> (&RecordBlock, usize) {
        let block = self.0.get(&record.block);
        let block = block.unwrap_or_else(|| panic!("{record:?} needs a released block"));
        let index = record.index as usize;
        assert_eq!(block.ordinal(index), record.position);
        (block, index)
    }
}

impl Payloads for Shelf<'_> {
    fn key(&self, record: &RecordRef) -> Bytes {
        let (block, index) = self.find(record);
        block.records.keys.share(index)
    }
    fn data(&self, record: &RecordRef) -> Bytes {
        let (block, index) = self.find(record);
        block.records.data.share(index)
    }
    fn hash_key(&self, record: &RecordRef) -> u128 {
        let (block, index) = self.find(record);
        block.hash_keys[index]
    }
    fn sequence_number(&self, record: &RecordRef) -> Arc<str> {
        record.position.to_string().into()
    }
}
