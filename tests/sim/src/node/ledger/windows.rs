//! What must follow from windows: each record that was processed is in exactly one of them.

use std::collections::{BTreeMap, BTreeSet};

use fnctl_core::{
    commit::{DeadLetter, ErrorKind},
    id::{Ordinal, ShardNumber},
    mapping::Mapping,
};
use fnctl_store::{Store, codec::decode_dead_letter};

use super::{Ledger, Seen};
use crate::node::windows::positions;

type Counted = BTreeMap<(ShardNumber, Ordinal), u32>;

impl Ledger {
    /// Closed windows, those that are open and states that were given up count each record once, and none
    /// that had no rows; all of them where every worker had windows.
    pub(super) fn verify_windows(&self, store: &Store, mapping: &Mapping) {
        let mut counted = Counted::new();
        let mut count = |shard: ShardNumber, state: &[u8]| {
            for position in positions(state) {
                let times = counted.entry((shard, Ordinal(position))).or_default();
                *times += 1;
            }
        };
        let mut processed = BTreeSet::new();
        for (&(stream, _), seen) in &self.seen {
            for (Seen { data, origin, .. }, _) in seen.records.values() {
                if stream == mapping.dead_letters {
                    let letter: DeadLetter =
                        decode_dead_letter(data.clone().into()).expect("a letter can be read");
                    if letter.kind == ErrorKind::WindowFailed {
                        count(letter.shard, &letter.data);
                    }
                } else if let Some(origin) = origin.filter(|o| o.stream == mapping.stream) {
                    if Some(stream) == self.closed {
                        count(origin.shard, data);
                    } else {
                        processed.insert((origin.shard, origin.position));
                    }
                }
            }
        }
        let open: Vec<_> = store.view(|view| {
            let units = view.units_of(mapping.id);
            let windows = units.flat_map(|(unit, state)| {
                let open = state.open_windows();
                open.map(move |(_, open)| (unit.shard, open.state.clone()))
            });
            windows.collect()
        });
        for (shard, state) in &open {
            count(*shard, state);
        }
        for (record, times) in &counted {
            assert_eq!(*times, 1, "{record:?} is in {times} windows");
            assert!(
                processed.contains(record),
                "{record:?} is in a window and has no rows"
            );
        }
        if self.is_all_windowed {
            for record in &processed {
                assert!(counted.contains_key(record), "{record:?} is in no window");
            }
        }
    }
}
