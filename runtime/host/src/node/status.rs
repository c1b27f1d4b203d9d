//! What is, in words and figures: mappings, and the exposition.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use fnctl_core::{
    commit::UnitTotals,
    id::{Ordinal, UnitId},
    mapping::{Mapping, MappingState, OutputBinding},
    rfc3339,
    status::{MappingStatus, SettingsStatus, ShardStatus, Totals, state_name},
    view::NodeView,
};

use crate::{
    metrics::scrape::{MappingSample, ShardSample},
    node::HostNode,
    supervisor::UnitStatus,
};

/// A unit as the published view has it.
struct UnitFigures {
    unit: UnitId,
    low_watermark: Ordinal,
    pending: u64,
    totals: UnitTotals,
    parked: u64,
    next_retry: Option<fnctl_core::id::Timestamp>,
}

fn figures(view: &NodeView, mapping: &Mapping) -> Vec<UnitFigures> {
    view.units_of(mapping.id)
        .map(|(unit, progress)| {
            let last = view
                .tail(unit.stream, unit.shard)
                .map_or(Ordinal(0), |tail| tail.last());
            UnitFigures {
                unit,
                low_watermark: progress.settled.low_watermark(),
                pending: progress.unsettled_through(last),
                totals: progress.totals,
                parked: progress.attempts.len() as u64,
                next_retry: progress.attempts.values().map(|mark| mark.next_retry).min(),
            }
        })
        .collect()
}

impl HostNode {
    /// The word of a mapping's state and what holds it, where that is seen and not stored.
    pub(crate) fn state_of(&self, mapping: &Mapping) -> Option<(String, Option<String>)> {
        if mapping.state != MappingState::Running {
            return None;
        }
        let missing = self.view(|view| {
            mapping.outputs.values().find_map(|binding| match binding {
                OutputBinding::Stream(name) => view
                    .registry()
                    .stream_by_name(name)
                    .is_none()
                    .then(|| name.clone()),
                OutputBinding::None => None,
            })
        });
        if let Some(stream) = missing {
            let words = format!("stream `{stream}` does not exist");
            return Some(("blocked-output".to_owned(), Some(words)));
        }
        let units: Vec<UnitId> =
            self.view(|view| view.units_of(mapping.id).map(|(unit, _)| unit).collect());
        units
            .into_iter()
            .find_map(|unit| match self.supervisor().statuses().of(unit)? {
                UnitStatus::Damaged(words) => Some(("damaged".to_owned(), Some(words))),
                UnitStatus::Running { .. } | UnitStatus::Faulted(_) => None,
            })
    }

