//! What was put, by the number that every payload begins with.

use fnctl_core::record::{ColumnBuilder, NewRecords, RecordBlock};

use super::hash_key;
use crate::{
    guest::{Nature, key_bytes},
    random::Random,
};

/// Keys and payloads of a put.
pub(super) type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// What the function does with each record ever put.
#[derive(Debug, Default)]
pub(super) struct Facts {
    natures: Vec<Nature>,
    /// Versions of the function differ.
    pub(super) has_versions: bool,
}

impl Facts {
    pub(super) fn new(has_versions: bool) -> Self {
        Self {
            natures: Vec::new(),
            has_versions,
        }
    }

    /// Number of the next record.
    pub(super) fn next(&self) -> u64 {
        self.natures.len() as u64
    }

    /// What the function does with a record.
    pub(super) fn nature(&self, block: &RecordBlock, index: usize) -> Nature {
        let data = block.records.data.get(index);
        let (id, _) = data.split_first_chunk::<8>().expect("puts are numbered");
        self.of(u64::from_le_bytes(*id))
    }

    /// The same by the number of the record.
    pub(super) fn of(&self, id: u64) -> Nature {
        self.natures[usize::try_from(id).expect("an index")]
    }

    /// New records.
    pub(super) fn draw(&mut self, draw: &Draw, random: &mut Random) -> Rows {
        let count = random.between(1, draw.records_max);
        let record = |_| {
            let id = self.next();
            self.natures.push(if random.chance(draw.bad) {
                Nature::draw_bad(random)
            } else {
                Nature::Good
            });
            let key = key_bytes(random.below(draw.keys)).to_vec();
            let size = 8 + usize::try_from(random.below(draw.payload_max)).expect("small");
            let fill = u8::try_from(random.below(256)).expect("a byte");
            let mut data = vec![fill; size];
            data[..8].copy_from_slice(&id.to_le_bytes());
            (key, data)
        };
        (0..count).map(record).collect()
    }
}

/// What kind of records are put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw {
    pub(super) records_max: u64,
    pub(super) keys: u64,
    pub(super) payload_max: u64,
    pub(super) bad: u64,
}

/// Rows as they are put.
pub(super) fn records(rows: &Rows) -> NewRecords {
    let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
    for (key, payload) in rows {
        keys.push(key);
        data.push(payload);
    }
    NewRecords {
        keys: keys.finish(),
        data: data.finish(),
        hash_keys: rows.iter().map(|(key, _)| hash_key(key)).collect(),
        hops: Vec::new(),
        origins: Vec::new(),
    }
}
