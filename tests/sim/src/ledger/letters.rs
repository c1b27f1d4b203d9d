//! The accounts of dead letters, kept apart from the view's: each body that was ever stored, and how it
//! ended. A letter is redriven while it is open and never else; it is resolved once.

use std::collections::BTreeMap;

use fnctl_core::{
    commit::{Commit, DeadLetter, ErrorKind, Redriven},
    entry::Placement,
    id::{Ordinal, ShardNumber, StreamId},
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
    letter: DeadLetter,
    bytes: u64,
    /// What became of it; `None`: it was stored anew elsewhere.
    status: Option<LetterStatus>,
}

/// Bodies of every dead-letter stream by ordinal from 1.
#[derive(Debug, Default)]
pub(crate) struct LetterBook(BTreeMap<StreamId, Vec<Body>>);

/// What was redriven, as its last body had it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Again {
    /// The shard of its record.
    pub(super) shard: ShardNumber,
    /// Its record.
    pub(super) position: Ordinal,
    /// Why it was given up.
    pub(super) kind: ErrorKind,
}

impl LetterBook {
    /// Letters of a batch were stored.
    pub(super) fn store(&mut self, stream: StreamId, letters: &[DeadLetter]) {
        let bodies = self.0.entry(stream).or_default();
        for letter in letters {
            let id = Ordinal(bodies.len() as u64 + 1);
            bodies.push(Body::of(letter, id));
        }
    }

    /// A letter was redriven: it was open, and is resolved or stored anew.
    pub(super) fn redrive(
        &mut self,
        stream: StreamId,
        redriven: &Redriven,
        commit: &Commit,
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
            shard: known.letter.shard,
            position: known.letter.position,
            kind: known.letter.kind,
        };
        let attempts = known.letter.attempts;
        let Some(letter) = commit.dead_letters.first() else {
            known.status = Some(LetterStatus::Resolved);
            return Ok(again);
        };
        known.status = None;
        let is_same = letter.position == again.position && letter.shard == again.shard;
        if !is_same || letter.attempts != attempts + 1 || letter.version != commit.function_version
        {
            return Err(broken(format!("{again:?} became {letter:?}")));
        }
        bodies.push(Body::of(letter, id));
        Ok(again)
    }

    /// Letters were thrown away: all of them were open.
    pub(crate) fn purge(
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
    pub(crate) fn delete(&mut self, stream: StreamId) {
        self.0.remove(&stream);
    }

    /// The view knows the same of every letter.
    pub(crate) fn close(&self, view: &NodeView) -> Result<(), Violation> {
        for (&stream, bodies) in &self.0 {
            let is_open = |body: &&Body| body.status == Some(LetterStatus::Open);
            let open = bodies.iter().filter(is_open);
            let (count, bytes) = open.fold((0, 0), |(n, sum), body| (n + 1, sum + body.bytes));
            let said = (view.open_in(stream), view.open_letter_bytes(stream));
            if said != (count, bytes) {
                let words = format!("{stream:?} has {count} open letters, {bytes} bytes");
                return Err(broken(format!("{words}; the view says {said:?}")));
            }
            let floor = view.tail(stream, LETTERS_SHARD).map(|tail| tail.floor);
            for (at, body) in (1..).map(Ordinal).zip(bodies) {
                if floor.is_some_and(|floor| at < floor) && body.status != Some(LetterStatus::Open)
                {
                    // Of what is stored no more the view knows that it is closed.
                    continue;
                }
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

    /// Bodies of a stream.
    pub(crate) fn count(&self, stream: StreamId) -> u64 {
        self.0.get(&stream).map_or(0, |bodies| bodies.len() as u64)
    }

    /// A body as it was stored.
    pub(crate) fn letter(&self, stream: StreamId, body: Ordinal) -> Option<&DeadLetter> {
        let index = usize::try_from(body.0.checked_sub(1)?).ok()?;
        Some(&self.0.get(&stream)?.get(index)?.letter)
    }

    /// Where the last of so many letters was put is the end of its stream.
    pub(super) fn check_place(
        &self,
        letters: usize,
        placement: &Placement,
    ) -> Result<(), Violation> {
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
            bytes: letter.byte_len(),
            letter: letter.clone(),
            status: Some(LetterStatus::Open),
        }
    }
}
