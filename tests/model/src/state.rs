//! One state: small, without pointers, equal exactly when its fingerprint is.

use xxhash_rust::xxh3::xxh3_128;

use crate::{
    config::{Config, RECORDS_MAX, RETRY, SLOTS, bits},
    journal::Journal,
};

/// A commit that was handed in and not answered, packed; 0 is none.
///
/// `number` counts from the slot's last accepted one, so 1 is the next and 0 a repetition: the
/// guard only compares, and absolute numbers would tell states apart that behave alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sent(u32);

/// What a commit says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SentParts {
    pub(crate) number: u8,
    pub(crate) batch: u8,
    pub(crate) settles: u8,
    pub(crate) outputs: u8,
    pub(crate) dead: u8,
    pub(crate) marks: [u8; RECORDS_MAX],
}

impl Sent {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn pack(parts: &SentParts) -> Self {
        assert!(parts.batch != 0 && parts.number < 4, "{parts:?}");
        let mut packed = u32::from(parts.number);
        for (field, mask) in [parts.batch, parts.settles, parts.outputs, parts.dead]
            .into_iter()
            .enumerate()
        {
            packed |= u32::from(mask) << (2 + field * RECORDS_MAX);
        }
        for (record, &count) in parts.marks.iter().enumerate() {
            assert!(count < 4, "an attempt count fits two bits");
            packed |= u32::from(count) << (22 + 2 * record);
        }
        Self(packed)
    }

    pub(crate) fn parts(self) -> SentParts {
        let mask = |field: usize| (self.0 >> (2 + field * RECORDS_MAX) & 0x1f) as u8;
        SentParts {
            number: (self.0 & 3) as u8,
            batch: mask(0),
            settles: mask(1),
            outputs: mask(2),
            dead: mask(3),
            marks: std::array::from_fn(|record| (self.0 >> (22 + 2 * record) & 3) as u8),
        }
    }

    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The commit as the view is asked about it: the batch is the worker's own affair.
    pub(crate) const fn question(self) -> u32 {
        self.0 & !0x7c
    }

    fn batch(self) -> u8 {
        (self.0 >> 2 & 0x1f) as u8
    }

    fn settles(self) -> u8 {
        (self.0 >> 7 & 0x1f) as u8
    }

    /// Under the number after its own.
    pub(crate) const fn renumbered(self) -> Self {
        Self(if self.0 & 3 == 3 { self.0 } else { self.0 + 1 })
    }

    /// Its number after one of its slot was accepted.
    pub(crate) const fn after_acceptance(self) -> Self {
        Self(if self.0 & 3 == 0 { self.0 } else { self.0 - 1 })
    }
}

/// A slot of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The batch at the function.
    pub(crate) running: u8,
    /// Commits handed in and not answered, oldest first.
    pub(crate) sent: [Sent; 2],
}

impl Slot {
    pub(crate) fn sent(&self) -> impl Iterator<Item = (usize, Sent)> {
        let sent = self.sent;
        (0..2)
            .map(move |index| (index, sent[index]))
            .filter(|(_, sent)| !sent.is_none())
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.sent[0].is_none()
    }

    pub(crate) fn has_room(&self, depth: u8) -> bool {
        self.sent().count() < usize::from(depth)
    }

    /// Hands a commit in, with the slot's next number.
    pub(crate) fn send(&mut self, parts: SentParts) {
        let number = 1 + self
            .sent()
            .map(|(_, sent)| sent.parts().number)
            .max()
            .unwrap_or(0);
        let free = usize::from(self.is_waiting());
        assert!(
            self.sent[free].is_none(),
            "a slot hands in within its depth"
        );
        self.sent[free] = Sent::pack(&SentParts { number, ..parts });
    }

    /// Forgets the commit at `index`, which was answered.
    pub(crate) fn forget(&mut self, index: usize) {
        if index == 0 {
            self.sent[0] = self.sent[1];
        }
        self.sent[1] = Sent::NONE;
    }

    /// Records at the function.
    pub(crate) const fn running(&self) -> u8 {
        self.running
    }

    /// Records of batches handed in.
    pub(crate) fn batches(&self) -> u8 {
        self.sent().fold(0, |mask, (_, sent)| mask | sent.batch())
    }

    /// Records that commits handed in would settle.
    pub(crate) fn settling(&self) -> u8 {
        self.sent().fold(0, |mask, (_, sent)| mask | sent.settles())
    }
}

/// An owner of the unit, as it sees itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Worker {
    pub(crate) epoch: u8,
    /// What it knows to be settled.
    pub(crate) settled: u8,
    /// Number of records that had expired when it started.
    pub(crate) expired: u8,
    /// Charged attempts of records that are not: their keys are parked.
    pub(crate) attempts: [u8; RECORDS_MAX],
    pub(crate) slots: [Slot; SLOTS],
    /// A batch whose call timed out and may still answer, and its slot.
    pub(crate) late: (u8, u8),
}

