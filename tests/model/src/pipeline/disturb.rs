//! What happens to a unit from outside: retention, and an output stream that goes and comes back.

use std::{rc::Rc, sync::Arc};

use fnctl_core::{
    commit::{CommitAnswer, Unavailable},
    pipeline::Event,
};

use super::{Driven, State, owner::Owner, step::Step};
use crate::{config::bits, content::name, explore::Successors};

impl Driven {
    /// Retention takes records; the output stream is deleted or made anew. Whoever deleted it makes
    /// it anew: its readers wait for it, but not for ever.
    pub(super) fn disturb(&mut self, state: &State, out: &mut Successors<Self>) {
        let ahead = state.journal.ahead();
        let facts = *self.views.facts(ahead);
        if state.expiries > 0 {
            for record in bits(self.config.all() & !facts.settled) {
                let expired = self.views.expire(ahead, record).map(|outcome| {
                    outcome.map(|view| {
                        let mut next = state.clone();
                        next.expiries -= 1;
                        next.journal.take(view, None, true);
                        next
                    })
                });
                out.extend(expired.map(|outcome| (Step::Expire(record), outcome)));
            }
        }
        let (exists, step) = if facts.output.exists {
            (true, Step::DeleteOutput)
        } else {
            (false, Step::MakeOutput)
        };
        if state.outages > 0 || !exists {
            let mut next = state.clone();
            next.outages -= u8::from(exists);
            next.journal.take(self.views.outage(ahead), None, true);
            out.push((step, Ok(next)));
        }
    }

    /// The owner hears that the stream of an output is not there.
    pub(super) fn refuse(&self, state: &State, index: usize, out: &mut Successors<Self>) {
        if state.refusals == 0 {
            return;
        }
        let mut next = state.clone();
        next.refusals -= 1;
        let owner = Rc::make_mut(&mut next.owners[index]);
        let commit = owner.commit.take().expect("a commit is answered");
        let (slot, number) = (commit.slot, commit.number);
        owner.refused.push(Arc::clone(&commit));
        let refused = Event::CommitAnswered {
            slot,
            number,
            answer: CommitAnswer::Unavailable(Unavailable::NoSuchOutput(name("out"))),
        };
        self.tell(owner, refused);
        out.push((Step::Refuse(owner.epoch, slot, number), Ok(next)));
    }

    /// The pauses of refused commits end, or there is no room to keep one.
    pub(super) fn wait(&self, state: &State, index: usize, out: &mut Successors<Self>) {
        let owner = &state.owners[index];
        if let Some(due) = owner.resend_at() {
            let mut next = Owner::clone(owner);
            next.now = due;
            self.tell(&mut next, Event::Tick);
            out.push((Step::Tick(owner.epoch), Ok(state.with(index, next))));
        }
        for commit in &owner.refused {
            let slot = commit.slot;
            let mut next = Owner::clone(owner);
            self.tell(&mut next, Event::DropRefused { slot });
            let step = Step::DropRefused(owner.epoch, slot);
            out.push((step, Ok(state.with(index, next))));
        }
    }
}
