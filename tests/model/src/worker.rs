//! What an owner makes of a call's outcome (commit and storage rules §4).

use crate::{
    config::{Config, bits},
    state::{SentParts, Worker},
};

/// How a call went for one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordOutcome {
    Ok,
    Retry,
    Skip,
}

/// Every way in which a call of `records` records can go.
pub(crate) fn outcomes(config: &Config, records: usize) -> impl Iterator<Item = usize> + use<> {
    0..kinds(config).pow(u32::try_from(records).expect("a batch is small"))
}

fn kinds(config: &Config) -> usize {
    if config.skips { 3 } else { 2 }
}

/// The outcome of each record in the way numbered `code`.
fn decode(config: &Config, mut code: usize) -> impl FnMut() -> RecordOutcome {
    let kinds = kinds(config);
    move || {
        let outcome = [RecordOutcome::Ok, RecordOutcome::Retry, RecordOutcome::Skip][code % kinds];
        code /= kinds;
        outcome
    }
}

/// The way in which every record fails: a call that timed out.
pub(crate) fn all_retry(config: &Config, records: usize) -> usize {
    (0..records).fold(0, |code, _| code * kinds(config) + 1)
}

/// Ends the call of `slot` in the way numbered `code`: charges, settles, hands the commit in.
pub(crate) fn conclude(config: &Config, worker: &mut Worker, slot: usize, code: usize) {
    let batch = worker.slots[slot].running;
    worker.slots[slot].running = 0;
    let mut parts = SentParts {
        batch,
        ..SentParts::default()
    };
    let mut outcome_of_next = decode(config, code);
    let mut held_keys = 0;
    for record in bits(batch) {
        let (bit, key) = (1 << record, 1 << config.key[record]);
        let outcome = outcome_of_next();
        if config.holds_keys && held_keys & key != 0 {
            continue;
        }
        match outcome {
            RecordOutcome::Ok => {
                parts.settles |= bit;
                parts.outputs |= bit;
            }
            RecordOutcome::Skip => {
                parts.settles |= bit;
                parts.dead |= bit;
            }
            RecordOutcome::Retry => {
                worker.attempts[record] += 1;
                if worker.attempts[record] >= config.attempts_max {
                    parts.settles |= bit;
                    parts.dead |= bit;
                } else {
                    parts.marks[record] = worker.attempts[record];
                    held_keys |= key;
                }
            }
        }
    }
    if !config.one_slot_per_key {
        worker.unpark(worker.settled | parts.settles);
    }
    worker.slots[slot].send(parts);
}

/// Hands in the result of a call that was given up before.
pub(crate) fn answer_late(worker: &mut Worker) {
    let (records, slot) = std::mem::take(&mut worker.late);
    worker.slots[usize::from(slot)].send(SentParts {
        batch: records,
        settles: records,
        outputs: records,
        ..SentParts::default()
    });
}

/// The sequencer's acceptance of the commit at `index` arrives.
pub(crate) fn accepted(config: &Config, worker: &mut Worker, slot: usize, index: usize) {
    let settles = worker.slots[slot].sent[index].parts().settles;
    worker.slots[slot].forget(index);
    worker.settled |= settles;
    if config.one_slot_per_key {
        worker.unpark(worker.settled);
    }
}
