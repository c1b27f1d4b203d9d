//! Judges what was accepted, in the order of the log: what every record came to, in which order, and what was
//! said about it. Both worlds ask it: one reads its whole journal, the other what its workers were told.
//!
//! What "once" means when people step in:
//!
//! * From the start of a unit, or its last seek, on: a record behind that place ends once, with rows, as a
//!   letter, dropped or fallen, in the order of its key. A seek begins the accounts anew. What it skips is
//!   in none of them; what it goes back over ends once more.
//! * A change of the filter judges anew what is not settled. A record that fell until then, and was not
//!   settled when others of its key were, comes late: it alone has no place in the order.
//! * With windows a group waits as a whole, so a letter has no place in the order of its key: it goes first,
//!   and the rest of its group runs again (§8). What is published is in order all the same.
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
mod seeks;
mod windowed;

use std::collections::{BTreeMap, BTreeSet};

use fnctl_core::{
    commit::{Commit, ErrorKind, OutputRecords, Redriven, UnitTotals},
    entry::Placement,
    id::{MappingId, Ordinal, StreamId, UnitId},
    invariants::{self, Violation},
    limits,
    mapping::{MappingSettings, MaxAttempts, OnUnparsable},
    outcome::WHOLE_CALL,
    pipeline::PROCESS_DIED,
    record::Origin,
};

use self::account::{Account, End, Folds};
pub(crate) use self::{
    letters::LetterBook,
    windowed::{Listed, entry, listed, write},
};
use crate::{
    coverage::{Coverage, Reached},
    guest::Nature,
};

/// What a world knows of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Its key.
    pub(crate) key: u64,
    /// What the function does with it.
    pub(crate) nature: Nature,
    /// How many functions it came through.
    pub(crate) hops: u8,
}

/// A world, as far as its ledger asks.
pub(crate) trait Surroundings {
    /// A record that was read, by where it is.
    fn record(&self, at: &Origin) -> Known;

    /// What a mapping's policy is at this place of the log.
    fn settings(&self, mapping: MappingId) -> &MappingSettings;

    /// Where the dead letters of a mapping go.
    fn letters_of(&self, mapping: MappingId) -> StreamId;
}

fn broken(words: String) -> Violation {
    Violation(words)
}

/// The accounts of every unit and every letter.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The most attempts that any owner ran under.
    pub(crate) max_attempts: MaxAttempts,
    pub(crate) accounts: BTreeMap<UnitId, Account>,
    pub(crate) letters: LetterBook,
    /// What accounts said that a seek ended.
    before_seeks: BTreeMap<UnitId, UnitTotals>,
    folds: Folds,
}

/// The rows of an output.
struct Published {
    /// Those of records, in order, each with its call.
    of_records: Vec<(u64, Ordinal)>,
    /// Records in windows that ended.
    listed: Vec<Listed>,
}

impl Ledger {
    /// Of a world where owners made so many attempts at most.
    pub(crate) fn new(max_attempts: MaxAttempts) -> Self {
        Self {
            max_attempts,
            accounts: BTreeMap::new(),
            letters: LetterBook::default(),
            before_seeks: BTreeMap::new(),
            folds: Folds::default(),
        }
    }

    /// The mapping has another filter, or another rule for what it cannot judge.
    pub(crate) fn has_other_filter(&mut self, mapping: MappingId) {
        for (unit, account) in &mut self.accounts {
            account.has_other_filter |= unit.mapping == mapping;
        }
    }

