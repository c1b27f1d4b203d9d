//! A person looks after dead letters: has them redriven, throws them away.

use fnctl_core::{
    commit::Redriven,
    id::{FunctionVersion, MappingId, Ordinal, StreamId},
    lane::key_hash,
    pipeline::Event,
};

use super::{Weakness, World};
use crate::{coverage::Reached, versions::OTHER_VERSION};

/// Letters that are purged at once, at most.
const PURGED_MAX: u64 = 5;

impl World {
    /// A letter is given to an owner: whether there is one, and an owner that takes it.
    pub(super) fn redrive(&mut self) -> bool {
        let stream = self.journal.letters_stream();
        let open = self.journal.open_letters(stream);
        let mapping = self.journal.mapping;
        let takes = self
            .workers
            .iter()
            .position(|worker| worker.unit.mapping == mapping && worker.takes_letters());
        let (Some(at), false) = (takes, open.is_empty()) else {
            return false;
        };
        let (body, bytes) = self.random.pick(&open);
        let letter = self.journal.letter(stream, body).expect("it is published");
        if !letter.kind.holds_record() {
            return false;
        }
        let letter = letter.clone();
        let letters = self.journal.published.letters(stream);
        let redriven = Redriven {
            id: letters.map_or(body, |letters| letters.id_of(body)),
            body,
            bytes,
        };
        let worker = &mut self.workers[at];
        if worker
            .redrives
            .values()
            .any(|other| other.id == redriven.id)
        {
            self.coverage.note(Reached::RedriveTwice);
        }
        let with = self.random.chance(200).then(|| {
            self.coverage.note(Reached::RedriveOtherVersion);
            FunctionVersion(self.versions.live + OTHER_VERSION)
        });
        let mut event = worker.redrive(redriven, &letter, with, &mut self.random);
        if self.weakness == Some(Weakness::RedriveBesideItsKey)
            && let Event::Redrive(redrive) = &mut event
        {
            redrive.key = key_hash(Some(b"another"), redrive.position);
        }
        self.tell(at, event);
        true
    }

    /// A redrive is called off: whether there was one. It ends at once and is never called, or its letter has its turn.
    pub(super) fn withdraw(&mut self) -> bool {
        let mut tickets = Vec::new();
        for (at, worker) in self.workers.iter().enumerate() {
            if worker.stopped.is_none() {
                tickets.extend(worker.redrives.keys().map(|&ticket| (at, ticket)));
            }
        }
        if tickets.is_empty() {
            return false;
        }
        let (at, ticket) = self.random.pick(&tickets);
        self.tell(at, Event::RedriveWithdrawn { ticket });
        // One that is called later is none that the worker knows: it would say so.
        self.coverage
            .note(match self.workers[at].redrives.contains_key(&ticket) {
                true => Reached::RedriveTooLateToWithdraw,
                false => Reached::RedriveWithdrawn,
            });
        true
    }

    /// Letters are thrown away, of this mapping or of one that is gone: whether there were any.
    pub(super) fn purge(&mut self) -> bool {
        let registry = self.journal.published.registry();
        let internal = registry.streams().filter(|stream| stream.is_internal);
        let streams: Vec<StreamId> = internal.map(|stream| stream.id).collect();
        let stream = self.random.pick(&streams);
        let mut letters = self.journal.open_letters(stream);
        if letters.is_empty() {
            return false;
        }
        let first = self.random.below(letters.len() as u64);
        let mut letters = letters.split_off(usize::try_from(first).expect("an index"));
        let count = self.random.between(1, PURGED_MAX);
        letters.truncate(usize::try_from(count).expect("few"));
        let purged = self.journal.purge(stream, &letters);
        self.trace
            .line(format_args!("{} purged {purged} of {letters:?}", self.now));
        if purged > 0 {
            self.coverage.note(Reached::Purged);
        }
        if stream != self.journal.letters_stream() {
            self.coverage.note(Reached::PurgedOfDeleted);
        }
        let mapping = self.journal.mapping;
        if self.is_redriven(mapping, |body| letters.iter().any(|(of, _)| *of == body)) {
            self.coverage.note(Reached::PurgedUnderRedrive);
        }
        true
    }

    fn is_redriven(&self, mapping: MappingId, is_meant: impl Fn(Ordinal) -> bool) -> bool {
        let of_mapping = self.workers.iter().filter(|w| w.unit.mapping == mapping);
        let mut redrives = of_mapping.flat_map(|worker| worker.redrives.values());
        redrives.any(|redriven| is_meant(redriven.body))
    }
}
