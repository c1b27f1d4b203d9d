//! Windows: a function that writes down which records it was given, and what must hold of that.
//!
//! The state of a window is the list of the records that went well in it; its final call emits the state as a
//! row. So whoever looks at the log sees whether a record was lost to a state, or is in it twice.

use fnctl_core::{
    commit::{Commit, ErrorKind},
    id::{Ordinal, Timestamp},
    window::{GroupWindow, Window},
};

use crate::{
    check::Violation,
    config::{Config, UNITS_MAX, bits},
    content::NOW,
    facts::Facts,
    state::SentParts,
};

/// Length of a window, ms: [`NOW`] is the beginning of one.
pub(crate) const SPAN_MS: u32 = 1_000;

/// What became of windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct WindowFacts {
    /// Records whose window had its final call, or was given up, with them in it.
    pub(crate) told: u8,
    /// By unit, rows of final calls.
    pub(crate) closed: [u8; UNITS_MAX],
    /// By unit, letters of windows that were given up.
    pub(crate) lost: [u8; UNITS_MAX],
    /// By unit, a hash of what the view keeps of its groups.
    pub(crate) states: [u64; UNITS_MAX],
}

/// When a record arrives.
pub(crate) fn arrival(config: &Config, record: usize) -> Timestamp {
    NOW.plus_ms(config.window[record] as u64 * u64::from(SPAN_MS))
}

/// The state after these records went well.
pub(crate) fn fold(state: &[u8], records: impl Iterator<Item = usize>) -> Vec<u8> {
    let mut list = state.to_vec();
    list.extend(records.map(|record| record as u8));
    list.sort_unstable();
    list
}

/// Whether a commit says that a window has no state any more.
pub(crate) fn is_close(commit: &Commit) -> bool {
    let change = commit.window.as_ref();
    change.is_some_and(|change| change.becomes.open.is_none())
}

/// The facts behind a commit that is accepted, `facts` without what it does to a window; `before` is what the view
/// in front of it keeps of the group.
pub(crate) fn after(
    config: &Config,
    before: Option<&GroupWindow>,
    commit: &Commit,
    parts: &SentParts,
    facts: Facts,
) -> Result<Facts, Violation> {
    let Some(change) = &commit.window else {
        // Whatever went well is in a state.
        let is_right = parts.outputs == 0 || !config.has_windows();
        return is_right.then_some(facts).ok_or(Violation::WindowWrong);
    };
    let open = before.and_then(|group| group.open.as_ref());
    let known = open.map_or(&[][..], |open| &open.state);
    let Some(becomes) = &change.becomes.open else {
        return close(known, commit, facts);
    };
    let is_same = open.is_none_or(|open| open.window == becomes.window);
    let is_in = |record| Window::at(arrival(config, record), SPAN_MS) == becomes.window;
    let is_folded = becomes.state == fold(known, bits(parts.outputs));
    let is_right = is_same && is_folded && bits(parts.outputs).all(is_in);
    is_right.then_some(facts).ok_or(Violation::WindowWrong)
}

/// A window ends: what its last call was given is all that is in it, and nothing that another one had.
fn close(known: &[u8], commit: &Commit, mut facts: Facts) -> Result<Facts, Violation> {
    let unit = commit.unit.shard.0 as usize;
    let letters = commit.dead_letters.iter();
    let lost = letters.filter(|letter| letter.kind == ErrorKind::WindowFailed);
    let lost: Vec<_> = lost.map(|letter| &letter.data[..]).collect();
    let rows = commit.outputs.iter().flat_map(|output| {
        let data = &output.records.data;
        (0..data.len()).map(|row| data.get(row))
    });
    let rows: Vec<_> = rows.collect();
    facts.windows.closed[unit] += u8::try_from(rows.len()).expect("few rows");
    facts.beside += u8::try_from(rows.len()).expect("few rows");
    facts.windows.lost[unit] += u8::try_from(lost.len()).expect("few letters");
    let is_whole = [rows, lost].concat() == [known];
    let told = known.iter().fold(0u8, |mask, record| mask | 1 << record);
    let is_once = told.count_ones() as usize == known.len() && facts.windows.told & told == 0;
    // They are committed: `fold` has seen that they were well.
    let is_settled = commit.settles.is_empty() && told & !facts.outputs == 0;
    facts.windows.told |= told;
    let is_right = is_whole && is_once && is_settled && !known.is_empty();
    is_right.then_some(facts).ok_or(Violation::WindowWrong)
}

/// The records at these positions of a shard.
pub(crate) fn records(
    config: &Config,
    unit: usize,
    positions: impl Iterator<Item = Ordinal>,
) -> impl Iterator<Item = usize> {
    positions.map(move |position| config.record_at(unit, position))
}
