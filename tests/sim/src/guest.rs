//! The function: what it does with a record is written in the record.

use bytes::Bytes;
use fnctl_core::{
    id::FunctionVersion,
    outcome::{Failure, FailureKind, ItemFailure, Outcome, Rows, WHOLE_CALL},
    record::ColumnBuilder,
};

use crate::random::Random;

/// What the function does with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nature {
    /// Succeeds.
    Good,
    /// `skip`.
    Skip,
    /// `retry` until this many attempts were made.
    Retry(u32),
    /// The same; where it was tried before, it traps, unnamed, in a call that has others.
    Lonely(u32),
    /// `retry` now and then, with a delay of its own.
    Flaky,
    /// Panics, named, until this many attempts were made.
    Panic(u32),
    /// Traps, unnamed, until this many attempts were made.
    Trap(u32),
    /// Times out until this many attempts were made.
    Timeout(u32),
    /// Takes all memory until this many attempts were made.
    Memory(u32),
    /// Its rows alone are too large.
    TooLarge,
    /// Its rows and those of another such record are too large.
    Heavy,
    /// Fails the whole call with `skip`.
    SkipCall,
    /// Fails the whole call with `retry` until this many attempts were made.
    FailCall(u32),
    /// `fatal`, until somebody mends the function.
    Fatal,
    /// Came through too many functions.
    Loop,
    /// Larger than a function may be given.
    Huge,
    /// The filter lets it fall.
    Fallen,
    /// The filter cannot judge it.
    Unparsable,
}

impl Nature {
    /// Any nature that is not good.
    pub fn draw_bad(random: &mut Random) -> Self {
        let attempts = u32::try_from(random.pick(&[1, 1, 2, 3, 9])).expect("few");
        match random.below(47) {
            0..=5 => Self::Skip,
            6..=13 => Self::Retry(attempts),
            14..=16 => Self::Flaky,
            17..=21 => Self::Panic(attempts),
            22..=23 => Self::Trap(attempts),
            24..=25 => Self::Timeout(attempts),
            26 => Self::Memory(attempts),
            27..=28 => Self::TooLarge,
            29..=32 => Self::Heavy,
            33 => Self::SkipCall,
            34..=35 => Self::FailCall(attempts),
            36 => Self::Fatal,
            37..=38 => Self::Loop,
            39 => Self::Huge,
            40..=42 => Self::Fallen,
            43..=45 => Self::Lonely(attempts),
            _ => Self::Unparsable,
        }
    }

    /// What a version makes of a record: of any three that follow each other one fails for a while at some
    /// that are good, and says `fatal` of bad ones; and one stands some that the others fail at.
    #[must_use]
    pub const fn under(self, version: FunctionVersion, position: u64) -> Self {
        match (version.0 % 3, self, position % 3) {
            (2, Self::Good, 0) => Self::Retry(2),
            (2, Self::Good, 1) => Self::Panic(1),
            (2, Self::Retry(_) | Self::Panic(_), _) => Self::Fatal,
            (0, Self::Retry(_) | Self::Trap(_), 0 | 1) => Self::Good,
            _ => self,
        }
    }
}

/// A record as the function sees it.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Its position.
    pub position: u64,
    /// Its key.
    pub key: u64,
    /// What to do with it.
    pub nature: Nature,
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

/// How the function is at present.
#[derive(Clone, Copy, Debug)]
pub struct Mood {
    /// It emits rows of no record.
    pub emits_whole_call: bool,
    /// Fatal bugs are mended, and nothing fails for longer than a few attempts.
    pub is_mended: bool,
    /// What it needs is down: every record fails whose key is not spared.
    pub is_down: bool,
    /// Of ten keys so many do not need it.
    pub spared: u64,
    /// Whatever failed for want of it fails no more. A call that costs no attempt would fail for ever
    /// otherwise, because here attempts alone end a failure.
    pub is_up: bool,
    /// The call's own number: rows say which call they are from.
    pub call: u64,
}

impl Mood {
    /// Whether a record of this key fails for what is down.
    const fn is_hit(&self, key: u64) -> bool {
        self.is_down && key % 10 >= self.spared
    }
}

/// The key as bytes.
#[must_use]
pub fn key_bytes(key: u64) -> Bytes {
    Bytes::copy_from_slice(format!("k{key}").as_bytes())
}

