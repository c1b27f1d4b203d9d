//! Which calls may start: while a circuit is open, of the keys that it holds one probe at a time of either sort,
//! and while it recovers all that was not tried yet.

use crate::{
    breaker::Probe,
    id::Timestamp,
    lane::KeyHash,
    pipeline::{Action, ShardPipeline, backlog::Serial},
};

impl ShardPipeline {
    /// Whether some call may start.
    pub(in crate::pipeline) fn may_call(&self, now: Timestamp) -> bool {
        let may = |is_canary| {
            let probes = [Probe::Untried, Probe::Tried];
            let mut from = probes
                .into_iter()
                .filter_map(|probe| self.side_from(is_canary, probe));
            from.any(|from| from <= now)
        };
        !self.circuit.is_open() || may(false) || self.config.canary.is_some() && may(true)
    }

    /// Whether a call of a slot may start.
    pub(in crate::pipeline) fn may_call_in(&self, index: usize, now: Timestamp) -> bool {
        self.calls_from(index).is_some_and(|from| from <= now)
    }

    /// Whether a retry of one side, or a redrive, may start.
    pub(in crate::pipeline) fn may_retry(&self, is_canary: bool, now: Timestamp) -> bool {
        let from = self.side_from(is_canary, Probe::Tried);
        from.is_some_and(|from| from <= now)
    }

    /// From when on a call of a slot may start; `None`: not before something happens.
    pub(in crate::pipeline) fn calls_from(&self, index: usize) -> Option<Timestamp> {
        if !self.circuit.is_open() {
            return Some(Timestamp(0));
        }
        if index < self.lanes.len() {
            let is_canary = self.is_canary_lane(index);
            // While it recovers groups of keys that failed wait by themselves.
            let is_free = self.circuit.is_recovering_for(is_canary);
            let probe = match self.waits_in_order() && !is_free {
                true => Probe::Tried,
                false => Probe::Untried,
            };
            return self.side_from(is_canary, probe);
        }
        match self.side_in_retry() {
            Some(is_canary) => self.side_from(is_canary, Probe::Tried),
            None => self.retry_sides().min(),
        }
    }

    /// From when on the retry slot may call something new, by side.
    fn retry_sides(&self) -> impl Iterator<Item = Timestamp> {
        let sides = [false, true].into_iter();
        let sides = sides.filter(|is_canary| !is_canary || self.config.canary.is_some());
        sides.filter_map(|is_canary| self.side_from(is_canary, Probe::Tried))
    }

    /// Of which side what the retry slot holds is.
    fn side_in_retry(&self) -> Option<bool> {
        let slot = &self.slots[self.lanes.len()];
        let piece = slot.pieces.front();
        let key = match piece.and_then(|piece| piece.first()) {
            Some(&serial) => self.backlog.get(serial).key,
            None => self.redrives.key()?,
        };
        Some(self.meets_canary(key))
    }

    /// Whether the circuit of one version is open, and that of the other one is not.
    pub(in crate::pipeline) fn holds_one_side(&self) -> bool {
        let is_open = |is_canary| self.circuit.open(is_canary).is_some();
        self.config.canary.is_some() && is_open(false) != is_open(true)
    }

    /// Of which side what the retry slot holds is, where that side's circuit is open.
    pub(in crate::pipeline) fn held_in_retry(&self) -> Option<bool> {
        let side = self.side_in_retry();
        side.filter(|is_canary| self.circuit.open(*is_canary).is_some())
    }

    /// Whether the circuit of the version that a key meets is open.
    pub(in crate::pipeline) fn is_held(&self, key: KeyHash) -> bool {
        self.circuit.open(self.meets_canary(key)).is_some()
    }

    /// Whether a letter of this key may be redriven. Where the circuit is open letters wait for what is not
    /// given up yet; with nothing left of that they are the probe.
    pub(in crate::pipeline) fn lets_redrive(&self, key: KeyHash, now: Timestamp) -> bool {
        let may_probe = || self.may_retry(self.meets_canary(key), now);
        !self.is_held(key) || self.backlog.oldest().is_none() && may_probe()
    }

