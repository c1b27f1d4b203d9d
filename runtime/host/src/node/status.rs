//! What mappings are, in words and figures.

use std::{collections::BTreeMap, sync::Arc};

use fnctl_core::{
    commit::{Unavailable, UnitTotals},
    id::{Ordinal, StreamName, Timestamp, UnitId},
    mapping::{Mapping, MappingState, OutputBinding},
    rfc3339,
    shard::Stream,
    status::{CircuitStatus, MappingStatus, SettingsStatus, ShardStatus, Totals, state_name},
    view::{NodeView, UnitTurn},
};

use crate::{node::HostNode, shard_worker::Standing, supervisor::UnitStatus};

/// A unit as the published view has it.
pub(super) struct UnitFigures {
    pub(super) unit: UnitId,
    pub(super) low_watermark: Ordinal,
    pub(super) pending: u64,
    pub(super) totals: UnitTotals,
    pub(super) turn: UnitTurn,
    pub(super) open_windows: u64,
    /// When the oldest of them ends.
    window_end: Option<Timestamp>,
}

/// What holds a mapping that should run.
pub(crate) struct Blocked {
    /// One of the words of command line and SDK §5.
    reason: &'static str,
    detail: String,
    /// Since when, where that is known.
    since: Option<Timestamp>,
}

pub(super) fn figures(view: &NodeView, mapping: &Mapping) -> Vec<UnitFigures> {
    let turns = view.turns(mapping);
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
                turn: turns.get(&unit).copied().unwrap_or(UnitTurn::Due),
                open_windows: progress.open_windows().count() as u64,
                window_end: progress
                    .open_windows()
                    .map(|(_, open)| open.window.end)
                    .min(),
            }
        })
        .collect()
}

impl HostNode {
    /// What holds a mapping that should run; `made` are streams that will be there when it does.
    pub(crate) fn blocked(&self, mapping: &Mapping, made: &[Arc<Stream>]) -> Option<Blocked> {
        if mapping.state != MappingState::Running {
            return None;
        }
        let units: Vec<UnitId> =
            self.view(|view| view.units_of(mapping.id).map(|(unit, _)| unit).collect());
        let statuses = self.supervisor().statuses();
        // Refused commits know since when, and of what the view does not show.
        let mut refused: Vec<(Unavailable, Timestamp)> = units
            .iter()
            .filter_map(|unit| statuses.standing(*unit)?.blocked)
            .collect();
        refused.sort_by_key(|(_, since)| *since);
        let is_made = |name: &StreamName| made.iter().any(|stream| stream.name == *name);
        let missing = self.view(|view| {
            let mut bound = mapping.outputs.values().filter_map(OutputBinding::stream);
            let is_missing = |name: &&StreamName| {
                view.registry().stream_by_name(name).is_none() && !is_made(name)
            };
            bound.find(is_missing).cloned()
        });
        if let Some(stream) = missing {
            let waits = refused.iter().find(
                |(reason, _)| matches!(reason, Unavailable::NoSuchOutput(name) if *name == stream),
            );
            return Some(Blocked {
                reason: "blocked-output",
                detail: format!("stream `{stream}` does not exist"),
                since: waits.map(|(_, since)| *since),
            });
        }
        let damaged = units.iter().find_map(|unit| match statuses.of(*unit)? {
            UnitStatus::Damaged(words) => Some(words),
            UnitStatus::Running { .. } | UnitStatus::Faulted(_) => None,
        });
        if let Some(detail) = damaged {
            return Some(Blocked {
                reason: "damaged",
                detail,
                since: None,
            });
        }
        refused.into_iter().find_map(|(refusal, since)| {
            let (reason, detail) = match refusal {
                Unavailable::DeadLettersFull => (
                    "dead-letters-full",
                    "the mapping's dead letters have reached their quota: a record that would be one \
                     more waits until there is room"
                        .to_owned(),
                ),
                Unavailable::DiskFull => (
                    "disk-full",
                    "there is no room above the disk reserve".to_owned(),
                ),
                Unavailable::OutputFull(name) => (
                    "output-full",
                    format!(
                        "output stream `{name}` is at its quota: results wait until there is room \
                         (fnctl streams describe {name})"
                    ),
                ),
                // The stream is there again: the commit is about to be sent again.
                Unavailable::NoSuchOutput(_) => return None,
            };
            Some(Blocked {
                reason,
                detail,
                since: Some(since),
            })
        })
    }

