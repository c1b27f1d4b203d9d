//! Judges the journal alone: what every record came to, in which order, and what was said about it.
//!
//! What "once" means when people step in:
//!
//! * From the start of a unit, or its last seek, on: a record behind that place ends once, with rows, as a
//!   letter, dropped or fallen, in the order of its key. A seek begins the accounts anew. What it skips is
//!   in none of them; what it goes back over ends once more.
//! * A change of the filter judges anew what is not settled. A record that fell until then, and was not
//!   settled when others of its key were, comes late: it alone has no place in the order.
//! * A letter, not its record, is what a redrive ends: it is open, is resolved once, and rows of it are
//!   published in the same act. Failing again it is the same letter, with one attempt more. The accounts of
//!   the unit know no more of it than rows and a failure. A letter that was resolved or purged is never
//!   redriven (commit and storage rules §3, `resolves`).
//! * A record has one mark, and a mark is of one version. Charges of a version stand while no other one marked
//!   the record, called or about to be called; from then on they are forgotten, also where that version comes
//!   back: a canary that is dropped, or a live version that is a canary again. So is a death in hand of a
//!   version that the key does not meet any more.

mod account;
mod letters;

use std::collections::{BTreeMap, BTreeSet};

use fnctl_core::{
    commit::{Commit, ErrorKind, OutputRecords, Redriven},
    entry::{Entry, Placement},
    id::{MappingId, Ordinal, UnitId},
    invariants::{self, Violation},
    limits,
    mapping::{Mapping, MappingSettings, MaxAttempts, OnUnparsable},
    outcome::WHOLE_CALL,
    pipeline::PROCESS_DIED,
    registry::RegistryChange,
};

use self::{
    account::{Account, End, Folds},
    letters::LetterBook,
};
use crate::{
    coverage::{Coverage, Reached},
    guest::Nature,
    journal::{Journal, Put},
    worker::hops_of,
};

/// Whether a letter is of a record that no call was given: it charges nothing.
const fn is_condemned(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Loop
            | ErrorKind::RecordTooLarge
            | ErrorKind::RecordTooOld
            | ErrorKind::Unparsable
            | ErrorKind::ByHand
    )
}

fn broken(words: String) -> Violation {
    Violation(words)
}

/// What the journal says of every unit.
#[derive(Debug)]
pub struct Ledger<'a> {
    journal: &'a Journal,
    max_attempts: MaxAttempts,
    accounts: BTreeMap<UnitId, Account>,
    letters: LetterBook,
    folds: Folds,
    /// Mappings as they are in the log so far.
    mappings: BTreeMap<MappingId, &'a Mapping>,
}

impl<'a> Ledger<'a> {
    /// Reads the whole journal. `max_attempts` is the most that any owner ran under.
    ///
    /// # Errors
    /// The first rule that a commit breaks.
    pub fn read(
        journal: &'a Journal,
        max_attempts: MaxAttempts,
        coverage: &mut Coverage,
    ) -> Result<Self, Violation> {
        let mut ledger = Self {
            journal,
            max_attempts,
            accounts: BTreeMap::new(),
            letters: LetterBook::default(),
            folds: Folds::default(),
            mappings: BTreeMap::new(),
        };
        for entry in &journal.entries {
            match entry {
                Entry::Commit {
                    commit,
                    dead_letters,
                    ..
                } => match &commit.redriven {
                    None => ledger.take(commit, dead_letters.as_ref(), coverage)?,
                    Some(redriven) => {
                        ledger.take_redriven(commit, redriven, dead_letters.as_ref())?;
                    }
                },
                Entry::Purge {
                    stream,
                    letters,
                    bytes,
                } => ledger.letters.purge(*stream, letters, *bytes)?,
                Entry::Seek { seeks, .. } => {
                    for seek in seeks {
                        let sought = Account::starting_after(seek.after);
                        if let Some(before) = ledger.accounts.insert(seek.unit, sought) {
                            before.close()?;
                        }
                    }
                }
                Entry::Meta { change, .. } => ledger.change(change),
                _ => {}
            }
        }
        Ok(ledger)
    }