impl Worker {
    /// Records that failed and are not settled.
    pub(crate) fn failed(&self) -> u8 {
        (0..RECORDS_MAX)
            .filter(|&record| self.attempts[record] > 0)
            .fold(0, |mask, record| mask | 1 << record)
    }

    /// Forgets the attempts of records that are done.
    pub(crate) fn unpark(&mut self, settled: u8) {
        for record in bits(settled).take_while(|&record| record < RECORDS_MAX) {
            self.attempts[record] = 0;
        }
    }

    /// Records that `slot` may take now, in shard order.
    pub(crate) fn available(&self, config: &Config, slot: usize) -> Vec<usize> {
        let parked = config.keys_of(self.failed());
        let (mut elsewhere, mut busy) = (0, 0);
        for (index, other) in self.slots.iter().enumerate() {
            let held = other.running()
                | if config.one_slot_per_key {
                    other.batches()
                } else {
                    other.settling()
                };
            if index != slot {
                elsewhere |= config.keys_of(held);
            }
            busy |= if index == slot && config.one_slot_per_key {
                other.running() | other.settling()
            } else {
                held
            };
        }
        (0..config.records)
            .filter(|&record| {
                let key = 1 << config.key[record];
                let is_here = if slot == RETRY {
                    parked & key != 0
                } else {
                    parked & key == 0 && config.lane[config.key[record]] == slot
                };
                (self.settled | busy) >> record & 1 == 0
                    && is_here
                    && (!config.one_slot_per_key || elsewhere & key == 0)
            })
            .collect()
    }
}

/// Everything that matters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) journal: Journal,
    /// The owner, and a former one that has not noticed.
    pub(crate) workers: [Option<Worker>; 2],
    /// The epoch granted to an owner that has not started.
    pub(crate) granted: u8,
    pub(crate) crashes: u8,
    pub(crate) takeovers: u8,
    pub(crate) lost_answers: u8,
    pub(crate) expiries: u8,
    pub(crate) outages: u8,
    pub(crate) deletions: u8,
    pub(crate) seeks: u8,
}

impl State {
    pub(crate) fn workers(&self) -> impl Iterator<Item = (usize, &Worker)> {
        self.workers
            .iter()
            .enumerate()
            .filter_map(|(index, worker)| Some((index, worker.as_ref()?)))
    }

    pub(crate) fn worker_mut(&mut self, index: usize) -> &mut Worker {
        self.workers[index]
            .as_mut()
            .expect("a step names a worker that lives")
    }

    pub(crate) fn has_room_for_worker(&self) -> bool {
        self.workers[1].is_none()
    }

    pub(crate) fn start(&mut self, worker: Worker) {
        let free = usize::from(self.workers[0].is_some());
        assert!(self.workers[free].is_none(), "at most two workers live");
        self.workers[free] = Some(worker);
    }

    pub(crate) fn stop(&mut self, index: usize) {
        if index == 0 {
            self.workers[0] = self.workers[1];
        }
        self.workers[1] = None;
    }

    /// Maps states that behave alike onto one.
    pub(crate) fn normalize(&mut self, config: &Config, epoch: u8) {
        let mut is_owned = false;
        for worker in self.workers.iter_mut().flatten() {
            is_owned |= worker.epoch == epoch;
            if config.guards_epoch && config.collapses_former && worker.epoch < epoch {
                *worker = Worker {
                    epoch: worker.epoch,
                    ..Worker::default()
                };
            }
        }
        if !is_owned {
            self.journal.forget_slots();
        }
    }

    /// 128 bits: with 40 million states, two of them collide with a chance of 10⁻²⁴.
    pub(crate) fn fingerprint(&self, buffer: &mut Vec<u8>) -> u128 {
        buffer.clear();
        self.journal.encode(buffer);
        buffer.extend_from_slice(&[
            self.granted,
            self.crashes,
            self.takeovers,
            self.lost_answers,
            self.expiries,
            self.outages,
            self.deletions,
            self.seeks,
        ]);
        for (_, worker) in self.workers() {
            buffer.extend_from_slice(&[
                worker.epoch,
                worker.settled,
                worker.expired,
                worker.late.0,
                worker.late.1,
            ]);
            buffer.extend_from_slice(&worker.attempts);
            for slot in &worker.slots {
                buffer.push(slot.running);
                buffer.extend_from_slice(&slot.sent[0].0.to_le_bytes());
                buffer.extend_from_slice(&slot.sent[1].0.to_le_bytes());
            }
        }
        xxh3_128(buffer)
    }
}
