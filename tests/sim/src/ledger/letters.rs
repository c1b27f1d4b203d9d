//! The accounts of dead letters, kept apart from the view's: each body that was ever stored, and how it
//! ended. A letter is redriven while it is open and never else; it is resolved once.

use std::collections::BTreeMap;

use fnctl_core::{
    commit::{Commit, DeadLetter, ErrorKind, Redriven},
    entry::Placement,
    id::{Ordinal, StreamId},
    invariants::Violation,
    settled::SettledRanges,
    view::{LETTERS_SHARD, LetterStatus, NodeView},
};

use super::broken;

/// What is known of a body.
#[derive(Debug)]
struct Body {
    /// The letter that it is, or was, the last body of.
    id: Ordinal,
    /// Its record.
    position: Ordinal,
    kind: ErrorKind,
    attempts: u32,
    bytes: u64,
    /// What became of it; `None`: it was stored anew elsewhere.
    status: Option<LetterStatus>,
}

/// Bodies of every dead-letter stream by ordinal from 1.
#[derive(Debug, Default)]
pub(super) struct LetterBook(BTreeMap<StreamId, Vec<Body>>);

/// What was redriven, as its last body had it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Again {
    /// Its record.
    pub(super) position: Ordinal,
    /// Why it was given up.
    pub(super) kind: ErrorKind,
}

impl LetterBook {
    /// Letters of a batch were stored.
    pub(super) fn store(
        &mut self,
        letters: &[DeadLetter],
        placement: &Placement,
    ) -> Result<(), Violation> {
        let bodies = self.0.entry(placement.stream).or_default();
        for letter in letters {
            let id = Ordinal(bodies.len() as u64 + 1);
            bodies.push(Body::of(letter, id));
        }
        self.check_place(letters.len(), placement)
    }

    /// A letter was redriven: it was open, and is resolved or stored anew.
    pub(super) fn redrive(
        &mut self,
        stream: StreamId,
        redriven: &Redriven,
        commit: &Commit,
        placement: Option<&Placement>,
    ) -> Result<Again, Violation> {
        let bodies = self.0.entry(stream).or_default();
        let Redriven { id, body, bytes } = *redriven;
        let found = usize::try_from(body.0.saturating_sub(1)).expect("an index");
        let known = bodies.get_mut(found);
        let known = known.ok_or_else(|| broken(format!("no letter {redriven:?} was stored")))?;
        if known.status != Some(LetterStatus::Open) || known.id != id || known.bytes != bytes {
            return Err(broken(format!("{redriven:?} redrives {known:?}")));
        }
        let again = Again {
            position: known.position,
            kind: known.kind,
        };
        let attempts = known.attempts;
        let Some(letter) = commit.dead_letters.first() else {
            known.status = Some(LetterStatus::Resolved);
            return Ok(again);
        };
        known.status = None;
        let is_same = letter.position == again.position && letter.attempts == attempts + 1;
        if !is_same || letter.version != commit.function_version {
            return Err(broken(format!("{again:?} became {letter:?}")));
        }
        bodies.push(Body::of(letter, id));
        let placement = placement.ok_or_else(|| broken("a letter without a place".to_owned()))?;
        self.check_place(1, placement)?;
        Ok(again)
    }

    /// Letters were thrown away: all of them were open.
    pub(super) fn purge(
        &mut self,
        stream: StreamId,
        purged: &SettledRanges,
        bytes: u64,
    ) -> Result<(), Violation> {
        let bodies = self.0.entry(stream).or_default();
        let mut found = 0;
        for range in purged.as_slice() {
            for body in range.after.0..range.through.0 {
                let body = &mut bodies[usize::try_from(body).expect("an index")];
                if body.status != Some(LetterStatus::Open) {
                    return Err(broken(format!("{body:?} was purged")));
                }
                body.status = Some(LetterStatus::Purged);
                found += body.bytes;
            }
        }
        match found == bytes {
            true => Ok(()),
            false => Err(broken(format!("{found} bytes purged, {bytes} are said"))),
        }
    }

    /// A dead-letter stream went, with nothing in it that is open any more.
    pub(super) fn delete(&mut self, stream: StreamId) {
        self.0.remove(&stream);
    }

    /// The view knows the same of every letter.
    pub(super) fn close(&self, view: &NodeView) -> Result<(), Violation> {
        for (&stream, bodies) in &self.0 {
            let is_open = |body: &&Body| body.status == Some(LetterStatus::Open);
            let open = bodies.iter().filter(is_open);
            let (count, bytes) = open.fold((0, 0), |(n, sum), body| (n + 1, sum + body.bytes));
            let said = (view.open_in(stream), view.open_letter_bytes(stream));
            if said != (count, bytes) {
                let words = format!("{stream:?} has {count} open letters, {bytes} bytes");
                return Err(broken(format!("{words}; the view says {said:?}")));
            }
            for (at, body) in (1..).map(Ordinal).zip(bodies) {
                let (status, id) = match view.letters(stream) {
                    None => (Some(LetterStatus::Open), at),
                    Some(letters) => (letters.status(at), letters.id_of(at)),
                };
                // Of a body that moved on the view keeps no id.
                let is_id = body.status.is_none() || id == body.id;
                if status != body.status || !is_id {
                    let words = format!("{stream:?} {at}: {body:?}, the view says {status:?}");
                    return Err(broken(words));
                }
            }
        }
        Ok(())
    }

    /// Where the last of so many letters was put is the end of its stream.
    fn check_place(&self, letters: usize, placement: &Placement) -> Result<(), Violation> {
        let last = self.0.get(&placement.stream).map_or(0, Vec::len);
        let first = placement.shards.first().map(|run| (run.shard, run.first));
        let expected = Ordinal((last - letters) as u64 + 1);
        match first == Some((LETTERS_SHARD, expected)) {
            true => Ok(()),
            false => Err(broken(format!("letters at {placement:?}, not {expected}"))),
        }
    }
}

impl Body {
    fn of(letter: &DeadLetter, id: Ordinal) -> Self {
        Self {
            id,
            position: letter.position,
            kind: letter.kind,
            attempts: letter.attempts,
            bytes: letter.byte_len(),
            status: Some(LetterStatus::Open),
        }
    }
}
