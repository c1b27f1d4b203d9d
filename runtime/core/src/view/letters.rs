//! What became of the letters of one dead-letter stream: its settled set (commit and storage rules §7).
//!
//! A letter is known by the ordinal that it was first stored at, its *id*. A redrive that fails again
//! stores it anew at the end of the stream, so a letter's *body* moves while its id stays. Where a body
//! lies that is open, resolved or purged is kept here; that costs memory by runs of closed letters and
//! by letters that moved, not by letters.

use std::{collections::BTreeMap, sync::Arc};

use super::{NodeView, ShardTail};
use crate::{
    commit::{Commit, Redriven},
    entry::Entry,
    id::{MappingId, Ordinal, ShardNumber, StreamId},
    registry::RegistryChange,
    settled::{Settled, SettledRange, SettledRanges},
};

/// The one shard of a dead-letter stream.
pub const LETTERS_SHARD: ShardNumber = ShardNumber(0);

/// What became of a letter (command line and SDK §5, `status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LetterStatus {
    /// It waits for somebody.
    Open,
    /// It was redriven and succeeded.
    Resolved,
    /// It was thrown away by hand.
    Purged,
}

impl LetterStatus {
    /// The kebab-case value in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Purged => "purged",
        }
    }
}

/// The settled set of one dead-letter stream. A stream whose letters are all open has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LettersView {
    /// Bodies that are no open letter any more.
    closed: Settled,
    /// Those of them that were resolved and are still stored.
    resolved: Settled,
    /// Those of them that moved and are still stored.
    moved: Settled,
    /// The id of each letter that moved, by its last body, while that is stored.
    ids: BTreeMap<Ordinal, Ordinal>,
    /// The same the other way round: never stored.
    bodies: BTreeMap<Ordinal, Ordinal>,
    /// Bytes of closed bodies ever: with those ever stored, they say how many are open.
    closed_bytes: u64,
}

/// The parts of a [`LettersView`] that are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LettersParts {
    /// Bodies that are no open letter any more.
    pub closed: Settled,
    /// Those of them that were resolved and are still stored.
    pub resolved: Settled,
    /// Those of them that moved and are still stored.
    pub moved: Settled,
    /// The last body and the id of each letter that moved, ascending by body.
    pub ids: Vec<(Ordinal, Ordinal)>,
    /// Bytes of closed bodies ever.
    pub closed_bytes: u64,
}

impl LettersView {
    /// Rebuilds a value from what was stored.
    #[must_use]
    pub fn from_parts(parts: LettersParts) -> Self {
        let LettersParts {
            closed,
            resolved,
            moved,
            ids,
            closed_bytes,
        } = parts;
        Self {
            closed,
            resolved,
            moved,
            bodies: ids.iter().map(|&(body, id)| (id, body)).collect(),
            ids: ids.into_iter().collect(),
            closed_bytes,
        }
    }

    /// What is stored of it.
    #[must_use]
    pub fn parts(&self) -> LettersParts {
        LettersParts {
            closed: self.closed.clone(),
            resolved: self.resolved.clone(),
            moved: self.moved.clone(),
            ids: self.ids.iter().map(|(&body, &id)| (body, id)).collect(),
            closed_bytes: self.closed_bytes,
        }
    }

    /// The id of the letter whose body is stored here.
    #[must_use]
    pub fn id_of(&self, body: Ordinal) -> Ordinal {
        self.ids.get(&body).copied().unwrap_or(body)
    }

    /// Where the body of a letter is stored; `None`: no letter has this id.
    #[must_use]
    pub fn body_of(&self, id: Ordinal) -> Option<Ordinal> {
        match self.bodies.get(&id) {
            Some(&body) => Some(body),
            None if self.ids.contains_key(&id) || self.moved.contains(id) => None,
            None => Some(id),
        }
    }

    /// Whether a body is that of an open letter, if it is stored at all.
    #[must_use]
    pub fn is_open(&self, body: Ordinal) -> bool {
        !self.closed.contains(body)
    }

    /// What became of the letter whose body this is; `None` for a body that was stored anew elsewhere.
    #[must_use]
    pub fn status(&self, body: Ordinal) -> Option<LetterStatus> {
        if self.is_open(body) {
            Some(LetterStatus::Open)
        } else if self.resolved.contains(body) {
            Some(LetterStatus::Resolved)
        } else if self.moved.contains(body) {
            None
        } else {
            Some(LetterStatus::Purged)
        }
    }

