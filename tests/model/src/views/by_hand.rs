//! What people do to units and letters, asked of the production view.

use std::sync::Arc;

use fnctl_core::{
    commit::{Commit, CommitAnswer, Redriven},
    entry::Entry,
    id::{Ordinal, StreamId},
    view::LetterStatus,
};

use super::{Answer, ViewId, Views};
use crate::{
    check::Violation,
    config::BODIES_MAX,
    content::{LETTER_BYTES, NOW, unit_of},
    facts::{Body, global_epoch},
};

impl Views {
    /// A unit is sent to the place after a record.
    pub(crate) fn seek(
        &mut self,
        at: ViewId,
        unit: usize,
        after: Ordinal,
    ) -> Result<ViewId, Violation> {
        let facts = *self.facts(at);
        let wish = (unit_of(&self.config, facts.generation, unit), after);
        let (mut entry, _) = self.views[at.0 as usize]
            .evaluate_seek(&[wish])
            .expect("the unit exists");
        if let Entry::Seek { seeks, units, .. } = &mut entry {
            for seek in seeks.iter_mut().filter(|_| !self.config.seek_fences) {
                seek.epoch.0 -= 1;
            }
            if !self.config.seek_fences_children {
                units.clear();
            }
        }
        let sought = facts.sought(&self.config, unit);
        self.accepted(at, entry, sought)
    }

    /// An open letter is thrown away; `None`: it is not open any more.
    pub(crate) fn purge(&mut self, at: ViewId, body: Ordinal) -> Option<Result<ViewId, Violation>> {
        let stream = self.letters(at)?;
        let view = &self.views[at.0 as usize];
        let (entry, _) = view.evaluate_purge(stream, &[(body, LETTER_BYTES)])?;
        let mut facts = *self.facts(at);
        facts.close(body, LetterStatus::Purged);
        Some(self.accepted(at, entry, facts))
    }

    fn accepted(
        &mut self,
        at: ViewId,
        entry: Entry,
        after: crate::facts::Facts,
    ) -> Result<ViewId, Violation> {
        match self.accept(at, entry, after) {
            Answer::Accepted(next) => Ok(next),
            Answer::Broken(violation) => Err(violation),
            _ => unreachable!("what people do has no guard here"),
        }
    }

    /// Evaluates the commit of a redrive, but for the rules that are taken away.
    pub(super) fn take_redriven(
        &mut self,
        at: ViewId,
        commit: &Arc<Commit>,
        redriven: &Redriven,
    ) -> Answer {
        let view = &self.views[at.0 as usize];
        let mut facts = *self.facts(at);
        let mut judged = Arc::clone(commit);
        if !self.config.names_letters || !self.config.guards_letters {
            Arc::make_mut(&mut judged).redriven = None;
        }
        let mut entry = match view.evaluate_commit(&judged, NOW) {
            Ok(entry) => entry,
            Err(CommitAnswer::Refused { closed }) => return Answer::Refused(closed),
            Err(CommitAnswer::Fenced) => {
                let fault = view.commit_fault(&judged);
                return Answer::Fenced(fault.expect("whatever is fenced has a fault"));
            }
            Err(_) => return Answer::Unavailable,
        };
        if let (true, Entry::Commit { commit: judged, .. }) =
            (self.config.names_letters, &mut entry)
        {
            judged.clone_from(commit);
        }
        let unit = commit.unit.shard.0 as usize;
        if global_epoch(facts.generation, commit.epoch) != facts.units[unit].epoch {
            return Answer::Broken(Violation::FormerOwner);
        }
        let body = facts.body(redriven.body);
        if body.status() != Some(LetterStatus::Open) || body.letter() != redriven.id {
            return Answer::Broken(Violation::LetterEndedTwice);
        }
        if commit.dead_letters.is_empty() {
            facts.close(redriven.body, LetterStatus::Resolved);
            let rows = commit.outputs.iter().map(|output| output.records.len());
            let rows = u8::try_from(rows.sum::<usize>()).expect("few rows");
            facts.beside += rows;
            facts.redriven[unit] += rows;
        } else {
            facts.move_on(redriven.body);
        }
        self.accept(at, entry, facts)
    }

    fn letters(&self, at: ViewId) -> Option<StreamId> {
        let unit = unit_of(&self.config, self.facts(at).generation, 0);
        let registry = self.views[at.0 as usize].registry();
        Some(registry.mapping(unit.mapping)?.dead_letters)
    }

    /// Every letter is what became of it.
    pub(super) fn check_letters(&self, at: ViewId) -> Option<Violation> {
        if !self.config.tells_letters_apart() {
            return None;
        }
        let stream = self.letters(at)?;
        let known = self.views[at.0 as usize].letters(stream);
        let facts = self.facts(at);
        let is_right = |at: Ordinal| {
            let body = facts.body(at);
            let (status, id) = match known {
                None => (Some(LetterStatus::Open), at),
                Some(letters) => (letters.status(at), letters.id_of(at)),
            };
            let is_id = body.status().is_none() || id == body.letter();
            body == Body::NONE || (status == body.status() && is_id)
        };
        let mut all = (1..=BODIES_MAX as u64).map(Ordinal);
        (!all.all(is_right)).then_some(Violation::LetterLost)
    }
}