    fn change(&mut self, change: &'a RegistryChange) {
        for mapping in &change.mappings {
            let policy = |mapping: &Mapping| {
                let settings = &mapping.settings;
                (settings.filter.clone(), settings.on_unparsable)
            };
            let before = self.mappings.insert(mapping.id, mapping);
            if before.is_some_and(|before| policy(before) != policy(mapping)) {
                for (unit, account) in &mut self.accounts {
                    account.has_other_filter |= unit.mapping == mapping.id;
                }
            }
        }
        for &stream in &change.deleted_streams {
            self.letters.delete(stream);
        }
    }

    fn put(&self, position: Ordinal) -> Put {
        let index = usize::try_from(position.0 - 1).expect("an index");
        self.journal.puts[index]
    }

    /// The key of a record that has a place in its order.
    fn key_in_order(&self, has_other_filter: bool, position: Ordinal) -> Option<u64> {
        let put = self.put(position);
        let may_fall = matches!(put.nature, Nature::Fallen | Nature::Unparsable);
        (!may_fall || !has_other_filter).then_some(put.key)
    }

    fn take(
        &mut self,
        commit: &Commit,
        placed: Option<&Placement>,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        let mut account = self.accounts.remove(&commit.unit).unwrap_or_default();
        invariants::commit_is_sound(commit, &account.settled)?;
        if commit.settles.is_empty() {
            coverage.note(Reached::MarksOnly);
        }
        let charged = take_marks(&mut account, commit, self.max_attempts, coverage)?;
        let has_other_filter = account.has_other_filter;
        let mut kept = BTreeSet::new();
        for output in &commit.outputs {
            for (call, origin) in self.rows_of(output, hops_of, coverage)? {
                account.end(origin, End::Rows)?;
                kept.insert(origin);
                if let Some(key) = self.key_in_order(has_other_filter, origin) {
                    account.published.push((key, origin));
                }
                self.folds.row(call, origin);
            }
        }
        let mapping: &'a Mapping = self.mappings[&commit.unit.mapping];
        let settings = &mapping.settings;
        for letter in &commit.dead_letters {
            let nature = self.put(letter.position).nature;
            let nature = nature.under(letter.version, letter.position.0);
            if &*letter.code == PROCESS_DIED {
                coverage.note(Reached::LetterProcessDied);
            }
            check_letter(letter.kind, nature, settings, coverage)?;
            if !is_condemned(letter.kind) {
                account.charge(letter.position, letter.version, letter.attempts)?;
            }
            invariants::charges_are_bounded(letter.attempts, true, self.max_attempts)?;
            account.end(letter.position, End::Letter(letter.kind))?;
        }
        if let Some(placement) = placed {
            self.letters.store(&commit.dead_letters, placement)?;
        }
        let mut fallen = 0;
        for range in commit.settles.as_slice() {
            for position in (range.after.0 + 1..=range.through.0).map(Ordinal) {
                if falls(self.put(position).nature, settings) {
                    fallen += 1;
                    account.end(position, End::Fallen)?;
                }
            }
        }
        // What is left ended neither with rows nor as a letter, and did not fall.
        let dropped = drop_endless(commit, &mut account.ends);
        coverage.note_times(Reached::LetterDropped, dropped);
        if fallen > 0 {
            let is_alone = commit.outputs.is_empty() && commit.dead_letters.is_empty();
            coverage.note(match is_alone {
                true => Reached::FilteredAlone,
                false => Reached::FilteredRode,
            });
        }
        let charged_letters = commit.dead_letters.iter().filter(|l| !is_condemned(l.kind));
        let totals = &mut account.totals;
        totals.filtered += fallen;
        totals.processed += kept.len() as u64;
        totals.dead_lettered += commit.dead_letters.len() as u64;
        totals.failed += charged_letters.count() as u64 + charged;
        totals.emitted += rows(commit);
        totals.dropped += dropped;
        // Of a record that was dropped the journal does not say whether that was an attempt.
        let failed = totals.failed..=totals.failed + dropped;
        if failed.contains(&commit.totals.failed) {
            totals.failed = commit.totals.failed;
        }
        check_totals(&account, commit)?;
        let key = |position| self.key_in_order(has_other_filter, position);
        account.settle(commit, key)?;
        self.accounts.insert(commit.unit, account);
        Ok(())
    }

