//! Dead letters that a worker is given, and what it must never do with them.

use fnctl_core::{
    commit::{DeadLetter, Redriven},
    id::{FunctionVersion, MappingId, Ordinal},
    limits,
    mapping::Ordering,
    pipeline::{Event, Invocation, OtherVersion, Redrive, RedriveEnding},
    view::{LETTERS_SHARD, LetterStatus, NodeView},
};

use super::Worker;
use crate::{
    journal::{Journal, output_bindings},
    random::Random,
};

impl Worker {
    /// Whether it takes another letter.
    #[must_use]
    pub fn takes_letters(&self) -> bool {
        self.stopped.is_none() && self.redrives.len() < limits::REDRIVES_TAKEN_MAX
    }

    /// Takes a letter on: its payload is a block of its own.
    pub fn redrive(
        &mut self,
        redriven: Redriven,
        letter: &DeadLetter,
        with: Option<FunctionVersion>,
        random: &mut Random,
    ) -> Event {
        let mut blocks = Vec::new();
        let id = self.hold(100, random, &mut blocks);
        let held = self.blocks.get_mut(&id).expect("it was just made");
        held.push(letter.position);
        self.last_ticket += 1;
        self.redrives.insert(self.last_ticket, redriven.clone());
        let with = with.map(|version| OtherVersion {
            version,
            outputs: output_bindings(),
        });
        let block = blocks.remove(0);
        let redrive = Redrive::of(self.last_ticket, redriven, letter, block, with);
        Event::Redrive(Box::new(redrive))
    }

    /// A redrive ended, and what is said of it is published.
    pub(super) fn redrive_ended(&mut self, ticket: u64, ending: RedriveEnding, journal: &Journal) {
        let redriven = self.redrives.remove(&ticket).expect("it was given once");
        check_ending(&journal.published, self.unit.mapping, &redriven, ending);
        self.redriven.push((redriven, ending));
    }

    /// No key is called twice at once, whether its records are of the backlog or of letters; with order
    /// within the shard nothing is called beside anything.
    pub(super) fn check_company(&self, call: &Invocation, journal: &Journal) {
        let is_known = |ticket: &u64| self.redrives.contains_key(ticket);
        assert!(call.redrive.as_ref().is_none_or(is_known), "{call:?}");
        // A letter is not called with care: it waits.
        assert!(call.redrive.is_none() || !self.is_careful, "{call:?}");
        let is_alone = self.settings.ordering == Ordering::Shard;
        assert!(self.calls.is_empty() || !is_alone, "{call:?} is not alone");
        let key = |position: Ordinal| journal.put_at(position).key;
        for other in &self.calls {
            for record in &other.records {
                let is_shared = |mine: u64| mine == key(record.position);
                let mut mine = call.records.iter().map(|record| key(record.position));
                assert!(!mine.any(is_shared), "{call:?} beside {other:?}");
            }
        }
    }
}

/// What is said of a redrive that ended is published.
pub(crate) fn check_ending(
    published: &NodeView,
    mapping: MappingId,
    redriven: &Redriven,
    ending: RedriveEnding,
) {
    let Some(mapping) = published.registry().mapping(mapping) else {
        return;
    };
    let tail = published.tail(mapping.dead_letters, LETTERS_SHARD);
    if tail.is_none_or(|tail| redriven.body < tail.floor) {
        // It was closed and is stored no more.
        return;
    }
    let letters = published.letters(mapping.dead_letters);
    let status = letters.map(|letters| letters.status(redriven.body));
    match ending {
        RedriveEnding::Resolved => {
            assert_eq!(status, Some(Some(LetterStatus::Resolved)), "{redriven:?}");
        }
        RedriveEnding::FailedAgain => assert_eq!(status, Some(None), "{redriven:?}"),
        // What closed it need not be synced.
        RedriveEnding::Closed => {}
    }
}
