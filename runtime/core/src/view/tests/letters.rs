//! The settled set of a dead-letter stream: what is open, what became of the rest, and the room it takes
//! (commit and storage rules §3, `resolves`, and §7; schedules 26 and 27).

use serde_json::json;

use super::*;
use crate::{
    commit::Unavailable,
    view::{LETTERS_SHARD, LetterStatus},
};

/// Ten records in `in`, the first `count` of them dead letters of four bytes of data.
struct Letters {
    bench: Bench,
    unit: UnitId,
    stream: StreamId,
}

fn dead(count: u64) -> Letters {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in", "outputs": {"default": "out"}}));
    bench.put("in", some(10));
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    let stream = bench.view.registry().mapping(mapping).unwrap().dead_letters;
    let commit = Commit {
        dead_letters: (1..=count).map(|at| letter(at, b"data")).collect(),
        ..bench.settling(unit, 0, count)
    };
    bench.commit(commit).unwrap();
    Letters {
        bench,
        unit,
        stream,
    }
}

fn bytes() -> u64 {
    letter(1, b"data").byte_len()
}

impl Letters {
    fn redriven(&self, id: u64) -> Redriven {
        let id = Ordinal(id);
        let letters = self.bench.view.letters(self.stream);
        let body = letters.map_or(Some(id), |letters| letters.body_of(id));
        Redriven {
            id,
            body: body.unwrap(),
            bytes: bytes(),
        }
    }

    fn commit(&mut self, redriven: Redriven, fails: bool) -> Result<Entry, CommitAnswer> {
        let slot = SlotId::Retry;
        let at = redriven.id.0;
        let outputs = if fails {
            vec![]
        } else {
            vec![output("out", some(1))]
        };
        let commit = Commit {
            slot,
            number: self.bench.view.last_number(self.unit, slot) + 1,
            dead_letters: fails.then(|| letter(at, b"data")).into_iter().collect(),
            outputs,
            redriven: Some(redriven),
            ..self.bench.blank(self.unit)
        };
        self.bench.commit(commit)
    }

    fn redrive(&mut self, id: u64, fails: bool) -> Result<Entry, CommitAnswer> {
        self.commit(self.redriven(id), fails)
    }

    fn purge(&mut self, bodies: &[u64]) -> u64 {
        let all: Vec<(Ordinal, u64)> = bodies.iter().map(|&at| (Ordinal(at), bytes())).collect();
        self.purge_of(&all)
    }

    fn purge_of(&mut self, all: &[(Ordinal, u64)]) -> u64 {
        match self.bench.view.evaluate_purge(self.stream, all) {
            None => 0,
            Some((entry, count)) => {
                self.bench.take(entry);
                count
            }
        }
    }

    fn trim(&mut self, horizon: u64) -> u64 {
        let entry = self
            .bench
            .view
            .evaluate_trim(self.stream, LETTERS_SHARD, Ordinal(horizon));
        if let Some(entry) = entry {
            self.bench.take(entry);
        }
        self.bench
            .view
            .tail(self.stream, LETTERS_SHARD)
            .unwrap()
            .floor
            .0
    }

    /// Id and status of every body that is told of, in their order.
    fn told(&self) -> Vec<(u64, &'static str)> {
        let tail = *self.bench.view.tail(self.stream, LETTERS_SHARD).unwrap();
        let letters = self
            .bench
            .view
            .letters(self.stream)
            .cloned()
            .unwrap_or_default();
        (tail.floor.0..tail.next.0)
            .filter_map(|body| {
                let status = letters.status(Ordinal(body))?;
                Some((letters.id_of(Ordinal(body)).0, status.as_str()))
            })
            .collect()
    }

    fn open(&self) -> (u64, u64) {
        let view = &self.bench.view;
        let count = view.open_letters(self.unit.mapping);
        assert_eq!(count, view.open_in(self.stream));
        (count, view.open_letter_bytes(self.stream))
    }
}

