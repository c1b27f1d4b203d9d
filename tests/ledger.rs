//! What was sent and what was acknowledged, and the oracle over what came out.

use std::{
    collections::HashMap,
    sync::{Condvar, Mutex, MutexGuard},
};

use serde_json::Value;

use crate::text;

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

/// What every producer of a test shares.
#[derive(Debug)]
pub struct Ledger {
    state: Mutex<State>,
    ending: Condvar,
}

/// The data of record `n` of a key: the first word says what the guest `hostile` does with it.
#[must_use]
pub fn data(key: usize, n: u64) -> String {
    let word = match n % 200 {
        17 | 90 | 151 => "skip",
        60 => "retry",
        _ => "ok",
    };
    format!("{word} k{key}-{n}")
}

impl Ledger {
    /// Nothing sent yet, for so many keys.
    #[must_use]
    pub fn new(keys: usize) -> Self {
        Self {
            state: Mutex::new(State {
                keys: (0..keys).map(|_| Key::default()).collect(),
                left: 0,
                is_ending: false,
            }),
            ending: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    /// Begins a run that ends after so many acknowledgements.
    pub fn stop_after(&self, count: u64) {
        let mut state = self.lock();
        (state.left, state.is_ending) = (count, count == 0);
    }

    /// Waits until the run is to end.
    pub fn wait_for_stop(&self) {
        let state = self.lock();
        let ended = self.ending.wait_while(state, |state| !state.is_ending);
        drop(ended.expect("no panic under this lock"));
    }

    /// The run cannot go on: a producer lost its connection.
    pub fn stop(&self) {
        self.lock().is_ending = true;
        self.ending.notify_all();
    }

    /// The number of the next record of a key; it counts as sent from now on.
    pub fn send(&self, key: usize) -> u64 {
        let mut state = self.lock();
        let key = &mut state.keys[key];
        key.sent += 1;
        key.acknowledged.push(false);
        key.sent - 1
    }

    /// The number that the next record of a key will have.
    #[must_use]
    pub fn next(&self, key: usize) -> u64 {
        self.lock().keys[key].sent
    }

    /// Record `n` of a key was acknowledged.
    ///
    /// # Panics
    /// It was already.
    pub fn acknowledge(&self, key: usize, n: u64) {
        let mut state = self.lock();
        let n = usize::try_from(n).expect("a small number");
        let was = std::mem::replace(&mut state.keys[key].acknowledged[n], true);
        assert!(!was, "twice: k{key}-{n}");
        state.left = state.left.saturating_sub(1);
        if state.left == 0 {
            state.is_ending = true;
            self.ending.notify_all();
        }
    }

    /// Holds the input stream against what was acknowledged; how much that was.
    ///
    /// # Panics
    /// Something acknowledged is lost, something is there twice, out of order, or was never sent.
    pub fn check_input(&self, input: &str) -> usize {
        let mut there = ends(&[input]);
        in_order(input);
        let state = self.lock();
        let mut acknowledged = 0;
        for (key, records) in state.keys.iter().enumerate() {
            for (n, is_acknowledged) in (0..).zip(&records.acknowledged) {
                let text = data(key, n);
                let count = there.remove(&text).unwrap_or(0);
                acknowledged += usize::from(*is_acknowledged);
                assert!(count <= 1, "{text} is there {count} times");
                assert!(
                    count == 1 || !is_acknowledged,
                    "{text} was acknowledged and is lost"
                );
            }
        }
        assert!(there.is_empty(), "nobody sent these: {there:?}");
        acknowledged
    }
}

/// Holds what became of a stream against what is in it: each record ended once, as an output or as a
/// dead letter, outputs in the order of their key; how many records that were.
///
/// # Panics
/// One did not.
pub fn check_effects(input: &str, outputs: &str, letters: &str) -> usize {
    in_order(outputs);
    for letter in letters.lines().map(parse) {
        let is_good = text(&letter, "data").starts_with("ok");
        assert!(!is_good, "a good record ended as a dead letter: {letter}");
    }
    let mut ended = ends(&[outputs, letters]);
    let mut count = 0;
    for record in input.lines().map(parse) {
        let data = text(&record, "data");
        let times = ended.remove(&data).unwrap_or(0);
        assert_eq!(times, 1, "{data} ended {times} times");
        count += 1;
    }
    assert!(ended.is_empty(), "these came from nowhere: {ended:?}");
    count
}

/// How often each record is in these.
fn ends(texts: &[&str]) -> HashMap<String, u32> {
    let mut ends = HashMap::new();
    for record in texts.iter().flat_map(|text| text.lines()).map(parse) {
        *ends.entry(text(&record, "data")).or_default() += 1;
    }
    ends
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

fn in_order(records: &str) {
    let mut last: HashMap<String, u64> = HashMap::new();
    for record in records.lines().map(parse) {
        assert!(record["data"].is_string(), "no record: {record}");
        let data = text(&record, "data");
        let (key, n) = identity(&data);
        assert_eq!(text(&record, "partition_key"), key, "{record}");
        let before = last.insert(key, n);
        assert!(
            before.is_none_or(|before| before < n),
            "out of order: {before:?} then {data}"
        );
    }
}

fn identity(text: &str) -> (String, u64) {
    let (_, id) = text
        .split_once(' ')
        .unwrap_or_else(|| panic!("no word and id: {text}"));
    let (key, n) = id
        .split_once('-')
        .unwrap_or_else(|| panic!("no key and number: {text}"));
    (key.to_owned(), n.parse().expect("a number"))
}
