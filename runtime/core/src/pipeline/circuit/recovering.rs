//! What a circuit that recovers lets through, and when nothing is left that it is for.
//!
//! What was not tried yet is called by its lane as ever: several at once, in whole batches. What failed before is
//! let through one call at a time, after pauses that begin anew when one is well; at their longest a sick one costs
//! an attempt, unless a person had it tried. In windows that goes by groups: one waits with the record that failed, or
//! with the call that was to end its window. Such a call that did not fail yet is free: it would have its turn behind
//! all groups that did, and its group with it.
//!
//! What an owner before tried and nobody was charged for is not known. So for a circuit that it left open all that
//! it may have read counts as what may have failed.

use std::{collections::BTreeMap, ops::Bound};

use crate::{
    breaker::{Probe, Sign},
    id::Timestamp,
    lane::KeyHash,
    limits,
    mapping::MaxAttempts,
    outcome::Outcome,
    pipeline::{
        ShardPipeline,
        backlog::{Place, Serial},
        judge::Ending,
    },
};

/// How often what waits was probed behind the longest pause, and was sick, since a circuit is open.
#[derive(Clone, Debug, Default)]
pub(super) struct LongProbes {
    records: BTreeMap<Serial, u32>,
    /// Of calls that end the window of a group.
    groups: BTreeMap<u32, u32>,
}

impl ShardPipeline {
    /// A probe behind the longest pause was sick: whether it costs these records, or the call that ends a window,
    /// an attempt. The last one it costs only what was probed so as often as attempts are allowed, or a few times
    /// where these are fewer: what was charged before the circuit opened may have been the outage.
    pub(super) fn costs_an_attempt(&mut self, slot: usize, records: &[Serial]) -> bool {
        let MaxAttempts::Count(most) = self.config.settings.max_attempts else {
            return true;
        };
        let most = most.max(limits::CIRCUIT_LONG_PROBES_MIN);
        let is_last = |attempts: u32| self.policy.is_exhausted(attempts + 1);
        if records.is_empty() {
            let Some((group, failures)) = self.closing_failures(slot) else {
                return false;
            };
            let probes = self.circuit.long_probes.groups.entry(group).or_default();
            *probes += 1;
            return *probes >= most || !is_last(failures);
        }
        let backlog = &self.backlog;
        let probes = &mut self.circuit.long_probes.records;
        probes.retain(|&serial, _| backlog.is_open(serial));
        let mut costs = true;
        for &serial in records {
            let probes = probes.entry(serial).or_default();
            *probes += 1;
            costs &= *probes >= most || !is_last(backlog.get(serial).attempts);
        }
        costs
    }

    /// What a call of these records, or a read for it, is a probe of.
    pub(super) fn sort_of(&self, is_canary: bool, slot: usize, records: &[Serial]) -> Probe {
        if slot >= self.lanes.len() || self.holds_the_shard() {
            return Probe::Tried;
        }
        let is_tried = match self.circuit.is_recovering_for(is_canary) {
            true if records.is_empty() => self.has_failed_to_close(slot),
            true => self.has_windows() && self.is_any_marked(records),
            false => self.waits_in_order(),
        };
        match is_tried {
            true => Probe::Tried,
            false => Probe::Untried,
        }
    }

    /// Whether one of these records failed before, where groups wait.
    pub(in crate::pipeline) fn is_any_marked(&self, records: &[Serial]) -> bool {
        let mut positions = records.iter().map(|&at| self.backlog.get(at).position);
        !self.marks.is_empty() && positions.any(|position| self.marks.contains_key(&position))
    }

    /// A probe ended, or a call that recovery lets through.
    pub(super) fn probe_ended(
        &mut self,
        is_canary: bool,
        (slot, sort): (usize, Probe),
        records: &[Serial],
        (outcome, sign): (&Outcome, Sign),
        now: Timestamp,
    ) {
        if slot < self.lanes.len() {
            self.circuit.turn = slot + 1;
        }
        let is_well = matches!(sign, Sign::Well { .. });
        let was_recovering = self.circuit.is_recovering_for(is_canary);
        if was_recovering && sort == Probe::Untried {
            let keys = self.verdicts(records, outcome);
            let side = self.circuit.side_mut(is_canary);
            side.breaker.tried_anew(sign, keys, now);
        } else {
            let side = self.circuit.side_mut(is_canary);
            side.breaker.probed(sort, sign, now);
        }
        if is_well && self.holds_the_shard() {
            self.circuit.side_mut(is_canary).breaker.close();
        }
        if was_recovering && !self.circuit.is_recovering_for(is_canary) {
            // What runs now is no probe of what holds calls again.
            self.circuit.side_mut(is_canary).first_probe = self.next_attempt;
        }
        self.asked_probe_ended(is_canary, slot, now);
    }