#[test]
fn a_redriven_letter_is_resolved_and_a_purged_one_is_purged() {
    let mut letters = dead(4);
    assert_eq!(letters.open(), (4, 4 * bytes()));
    letters.redrive(2, false).unwrap();
    assert_eq!(letters.purge(&[3]), 1);
    assert_eq!(
        letters.told(),
        [(1, "open"), (2, "resolved"), (3, "purged"), (4, "open")]
    );
    assert_eq!(letters.open(), (2, 2 * bytes()));
    assert_eq!(letters.bench.next(letters.bench.stream_id("out"), 0), 2);
}

#[test]
fn the_bytes_of_letters_that_cannot_be_read_come_back_with_the_last_one() {
    let mut letters = dead(4);
    // Nobody knows how long this one is.
    letters.purge_of(&[(Ordinal(3), 0)]);
    assert_eq!(letters.open(), (3, 4 * bytes()));
    letters.purge_of(&[(Ordinal(1), bytes())]);
    assert_eq!(letters.open(), (2, 3 * bytes()));
    letters.purge_of(&[(Ordinal(2), bytes()), (Ordinal(4), 0)]);
    assert_eq!(letters.open(), (0, 0));
}

#[test]
fn a_letter_that_fails_again_keeps_its_id_and_is_told_of_once() {
    let mut letters = dead(3);
    letters.redrive(2, true).unwrap();
    assert_eq!(letters.told(), [(1, "open"), (3, "open"), (2, "open")]);
    letters.redrive(2, true).unwrap();
    assert_eq!(letters.told(), [(1, "open"), (3, "open"), (2, "open")]);
    assert_eq!(letters.open(), (3, 3 * bytes()));
    let kept = letters.bench.view.letters(letters.stream).unwrap();
    assert_eq!(kept.body_of(Ordinal(2)), Some(Ordinal(5)));
    // Neither of the places where it lay is a letter of its own.
    assert_eq!(
        (kept.body_of(Ordinal(4)), kept.body_of(Ordinal(5))),
        (None, None)
    );
    letters.redrive(2, false).unwrap();
    assert_eq!(letters.told(), [(1, "open"), (3, "open"), (2, "resolved")]);
    assert_eq!(letters.open(), (2, 2 * bytes()));
}

#[test]
fn schedule_26_of_two_redrives_or_redrive_and_purge_exactly_one_has_an_effect() {
    let refused = |id| {
        Err(CommitAnswer::Refused {
            closed: Ordinal(id),
        })
    };
    for first_fails in [false, true] {
        let mut letters = dead(3);
        let both = letters.redriven(2);
        letters.commit(both.clone(), first_fails).unwrap();
        let before = all_values(&letters.bench.view);
        for second_fails in [false, true] {
            assert_eq!(letters.commit(both.clone(), second_fails), refused(2));
        }
        assert_eq!(
            all_values(&letters.bench.view),
            before,
            "nothing was written"
        );
    }
    // A purge between the redrive's call and its commit.
    let mut letters = dead(3);
    let redriven = letters.redriven(2);
    assert_eq!(letters.purge(&[2]), 1);
    assert_eq!(letters.commit(redriven.clone(), false), refused(2));
    assert_eq!(letters.commit(redriven, true), refused(2));
    // And the other way round: a purge of what was redriven meanwhile finds nothing.
    let mut letters = dead(3);
    letters.redrive(2, false).unwrap();
    assert_eq!(letters.purge(&[2]), 0);
    let mut letters = dead(3);
    letters.redrive(2, true).unwrap();
    assert_eq!(letters.purge(&[2]), 0, "it lies elsewhere now");
    assert_eq!(letters.purge(&[4, 4]), 1);
    assert_eq!(letters.told(), [(1, "open"), (3, "open"), (2, "purged")]);
    // What never was a letter.
    let never = Redriven {
        id: Ordinal(9),
        body: Ordinal(9),
        bytes: 1,
    };
    assert_eq!(letters.commit(never, false), refused(9));
    assert_eq!(letters.purge(&[0, 9]), 0);
}

