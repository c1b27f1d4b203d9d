//! What must hold, and how it is named when it does not.

use std::fmt;

use fnctl_core::{
    commit::{Commit, ErrorKind},
    id::Ordinal,
    view::CommitFault,
};

use crate::{
    config::{Config, bits},
    facts::Facts,
    state::SentParts,
    window,
};

/// A rule that a schedule broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A commit of a former owner was accepted.
    FormerOwner,
    /// A record ended twice: as two outputs, two dead letters, or both.
    TwoEffects,
    /// A record was settled and ended as nothing, or ended and was not settled.
    SettledWithoutEffect,
    /// An output was published behind one of a later record of its key.
    OutputsOutOfOrder,
    /// A record was settled in front of an earlier one of its key.
    KeyOutOfOrder,
    /// A record's attempts were not counted one by one, or passed their limit.
    Miscounted,
    /// A guard fired that only an error of ours can reach.
    AssertionFired(CommitFault),
    /// An output was accepted and is not in the stream that has its name.
    OutputLost,
    /// A record counts twice, not at all, or as what it is not.
    WrongTotals,
    /// A letter was redriven that was not open.
    LetterEndedTwice,
    /// A letter is not what became of it.
    LetterLost,
    /// A reader saw what a crash then took back.
    Retracted,
    /// The state of a window, or what its final call was given, is not what its records made of it.
    WindowWrong,
    /// From this state no schedule settles everything.
    Stuck,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FormerOwner => f.write_str("a commit of a former owner is accepted"),
            Self::TwoEffects => f.write_str("a record has two effects"),
            Self::SettledWithoutEffect => f.write_str("a record is settled without an effect"),
            Self::OutputsOutOfOrder => f.write_str("outputs of one key are out of order"),
            Self::KeyOutOfOrder => f.write_str("a key is settled out of order"),
            Self::Miscounted => f.write_str("attempts are miscounted"),
            Self::AssertionFired(fault) => write!(f, "an assertion fires: {fault}"),
            Self::OutputLost => f.write_str("an output is not in the stream that has its name"),
            Self::WrongTotals => {
                f.write_str("the unit's totals are not what became of its records")
            }
            Self::LetterEndedTwice => f.write_str("a letter is redriven that is not open"),
            Self::LetterLost => f.write_str("a letter is not what became of it"),
            Self::Retracted => f.write_str("what a reader saw is retracted"),
            Self::WindowWrong => f.write_str("a window's state is not what its records made of it"),
            Self::Stuck => f.write_str("no schedule settles everything from here"),
        }
    }
}

/// What must hold of every commit that is accepted.
pub(crate) fn check(
    config: &Config,
    facts: &Facts,
    (unit, epoch): (usize, u8),
    parts: &SentParts,
) -> Option<Violation> {
    let ended = facts.outputs | facts.dead | facts.expired;
    if epoch != facts.units[unit].epoch {
        return Some(Violation::FormerOwner);
    }
    if (parts.outputs | parts.dead) & ended != 0 || parts.outputs & parts.dead != 0 {
        return Some(Violation::TwoEffects);
    }
    if parts.settles != parts.outputs | parts.dead {
        return Some(Violation::SettledWithoutEffect);
    }
    if parts.outputs != 0 && !facts.output.exists {
        return Some(Violation::OutputLost);
    }
    let is_late = |record: usize| usize::from(facts.latest[config.key[record]]) > record;
    if bits(parts.outputs).any(is_late) {
        return Some(Violation::OutputsOutOfOrder);
    }
    let settled = facts.settled | parts.settles;
    let overtakes = |record: usize| {
        (0..record)
            .any(|earlier| config.key[earlier] == config.key[record] && settled >> earlier & 1 == 0)
    };
    // In a window a record that is given up takes nothing along: the rest of its call runs again, those in front
    // of it too (commit and storage rules §8).
    let in_order = match config.has_windows() {
        true => parts.outputs,
        false => parts.settles,
    };
    if bits(in_order).any(overtakes) {
        return Some(Violation::KeyOutOfOrder);
    }
    // A repetition repeats its marks: they are absolute.
    let charge = u8::from(parts.number != 0);
    let is_miscounted = |record: usize| {
        let mark = parts.marks[record];
        mark != 0 && (mark != facts.attempts[record] + charge || mark >= config.attempts_max)
    };
    (0..config.records)
        .any(is_miscounted)
        .then_some(Violation::Miscounted)
}

/// What must hold of every view that an entry leads to.
pub(crate) fn check_view(config: &Config, facts: &Facts) -> Option<Violation> {
    let counted = facts.here.count_ones() + u32::from(facts.beside);
    if u32::from(facts.rows - facts.earlier[0]) != counted {
        return Some(Violation::OutputLost);
    }
    let became = [facts.outputs, facts.outputs, facts.dead, facts.expired];
    let is_wrong = |unit: usize| {
        let mine = config.records_of(unit);
        let mut totals = became.map(|mask| (mask & mine).count_ones() as u8);
        totals[1] += facts.redriven[unit] + facts.windows.closed[unit];
        facts.units[unit].totals != totals
    };
    (0..config.units())
        .any(is_wrong)
        .then_some(Violation::WrongTotals)
}

/// What a real commit says of the records.
pub(crate) fn parts_of(config: &Config, commit: &Commit) -> SentParts {
    let unit = commit.unit.shard.0 as usize;
    let bit = |position: Ordinal| 1u8 << config.record_at(unit, position);
    let settled = |record: &usize| {
        let position = config.position(*record);
        let mut ranges = commit.settles.as_slice().iter();
        ranges.any(|range| range.after < position && position <= range.through)
    };
    let mut parts = SentParts {
        number: 1,
        settles: bits(config.records_of(unit))
            .filter(settled)
            .fold(0, |mask, record| mask | 1 << record),
        ..SentParts::default()
    };
    // What a final call emits comes from all records of its window, which settled before.
    for output in commit.outputs.iter().filter(|_| !window::is_close(commit)) {
        for origin in &output.records.origins {
            parts.outputs |= bit(origin.position);
        }
    }
    let letters = commit.dead_letters.iter();
    for letter in letters.filter(|letter| letter.kind != ErrorKind::WindowFailed) {
        parts.dead |= bit(letter.position);
    }
    for mark in &commit.attempts {
        let record = config.record_at(unit, mark.position);
        parts.marks[record] = u8::try_from(mark.count).expect("few attempts");
    }
    parts
}
