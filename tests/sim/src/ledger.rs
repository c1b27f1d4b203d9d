//! Judges the journal alone: what every record came to, in which order, and what was said about it.

use std::collections::{BTreeMap, BTreeSet};

use fnctl_core::{
    commit::{Commit, DeadLetter, ErrorKind, UnitTotals},
    entry::Entry,
    id::{FunctionVersion, Ordinal, UnitId},
    invariants::{self, Violation},
    mapping::MaxAttempts,
    outcome::WHOLE_CALL,
    pipeline::PROCESS_DIED,
    settled::Settled,
};

use crate::{
    coverage::{Coverage, Reached},
    guest::Nature,
    journal::Journal,
    worker::hops_of,
};

/// How a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Rows {
        call: u64,
    },
    Letter,
    /// A letter that found no room.
    Dropped,
    Fallen,
}

/// The accounts of one unit.
#[derive(Debug, Default)]
struct Account {
    ends: BTreeMap<Ordinal, End>,
    settled: Settled,
    totals: UnitTotals,
    /// Charges of records that are not done, with the version that was charged.
    charged: BTreeMap<Ordinal, (FunctionVersion, u32)>,
    /// Per call, the records that its row of no record stands for.
    folds: BTreeMap<u64, BTreeSet<u64>>,
    /// Per key, (key, record) in the order of publication.
    published: Vec<(u64, Ordinal)>,
    /// Per key, the last record settled, those without a call left out.
    settled_of_key: BTreeMap<u64, Ordinal>,
}

impl Account {
    /// Charges of a record by a version.
    fn charged_before(&self, position: Ordinal, version: FunctionVersion) -> u32 {
        match self.charged.get(&position) {
            Some((last, count)) if *last == version => *count,
            _ => 0,
        }
    }

