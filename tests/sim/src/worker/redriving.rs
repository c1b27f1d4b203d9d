//! Dead letters that a worker is given, and what it must never do with them.

use fnctl_core::{
    commit::{DeadLetter, Redriven},
    id::{FunctionVersion, Ordinal},
    limits,
    mapping::{Ordering, OutputBinding},
    pipeline::{Event, Invocation, OtherVersion, Redrive, RedriveEnding},
    view::LetterStatus,
};

use super::Worker;
use crate::{
    journal::{Journal, output_name},
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
        let outputs = [OutputBinding::Stream(output_name()), OutputBinding::None];
        let with = with.map(|version| OtherVersion {
            version,
            outputs: outputs.into(),
        });
        let block = blocks.remove(0);
        let redrive = Redrive::of(self.last_ticket, redriven, letter, block, with);
        Event::Redrive(Box::new(redrive))
    }

    /// A redrive ended, and what is said of it is published.
    pub(super) fn redrive_ended(&mut self, ticket: u64, ending: RedriveEnding, journal: &Journal) {
        let redriven = self.redrives.remove(&ticket).expect("it was given once");
        let mapping = journal.published.registry().mapping(self.unit.mapping);
        if let Some(mapping) = mapping {
            let letters = journal.published.letters(mapping.dead_letters);
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
        let key = |position: Ordinal| {
            let index = usize::try_from(position.0 - 1).expect("an index");
            journal.puts[index].key
        };
        for other in &self.calls {
            for record in &other.records {
                let is_shared = |mine: u64| mine == key(record.position);
                let mut mine = call.records.iter().map(|record| key(record.position));
                assert!(!mine.any(is_shared), "{call:?} beside {other:?}");
            }
        }
    }
}
