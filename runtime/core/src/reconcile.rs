//! Desired mappings × running workers → what to start, stop and restart.
//!
//! Pure: the supervisor asks whenever the catalogue moved or a worker ended, and acts on the answer.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    id::{MappingId, UnitId},
    mapping::{Mapping, MappingState},
    registry::Registry,
};

/// What a worker was started with: another stamp means another worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Of the mapping's policy and outputs and the function's live version, whole.
    pub generation: u64,
    /// Whether calls may start.
    pub is_paused: bool,
    /// Whether it knows that its shard is closed; only asked where the mapping has windows, which have
    /// their final call at the end of the shard.
    pub is_closed: bool,
}

/// A worker as the supervisor knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// What it was started with.
    pub stamp: Stamp,
    /// Whether it is on its way out already.
    pub is_stopping: bool,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Units without a worker that want one: to be leased in one entry.
    pub start: Vec<(UnitId, Stamp)>,
    /// Workers that must drain and end; one that is wanted again starts when it has ended.
    pub stop: Vec<UnitId>,
    /// Workers to pause or resume in place.
    pub pause: Vec<(UnitId, bool)>,
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start.is_empty() && self.stop.is_empty() && self.pause.is_empty()
    }
}

/// Whether a mapping in this state has workers at all. A paused one keeps its pipelines.
#[must_use]
pub const fn wants_workers(state: &MappingState) -> bool {
    matches!(state, MappingState::Running | MappingState::Paused)
}

/// The units that should have a worker, with the stamp it should have. `generation` numbers a
/// mapping's policy together with its function's live version: equal numbers, equal workers.
pub fn desired(
    registry: &Registry,
    mut generation: impl FnMut(&Mapping) -> u64,
) -> BTreeMap<UnitId, Stamp> {
    let mut units = BTreeMap::new();
    for mapping in registry
        .mappings()
        .filter(|mapping| wants_workers(&mapping.state))
    {
        let Some(stream) = registry.stream(mapping.stream) else {
            continue;
        };
        let stamp = Stamp {
            generation: generation(mapping),
            is_paused: mapping.state == MappingState::Paused,
            is_closed: false,
        };
        let has_windows = mapping.settings.has_windows();
        for shard in &stream.shards {
            let unit = UnitId {
                mapping: mapping.id,
                stream: stream.id,
                shard: shard.number,
            };
            let is_closed = has_windows && shard.is_closed;
            units.insert(unit, Stamp { is_closed, ..stamp });
        }
    }
    units
}

/// Compares what should run with what does.
#[must_use]
pub fn reconcile(
    desired: &BTreeMap<UnitId, Stamp>,
    running: &BTreeMap<UnitId, Running>,
    held_back: &BTreeSet<MappingId>,
) -> Plan {
    let mut plan = Plan::default();
    for (&unit, &stamp) in desired {
        match running.get(&unit) {
            // A mapping whose function cannot be loaded yet waits; the supervisor says when.
            None if held_back.contains(&unit.mapping) => {}
            None => plan.start.push((unit, stamp)),
            // It ends by itself; the next question starts its successor.
            Some(worker) if worker.is_stopping => {}
            Some(worker)
                if worker.stamp.generation != stamp.generation
                    || worker.stamp.is_closed != stamp.is_closed =>
            {
                plan.stop.push(unit);
            }
            Some(worker) if worker.stamp.is_paused != stamp.is_paused => {
                plan.pause.push((unit, stamp.is_paused));
            }
            Some(_) => {}
        }
    }
    plan.stop.extend(
        running
            .iter()
            .filter(|(unit, worker)| !worker.is_stopping && !desired.contains_key(unit))
            .map(|(&unit, _)| unit),
    );
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ShardNumber, StreamId};

    fn unit(mapping: u64) -> UnitId {
        UnitId {
            mapping: MappingId(mapping),
            stream: StreamId(1),
            shard: ShardNumber(0),
        }
    }

    const STAMP: Stamp = Stamp {
        generation: 1,
        is_paused: false,
        is_closed: false,
    };
    const NEWER: Stamp = Stamp {
        generation: 2,
        is_paused: false,
        is_closed: false,
    };
    const PAUSED: Stamp = Stamp {
        generation: 1,
        is_paused: true,
        is_closed: false,
    };

    fn ask(desired: Option<Stamp>, running: Option<(Stamp, bool)>) -> Plan {
        let desired = desired.map(|stamp| (unit(1), stamp)).into_iter().collect();
        let running = running
            .map(|(stamp, is_stopping)| (unit(1), Running { stamp, is_stopping }))
            .into_iter()
            .collect();
        reconcile(&desired, &running, &BTreeSet::new())
    }

    #[test]
    fn every_pair_of_wanted_and_running_has_its_answer() {
        let nothing = Plan::default();
        let start = Plan {
            start: vec![(unit(1), STAMP)],
            ..Plan::default()
        };
        let stop = Plan {
            stop: vec![unit(1)],
            ..Plan::default()
        };
        let pause = |pause| Plan {
            pause: vec![(unit(1), pause)],
            ..Plan::default()
        };
        let rows = [
            (None, None, nothing.clone()),
            (Some(STAMP), None, start),
            (Some(STAMP), Some((STAMP, false)), nothing.clone()),
            (Some(NEWER), Some((STAMP, false)), stop.clone()),
            (Some(NEWER), Some((STAMP, true)), nothing.clone()),
            (Some(PAUSED), Some((STAMP, false)), pause(true)),
            (Some(STAMP), Some((PAUSED, false)), pause(false)),
            (None, Some((STAMP, false)), stop),
            (None, Some((STAMP, true)), nothing),
        ];
        for (desired, running, plan) in rows {
            assert_eq!(ask(desired, running), plan, "{desired:?} {running:?}");
        }
    }

    #[test]
    fn a_mapping_held_back_starts_nothing() {
        let desired = BTreeMap::from([(unit(1), STAMP), (unit(2), STAMP)]);
        let held_back = BTreeSet::from([MappingId(1)]);
        let plan = reconcile(&desired, &BTreeMap::new(), &held_back);
        assert_eq!(plan.start, [(unit(2), STAMP)]);
    }

    #[test]
    fn following_the_plan_ends_with_nothing_to_do() {
        let desired = BTreeMap::from([(unit(1), STAMP), (unit(2), NEWER), (unit(3), PAUSED)]);
        let mut running = BTreeMap::from([
            (
                unit(2),
                Running {
                    stamp: STAMP,
                    is_stopping: false,
                },
            ),
            (
                unit(3),
                Running {
                    stamp: STAMP,
                    is_stopping: false,
                },
            ),
            (
                unit(4),
                Running {
                    stamp: STAMP,
                    is_stopping: false,
                },
            ),
        ]);
        for _ in 0..3 {
            let plan = reconcile(&desired, &running, &BTreeSet::new());
            for unit in plan.stop {
                running.remove(&unit);
            }
            for (unit, stamp) in plan.start {
                running.insert(
                    unit,
                    Running {
                        stamp,
                        is_stopping: false,
                    },
                );
            }
            for (unit, is_paused) in plan.pause {
                running.get_mut(&unit).unwrap().stamp.is_paused = is_paused;
            }
        }
        assert!(reconcile(&desired, &running, &BTreeSet::new()).is_empty());
        assert_eq!(running.len(), 3);
    }
}