    /// A commit was accepted.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub(crate) fn take(
        &mut self,
        commit: &Commit,
        world: &impl Surroundings,
        placed: Option<&Placement>,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        match &commit.redriven {
            None => self.take_batch(commit, world, coverage)?,
            Some(redriven) => self.take_redriven(commit, redriven, world)?,
        }
        match placed {
            Some(placement) => self
                .letters
                .check_place(commit.dead_letters.len(), placement),
            None => Ok(()),
        }
    }

    fn take_batch(
        &mut self,
        commit: &Commit,
        world: &impl Surroundings,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        let unit = commit.unit;
        let known = |position| world.record(&place_in(unit, position));
        let mut account = self.accounts.remove(&unit).unwrap_or_default();
        invariants::commit_is_sound(commit, &account.settled)?;
        if commit.settles.is_empty() {
            coverage.note(Reached::MarksOnly);
        }
        let charged = take_marks(&mut account, commit, self.max_attempts, coverage)?;
        let has_other_filter = account.has_other_filter;
        let key_in_order = |position| key_in_order(known(position), has_other_filter);
        let mut kept = BTreeSet::new();
        for output in &commit.outputs {
            let Published { of_records, listed } = self.rows_of(output, |at| {
                (at.shard == unit.shard).then(|| world.record(at).hops.max(of_state(commit)))
            })?;
            for (call, origin) in of_records {
                account.end(origin, End::Rows)?;
                kept.insert(origin);
                if let Some(key) = key_in_order(origin) {
                    account.published.push((key, origin));
                }
                self.folds.row(call, origin);
            }
            account.windowed.list(listed);
        }
        if commit.outputs.iter().any(has_fold) {
            coverage.note(Reached::WholeCallRowsKept);
        }
        let settings = world.settings(unit.mapping);
        let of_records = || {
            let letters = commit.dead_letters.iter();
            letters.filter(|letter| letter.kind != ErrorKind::WindowFailed)
        };
        for letter in of_records() {
            let nature = known(letter.position).nature;
            let nature = nature.under(letter.version, letter.position.0);
            if &*letter.code == PROCESS_DIED {
                coverage.note(Reached::LetterProcessDied);
            }
            check_letter(letter.kind, nature, settings, coverage)?;
            if !letter.kind.is_without_call() {
                account.charge(letter.position, letter.version, letter.attempts)?;
            }
            invariants::charges_are_bounded(letter.attempts, true, self.max_attempts)?;
            account.end(letter.position, End::Letter(letter.kind))?;
        }
        for letter in &commit.dead_letters {
            if letter.kind == ErrorKind::WindowFailed {
                account.windowed.list(windowed::listed(&letter.data));
            }
        }
        self.letters
            .store(world.letters_of(unit.mapping), &commit.dead_letters);
        let mut fallen = 0;
        for range in commit.settles.as_slice() {
            for position in (range.after.0 + 1..=range.through.0).map(Ordinal) {
                if falls(known(position).nature, settings) {
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
        let charged_letters = of_records().filter(|letter| !letter.kind.is_without_call());
        let totals = &mut account.totals;
        totals.filtered += fallen;
        totals.processed += kept.len() as u64;
        totals.dead_lettered += of_records().count() as u64;
        totals.failed += charged_letters.count() as u64 + charged;
        totals.emitted += rows(commit);
        totals.dropped += dropped;
        // Of a record that was dropped the journal does not say whether that was an attempt.
        let failed = totals.failed..=totals.failed + dropped;
        if failed.contains(&commit.totals.failed) {
            totals.failed = commit.totals.failed;
        }
        check_totals(&mut account, commit)?;
        account.settle(commit, settings.has_windows(), key_in_order)?;
        self.accounts.insert(unit, account);
        Ok(())
    }

    /// A letter was redriven: the unit's records are as before.
    fn take_redriven(
        &mut self,
        commit: &Commit,
        redriven: &Redriven,
        world: &impl Surroundings,
    ) -> Result<(), Violation> {
        invariants::redrive_is_sound(commit)?;
        let stream = world.letters_of(commit.unit.mapping);
        let again = self.letters.redrive(stream, redriven, commit)?;
        // A letter does not keep its hops; one of a loop has as many as are allowed.
        let hops = match again.kind {
            ErrorKind::Loop => limits::HOPS_MAX,
            _ => 0,
        };
        let mut has_rows = false;
        for output in &commit.outputs {
            let is_its = |at: &Origin| at.shard == again.shard && at.position == again.position;
            let published =
                self.rows_of(output, |at| is_its(at).then(|| hops.max(of_state(commit))))?;
            for (call, origin) in published.of_records {
                self.folds.row(call, origin);
                has_rows = true;
            }
        }
        let account = self.accounts.entry(commit.unit).or_default();
        if has_rows {
            account.windowed.redriven((again.shard, again.position));
        }
        account.totals.emitted += rows(commit);
        account.totals.failed += commit.dead_letters.len() as u64;
        check_totals(account, commit)
    }

    /// The rows of records; those of no record are noted. `hops` are those of a record that may be told of
    /// here; `None`: it may not.
    fn rows_of(
        &mut self,
        output: &OutputRecords,
        hops: impl Fn(&Origin) -> Option<u8>,
    ) -> Result<Published, Violation> {
        let records = &output.records;
        let mut of_records = Vec::new();
        let mut listed = Vec::new();
        let mut order = Vec::new();
        for row in 0..records.len() {
            let text = String::from_utf8_lossy(records.data.get(row)).into_owned();
            let words: Vec<&str> = text.split(' ').collect();
            let call = words[if words[0] == "row" { 2 } else { 1 }];
            let call = call.parse().expect("a number");
            let origin = &records.origins[row];
            let position = origin.position;
            let items = || words[2].split(',').filter(|word| !word.is_empty());
            match words[0] {
                "fold" => {
                    let folded = items().map(|word| word.parse().expect("a number"));
                    self.folds.fold(call, folded.collect());
                    order.push(u64::from(WHOLE_CALL));
                }
                "window" => {
                    listed.extend(items().map(windowed::parse));
                    order.push(u64::from(WHOLE_CALL));
                }
                _ => {
                    let is_right = hops(origin).is_some_and(|hops| records.hops[row] == hops + 1);
                    if words[1] != position.to_string() || !is_right {
                        return Err(broken(format!("row {text:?} has the origin {origin:?}")));
                    }
                    order.push(position.0);
                    of_records.push((call, position));
                }
            }
        }
        match order.is_sorted() {
            true => Ok(Published { of_records, listed }),
            false => Err(broken(format!("rows out of order: {order:?}"))),
        }
    }

    /// Rows of no record stand for those that came with them, and what was published is in order.
    ///
    /// # Errors
    /// The first that is not.
    pub(crate) fn close(&self) -> Result<(), Violation> {
        self.folds.close()?;
        let mut accounts = self.accounts.iter();
        accounts.try_for_each(|(unit, account)| account.close(unit.shard))
    }
}

/// Where a record of a unit is.
const fn place_in(unit: UnitId, position: Ordinal) -> Origin {
    Origin {
        stream: unit.stream,
        shard: unit.shard,
        position,
    }
}

/// The key of a record that has a place in its order.
fn key_in_order(record: Known, has_other_filter: bool) -> Option<u64> {
    let may_fall = matches!(record.nature, Nature::Fallen | Nature::Unparsable);
    (!may_fall || !has_other_filter).then_some(record.key)
}

/// Hops of the state that a call was given and made: its rows come from all records of that.
fn of_state(commit: &Commit) -> u8 {
    let change = commit.window.as_ref();
    let open = change.and_then(|change| change.becomes.open.as_ref());
    open.map_or(0, |open| open.hops)
}

fn has_fold(output: &OutputRecords) -> bool {
    let records = &output.records;
    (0..records.len()).any(|row| records.data.get(row).starts_with(b"fold "))
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

/// What retention took is told by its own entries: a commit carries it on.
fn check_totals(account: &mut Account, commit: &Commit) -> Result<(), Violation> {
    let said = commit.totals;
    account.totals.expired = account.totals.expired.max(said.expired);
    let totals = account.totals;
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