#[test]
fn schedule_27_a_full_dead_letter_stream_takes_a_redrive_that_fails() {
    let mut letters = dead(2);
    letters.bench.view.set_dead_letter_bytes_max(2 * bytes());
    let one_more = |bench: &Bench, unit| Commit {
        dead_letters: vec![letter(3, b"data")],
        ..bench.settling(unit, 2, 3)
    };
    let full = Err(CommitAnswer::Unavailable(Unavailable::DeadLettersFull));
    let another = one_more(&letters.bench, letters.unit);
    assert_eq!(letters.bench.commit(another), full);
    letters.redrive(1, true).unwrap();
    assert_eq!(letters.open(), (2, 2 * bytes()));
    let another = one_more(&letters.bench, letters.unit);
    assert_eq!(letters.bench.commit(another), full, "it made no room");
    // A redrive that succeeds does, and so does a purge.
    letters.redrive(1, false).unwrap();
    let another = one_more(&letters.bench, letters.unit);
    letters.bench.commit(another).unwrap();
    assert_eq!(letters.open(), (2, 2 * bytes()));
}

#[test]
fn the_floor_is_the_lowest_open_letter() {
    let mut letters = dead(5);
    assert_eq!(letters.trim(6), 1, "all of them are open");
    letters.redrive(1, false).unwrap();
    letters.redrive(2, true).unwrap();
    letters.purge(&[4]);
    assert_eq!(letters.trim(2), 2, "no further than was asked");
    assert_eq!(letters.trim(7), 3);
    assert_eq!(
        letters.told(),
        [(3, "open"), (4, "purged"), (5, "open"), (2, "open")]
    );
    letters.purge(&[3, 5]);
    assert_eq!(letters.trim(7), 6);
    assert_eq!(letters.told(), [(2, "open")]);
    letters.redrive(2, false).unwrap();
    assert_eq!(letters.trim(7), 7);
    assert_eq!((letters.told(), letters.open()), (vec![], (0, 0)));
    let kept = letters.bench.view.letters(letters.stream).unwrap();
    let parts = kept.parts();
    assert_eq!(
        (parts.ids.len(), parts.closed.gaps(), parts.moved.gaps()),
        (0, 0, 0)
    );
    assert_eq!(
        kept.status(Ordinal(7)),
        Some(LetterStatus::Open),
        "the next letter"
    );
}

#[test]
fn the_letters_of_a_deleted_mapping_go_with_the_last_of_them() {
    let mut letters = dead(2);
    let mapping = letters.unit.mapping;
    let delete = |force| Command::DeleteMapping { mapping, force };
    let now = letters.bench.now();
    assert!(
        letters
            .bench
            .view
            .evaluate_command(&delete(false), now)
            .is_err()
    );
    letters.bench.command(&delete(true));
    assert_eq!(letters.purge(&[1]), 1);
    assert_eq!(letters.told(), [(1, "purged"), (2, "open")]);
    assert_eq!(letters.purge(&[1, 2]), 1);
    let view = &letters.bench.view;
    assert!(view.registry().stream(letters.stream).is_none());
    assert!(view.letters(letters.stream).is_none());
    assert!(
        view.evaluate_purge(letters.stream, &[(Ordinal(2), 1)])
            .is_none()
    );
}

#[test]
fn a_mapping_without_open_letters_is_deleted_with_their_stream() {
    let mut letters = dead(2);
    letters.redrive(1, false).unwrap();
    letters.purge(&[2]);
    let mapping = letters.unit.mapping;
    letters.bench.command(&Command::DeleteMapping {
        mapping,
        force: false,
    });
    assert!(
        letters
            .bench
            .view
            .registry()
            .stream(letters.stream)
            .is_none()
    );
}
