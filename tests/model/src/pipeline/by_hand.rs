//! What people do: units sent elsewhere, letters redriven and thrown away.

use std::rc::Rc;

use fnctl_core::{
    commit::Redriven,
    pipeline::{BlockId, BlockMeta, Event, Redrive},
};

use super::{Driven, State, step::Step};
use crate::{
    content::{LETTER_BYTES, letter},
    explore::Successors,
};

impl Driven {
    /// A unit is sent to any place; a letter that is shown as open is thrown away.
    pub(super) fn seek_and_purge(&mut self, state: &State, out: &mut Successors<Self>) {
        let ahead = state.journal.ahead();
        if state.seeks > 0 {
            for unit in 0..self.config.units() {
                for after in self.config.places_of(unit) {
                    let sought = self.views.seek(ahead, unit, after).map(|view| {
                        let mut next = state.clone();
                        next.seeks -= 1;
                        next.journal.take(view, None, true);
                        next
                    });
                    out.push((Step::Seek(unit, after.0), sought));
                }
            }
        }
        if state.purges == 0 {
            return;
        }
        let shown = *self.views.facts(state.journal.visible(&self.config));
        for body in shown.open_bodies() {
            let purged = self.views.purge(ahead, body).map(|outcome| {
                outcome.map(|view| {
                    let mut next = state.clone();
                    next.purges -= 1;
                    next.journal.take(view, None, true);
                    next
                })
            });
            out.extend(purged.map(|outcome| (Step::Purge(body.0), outcome)));
        }
    }

    /// A letter that is shown as open is given to the owner of its record's shard.
    pub(super) fn redrive(&self, state: &State, index: usize, out: &mut Successors<Self>) {
        if state.redrives == 0 {
            return;
        }
        let owner = &state.owners[index];
        let shown = *self.views.facts(state.journal.visible(&self.config));
        for at in shown.open_bodies() {
            let body = shown.body(at);
            if self.config.shard[body.record()] != owner.unit {
                continue;
            }
            let mut next = state.clone();
            next.redrives -= 1;
            let owner = Rc::make_mut(&mut next.owners[index]);
            owner.blocks += 1;
            let block = BlockMeta {
                id: BlockId(owner.blocks),
                bytes: 2,
            };
            let redriven = Redriven {
                id: body.letter(),
                body: at,
                bytes: LETTER_BYTES,
            };
            let mut of_record = letter(&self.config, body.record());
            of_record.key = self.key(owner.unit, of_record.position).clone();
            let redrive = Redrive::of(owner.blocks, redriven, &of_record, block, None);
            self.tell(owner, Event::Redrive(Box::new(redrive)));
            out.push((Step::Redrive(owner.unit, owner.epoch, at.0), Ok(next)));
        }
    }
}