    /// The word of a mapping's state.
    pub(crate) fn state_of(&self, mapping: &Mapping, made: &[Arc<Stream>]) -> &'static str {
        match self.blocked(mapping, made) {
            Some(_) => "blocked",
            None => state_name(&mapping.state),
        }
    }

    /// How many keys of a unit wait for a retry, and when the next one is tried. Without a worker the
    /// keys of charged records are read from the stream: they will wait when there is one.
    async fn parked(
        &self,
        mapping: &Mapping,
        unit: UnitId,
        standing: Option<&Standing>,
    ) -> (u64, Option<Timestamp>) {
        // A paused worker has not read them.
        let is_running = mapping.state == MappingState::Running;
        if let Some(standing) = standing.filter(|_| is_running) {
            return (standing.parked_keys, standing.next_retry);
        }
        let charged: Vec<Ordinal> = self.view(|view| {
            let progress = view.unit(unit);
            progress.map_or_else(Vec::new, |unit| unit.attempts.keys().copied().collect())
        });
        (self.distinct_keys(unit, &charged).await, None)
    }

    /// A mapping in words and figures; `None`: it is gone. Letters are
    /// counted and checkpoints spelt only for `details`.
    pub(crate) async fn mapping_status(
        &self,
        mapping: &Mapping,
        details: bool,
    ) -> Option<MappingStatus> {
        let (function, stream, units, gone) = self.view(|view| {
            let registry = view.registry();
            registry.mapping(mapping.id)?;
            let function = Arc::clone(registry.function(mapping.function)?);
            Some((
                function,
                registry.stream(mapping.stream).cloned(),
                figures(view, mapping),
                view.gone_totals(mapping.id),
            ))
        })?;
        let blocked = self.blocked(mapping, &[]);
        let since = blocked.as_ref().and_then(|blocked| blocked.since);
        let (state, reason, detail) = match (&mapping.state, blocked) {
            (_, Some(Blocked { reason, detail, .. })) => {
                ("blocked".to_owned(), Some(reason.to_owned()), Some(detail))
            }
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
        totals.add(&gone);
        let mut shards = Vec::with_capacity(units.len());
        let mut parked_keys_of: BTreeMap<UnitId, Option<String>> = BTreeMap::new();
        for unit in &units {
            totals.add(&unit.totals);
            let created = stream
                .as_ref()
                .and_then(|stream| stream.shard(unit.unit.shard));
            let low = unit.low_watermark;
            let checkpoint = match created {
                Some(shard) if details => {
                    let unit = unit.unit;
                    self.sequence_number(unit.stream, unit.shard, shard.created_at, low)
                        .await
                }
                _ => None,
            };
            let standing = self.supervisor().statuses().standing(unit.unit);
            let (parked_keys, next_retry) = if details {
                self.parked(mapping, unit.unit, standing.as_ref()).await
            } else {
                (0, None)
            };
            let waits_for = match unit.turn {
                UnitTurn::Waiting(ancestor) => Some(ancestor),
                UnitTurn::Due | UnitTurn::Ended => None,
            };
            // Many children may wait for one parent.
            let waits_for_key = match waits_for.filter(|_| details) {
                Some(ancestor) => match parked_keys_of.get(&ancestor) {
                    Some(known) => Option::clone(known),
                    None => {
                        let key = self.charged_key(ancestor).await;
                        parked_keys_of.insert(ancestor, key.clone());
                        key
                    }
                },
                None => None,
            };
            let standing = standing.unwrap_or_default();
            let (open, canary) = (standing.circuit, standing.canary_circuit);
            let why = match (waits_for, &open) {
                (Some(_), _) => Some("waiting-for-parents".to_owned()),
                (None, Some(_)) => Some("circuit-open".to_owned()),
                (None, None) => None,
            };
            shards.push(ShardStatus {
                why,
                circuit: open.as_deref().map(CircuitStatus::of),
                canary_circuit: canary.as_deref().map(CircuitStatus::of),
                waits_for: waits_for.map(|ancestor| ancestor.shard.shard_id()),
                waits_for_key,
                ended: unit.turn == UnitTurn::Ended,
                shard_id: unit.unit.shard.shard_id(),
                iterator_age_ms: self.age_of(unit).await,
                pending_records: unit.pending,
                checkpoint,
                parked_keys,
                next_retry_at: next_retry.map(rfc3339::format),
                open_windows: unit.open_windows,
                oldest_window_ends_at: unit.window_end.map(rfc3339::format),
            });
        }
        totals.polled = self
            .metrics
            .polled(mapping.id, &function.name, &mapping.stream_name);
        Some(MappingStatus {
            id: mapping.id.to_string(),
            name: format!("{}/{}", function.name, mapping.stream_name),
            function: function.name.to_string(),
            version: function.live.0,
            canary: self.canaries().status(&function),
            stream: mapping.stream_name.to_string(),
            state,
            reason,
            detail,
            since: rfc3339::format(since.unwrap_or(mapping.state_since)),
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
                self.letters_by_code(mapping).await
            } else {
                BTreeMap::new()
            },
            relay: match details {
                true => self.relay_status(mapping).await,
                false => None,
            },
            created_at: rfc3339::format(mapping.created_at),
        })
    }

    /// What a mapping has read is counted from nothing again.
    pub(crate) fn polled_anew(&self, mapping: &Mapping) {
        let function = self.view(|view| {
            let function = view.registry().function(mapping.function);
            function.map(|function| function.name.clone())
        });
        if let Some(function) = function {
            self.metrics
                .polled_anew(mapping.id, &function, &mapping.stream_name);
        }
    }

    /// Age of a mapping's oldest unsettled record over all shards, ms; 0 when caught up.
    pub(crate) async fn iterator_age_ms(&self, mapping: &Mapping) -> u64 {
        let mut oldest = 0;
        for unit in self.view(|view| figures(view, mapping)) {
            oldest = oldest.max(self.age_of(&unit).await);
        }
        oldest
    }

    pub(super) async fn age_of(&self, unit: &UnitFigures) -> u64 {
        if unit.pending == 0 {
            return 0;
        }
        self.age_ms(unit.unit, unit.low_watermark.next()).await
    }
}
