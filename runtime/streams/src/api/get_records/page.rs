//! The body of a GetRecords answer, record by record.

use std::io::Write as _;

use fnctl_core::{
    id::{Ordinal, Timestamp},
    record::RecordBlock,
    shard::Shard,
};

use crate::{protocol::time_text::write_epoch_seconds, sequence::Run};

/// An answer being written.
pub(super) struct Page<'a> {
    shard: &'a Shard,
    body: Vec<u8>,
    /// The last record written, or the one in front of the first.
    after: Ordinal,
    records: usize,
    record_bytes: usize,
    last_arrival: Option<Timestamp>,
    /// Sequence numbers from `after` on, while records arrive within one second.
    run: Option<(u64, Run)>,
}

impl<'a> Page<'a> {
    /// An empty answer of a reader that stands after `after`.
    pub(super) fn new(shard: &'a Shard, after: Ordinal) -> Self {
        Self {
            shard,
            body: br#"{"Records":["#.to_vec(),
            after,
            records: 0,
            record_bytes: 0,
            last_arrival: None,
            run: None,
        }
    }

    /// Writes a block's records that come after the last one written. Whether more may follow.
    pub(super) fn add(
        &mut self,
        block: &RecordBlock,
        records_max: usize,
        bytes_max: usize,
    ) -> bool {
        let skip = (self.after.0 + 1).saturating_sub(block.first.0);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(block.len());
        if self.body.capacity() < block.records.byte_len() {
            self.body
                .reserve(block.records.byte_len() / 3 * 4 + block.len() * 192);
        }
        for index in skip..block.len() {
            let range = |column: &fnctl_core::record::ByteColumn| column.range(index).len();
            let bytes = range(&block.records.keys) + range(&block.records.data);
            let is_full = self.records >= records_max || self.record_bytes + bytes > bytes_max;
            if is_full && self.records > 0 {
                return false;
            }
            self.write(block, index);
            self.records += 1;
            self.record_bytes += bytes;
        }
        self.records < records_max && self.record_bytes < bytes_max
    }

    /// The last record written, or the one in front of the first.
    pub(super) const fn after(&self) -> Ordinal {
        self.after
    }

    /// Arrival of the last record written.
    pub(super) const fn last_arrival(&self) -> Option<Timestamp> {
        self.last_arrival
    }

    fn write(&mut self, block: &RecordBlock, index: usize) {
        let (ordinal, arrival) = (block.ordinal(index), block.arrival(index));
        let second = arrival.0 / 1_000;
        let is_consecutive = ordinal == self.after.next();
        let run = match &mut self.run {
            Some((run_second, run)) if *run_second == second && is_consecutive => run,
            run => {
                let new = Run::new(self.shard.created_at, self.shard.number, ordinal, arrival);
                &mut run.insert((second, new)).1
            }
        };
        let body = &mut self.body;
        if self.records > 0 {
            body.push(b',');
        }
        body.extend_from_slice(br#"{"SequenceNumber":""#);
        run.write_next(body);
        body.extend_from_slice(br#"","ApproximateArrivalTimestamp":"#);
        write_epoch_seconds(arrival, body);
        body.extend_from_slice(br#","Data":""#);
        base64_simd::STANDARD.encode_append(block.records.data.get(index), body);
        body.push(b'"');
        if !block.records.keys.is_null(index) {
            body.extend_from_slice(br#","PartitionKey":"#);
            write_text(block.records.keys.get(index), body);
        }
        body.push(b'}');
        self.after = ordinal;
        self.last_arrival = Some(arrival);
    }

    /// Closes the answer. `children` is a JSON list.
    pub(super) fn finish(
        self,
        next_iterator: Option<&str>,
        behind_ms: u64,
        children: Option<&[u8]>,
    ) -> Vec<u8> {
        let mut body = self.body;
        write!(body, r#"],"MillisBehindLatest":{behind_ms}"#).expect("memory takes every write");
        if let Some(iterator) = next_iterator {
            write!(body, r#","NextShardIterator":"{iterator}""#).expect("memory takes every write");
        }
        if let Some(children) = children {
            body.extend_from_slice(br#","ChildShards":"#);
            body.extend_from_slice(children);
        }
        body.push(b'}');
        body
    }
}

/// Appends text as a JSON string; bytes that are no text are shown as the replacement character.
fn write_text(text: &[u8], body: &mut Vec<u8>) {
    let is_plain = text
        .iter()
        .all(|b| (0x20..0x7f).contains(b) && !matches!(b, b'"' | b'\\'));
    if is_plain {
        body.push(b'"');
        body.extend_from_slice(text);
        body.push(b'"');
    } else {
        serde_json::to_writer(body, &String::from_utf8_lossy(text))
            .expect("memory takes every write");
    }
}
