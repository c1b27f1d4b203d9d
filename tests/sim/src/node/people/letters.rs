//! A person looks after dead letters: has them redriven, throws them away.

use fnctl_core::{
    commit::Redriven,
    entry::Entry,
    id::{FunctionVersion, Ordinal, StreamId},
    mapping::Mapping,
    view::LETTERS_SHARD,
};

use super::{Branch, Did, Node, Worker, World};
use crate::versions::OTHER_VERSION;

/// Letters that are purged at once, at most.
const PURGED_MAX: u64 = 5;

impl World {
    /// Some mapping, and where its letters lie that are published and open.
    fn open_letters(&mut self, node: &Node) -> Option<(Mapping, Vec<Ordinal>)> {
        let mapping = self.some_mapping(node)?;
        let stream = mapping.dead_letters;
        let open = node.store.view(|view| {
            let last = view.tail(stream, LETTERS_SHARD)?.last().0;
            let known = view.letters(stream);
            let is_open = |body: &Ordinal| known.is_none_or(|all| all.is_open(*body));
            Some((1..=last).map(Ordinal).filter(is_open).collect::<Vec<_>>())
        })?;
        (!open.is_empty()).then_some((mapping, open))
    }

    /// Reads the body of a letter; `false`: the disk did not let it.
    fn read_letter(&mut self, node: &Node, stream: StreamId, body: Ordinal) -> bool {
        let before = Ordinal(body.0 - 1);
        let Ok(found) = node.store.read(stream, LETTERS_SHARD, before, 1, 4_000) else {
            return false;
        };
        for block in &found {
            self.ledger.saw_block(block, false);
        }
        true
    }

    /// A letter is given to the owner of its key.
    pub(super) fn redrive(&mut self, node: &mut Node) {
        let Some((mapping, open)) = self.open_letters(node) else {
            return;
        };
        let body = self.people.random.pick(&open);
        if !self.read_letter(node, mapping.dead_letters, body) {
            return;
        }
        let letter = self.ledger.letter_seen(mapping.dead_letters, body);
        let letter = letter.expect("it was just read");
        if !letter.kind.holds_record() {
            return;
        }
        let found = node.store.view(|view| {
            let letters = view.letters(mapping.dead_letters);
            let id = letters.map_or(body, |letters| letters.id_of(body));
            let stream = view.registry().stream(mapping.stream)?;
            let shard = stream.route(letter.hash_key)?;
            Some((id, shard))
        });
        let Some((id, shard)) = found else {
            return;
        };
        let takes = |worker: &Worker| {
            let unit = worker.unit;
            unit.mapping == mapping.id && unit.shard == shard && worker.takes_letters()
        };
        let Some(at) = node.workers.iter().position(takes) else {
            return;
        };
        let redriven = Redriven {
            id,
            body,
            bytes: letter.byte_len(),
        };
        let with = self.people.random.chance(200).then(|| {
            self.coverage.note(Branch::RedriveOtherVersion);
            FunctionVersion(self.versions.live + OTHER_VERSION)
        });
        if letter.shard != shard {
            self.coverage.note(Branch::RedriveElsewhere);
        }
        self.say(format_args!("redrive {redriven:?} of {}", mapping.id));
        let event = node.workers[at].redrive(redriven, &letter, with);
        self.tell(node, at, event);
    }

    /// Letters are thrown away.
    pub(super) fn purge(&mut self, node: &mut Node) {
        let Some((mapping, mut open)) = self.open_letters(node) else {
            return;
        };
        let stream = mapping.dead_letters;
        let first = self.people.random.below(open.len() as u64);
        let mut open = open.split_off(usize::try_from(first).expect("an index"));
        let count = self.people.random.between(1, PURGED_MAX);
        open.truncate(usize::try_from(count).expect("few"));
        let mut bodies = Vec::new();
        for body in open {
            if !self.read_letter(node, stream, body) {
                return;
            }
            let letter = self.ledger.letter_seen(stream, body);
            bodies.push((body, letter.expect("it was just read").byte_len()));
        }
        let redrives = node.workers.iter().flat_map(|w| w.redrives.values());
        let mut redriven = redrives.map(|redriven| redriven.body);
        if redriven.any(|body| bodies.iter().any(|(of, _)| *of == body)) {
            self.coverage.note(Branch::PurgedUnderRedrive);
        }
        self.coverage.note(Branch::Purged);
        self.say(format_args!("purge {bodies:?} of {stream}"));
        self.decide(node, move |view| {
            let (entry, _) = view.evaluate_purge(stream, &bodies)?;
            let Entry::Purge { letters, bytes, .. } = &entry else {
                panic!("{entry:?} is no purge");
            };
            let did = Did::Purged(stream, letters.clone(), *bytes);
            Some((entry, did))
        });
    }
}