    /// The oldest open body; that of the next letter when none is open.
    #[must_use]
    pub const fn lowest_open(&self) -> Ordinal {
        self.closed.low_watermark().next()
    }

    /// How many letters are open, of a stream that ends here.
    fn open(&self, tail: &ShardTail) -> u64 {
        self.closed.unsettled_through(tail.last())
    }

    /// Closes a body once: redo may bring an old entry over newer values.
    fn close(&mut self, body: Ordinal, bytes: u64) {
        if self.is_open(body) {
            self.closed.settle(only(body));
            self.closed_bytes += bytes;
        }
    }

    fn resolve(&mut self, body: Ordinal, bytes: u64, floor: Ordinal) {
        self.close(body, bytes);
        if body >= floor {
            self.resolved.settle(only(body));
        }
    }

    fn move_to(&mut self, redriven: &Redriven, to: Ordinal, floor: Ordinal) {
        self.close(redriven.body, redriven.bytes);
        if redriven.body >= floor {
            self.moved.settle(only(redriven.body));
        }
        self.ids.remove(&redriven.body);
        // A body that is closed already has moved on, or ended, in a later entry.
        if self.is_open(to) {
            self.ids.insert(to, redriven.id);
            self.bodies.insert(redriven.id, to);
        }
    }

    fn purge(&mut self, closed: &SettledRanges, bytes: u64) {
        let is_new = closed
            .as_slice()
            .iter()
            .any(|range| !self.closed.contains(range.through));
        if is_new {
            for &range in closed.as_slice() {
                self.closed.settle(range);
            }
            self.closed_bytes += bytes;
        }
    }

    /// Forgets what is told of bodies that are stored no more.
    fn forget_below(&mut self, floor: Ordinal) {
        self.resolved = from(&self.resolved, floor);
        self.moved = from(&self.moved, floor);
        let kept = self.ids.split_off(&floor);
        for id in std::mem::replace(&mut self.ids, kept).into_values() {
            if self.bodies.get(&id).is_some_and(|body| *body < floor) {
                self.bodies.remove(&id);
            }
        }
    }
}

/// The range of exactly one ordinal.
const fn only(body: Ordinal) -> SettledRange {
    SettledRange {
        after: Ordinal(body.0 - 1),
        through: body,
    }
}

/// The part of a set at and above `floor`.
fn from(set: &Settled, floor: Ordinal) -> Settled {
    let before = Ordinal(floor.0 - 1);
    let mut kept = Settled::default();
    let first = SettledRange {
        after: Ordinal(0),
        through: set.low_watermark(),
    };
    for range in std::iter::once(first).chain(set.ranges()) {
        if range.through > before {
            kept.settle(SettledRange {
                after: range.after.max(before),
                through: range.through,
            });
        }
    }
    kept
}

impl NodeView {
    /// What became of the letters of a dead-letter stream; `None` while all of them are open.
    #[must_use]
    pub fn letters(&self, stream: StreamId) -> Option<&Arc<LettersView>> {
        self.letters.get(&stream)
    }

    /// Open dead letters of a mapping.
    #[must_use]
    pub fn open_letters(&self, mapping: MappingId) -> u64 {
        self.registry
            .mapping(mapping)
            .map_or(0, |mapping| self.open_in(mapping.dead_letters))
    }

    /// Open letters in a dead-letter stream.
    #[must_use]
    pub fn open_in(&self, stream: StreamId) -> u64 {
        let Some(tail) = self.tail(stream, LETTERS_SHARD) else {
            return 0;
        };
        match self.letters.get(&stream) {
            None => tail.last().0,
            Some(letters) => letters.open(tail),
        }
    }

    /// Bytes of the open letters in a dead-letter stream: what its quota counts.
    #[must_use]
    pub fn open_letter_bytes(&self, stream: StreamId) -> u64 {
        let stored = self
            .tail(stream, LETTERS_SHARD)
            .map_or(0, |tail| tail.bytes);
        let closed = self.letters.get(&stream).map_or(0, |l| l.closed_bytes);
        stored.saturating_sub(closed)
    }

