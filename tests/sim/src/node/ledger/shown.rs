//! What the store shows of what was done: exactly that.

use fnctl_core::{
    commit::DeadLetter,
    id::{Ordinal, ShardNumber, StreamId},
    invariants,
    mapping::{Mapping, MaxAttempts},
    shard::Stream,
    view::{LETTERS_SHARD, NodeView},
};
use fnctl_store::codec::decode_dead_letter;

use super::{Ledger, effects::sound, known::Known};
use crate::{ledger, node::facts::Facts};

impl Ledger {
    /// Rows, letters, totals and windows are those of the commits that survived.
    pub(super) fn verify_effects(
        &mut self,
        view: &NodeView,
        facts: &Facts,
        attempts_max: MaxAttempts,
    ) {
        let known = Known::new(&self.seen, facts, view, self.has_windows);
        self.effects.judge(&known, attempts_max);
        for stream in view.registry().streams() {
            self.verify_rows(stream);
        }
        for mapping in view.registry().mappings() {
            self.verify_letters(mapping.dead_letters, view);
            self.verify_units(mapping, view);
        }
        let ledger = &self.effects.ledger;
        sound(ledger.close(), || "the accounts".to_owned());
        sound(ledger.letters.close(view), || "the letters".to_owned());
    }

    /// Every row is there once, in the order of the log.
    fn verify_rows(&self, stream: &Stream) {
        let shards = self.seen.range((stream.id, ShardNumber(0))..);
        let shards = shards.take_while(|((of, _), _)| *of == stream.id);
        let expected = self.effects.rows.get(&stream.name);
        let mut found = 0;
        for (shard, seen) in shards {
            let mut last = 0;
            for (ordinal, (record, _)) in &seen.records {
                let Some(origin) = record.origin else {
                    continue;
                };
                let row = expected.and_then(|rows| rows.get(&record.data));
                let row = row.unwrap_or_else(|| {
                    panic!("{ordinal} of {shard:?} is no row that anybody published: {record:?}")
                });
                assert_eq!((&row.key, row.origin), (&record.key, origin), "{ordinal}");
                assert!(row.number > last, "{ordinal} of {shard:?} is out of order");
                last = row.number;
                found += 1;
            }
        }
        let rows = expected.map_or(0, |rows| rows.len());
        assert_eq!(found, rows, "rows of {} are lost", stream.name);
    }

    /// Every body of a letter is there, as it was stored.
    fn verify_letters(&self, stream: StreamId, view: &NodeView) {
        let stored = view.tail(stream, LETTERS_SHARD).map_or(0, |t| t.last().0);
        let letters = &self.effects.ledger.letters;
        assert_eq!(stored, letters.count(stream), "bodies in {stream}");
        let Some(seen) = self.seen.get(&(stream, LETTERS_SHARD)) else {
            return;
        };
        for (&body, (record, _)) in &seen.records {
            let shown: DeadLetter =
                decode_dead_letter(record.data.clone().into()).expect("a letter can be read");
            assert_eq!(Some(&shown), letters.letter(stream, body), "{body}");
        }
    }

    /// Each settled record ended once; what is not settled did not end; what was processed is in windows.
    fn verify_units(&mut self, mapping: &Mapping, view: &NodeView) {
        for (unit, state) in view.units_of(mapping.id) {
            let Some(tail) = view.tail(unit.stream, unit.shard) else {
                continue;
            };
            let counters = self.effects.ledger.counters_outlive_seeks(unit, view);
            sound(counters, || format!("{unit:?}"));
            let account = self.effects.ledger.accounts.entry(unit).or_default();
            sound(account.compare(state, tail.last()), || format!("{unit:?}"));
            let open = state.open_windows();
            let open = open.flat_map(|(_, open)| ledger::listed(&open.state));
            let in_windows = account.check_windows(unit.shard, open, self.is_all_windowed);
            sound(in_windows, || format!("{unit:?}"));
            let pending = view.pending(unit).expect("the unit is there");
            let records = tail.last().0 - account.start.0.min(tail.last().0);
            let adds_up = invariants::totals_add_up(&state.totals, records, pending);
            sound(adds_up, || format!("{unit:?}"));
            self.expired = self.expired.max(state.totals.expired);
        }
    }

    /// The letter of a body, if somebody saw it.
    pub(in crate::node) fn letter_seen(
        &self,
        stream: StreamId,
        body: Ordinal,
    ) -> Option<DeadLetter> {
        let seen = self.seen.get(&(stream, LETTERS_SHARD))?;
        let (record, _) = seen.records.get(&body)?;
        let letter = decode_dead_letter(record.data.clone().into());
        Some(letter.expect("a letter can be read"))
    }
}
