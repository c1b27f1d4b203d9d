//! What the whole journal says at the end.

use std::collections::BTreeMap;

use fnctl_core::{
    entry::Entry,
    id::{MappingId, Ordinal, StreamId},
    invariants::{self, Violation},
    mapping::{Mapping, MappingSettings, MaxAttempts},
    record::Origin,
    registry::RegistryChange,
};

use crate::{
    coverage::Coverage,
    journal::Journal,
    ledger::{Known, Ledger, Surroundings},
    worker::hops_of,
};

/// The journal, read up to a place.
struct Log<'a> {
    journal: &'a Journal,
    /// Mappings as they are there.
    mappings: BTreeMap<MappingId, &'a Mapping>,
}

impl Surroundings for Log<'_> {
    fn record(&self, at: &Origin) -> Known {
        let put = self.journal.put_at(at.position);
        Known {
            key: put.key,
            nature: put.nature,
            hops: hops_of(at.position),
        }
    }

    fn settings(&self, mapping: MappingId) -> &MappingSettings {
        &self.mappings[&mapping].settings
    }

    fn letters_of(&self, mapping: MappingId) -> StreamId {
        self.mappings[&mapping].dead_letters
    }
}

impl<'a> Log<'a> {
    fn change(&mut self, change: &'a RegistryChange, ledger: &mut Ledger) {
        for mapping in &change.mappings {
            let policy = |mapping: &Mapping| {
                let settings = &mapping.settings;
                (settings.filter.clone(), settings.on_unparsable)
            };
            let before = self.mappings.insert(mapping.id, mapping);
            if before.is_some_and(|before| policy(before) != policy(mapping)) {
                ledger.has_other_filter(mapping.id);
            }
        }
        for &stream in &change.deleted_streams {
            ledger.letters.delete(stream);
        }
    }
}

/// Reads the whole journal. `max_attempts` is the most that any owner ran under. Every record of the present
/// unit behind its start has come to its one end, every letter is what the view says of it, and everything adds
/// up.
///
/// # Errors
/// The first rule that is broken.
pub(super) fn judge(
    journal: &Journal,
    max_attempts: MaxAttempts,
    coverage: &mut Coverage,
) -> Result<(), Violation> {
    let mut ledger = Ledger::new(max_attempts);
    let mut log = Log {
        journal,
        mappings: BTreeMap::new(),
    };
    for entry in &journal.entries {
        match entry {
            Entry::Commit {
                commit,
                dead_letters,
                ..
            } => ledger.take(commit, &log, dead_letters.as_ref(), coverage)?,
            Entry::Purge {
                stream,
                letters,
                bytes,
            } => ledger.letters.purge(*stream, letters, *bytes)?,
            Entry::Seek { seeks, .. } => {
                for seek in seeks {
                    ledger.seek(seek.unit, seek.after)?;
                }
            }
            Entry::Meta { change, .. } => log.change(change, &mut ledger),
            _ => {}
        }
    }
    ledger.close()?;
    ledger.letters.close(&journal.view)?;
    close_unit(journal, &mut ledger)
}

fn close_unit(journal: &Journal, ledger: &mut Ledger) -> Result<(), Violation> {
    let unit = journal.unit();
    ledger.counters_outlive_seeks(unit, &journal.view)?;
    let account = ledger.accounts.entry(unit).or_default();
    let view = journal.accepted(unit);
    if view.settled != account.settled || view.totals != account.totals {
        let words = "the view and the journal disagree";
        return Err(Violation(words.to_owned()));
    }
    let records = journal.puts.len() as u64;
    for position in (1..=records).map(Ordinal) {
        let ends = u32::from(account.has_ended(position));
        invariants::one_end(position, ends, position > account.start)?;
    }
    invariants::totals_add_up(&account.totals, records - account.start.0, 0)
}
