//! The relay of the mapping: brings published letters to a destination that may be slow, refuse, and be
//! changed, and notes in the journal how far it is.

use std::collections::BTreeSet;

use fnctl_core::{
    destination::{Destination, Relay},
    id::{Lsn, MappingId, Ordinal, StreamId},
    view::{LETTERS_SHARD, LetterStatus},
};

use super::{Weakness, World};
use crate::coverage::Reached;

/// Letters that a relay reads at once.
const READ_MAX: usize = 3;

/// A relay of every letter.
pub(super) fn from_the_start() -> Relay {
    Relay {
        to: destination(),
        after: Ordinal(0),
    }
}

fn destination() -> Destination {
    Destination::Http("http://hooks.example.org/".into())
}

/// What was read and not brought yet.
#[derive(Debug)]
struct Load {
    mapping: MappingId,
    stream: StreamId,
    /// Those that were open, by body.
    open: Vec<Ordinal>,
    /// Where the read ended.
    through: Ordinal,
}

/// The relay, and its destination, which knows nothing of crashes.
#[derive(Debug, Default)]
pub(super) struct Relaying {
    load: Option<Load>,
    /// How far it is was noted here, which is not synced yet: it goes on from there.
    noted: Option<Lsn>,
    /// Letters that the destination took, by stream and body.
    taken: BTreeSet<(StreamId, Ordinal)>,
    /// Letters that were closed when their turn came.
    passed_over: BTreeSet<(StreamId, Ordinal)>,
}

impl Relaying {
    /// Whether something was read and not brought.
    pub(super) const fn is_laden(&self) -> bool {
        self.load.is_some()
    }

    /// The process died.
    pub(super) fn crash(&mut self) {
        self.load = None;
        self.noted = None;
    }
}

impl World {
    /// The published mapping's dead letters, and how far they were brought; `None`: it has no relay.
    fn relayed(&self) -> Option<(MappingId, StreamId, Ordinal)> {
        let view = &self.journal.published;
        let mapping = view.registry().mapping(self.journal.mapping)?;
        let through = view.copied_through(mapping.id)?;
        Some((mapping.id, mapping.dead_letters, through))
    }

    fn last_letter(&self, stream: StreamId) -> Ordinal {
        let tail = self.journal.published.tail(stream, LETTERS_SHARD);
        tail.map_or(Ordinal(0), |tail| tail.last())
    }

    /// Whether there are letters behind those that were brought.
    pub(super) fn has_letters_to_bring(&self) -> bool {
        let synced = self.journal.synced as u64;
        if self.relaying.noted.is_some_and(|lsn| lsn.0 > synced) {
            return false;
        }
        let relayed = self.relayed();
        relayed.is_some_and(|(_, stream, through)| self.last_letter(stream) > through)
    }

    /// Reads the next letters.
    pub(super) fn gather(&mut self) {
        let Some((mapping, stream, after)) = self.relayed() else {
            return;
        };
        let bodies = (after.0 + 1..=self.last_letter(stream).0).map(Ordinal);
        let read: Vec<Ordinal> = bodies.take(READ_MAX).collect();
        let letters = self.journal.published.letters(stream);
        let is_open = |body: &Ordinal| {
            letters.is_none_or(|all| all.status(*body) == Some(LetterStatus::Open))
        };
        let (open, closed): (Vec<_>, Vec<_>) = read.iter().copied().partition(is_open);
        for body in closed {
            self.coverage.note(Reached::RelayPassedOver);
            self.relaying.passed_over.insert((stream, body));
        }
        self.relaying.load = Some(Load {
            mapping,
            stream,
            open,
            through: read.last().copied().unwrap_or(after),
        });
    }

    /// The destination takes what was read, or some of it from the front.
    pub(super) fn bring(&mut self) {
        let load = self.relaying.load.take().expect("enabled");
        // The relay goes with its mapping, or when another destination is named.
        let Some((mapping, ..)) = self.relayed() else {
            return;
        };
        if mapping != load.mapping {
            return;
        }
        let refuses = !self.is_calm && self.random.chance(self.profile.trouble.destination);
        let taken = match refuses {
            false => load.open.len() as u64,
            true => {
                self.coverage.note(Reached::RelayRefused);
                self.random.below(load.open.len() as u64 + 1)
            }
        };
        let taken = usize::try_from(taken).expect("few");
        for &body in &load.open[..taken] {
            let mut of_stream = self.relaying.taken.range((load.stream, Ordinal(0))..);
            let is_first = !self.relaying.taken.contains(&(load.stream, body));
            let later = of_stream.rfind(|(stream, other)| *stream == load.stream && *other > body);
            assert!(
                later.is_none() || !is_first,
                "{body} was brought behind {later:?}"
            );
            self.relaying.taken.insert((load.stream, body));
            self.coverage.note(match is_first {
                true => Reached::RelayBrought,
                false => Reached::RelayAgain,
            });
        }
        let is_hasty = self.weakness == Some(Weakness::HastyRelay);
        let stands_at = match taken == load.open.len() || is_hasty {
            true => Some(load.through),
            false => taken.checked_sub(1).map(|last| load.open[last]),
        };
        if let Some(through) = stands_at {
            self.relaying.noted = self.journal.copied(through, self.now);
        }
    }

    /// Another destination is named, the same is kept, or none any more.
    pub(super) fn redraw_relay(&mut self, last: Option<Relay>) -> Option<Relay> {
        if self.has_letters_to_bring() {
            self.coverage.note(Reached::RelayChanged);
        }
        self.relaying.load = None;
        if self.random.chance(400) {
            return None;
        }
        let stream = self.journal.letters_stream();
        let tail = self.journal.view.tail(stream, LETTERS_SHARD);
        let named = Relay {
            to: destination(),
            after: tail.map_or(Ordinal(0), |tail| tail.last()),
        };
        Some(last.unwrap_or(named))
    }

    /// At rest all letters behind the first that the destination was named for were brought, but those that
    /// were closed before.
    pub(super) fn judge_relay(&self) {
        let mapping = self.journal.view.registry().mapping(self.journal.mapping);
        let mapping = mapping.expect("there is one");
        let Some(relay) = &mapping.settings.on_failure else {
            return;
        };
        let stream = mapping.dead_letters;
        for body in (relay.after.0 + 1..=self.last_letter(stream).0).map(Ordinal) {
            let letter = (stream, body);
            let is_done = self.relaying.taken.contains(&letter)
                || self.relaying.passed_over.contains(&letter);
            assert!(is_done, "letter {letter:?} was never brought");
        }
    }
}
