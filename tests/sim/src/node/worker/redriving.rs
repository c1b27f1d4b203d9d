//! Dead letters that a worker is given, and what it must never be asked to call.

use std::sync::Arc;

use fnctl_core::{
    commit::{DeadLetter, Redriven},
    id::{FunctionVersion, Ordinal, Timestamp},
    lane::key_hash,
    limits,
    mapping::Ordering,
    pipeline::{BlockMeta, Event, OtherVersion, Redrive, RedriveEnding},
    record::{ColumnBuilder, RecordBlock, Records},
};
use fnctl_store::Store;

use super::{Call, Worker};
use crate::{guest::key_bytes, versions, worker::redriving::check_ending};

impl Worker {
    /// Whether it takes another letter.
    pub(in crate::node) fn takes_letters(&self) -> bool {
        self.stopped.is_none() && self.redrives.len() < limits::REDRIVES_TAKEN_MAX
    }

    /// Takes a letter on: its payload is a block of its own.
    pub(in crate::node) fn redrive(
        &mut self,
        redriven: Redriven,
        letter: &DeadLetter,
        with: Option<FunctionVersion>,
    ) -> Event {
        let block = Arc::new(self.block_of(letter));
        let bytes = block.records.byte_len() as u64;
        let id = self.hold(&block);
        self.last_ticket += 1;
        self.redrives.insert(self.last_ticket, redriven.clone());
        let with = with.map(|version| OtherVersion {
            version,
            outputs: Arc::clone(&self.outputs),
        });
        let block = BlockMeta { id, bytes };
        let redrive = Redrive::of(self.last_ticket, redriven, letter, block, with);
        Event::Redrive(Box::new(redrive))
    }

    fn block_of(&self, letter: &DeadLetter) -> RecordBlock {
        let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
        keys.push(&letter.key);
        data.push(&letter.data);
        let Timestamp(arrival_ms) = letter.arrival;
        RecordBlock {
            stream: self.unit.stream,
            shard: letter.shard,
            first: letter.position,
            records: Records {
                keys: keys.finish(),
                data: data.finish(),
                arrival_ms: vec![arrival_ms],
            },
            hash_keys: vec![letter.hash_key],
            hops: Vec::new(),
            origins: Vec::new(),
        }
    }

    /// A redrive ended, and what is said of it is published.
    pub(super) fn redrive_ended(&mut self, ticket: u64, ending: RedriveEnding, store: &Store) {
        let redriven = self.redrives.remove(&ticket).expect("it was given once");
        store.view(|view| check_ending(view, self.unit.mapping, &redriven, ending));
        self.redriven.push(ending);
    }

    /// No key is called twice at once, whether its records are of the backlog or of letters, and each meets
    /// its version; with order within the shard nothing is called beside anything.
    pub(super) fn check_call(&self, call: &Call) {
        let Call {
            invocation, seen, ..
        } = call;
        let is_alone = self.settings.ordering == Ordering::Shard;
        let others = || self.calls.iter();
        assert!(
            !is_alone || others().next().is_none(),
            "{invocation:?} is not alone"
        );
        for record in seen {
            let is_its = |other: &Call| other.seen.iter().any(|other| other.key == record.key);
            assert!(!others().any(is_its), "{invocation:?} beside its key");
            let key = key_hash(Some(&key_bytes(record.key)), Ordinal(record.position));
            let met = versions::met(&self.met, &self.settings, key);
            assert!(
                invocation.redrive.is_some() || invocation.version == met,
                "{invocation:?} meets {met:?}"
            );
        }
    }

    /// Whether both versions are called at once.
    pub(in crate::node) fn calls_both(&self) -> bool {
        let is_of = |version| {
            let calls = self.calls.iter().map(|call| &call.invocation);
            let mut batches = calls.filter(|call| call.redrive.is_none());
            batches.any(|call| call.version == version)
        };
        let canary = self.met.1.as_ref().map(|canary| canary.version.version);
        canary.is_some_and(|canary| is_of(canary) && is_of(self.met.0))
    }
}