    /// A letter was redriven: the unit's records are as before.
    fn take_redriven(
        &mut self,
        commit: &Commit,
        redriven: &Redriven,
        placed: Option<&Placement>,
    ) -> Result<(), Violation> {
        invariants::redrive_is_sound(commit)?;
        let stream = self.mappings[&commit.unit.mapping].dead_letters;
        let again = self.letters.redrive(stream, redriven, commit, placed)?;
        // A letter does not keep its hops; one of a loop has as many as are allowed.
        let hops = match again.kind {
            ErrorKind::Loop => limits::HOPS_MAX,
            _ => 0,
        };
        let mut unseen = Coverage::default();
        for output in &commit.outputs {
            for (call, origin) in self.rows_of(output, |_| hops, &mut unseen)? {
                if origin != again.position {
                    return Err(broken(format!("{again:?} gave a row of {origin}")));
                }
                self.folds.row(call, origin);
            }
        }
        let account = self.accounts.entry(commit.unit).or_default();
        account.totals.emitted += rows(commit);
        account.totals.failed += commit.dead_letters.len() as u64;
        check_totals(account, commit)
    }

    /// The rows of records, in order, each with its call; those of no record are noted.
    fn rows_of(
        &mut self,
        output: &OutputRecords,
        hops: impl Fn(Ordinal) -> u8,
        coverage: &mut Coverage,
    ) -> Result<Vec<(u64, Ordinal)>, Violation> {
        let records = &output.records;
        let mut found = Vec::new();
        let mut order = Vec::new();
        for row in 0..records.len() {
            let text = String::from_utf8_lossy(records.data.get(row)).into_owned();
            let words: Vec<&str> = text.split(' ').collect();
            let call = words[if words[0] == "row" { 2 } else { 1 }];
            let call = call.parse().expect("a number");
            let origin = records.origins[row].position;
            if words[0] == "fold" {
                coverage.note(Reached::WholeCallRowsKept);
                let folded = words[2].split(',').filter(|w| !w.is_empty());
                let folded = folded.map(|w| w.parse().expect("a number")).collect();
                self.folds.fold(call, folded);
                order.push(u64::from(WHOLE_CALL));
                continue;
            }
            if words[1] != origin.to_string() || records.hops[row] != hops(origin) + 1 {
                return Err(broken(format!("row {text:?} has the origin {origin}")));
            }
            order.push(origin.0);
            found.push((call, origin));
        }
        match order.is_sorted() {
            true => Ok(found),
            false => Err(broken(format!("rows out of order: {order:?}"))),
        }
    }

    /// Every record of the present unit behind its start has come to its one end, every letter is what the
    /// view says of it, and everything adds up.
    ///
    /// # Errors
    /// The first that does not.
    pub fn close(&self) -> Result<(), Violation> {
        let unit = self.journal.unit();
        let none = Account::default();
        self.folds.close()?;
        self.letters.close(&self.journal.view)?;
        for account in self.accounts.values() {
            account.close()?;
        }
        let account = self.accounts.get(&unit).unwrap_or(&none);
        let view = self.journal.accepted(unit);
        if view.settled != account.settled || view.totals != account.totals {
            return Err(broken("the view and the journal disagree".to_owned()));
        }
        let records = self.journal.puts.len() as u64;
        for position in (1..=records).map(Ordinal) {
            let ends = u32::from(account.ends.contains_key(&position));
            invariants::one_end(position, ends, position > account.start)?;
        }
        invariants::totals_add_up(&account.totals, records - account.start.0, 0)
    }
}

