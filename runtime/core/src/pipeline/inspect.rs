//! What can be seen of a pipeline from outside.

use std::collections::HashSet;

use super::{
    ShardPipeline,
    backlog::{Place, Serial},
    slot::Slot,
};
use crate::{
    breaker::Open,
    commit::{Unavailable, UnitTotals},
    id::{Ordinal, SlotId, Timestamp},
    lane::KeyHash,
};

/// A look at a pipeline, for describe and metrics. Cheap: nothing is counted on demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineStats {
    /// Everything up to here is settled and accepted.
    pub low_watermark: Ordinal,
    /// Everything up to here was read.
    pub read_position: Ordinal,
    /// Arrival of the oldest record read and not settled.
    pub oldest_arrival: Option<Timestamp>,
    /// Records between low watermark and read position.
    pub window_records: u64,
    /// Records waiting in lanes.
    pub waiting_records: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Bytes of blocks that are kept for parked records alone.
    pub parked_bytes: u64,
    /// Keys that wait for a retry, the one in the retry slot included.
    pub parked_keys: u64,
    /// When the next parked key is tried; unset while none waits.
    pub next_retry: Option<Timestamp>,
    /// Calls under way.
    pub running_calls: u32,
    /// Totals of accepted commits.
    pub totals: UnitTotals,
    /// Why a commit is refused at present.
    pub blocked: Option<Unavailable>,
    /// The circuit of the version that most keys meet, while it is open.
    pub circuit: Option<Open>,
    /// That of the canary.
    pub canary_circuit: Option<Open>,
}

/// Everything that the invariants ask of a pipeline. Walks all its records: for tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Everything up to here is settled and accepted.
    pub low_watermark: Ordinal,
    /// Records read and not done, ascending.
    pub unsettled: Vec<Ordinal>,
    /// Keys by the slot that holds them; keys that wait are in none.
    pub holdings: Vec<(SlotId, KeyHash)>,
    /// Accepted charges of records that are not done.
    pub attempts: Vec<(Ordinal, u32)>,
    /// Commits accepted and not synced, by slot.
    pub unsynced: Vec<(SlotId, u64)>,
    /// Records said to be with a slot that no slot holds, or to wait for one that will never be done: there
    /// are none.
    pub astray: Vec<Ordinal>,
    /// Keys that wait as they are counted, and as they are listed, where these differ: they never do.
    pub miscounted: Option<(u64, u64)>,
}

impl ShardPipeline {
    /// A look at the pipeline.
    #[must_use]
    pub fn stats(&self) -> PipelineStats {
        let running = self.slots.iter().filter(|slot| slot.call.is_some()).count();
        let (parked_keys, next_retry) = self.parked();
        PipelineStats {
            low_watermark: self.backlog.low_watermark(),
            read_position: self.backlog.read_position(),
            oldest_arrival: self.backlog.oldest().map(|entry| entry.arrival),
            window_records: self.backlog.len(),
            waiting_records: self.waiting.records,
            waiting_bytes: self.waiting.bytes,
            parked_bytes: self.backlog.blocks.parked_bytes(),
            parked_keys,
            next_retry,
            running_calls: u32::try_from(running).unwrap_or(u32::MAX),
            totals: self.totals,
            blocked: self.refusal().cloned(),
            circuit: self.circuit().cloned(),
            canary_circuit: self.canary_circuit().cloned(),
        }
    }

    /// Everything up to here was read.
    #[must_use]
    pub const fn read_position(&self) -> Ordinal {
        self.backlog.read_position()
    }

    /// Totals of what was committed.
    #[must_use]
    pub const fn totals(&self) -> UnitTotals {
        self.totals
    }

    /// Keys that wait for a retry, the one that is tried now included (with windows, groups; with order
    /// within the shard, the shard), and when the next one is tried: while the circuit is open, not before the
    /// next probe.
    #[must_use]
    pub fn parked(&self) -> (u64, Option<Timestamp>) {
        let (parked, next) = self.parked_by_themselves();
        let probe = self.circuit().map(|open| open.next_probe);
        (
            parked,
            next.map(|next| probe.map_or(next, |probe| next.max(probe))),
        )
    }

    fn parked_by_themselves(&self) -> (u64, Option<Timestamp>) {
        if let Some(windows) = &self.windows {
            return windows.parked();
        }
        if self.holds_the_shard() {
            let failed = self.first_failed();
            let waiting = failed.filter(|_| self.slots[0].is_at_rest());
            let next = waiting.map(|mark| mark.next_retry);
            return (u64::from(failed.is_some()), next);
        }
        (self.park.failing() as u64, self.park.next_retry())
    }

    /// Why a commit is refused at present.
    #[must_use]
    pub fn blocked(&self) -> Option<&Unavailable> {
        self.refusal()
    }

    /// Everything that the invariants ask of the pipeline.
    #[must_use]
    pub fn inspect(&self) -> Inspection {
        let open = || self.backlog.iter().filter(|e| e.place != Place::Done);
        let holdings = self.slots.iter().flat_map(|slot| {
            slot.held().filter_map(|serial| {
                let entry = self.backlog.get(serial);
                // A record that becomes a letter without a call has no place in its key's order.
                entry.condemned().is_none().then_some((slot.id, entry.key))
            })
        });
        let redriven = self.redrives.key().map(|key| (SlotId::Retry, key));
        let held = self.slots.iter().flat_map(Slot::held);
        let stowed = self.windows.iter().flat_map(|windows| windows.stowed());
        let held: HashSet<Serial> = held.chain(stowed).collect();
        // What is to be fed to a lane waits for a record that the lane has.
        let stuck = self.lanes.iter().flat_map(|lane| {
            let has_it = |place| match place {
                Place::Waiting | Place::Busy => true,
                _ => place == Place::Parked && lane.aside > 0,
            };
            lane.feed.waiting().filter_map(move |(through, serial)| {
                let place = through.map(|through| self.backlog.get(through).place);
                (!place.is_some_and(has_it)).then_some(serial)
            })
        });
        let astray = self.backlog.serials().filter(|serial| {
            self.backlog.get(*serial).place == Place::Busy && !held.contains(serial)
        });
        let astray = astray.chain(stuck);
        let listed = || self.waiting_keys(None, usize::MAX).count;
        let counted = self.failed_keys().map(|counted| (counted, listed()));
        Inspection {
            astray: astray
                .map(|serial| self.backlog.get(serial).position)
                .collect(),
            low_watermark: self.backlog.low_watermark(),
            unsettled: open().map(|entry| entry.position).collect(),
            holdings: holdings.chain(redriven).collect(),
            attempts: open()
                .filter(|entry| entry.attempts > 0)
                .map(|entry| (entry.position, entry.attempts))
                .collect(),
            unsynced: self
                .slots
                .iter()
                .map(|slot| (slot.id, slot.accepted - slot.durable))
                .collect(),
            miscounted: counted.filter(|(counted, listed)| counted != listed),
        }
    }
}