    /// A mapping in words and figures; `None`: it is gone. Letters are
    /// counted and checkpoints spelt only for `details`.
    pub(crate) async fn mapping_status(
        &self,
        mapping: &Mapping,
        details: bool,
    ) -> Option<MappingStatus> {
        let (function, stream, units) = self.view(|view| {
            let registry = view.registry();
            registry.mapping(mapping.id)?;
            let function = Arc::clone(registry.function(mapping.function)?);
            Some((
                function,
                registry.stream(mapping.stream).cloned(),
                figures(view, mapping),
            ))
        })?;
        let (state, reason, detail) = match (&mapping.state, self.state_of(mapping)) {
            (_, Some((reason, detail))) => ("blocked".to_owned(), Some(reason), detail),
            (MappingState::Running, None) => ("running".to_owned(), None, None),
            (MappingState::Paused, _) => ("paused".to_owned(), Some("paused".to_owned()), None),
            (MappingState::Stopped { code, message }, _) => (
                "stopped".to_owned(),
                Some("stopped-fatal".to_owned()),
                Some(format!("{code}: {message}")),
            ),
            (MappingState::Failed, _) => {
                ("failed".to_owned(), Some("stream-deleted".to_owned()), None)
            }
        };
        let mut totals = Totals::default();
        let mut shards = Vec::with_capacity(units.len());
        for unit in &units {
            totals.add(&unit.totals);
            let created = stream.as_ref().and_then(|stream| {
                stream
                    .shards
                    .iter()
                    .find(|shard| shard.number == unit.unit.shard)
            });
            let low = unit.low_watermark;
            let checkpoint = match created {
                Some(shard) if details => {
                    let unit = unit.unit;
                    self.sequence_number(unit.stream, unit.shard, shard.created_at, low)
                        .await
                }
                _ => None,
            };
            shards.push(ShardStatus {
                shard_id: unit.unit.shard.shard_id(),
                iterator_age_ms: self.age_of(unit).await,
                pending_records: unit.pending,
                checkpoint,
                parked_keys: unit.parked,
                next_retry_at: unit.next_retry.map(rfc3339::format),
            });
        }
        totals.polled = self
            .metrics
            .mapping(&function.name, &mapping.stream_name)
            .polled
            .get();
        Some(MappingStatus {
            id: mapping.id.to_string(),
            name: format!("{}/{}", function.name, mapping.stream_name),
            function: function.name.to_string(),
            version: function.live.0,
            stream: mapping.stream_name.to_string(),
            state,
            reason,
            detail,
            since: rfc3339::format(mapping.state_since),
            iterator_age_ms: shards
                .iter()
                .map(|shard| shard.iterator_age_ms)
                .max()
                .unwrap_or(0),
            pending_records: shards.iter().map(|shard| shard.pending_records).sum(),
            shards,
            totals,
            outputs: MappingStatus::outputs_of(mapping),
            settings: SettingsStatus::of(mapping),
            dead_letters_by_code: if details {
                self.letters_by_code(mapping.id).await
            } else {
                BTreeMap::new()
            },
            created_at: rfc3339::format(mapping.created_at),
        })
    }

    async fn age_of(&self, unit: &UnitFigures) -> u64 {
        if unit.pending == 0 {
            return 0;
        }
        self.age_ms(unit.unit, unit.low_watermark.next()).await
    }

    /// The exposition of this moment.
    pub(crate) async fn expose(&self) -> String {
        type Seen = (Arc<Mapping>, Vec<UnitFigures>, u64);
        let seen: BTreeMap<Arc<str>, Seen> = self.view(|view| {
            let registry = view.registry();
            let all = registry.mappings().map(|mapping| {
                let name: Arc<str> = registry.address(mapping).into();
                let open = view.open_letters(mapping.id);
                (name, (Arc::clone(mapping), figures(view, mapping), open))
            });
            // Of a failed mapping and its successor under the same name the later one counts.
            all.collect()
        });
        let alive: HashSet<_> = seen.values().map(|(mapping, ..)| mapping.id).collect();
        self.ages.retain(|unit| alive.contains(&unit.mapping));
        let mut samples = Vec::with_capacity(seen.len());
        for (name, (mapping, units, dead_letters_open)) in seen {
            let mut totals = UnitTotals::default();
            let mut shards = Vec::with_capacity(units.len());
            for unit in &units {
                add(&mut totals, &unit.totals);
                shards.push(ShardSample {
                    shard: unit.unit.shard,
                    age_ms: self.age_of(unit).await,
                    pending: unit.pending,
                    is_owned: self.supervisor().statuses().is_owned(unit.unit),
                });
            }
            let state = match self.state_of(&mapping) {
                Some(_) => "blocked",
                None => state_name(&mapping.state),
            };
            samples.push(MappingSample {
                name,
                state,
                shards,
                totals,
                dead_letters_open,
            });
        }
        let store = self
            .metrics
            .store_sample(&self.store().stats(), &self.functions().engine().stats());
        self.metrics.expose(self.build(), &samples, &store)
    }
}

fn add(sum: &mut UnitTotals, unit: &UnitTotals) {
    sum.filtered += unit.filtered;
    sum.processed += unit.processed;
    sum.failed += unit.failed;
    sum.dead_lettered += unit.dead_lettered;
    sum.expired += unit.expired;
    sum.emitted += unit.emitted;
}