/// Charges of records that are not done: how many attempts they are.
fn take_marks(
    account: &mut Account,
    commit: &Commit,
    max_attempts: MaxAttempts,
    coverage: &mut Coverage,
) -> Result<u64, Violation> {
    let mut charged = 0;
    for mark in &commit.attempts {
        let before = account.charged_before(mark.position, mark.version);
        if mark.count == 0 && !mark.is_in_hand && !commit.settles.is_empty() {
            // Progress within the shard: what is left begins anew.
            coverage.note(Reached::BudgetAnew);
            account.charged.remove(&mark.position);
            continue;
        }
        if mark.is_in_hand || mark.count == before {
            // In hand is no charge yet, and what is taken back none any more.
            if mark.count != before + u32::from(mark.is_in_hand) {
                let words = format!("{mark:?} follows {before} attempts");
                return Err(broken(words));
            }
            if !mark.is_in_hand {
                coverage.note(Reached::MarkTakenBack);
            }
            if account.stand(mark.position, mark.version) {
                coverage.note(Reached::ChargeForgotten);
            }
            continue;
        }
        charged += 1;
        account.charge(mark.position, mark.version, mark.count)?;
        invariants::charges_are_bounded(mark.count, false, max_attempts)?;
    }
    Ok(charged)
}

fn rows(commit: &Commit) -> u64 {
    let rows = commit.outputs.iter().map(|o| o.records.len() as u64);
    rows.sum()
}

fn check_totals(account: &Account, commit: &Commit) -> Result<(), Violation> {
    let (totals, said) = (account.totals, commit.totals);
    match totals == said {
        true => Ok(()),
        false => Err(broken(format!(
            "totals are {totals:?}, the commit says {said:?}"
        ))),
    }
}

/// Whether the filter lets a record fall.
pub(crate) fn falls(nature: Nature, settings: &MappingSettings) -> bool {
    let is_dropped = settings.on_unparsable == OnUnparsable::Drop;
    settings.filter.is_some()
        && (nature == Nature::Fallen || nature == Nature::Unparsable && is_dropped)
}

/// What a commit settles with neither rows nor a letter was given up and dropped: how many those are.
fn drop_endless(commit: &Commit, ends: &mut BTreeMap<Ordinal, End>) -> u64 {
    let ranges = commit.settles.as_slice().iter();
    let positions = ranges.flat_map(|range| range.after.0 + 1..=range.through.0);
    let mut dropped = 0;
    for position in positions.map(Ordinal) {
        ends.entry(position).or_insert_with(|| {
            dropped += 1;
            End::Dropped
        });
    }
    dropped
}

/// A letter's kind is what its record did.
fn check_letter(
    kind: ErrorKind,
    nature: Nature,
    settings: &MappingSettings,
    coverage: &mut Coverage,
) -> Result<(), Violation> {
    let is_judged = settings.filter.is_some();
    let is_refused = is_judged && settings.on_unparsable == OnUnparsable::DeadLetter;
    // A record may also fail for its neighbours: whole-call failures charge the batch.
    let (reached, own) = match kind {
        ErrorKind::Skip => (
            Reached::LetterSkip,
            matches!(nature, Nature::Skip | Nature::SkipCall),
        ),
        ErrorKind::Error => (Reached::LetterError, true),
        ErrorKind::Trap => (Reached::LetterTrap, true),
        ErrorKind::Timeout => (Reached::LetterTimeout, true),
        ErrorKind::OutOfMemory => (Reached::LetterOutOfMemory, true),
        ErrorKind::OutputTooLarge => (Reached::LetterOutputTooLarge, nature == Nature::TooLarge),
        ErrorKind::RecordTooLarge => (Reached::LetterRecordTooLarge, nature == Nature::Huge),
        ErrorKind::Loop => (Reached::LetterLoop, nature == Nature::Loop),
        ErrorKind::RecordTooOld => (Reached::LetterRecordTooOld, true),
        ErrorKind::Fatal => (Reached::LetterFatal, nature == Nature::Fatal),
        ErrorKind::ByHand => (Reached::LetterByHand, true),
        ErrorKind::Unparsable => (
            Reached::LetterUnparsable,
            nature == Nature::Unparsable && is_refused,
        ),
        // It is a letter of no record.
        ErrorKind::WindowFailed => return Err(broken("a lost state of a record".to_owned())),
    };
    coverage.note(reached);
    if own {
        Ok(())
    } else {
        Err(broken(format!(
            "a {nature:?} record became a {kind:?} letter"
        )))
    }
}
