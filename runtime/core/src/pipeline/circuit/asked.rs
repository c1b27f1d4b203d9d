//! What a person has probed while a circuit is open.
//!
//! A key that failed before is the next that the retry slot probes, whatever else waits there. One that was not
//! tried yet waits in its lane: that one has the next turn. With windows it is the key's group, with order within
//! the shard the record at its head.

use crate::{
    id::Timestamp,
    lane::KeyHash,
    pipeline::{ShardPipeline, backlog::Serial},
};

/// What somebody wants probed next and nobody has begun to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// A key that the retry slot is to take.
    key: Option<KeyHash>,
    /// A lane that is to have its turn.
    lane: Option<usize>,
}

impl ShardPipeline {
    /// A person has what waits tried now: where a circuit is open, a probe is made at once, of what waits for
    /// its backoff if nothing else is due.
    pub(in crate::pipeline) fn probe_now(&mut self, now: Timestamp) {
        if !self.circuit.is_open() {
            return;
        }
        self.circuit.live.breaker.probe_now(now);
        self.circuit.canary.breaker.probe_now(now);
        if self.has_windows() {
            self.hurry_a_group(now);
        } else if self.holds_the_shard() {
            let failed = self.first_failed().map(|mark| mark.position);
            if let Some(mark) = failed.and_then(|position| self.marks.get_mut(&position)) {
                mark.next_retry = mark.next_retry.min(now);
            }
            let head = failed.and_then(|position| self.backlog.find(position));
            if let Some(head) = head {
                self.hurry_the_shard(head, now);
            }
        } else {
            for is_canary in [false, true] {
                if self.circuit.open(is_canary).is_some() {
                    let config = &self.config;
                    let is_mine = |key| config.meets_canary(key) == is_canary;
                    self.park.hurry(is_mine, now);
                }
            }
        }
    }

    /// A person has a key tried now: where its circuit is open, it is probed next.
    pub(in crate::pipeline) fn probe_key(&mut self, key: KeyHash, now: Timestamp) {
        let is_canary = self.meets_canary(key);
        if !self.circuit.is_open_for(is_canary) {
            return;
        }
        let lane = match self.ask_for_group(key) {
            Some(lane) => lane,
            None if self.holds_the_shard() => return self.probe_now(now),
            None if self.park.contains(key) => {
                self.circuit.asked.key = Some(key);
                self.bring_to_front(key);
                return self.circuit.side_mut(is_canary).breaker.probe_now(now);
            }
            None => self.lane_of(key),
        };
        self.circuit.turn = lane;
        self.circuit.asked.lane = Some(lane);
        self.circuit.side_mut(is_canary).breaker.probe_now(now);
    }

    /// Of what waits in the retry slot the records of a key go first.
    fn bring_to_front(&mut self, key: KeyHash) {
        let backlog = &self.backlog;
        let slot = &mut self.slots[self.lanes.len()];
        // A marked record is called in a moment.
        if slot.mark.is_some() || !slot.keys.contains(&key) {
            return;
        }
        let is_meant = |serial: &mut Serial| backlog.get(*serial).key == key;
        let mut first = Vec::new();
        slot.pieces.retain_mut(|piece| {
            first.extend(piece.extract_if(.., is_meant));
            !piece.is_empty()
        });
        if !first.is_empty() {
            slot.presumes = false;
            slot.pieces.push_front(first);
        }
    }

    /// Whether a key is to be probed next that the retry slot does not hold.
    pub(in crate::pipeline) fn is_other_asked(&self) -> bool {
        let asked = self.circuit.asked.key.filter(|&key| self.is_held(key));
        asked.is_some_and(|key| !self.slots[self.lanes.len()].keys.contains(&key))
    }

    /// What the free retry slot calls of the key that is to be probed next, as far as that side may be called;
    /// and whether in a fresh instance.
    pub(in crate::pipeline) fn take_asked(
        &mut self,
        may_call: [bool; 2],
        now: Timestamp,
    ) -> Option<(Vec<Serial>, bool)> {
        let asked = &mut self.circuit.asked.key;
        let key = (*asked)?;
        let is_canary = self.config.meets_canary(key);
        if !may_call[usize::from(is_canary)] {
            return None;
        }
        *asked = None;
        if !self.circuit.is_open_for(is_canary) {
            return None;
        }
        if let Some(due) = self.park.waiting(key) {
            return Some(self.retry(due, now));
        }
        let backlog = &self.backlog;
        let is_meant = |serial: Serial| backlog.get(serial).key == key;
        let records = self.suspects.take_out(is_meant)?;
        self.slots[self.lanes.len()].keys = vec![key];
        Some((records, true))
    }

    /// A probe of a side ended: what was asked for meanwhile waits for no pause behind it.
    pub(super) fn asked_probe_ended(&mut self, is_canary: bool, slot: usize, now: Timestamp) {
        let is_lane = slot < self.lanes.len();
        let is_wanted = match is_lane {
            true => {
                let lane = self.circuit.asked.lane.take();
                let other = lane.filter(|&lane| lane != slot);
                let other = other.filter(|&lane| self.is_canary_lane(lane) == is_canary);
                if let Some(lane) = other {
                    self.circuit.turn = lane;
                }
                other.is_some()
            }
            false => {
                let key = self.circuit.asked.key;
                key.is_some_and(|key| self.meets_canary(key) == is_canary)
            }
        };
        if is_wanted {
            self.circuit.side_mut(is_canary).breaker.probe_now(now);
        }
    }
}