    /// The letter that a commit speaks of, if it is not open any more, or has moved
    /// (commit and storage rules §3: `resolves` and updated letters are open letters).
    pub(super) fn closed_letter(&self, commit: &Commit) -> Option<Ordinal> {
        let redriven = commit.redriven.as_ref()?;
        let stream = self.registry.mapping(commit.unit.mapping)?.dead_letters;
        let is_stored = self
            .tail(stream, LETTERS_SHARD)
            .is_some_and(|tail| redriven.body > Ordinal(0) && redriven.body < tail.next);
        let is_open = self
            .letters
            .get(&stream)
            .is_none_or(|letters| letters.is_open(redriven.body));
        (!is_stored || !is_open).then_some(redriven.id)
    }

    /// Throws letters away, those of these bodies with their bytes that are open; `None` when none is.
    /// Nobody speaks of the letters of a deleted mapping any more: their stream goes with the last one.
    #[must_use]
    pub fn evaluate_purge(
        &self,
        stream: StreamId,
        letters: &[(Ordinal, u64)],
    ) -> Option<(Entry, u64)> {
        self.registry.stream(stream).filter(|s| s.is_internal)?;
        let tail = self.tail(stream, LETTERS_SHARD)?;
        let known = self.letters.get(&stream);
        let is_open = |body: Ordinal| {
            body >= Ordinal(1) && body < tail.next && known.is_none_or(|all| all.is_open(body))
        };
        let mut open: Vec<(Ordinal, u64)> = letters
            .iter()
            .copied()
            .filter(|(body, _)| is_open(*body))
            .collect();
        open.sort_unstable();
        open.dedup_by_key(|(body, _)| *body);
        if open.is_empty() {
            return None;
        }
        let count = open.len() as u64;
        let is_last = count == self.open_in(stream);
        if is_last && !self.registry.mappings().any(|m| m.dead_letters == stream) {
            let (next_stream, next_function, next_mapping) = self.registry.next_ids();
            let change = RegistryChange {
                deleted_streams: vec![stream],
                next_stream,
                next_function,
                next_mapping,
                ..RegistryChange::default()
            };
            let entry = Entry::Meta {
                change: Arc::new(change),
                units: Vec::new(),
            };
            return Some((entry, count));
        }
        let bytes = match is_last {
            // Nobody knows the size of a letter that cannot be read; of none at all nothing is left.
            true => self.open_letter_bytes(stream),
            false => open.iter().map(|(_, bytes)| bytes).sum(),
        };
        let entry = Entry::Purge {
            stream,
            letters: open.iter().map(|(body, _)| only(*body)).collect(),
            bytes,
        };
        Some((entry, count))
    }

    /// How far the floor of a dead-letter stream may move, at most to `horizon`: no open letter is
    /// below it.
    pub(super) fn letters_floor(&self, stream: StreamId, horizon: Ordinal) -> Ordinal {
        let open = self.letters.get(&stream).map(|all| all.lowest_open());
        horizon.min(open.unwrap_or(Ordinal(1)))
    }

    /// Takes over what a commit says of a redriven letter; `moved_to` is where it was stored anew.
    pub(super) fn settle_letter(
        &mut self,
        stream: StreamId,
        redriven: &Redriven,
        moved_to: Option<Ordinal>,
    ) {
        let Some(floor) = self.tail(stream, LETTERS_SHARD).map(|tail| tail.floor) else {
            return;
        };
        let letters = Arc::make_mut(self.letters.entry(stream).or_default());
        match moved_to {
            None => letters.resolve(redriven.body, redriven.bytes, floor),
            Some(to) => letters.move_to(redriven, to, floor),
        }
    }

    /// Takes a purge over.
    pub(super) fn purge_letters(&mut self, stream: StreamId, closed: &SettledRanges, bytes: u64) {
        if self.tail(stream, LETTERS_SHARD).is_none() {
            return;
        }
        Arc::make_mut(self.letters.entry(stream).or_default()).purge(closed, bytes);
    }

    /// Forgets what is told of letters below a stream's floor; answers whether there was anything.
    pub(super) fn trim_letters(&mut self, stream: StreamId, floor: Ordinal) -> bool {
        let Some(letters) = self.letters.get_mut(&stream) else {
            return false;
        };
        Arc::make_mut(letters).forget_below(floor);
        true
    }
}