    /// From when on a side may be probed so, or called.
    pub(in crate::pipeline) fn side_from(
        &self,
        is_canary: bool,
        probe: Probe,
    ) -> Option<Timestamp> {
        match self.circuit.open(is_canary) {
            None => Some(Timestamp(0)),
            Some(open) if open.is_recovering() && probe == Probe::Untried => Some(Timestamp(0)),
            Some(open) => (!self.is_probing(is_canary, probe)).then(|| open.next(probe)),
        }
    }

    /// When the free retry slot has something new to call, if nothing happens before.
    pub(in crate::pipeline) fn retry_deadline(&self) -> Option<Timestamp> {
        let last_now = self.last_now;
        // A redrive that may start has; one may wait to be a probe.
        let redrives = self.retry_sides().filter(|from| *from > last_now);
        let redrive = redrives.min().filter(|_| self.redrives.is_wanted());
        let retry = match self.circuit.is_open() && self.config.canary.is_some() {
            false => self.due_from(self.suspects.is_waiting(), self.park.next_retry(), false),
            true => {
                let of = |is_canary| {
                    let mine = |key| self.meets_canary(key) == is_canary;
                    let due = self.park.next_retry_of(mine);
                    self.due_from(self.suspects.is_waiting_of(is_canary), due, is_canary)
                };
                of(false).into_iter().chain(of(true)).min()
            }
        };
        retry.into_iter().chain(redrive).min()
    }

    fn due_from(
        &self,
        is_suspect: bool,
        next_retry: Option<Timestamp>,
        is_canary: bool,
    ) -> Option<Timestamp> {
        let due = match is_suspect {
            true => Timestamp(0),
            false => next_retry?,
        };
        Some(due.max(self.side_from(is_canary, Probe::Tried)?))
    }

    /// Whether a call of a slot is the canary's: of these records, or without any.
    pub(super) fn is_canarys(&self, slot: usize, records: &[Serial]) -> bool {
        if slot < self.lanes.len() {
            return self.is_canary_lane(slot);
        }
        let key = match records.first() {
            Some(&serial) => Some(self.backlog.get(serial).key),
            None => self.redrives.key(),
        };
        key.is_some_and(|key| self.meets_canary(key))
    }

    /// Whether a probe of a side and sort is under way, or is about to be. A call from before the circuit opened
    /// is none: it may hang for as long as its timeout lets it.
    fn is_probing(&self, is_canary: bool, probe: Probe) -> bool {
        let first = self.circuit.side(is_canary).first_probe;
        let is_mine = |index: usize, records: &[Serial]| {
            self.is_canarys(index, records) == is_canary
                && self.sort_of(is_canary, index, records) == probe
        };
        let mut slots = self.slots.iter().enumerate();
        let is_busy = slots.any(|(index, slot)| {
            let mut call = slot.call.iter();
            let mut reread = slot.reread.iter();
            call.any(|call| first <= call.attempt && is_mine(index, &call.records))
                || reread.any(|records| is_mine(index, records))
        });
        // What is marked goes first, whichever side it is of.
        is_busy || self.caution.has_marked()
    }

    /// The slots in the order in which they may start calls: while the circuit is open, each lane has its
    /// turn, in front of the retry slot.
    pub(in crate::pipeline) fn in_turn(&self, step: usize) -> usize {
        let lanes = self.lanes.len();
        match self.circuit.is_open() && step < lanes {
            true => (self.circuit.turn + step) % lanes,
            false => step,
        }
    }

    /// A probe is one record where keys wait by themselves.
    pub(in crate::pipeline) fn cut_to_probe(&mut self, index: usize, records: &mut Vec<Serial>) {
        let is_probe = || {
            let is_lane = index < self.lanes.len();
            let open = self.circuit.open(self.is_canarys(index, records));
            open.is_some_and(|open| !(is_lane && open.is_recovering()))
        };
        if records.len() > 1 && !self.waits_in_order() && is_probe() {
            let slot = &mut self.slots[index];
            slot.presumes = false;
            slot.pieces.push_front(records.split_off(1));
        }
    }

    /// What is called with care keeps the node's turn no longer than it needs it.
    pub(in crate::pipeline) fn hold_careful_calls(
        &mut self,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if !self.caution.is_ending() {
            self.wait_cautiously(now, actions);
        }
    }
}
