//! A person sends a mapping elsewhere in its stream.

use fnctl_core::{
    entry::Entry,
    id::{Ordinal, UnitId},
};

use super::{Branch, Did, Node, World};
use crate::node::Weakness;

impl World {
    /// A mapping, or one shard of it, is sent elsewhere.
    pub(super) fn seek(&mut self, node: &mut Node) {
        let Some(mapping) = self.some_mapping(node) else {
            return;
        };
        let mut units: Vec<(UnitId, Ordinal)> = node.store.view(|view| {
            let units = view.units_of(mapping.id).map(|(unit, _)| unit);
            let tail = |unit: UnitId| Some((unit, view.tail(unit.stream, unit.shard)?.last()));
            units.filter_map(tail).collect()
        });
        if units.is_empty() {
            return;
        }
        let random = &mut self.people.random;
        if random.chance(600) {
            units = vec![random.pick(&units)];
        }
        let (kind, share) = (random.below(4), random.below(1_001));
        let place = |(unit, tail): (UnitId, Ordinal)| {
            let after = match kind {
                0 => Ordinal(0),
                1 => tail,
                _ => Ordinal(tail.0 * share / 1_000),
            };
            (unit, after)
        };
        let wishes: Vec<(UnitId, Ordinal)> = units.into_iter().map(place).collect();
        for &(unit, after) in &wishes {
            self.note_seek(node, unit, after);
        }
        self.say(format_args!("seek {wishes:?}"));
        let is_fenced = !self.is(Weakness::UnfencedSeek);
        self.decide(node, move |view| {
            let (mut entry, _) = view.evaluate_seek(&wishes)?;
            let Entry::Seek { seeks, .. } = &mut entry else {
                panic!("{entry:?} is no seek");
            };
            let did = Did::Sought(seeks.clone());
            for seek in seeks.iter_mut().filter(|_| !is_fenced) {
                seek.epoch.0 -= 1;
            }
            Some((entry, did))
        });
    }

    /// What a seek meets.
    fn note_seek(&mut self, node: &Node, unit: UnitId, after: Ordinal) {
        let mut met = node.store.view(|view| {
            let mut met = Vec::new();
            let Some(state) = view.unit(unit) else {
                return met;
            };
            if after < state.settled.low_watermark() {
                met.push(Branch::SeekBack);
            }
            if state.unsettled_through(after) > 0 {
                met.push(Branch::SeekSkipped);
            }
            if state.open_windows().next().is_some() {
                met.push(Branch::SeekOverWindow);
            }
            if !view.descendants(unit).is_empty() {
                met.push(Branch::SeekOfParent);
            }
            met
        });
        for worker in node.workers.iter().filter(|worker| worker.unit == unit) {
            if !worker.calls.is_empty() {
                met.push(Branch::SeekOverCall);
            }
            if worker.has_flights() {
                met.push(Branch::SeekOverCommit);
            }
            if worker.pipeline.stats().parked_keys > 0 {
                met.push(Branch::SeekOverParkedKey);
            }
            if !worker.redrives.is_empty() {
                met.push(Branch::SeekOverRedrive);
            }
        }
        for branch in met {
            self.coverage.note(branch);
        }
    }
}