    /// Attempts are counted one by one; another version starts from nothing.
    fn charge(
        &mut self,
        position: Ordinal,
        version: FunctionVersion,
        count: u32,
    ) -> Result<(), Violation> {
        let before = match self.charged.insert(position, (version, count)) {
            Some((last, count)) if last == version => count,
            _ => 0,
        };
        if count == before + 1 {
            Ok(())
        } else {
            let words = format!("record {position}: attempt {count} follows {before}");
            Err(broken(words))
        }
    }
}

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
        };
        for entry in &journal.entries {
            if let Entry::Commit { commit, .. } = entry {
                ledger.take(commit, coverage)?;
            }
        }
        Ok(ledger)
    }

    fn take(&mut self, commit: &Commit, coverage: &mut Coverage) -> Result<(), Violation> {
        let account = self.accounts.entry(commit.unit).or_default();
        invariants::commit_is_sound(commit, &account.settled)?;
        if commit.settles.is_empty() {
            coverage.note(Reached::MarksOnly);
        }
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
                continue;
            }
            charged += 1;
            account.charge(mark.position, mark.version, mark.count)?;
            invariants::charges_are_bounded(mark.count, false, self.max_attempts)?;
        }
        let mut kept = BTreeSet::new();
        for output in &commit.outputs {
            let records = &output.records;
            for row in 0..records.len() {
                let text = String::from_utf8_lossy(records.data.get(row)).into_owned();
                let words: Vec<&str> = text.split(' ').collect();
                let call = words[if words[0] == "row" { 2 } else { 1 }]
                    .parse()
                    .expect("a number");
                let origin = records.origins[row].position;
                if words[0] == "fold" {
                    coverage.note(Reached::WholeCallRowsKept);
                    let folded = words[2].split(',').filter(|w| !w.is_empty());
                    let folded = folded.map(|w| w.parse().expect("a number")).collect();
                    account.folds.insert(call, folded);
                    continue;
                }
                let put = self.journal.puts[usize::try_from(origin.0 - 1).expect("an index")];
                if words[1] != origin.to_string() || records.hops[row] != hops_of(origin) + 1 {
                    return Err(broken(format!("row {text:?} has the origin {origin}")));
                }
                if let Some(end) = account.ends.insert(origin, End::Rows { call }) {
                    return Err(broken(format!("record {origin} ends again, after {end:?}")));
                }
                kept.insert(origin);
                account.published.push((put.key, origin));
            }
            let order: Vec<u64> = (0..records.len())
                .map(|row| match records.data.get(row).starts_with(b"fold") {
                    true => u64::from(WHOLE_CALL),
                    false => records.origins[row].position.0,
                })
                .collect();
            if !order.is_sorted() {
                return Err(broken(format!("rows out of order: {order:?}")));
            }
        }
        for letter in &commit.dead_letters {
            let nature =
                self.journal.puts[usize::try_from(letter.position.0 - 1).expect("an index")].nature;
            if &*letter.code == PROCESS_DIED {
                coverage.note(Reached::LetterProcessDied);
            }
            check_letter(letter.kind, nature, coverage)?;
            if !is_condemned(letter.kind) {
                account.charge(letter.position, letter.version, letter.attempts)?;
            }
            invariants::charges_are_bounded(letter.attempts, true, self.max_attempts)?;
            if let Some(end) = account.ends.insert(letter.position, End::Letter) {
                let position = letter.position;
                return Err(broken(format!(
                    "record {position} ends again, after {end:?}"
                )));
            }
        }
        let mut fallen = 0;
        for range in commit.settles.as_slice() {
            for position in range.after.0 + 1..=range.through.0 {
                let put = self.journal.puts[usize::try_from(position - 1).expect("an index")];
                if put.nature == Nature::Fallen {
                    fallen += 1;
                    account.ends.insert(Ordinal(position), End::Fallen);
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
        totals.emitted += commit
            .outputs
            .iter()
            .map(|output| output.records.len() as u64)
            .sum::<u64>();
        totals.dropped += dropped;
        // Of a record that was dropped the journal does not say whether that was an attempt.
        let failed = totals.failed..=totals.failed + dropped;
        if failed.contains(&commit.totals.failed) {
            totals.failed = commit.totals.failed;
        }
        if *totals != commit.totals {
            let said = commit.totals;
            return Err(broken(format!(
                "totals are {totals:?}, the commit says {said:?}"
            )));
        }
        for &range in commit.settles.as_slice() {
            account.settled.settle(range);
            for position in range.after.0 + 1..=range.through.0 {
                let position = Ordinal(position);
                let put = self.journal.puts[usize::try_from(position.0 - 1).expect("an index")];
                if !account.ends.contains_key(&position) {
                    return Err(broken(format!("record {position} settled without an end")));
                }
                let is_called = !matches!(
                    put.nature,
                    Nature::Loop | Nature::Huge | Nature::Fallen | Nature::Unparsable
                );
                // What a person gives up has no place in the order either, whether its letter is kept or not.
                let is_by_hand = |letter: &DeadLetter| {
                    letter.position == position && letter.kind == ErrorKind::ByHand
                };
                let is_dropped = account.ends.get(&position) == Some(&End::Dropped);
                if !is_called || is_dropped || commit.dead_letters.iter().any(is_by_hand) {
                    continue;
                }
                let last = account.settled_of_key.insert(put.key, position);
                if last.is_some_and(|last| last > position) {
                    let key = put.key;
                    return Err(broken(format!(
                        "key {key}: {position} settled after {last:?}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Every record of the present unit has come to its one end, and everything adds up.
    ///
    /// # Errors
    /// The first that does not.
    pub fn close(&self) -> Result<(), Violation> {
        let unit = self.journal.unit();
        let none = Account::default();
        for (of, account) in &self.accounts {
            invariants::order_per_key(account.published.iter().copied())?;
            self.close_folds(account)?;
            if *of != unit {
                continue;
            }
            let view = self.journal.accepted(unit);
            if view.settled != account.settled || view.totals != account.totals {
                return Err(broken("the view and the journal disagree".to_owned()));
            }
        }
        let account = self.accounts.get(&unit).unwrap_or(&none);
        let records = self.journal.puts.len() as u64;
        for position in (1..=records).map(Ordinal) {
            let ends = u32::from(account.ends.contains_key(&position));
            invariants::one_end(position, ends, true)?;
        }
        invariants::totals_add_up(&account.totals, records, 0)
    }

    /// Rows of no record stand for exactly the records whose rows came with them.
    fn close_folds(&self, account: &Account) -> Result<(), Violation> {
        let mut by_call: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for (position, end) in &account.ends {
            if let End::Rows { call } = end {
                by_call.entry(*call).or_default().insert(position.0);
            }
        }
        for (call, folded) in &account.folds {
            let rows = by_call.get(call).cloned().unwrap_or_default();
            if *folded != rows {
                return Err(broken(format!(
                    "call {call} folds {folded:?}, not {rows:?}"
                )));
            }
        }
        Ok(())
    }
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
fn check_letter(kind: ErrorKind, nature: Nature, coverage: &mut Coverage) -> Result<(), Violation> {
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
        ErrorKind::Unparsable => (Reached::LetterUnparsable, nature == Nature::Unparsable),
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
