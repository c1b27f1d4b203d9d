//! What was sent and what was acknowledged, and the oracle over what came out.

use std::{
    collections::HashMap,
    sync::{Condvar, Mutex},
};

use serde_json::Value;

#[derive(Debug, Default)]
struct Key {
    /// Records are numbered from 0; those below were sent.
    sent: u64,
    acknowledged: Vec<bool>,
}

#[derive(Debug)]
struct State {
    keys: Vec<Key>,
    /// Acknowledgements until this run is to end.
    left: u64,
    is_ending: bool,
}

/// What every producer shares.
pub(super) struct Ledger {
    state: Mutex<State>,
    ending: Condvar,
}

/// The data of a record: the first word says what the function does with it.
pub(super) fn data(key: usize, n: u64) -> String {
    let word = match n % 200 {
        17 | 90 | 151 => "skip",
        60 => "retry",
        _ => "ok",
    };
    format!("{word} k{key}-{n}")
}

impl Ledger {
    pub(super) fn new(keys: usize) -> Self {
        Self {
            state: Mutex::new(State {
                keys: (0..keys).map(|_| Key::default()).collect(),
                left: 0,
                is_ending: false,
            }),
            ending: Condvar::new(),
        }
    }

    /// Begins a run that ends after so many acknowledgements.
    pub(super) fn stop_after(&self, count: u64) {
        let mut state = self.state.lock().expect("no panic under this lock");
        (state.left, state.is_ending) = (count, count == 0);
    }

    pub(super) fn wait_for_stop(&self) {
        let state = self.state.lock().expect("no panic under this lock");
        drop(
            self.ending
                .wait_while(state, |state| !state.is_ending)
                .expect("no panic under this lock"),
        );
    }

    /// The run cannot go on: a producer lost its connection by itself.
    pub(super) fn stop(&self) {
        self.state
            .lock()
            .expect("no panic under this lock")
            .is_ending = true;
        self.ending.notify_all();
    }

    /// The number of the next record of a key; it counts as sent from now on.
    pub(super) fn send(&self, key: usize) -> u64 {
        let mut state = self.state.lock().expect("no panic under this lock");
        let key = &mut state.keys[key];
        key.sent += 1;
        key.acknowledged.push(false);
        key.sent - 1
    }

    pub(super) fn next(&self, key: usize) -> u64 {
        self.state.lock().expect("no panic under this lock").keys[key].sent
    }

    pub(super) fn acknowledge(&self, key: usize, n: u64) {
        let mut state = self.state.lock().expect("no panic under this lock");
        let n = usize::try_from(n).expect("a small number");
        assert!(
            !std::mem::replace(&mut state.keys[key].acknowledged[n], true),
            "twice: k{key}-{n}"
        );
        state.left = state.left.saturating_sub(1);
        if state.left == 0 {
            state.is_ending = true;
            self.ending.notify_all();
        }
    }

    /// Holds what came out against what was acknowledged; how much that was.
    pub(super) fn check(&self, outputs: &str, letters: &str) -> usize {
        let mut ends: HashMap<String, u32> = HashMap::new();
        let mut last: HashMap<String, u64> = HashMap::new();
        let of = |line: &str| -> Value {
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
        };
        for record in outputs.lines().map(of) {
            let text = record["data"].as_str().expect("text").to_owned();
            let (key, n) = identity(&text);
            assert_eq!(
                record["partition_key"].as_str(),
                Some(key.as_str()),
                "{record}"
            );
            let before = last.insert(key, n);
            assert!(
                before.is_none_or(|before| before < n),
                "out of order: {before:?} then {text}"
            );
            *ends.entry(text).or_default() += 1;
        }
        for letter in letters.lines().map(of) {
            let text = letter["data"].as_str().expect("text").to_owned();
            assert!(
                !text.starts_with("ok"),
                "a good record ended as a dead letter: {letter}"
            );
            *ends.entry(text).or_default() += 1;
        }
        let state = self.state.lock().expect("no panic under this lock");
        let mut acknowledged = 0;
        for (key, records) in state.keys.iter().enumerate() {
            for (n, is_acknowledged) in (0..).zip(&records.acknowledged) {
                let text = data(key, n);
                let count = ends.remove(&text).unwrap_or(0);
                acknowledged += usize::from(*is_acknowledged);
                assert!(count <= 1, "{text} ended {count} times");
                assert!(
                    count == 1 || !is_acknowledged,
                    "{text} was acknowledged and is lost"
                );
            }
        }
        assert!(ends.is_empty(), "nobody sent these: {ends:?}");
        acknowledged
    }
}

fn identity(text: &str) -> (String, u64) {
    let (_, id) = text.split_once(' ').expect("a word and an id");
    let (key, n) = id.split_once('-').expect("a key and a number");
    (key.to_owned(), n.parse().expect("a number"))
}