/// Makes a call.
pub fn call(records: &[Seen], mood: Mood, random: &mut Random) -> Outcome {
    if mood.is_down && records.iter().all(|record| mood.is_hit(record.key)) {
        return down(records.len());
    }
    if let Some(outcome) = whole_failure(records, mood) {
        return outcome;
    }
    let mut failures = Vec::new();
    // A function that says `fatal` looks at nothing that is behind, as the SDK's loop.
    let mut looked_at = records;
    for (index, record) in (0_u32..).zip(records) {
        let kind = match record.nature {
            _ if mood.is_hit(record.key) => FailureKind::Retry,
            Nature::Skip => FailureKind::Skip,
            Nature::Retry(attempts) | Nature::Lonely(attempts)
                if is_failing(record, attempts, mood) =>
            {
                FailureKind::Retry
            }
            Nature::Flaky if !mood.is_mended && random.chance(500) => FailureKind::Retry,
            Nature::Fatal if !mood.is_mended => FailureKind::Fatal,
            _ => continue,
        };
        failures.push(ItemFailure {
            index,
            failure: Failure {
                kind,
                retry_after_ms: (record.nature == Nature::Flaky)
                    .then(|| u32::try_from(random.below(2_000)).expect("small")),
                code: "code".into(),
                message: "words".into(),
            },
        });
        if kind == FailureKind::Fatal {
            looked_at = &records[..=index as usize];
            break;
        }
    }
    Outcome::Returned {
        rows: emit(looked_at, &failures, mood, random),
        failures,
    }
}

fn down(records: usize) -> Outcome {
    let failure = Failure {
        kind: FailureKind::Retry,
        retry_after_ms: None,
        code: "down".into(),
        message: "words".into(),
    };
    let failures = (0_u32..).take(records).map(|index| ItemFailure {
        index,
        failure: failure.clone(),
    });
    Outcome::Returned {
        rows: Vec::new(),
        failures: failures.collect(),
    }
}

fn is_failing(record: &Seen, attempts: u32, mood: Mood) -> bool {
    !mood.is_up && record.attempt <= attempts && !(mood.is_mended && record.attempt > 3)
}

fn whole_failure(records: &[Seen], mood: Mood) -> Option<Outcome> {
    let heavy = records.iter().filter(|r| r.nature == Nature::Heavy).count();
    (0_u32..).zip(records).find_map(|(index, record)| {
        let failing = |attempts| is_failing(record, attempts, mood);
        let error = |kind| {
            Outcome::Error(Failure {
                kind,
                retry_after_ms: None,
                code: "call".into(),
                message: "the whole call".into(),
            })
        };
        match record.nature {
            Nature::Panic(attempts) if failing(attempts) => Some(Outcome::Trap {
                record: Some(index),
                message: "panicked".into(),
            }),
            Nature::Trap(attempts) if failing(attempts) => Some(Outcome::Trap {
                record: None,
                message: "trap".into(),
            }),
            Nature::Lonely(attempts)
                if failing(attempts) && record.attempt > 1 && records.len() > 1 =>
            {
                Some(Outcome::Trap {
                    record: None,
                    message: "not alone".into(),
                })
            }
            Nature::Timeout(attempts) if failing(attempts) => {
                Some(Outcome::Timeout { after_ms: 30_000 })
            }
            Nature::Memory(attempts) if failing(attempts) => {
                Some(Outcome::OutOfMemory { limit_bytes: 1 })
            }
            Nature::FailCall(attempts) if failing(attempts) => Some(error(FailureKind::Retry)),
            Nature::SkipCall => Some(error(FailureKind::Skip)),
            Nature::TooLarge => Some(Outcome::OutputTooLarge { limit_bytes: 1 }),
            Nature::Heavy if heavy > 1 => Some(Outcome::OutputTooLarge { limit_bytes: 1 }),
            _ => None,
        }
    })
}

/// One row a record, of failed ones too: the host drops those. In any order; now and then to the
/// output that is bound to nothing.
fn emit(records: &[Seen], failures: &[ItemFailure], mood: Mood, random: &mut Random) -> Vec<Rows> {
    let mut order: Vec<u32> = (0..).take(records.len()).collect();
    if random.chance(300) {
        for at in (1..order.len()).rev() {
            let other = usize::try_from(random.below(at as u64 + 1)).expect("an index");
            order.swap(at, other);
        }
    }
    let call = mood.call;
    let row = |index: &u32| {
        let record = &records[*index as usize];
        let data = format!("row {} {call}", record.position);
        (*index, key_bytes(record.key), data)
    };
    let mut main: Vec<(u32, Bytes, String)> = order.iter().map(row).collect();
    if mood.emits_whole_call {
        let failed = |index: u32| failures.iter().any(|item| item.index == index);
        let folded: Vec<String> = (0_u32..)
            .zip(records)
            .filter(|&(index, _)| !failed(index))
            .map(|(_, record)| record.position.to_string())
            .collect();
        let at = usize::try_from(random.below(main.len() as u64 + 1)).expect("an index");
        let data = format!("fold {call} {}", folded.join(","));
        main.insert(at, (WHOLE_CALL, key_bytes(0), data));
    }
    let mut rows = vec![of_output(0, &main)];
    if random.chance(200) {
        rows.push(of_output(1, &main));
    }
    rows
}

fn of_output(output: u16, emitted: &[(u32, Bytes, String)]) -> Rows {
    let mut keys = ColumnBuilder::default();
    let mut data = ColumnBuilder::default();
    for (_, key, value) in emitted {
        keys.push(key);
        data.push(value.as_bytes());
    }
    Rows {
        output,
        sources: emitted.iter().map(|(source, _, _)| *source).collect(),
        keys: keys.finish(),
        data: data.finish(),
    }
}
