//! Which records the windows of a unit counted. The function's state is the list of the records that it was
//! given, eight bytes each; when a window ends the list is a row, or what is left of it becomes a letter. So a
//! record that is in two windows, or in none, is seen.

use std::collections::BTreeMap;

use fnctl_core::{
    id::{Ordinal, ShardNumber},
    invariants::Violation,
};

use super::broken;

/// A record in a list: a letter's shard may be none of the unit's.
pub(crate) type Listed = (ShardNumber, Ordinal);

/// Bits of an entry that are the position.
const POSITION_BITS: u32 = 48;

/// The entry of a record in a state.
pub(crate) fn entry((shard, position): Listed) -> [u8; 8] {
    let packed = u64::from(shard.0) << POSITION_BITS | position.0;
    packed.to_le_bytes()
}

/// The records of a state.
pub(crate) fn listed(state: &[u8]) -> Vec<Listed> {
    let (entries, rest) = state.as_chunks::<8>();
    assert!(rest.is_empty(), "a list of whole entries");
    let entries = entries.iter().map(|entry| u64::from_le_bytes(*entry));
    let place = |packed: u64| {
        let shard = u32::try_from(packed >> POSITION_BITS).expect("16 bits");
        let position = packed & ((1 << POSITION_BITS) - 1);
        (ShardNumber(shard), Ordinal(position))
    };
    entries.map(place).collect()
}

/// A record of a list as a row writes it.
pub(crate) fn write((shard, position): Listed) -> String {
    format!("{}:{position}", shard.0)
}

/// What [`write()`] wrote.
pub(super) fn parse(word: &str) -> Listed {
    let (shard, position) = word.split_once(':').expect("a shard and a position");
    let number = |word: &str| word.parse::<u64>().expect("a number");
    let shard = u32::try_from(number(shard)).expect("few shards");
    (ShardNumber(shard), Ordinal(number(position)))
}

/// Of one unit since its start or last seek.
#[derive(Debug, Default)]
pub(crate) struct Windowed {
    /// Records of windows that ended or were given up.
    counted: BTreeMap<Listed, u32>,
    /// Records of letters that were redriven and resolved.
    redriven: BTreeMap<Listed, u32>,
}

impl Windowed {
    /// A window ended with these, or was given up.
    pub(super) fn list(&mut self, records: impl IntoIterator<Item = Listed>) {
        for record in records {
            *self.counted.entry(record).or_default() += 1;
        }
    }

    /// A letter's record was given to the function again, and is done.
    pub(super) fn redriven(&mut self, record: Listed) {
        *self.redriven.entry(record).or_default() += 1;
    }

    /// Each record is in windows, those that are open among them, at most as often as it was processed;
    /// just as often where all owners had windows.
    pub(super) fn check(
        &self,
        open: impl IntoIterator<Item = Listed>,
        processed: impl Iterator<Item = Listed>,
        is_exact: bool,
    ) -> Result<(), Violation> {
        let mut counted = self.counted.clone();
        for record in open {
            *counted.entry(record).or_default() += 1;
        }
        let mut expected = self.redriven.clone();
        for record in processed {
            *expected.entry(record).or_default() += 1;
        }
        let of = |all: &BTreeMap<Listed, u32>, record| all.get(record).copied().unwrap_or(0);
        for (record, &times) in &counted {
            let processed = of(&expected, record);
            if times > processed {
                let words =
                    format!("{record:?} is in {times} windows, processed {processed} times");
                return Err(broken(words));
            }
        }
        let missed = expected
            .iter()
            .find(|(record, times)| of(&counted, record) < **times);
        match missed.filter(|_| is_exact) {
            None => Ok(()),
            Some((record, times)) => Err(broken(format!(
                "{record:?}, processed {times} times, is in {} windows",
                of(&counted, record)
            ))),
        }
    }
}