    /// Closes circuits that recover and that nothing waits for any more.
    pub(in crate::pipeline) fn close_recovered(&mut self) {
        for is_canary in [false, true] {
            let open = self.circuit.open(is_canary);
            let Some(open) = open.filter(|open| open.is_recovering()) else {
                continue;
            };
            let is_over = match open.is_inherited {
                true => !self.waits_of_an_owner_before(is_canary),
                false => !self.waits_tried(is_canary),
            };
            if is_over {
                self.circuit.side_mut(is_canary).breaker.close();
            }
        }
        if !self.circuit.is_open() {
            self.circuit.long_probes = LongProbes::default();
        }
    }

    /// Whether something of a side waits that an owner before may have tried.
    fn waits_of_an_owner_before(&self, is_canary: bool) -> bool {
        let through = self.circuit.tried_through;
        if self.backlog.read_position() < through && self.reading.tail >= through {
            return true;
        }
        let serials = self.backlog.serials();
        let mut theirs = serials.take_while(|&at| self.backlog.get(at).position <= through);
        let waits = |serial: Serial| {
            let entry = self.backlog.get(serial);
            let is_over = matches!(entry.place, Place::Done | Place::Fallen);
            !is_over && self.meets_canary(entry.key) == is_canary && !self.is_ending(serial)
        };
        theirs.any(waits) || self.waits_tried(is_canary)
    }

    /// Whether something of a side waits that failed before.
    fn waits_tried(&self, is_canary: bool) -> bool {
        if let Some(windows) = &self.windows
            && windows.has_failed_closes(|group| self.is_canarys_group(group) == is_canary)
        {
            return true;
        }
        let unread = (
            Bound::Excluded(self.backlog.read_position()),
            Bound::Unbounded,
        );
        if self.marks.range(unread).next().is_some() {
            return true;
        }
        if self.has_windows() {
            let read = self.marks.keys().filter_map(|&at| self.backlog.find(at));
            let mut mine = read.filter(|&at| self.is_of(at, is_canary));
            return mine.any(|serial| !self.is_ending(serial));
        }
        let lanes = self.lanes.iter().zip(&self.slots).enumerate();
        let mut lanes = lanes.filter(|(index, _)| self.is_canary_lane(*index) == is_canary);
        let is_failing = lanes.any(|(_, (lane, slot))| {
            let commit = slot.unaccepted.as_ref();
            lane.marked > 0 || commit.is_some_and(|commit| !commit.judgement.charges.is_empty())
        });
        let is_redrive = |key: KeyHash| self.redrives.key() == Some(key);
        is_failing
            || self.park.keys().any(|key| {
                self.meets_canary(key) == is_canary && !is_redrive(key) && self.waits_parked(key)
            })
    }

    /// Whether a parked key waits for more than that the commit of its last call is accepted.
    fn waits_parked(&self, key: KeyHash) -> bool {
        let mut charged = self.park.charged(key).peekable();
        if charged.peek().is_some() {
            return charged.any(|serial| !self.is_ending(serial));
        }
        // It is of a call that failed as a whole.
        let slot = &self.slots[self.lanes.len()];
        let mut pieces = slot.pieces.iter().flatten();
        let is_ending = slot.keys.contains(&key)
            && !pieces.any(|&serial| self.backlog.get(serial).key == key)
            && (slot.unaccepted.as_ref()).is_some_and(|commit| commit.judgement.charges.is_empty());
        !is_ending
    }

    /// Whether a record settles when a commit is accepted that waits for that.
    fn is_ending(&self, serial: Serial) -> bool {
        let mut commits = self
            .slots
            .iter()
            .filter_map(|slot| slot.unaccepted.as_ref());
        commits.any(|commit| {
            let Ok(at) = commit.records.binary_search(&serial) else {
                return false;
            };
            let ending = commit.judgement.endings.get(at);
            matches!(ending, None | Some(Ending::Done | Ending::Dead))
        })
    }

    fn is_of(&self, serial: Serial, is_canary: bool) -> bool {
        self.meets_canary(self.backlog.get(serial).key) == is_canary
    }
}
