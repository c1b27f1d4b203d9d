//! What mappings are, in words and figures.

use std::{collections::BTreeMap, sync::Arc};

use fnctl_core::{
    breaker::Open,
    commit::{Unavailable, UnitTotals},
    diagnosis::Why,
    id::{Ordinal, StreamName, Timestamp, UnitId},
    mapping::{Mapping, MappingState, OutputBinding},
    rfc3339,
    shard::Stream,
    status::{
        CircuitStatus, MappingStatus, SettingsStatus, ShardStatus, State, Totals, state_name,
    },
    view::{NodeView, UnitTurn},
};

use crate::node::{HostNode, diagnosis::Asked, parked::ParkedCount};

/// A unit as the published view has it.
pub(super) struct UnitFigures {
    pub(super) unit: UnitId,
    pub(super) low_watermark: Ordinal,
    pub(super) pending: u64,
    pub(super) totals: UnitTotals,
    /// What they were in front of its seeks: counters go on from there.
    pub(super) before_seeks: UnitTotals,
    /// A seek put it where it counts from.
    is_sought: bool,
    pub(super) turn: UnitTurn,
    pub(super) open_windows: u64,
    /// When the oldest of them ends.
    window_end: Option<Timestamp>,
    /// Records that are kept and that it is past.
    older: u64,
}

/// What holds a mapping that should run.
pub(crate) struct Blocked {
    reason: Why,
    detail: String,
    /// The stream that it writes to and waits for.
    output: Option<StreamName>,
    /// Since when, where that is known.
    since: Option<Timestamp>,
}

pub(super) fn figures(view: &NodeView, mapping: &Mapping) -> Vec<UnitFigures> {
    let turns = view.turns(mapping);
    view.units_of(mapping.id)
        .map(|(unit, progress)| {
            let tail = view.tail(unit.stream, unit.shard);
            let last = tail.map_or(Ordinal(0), |tail| tail.last());
            let horizon = tail.map_or(Ordinal(1), |tail| tail.horizon);
            let low = progress.settled.low_watermark();
            UnitFigures {
                unit,
                low_watermark: low,
                older: low.min(last).next().0.saturating_sub(horizon.0),
                pending: progress.unsettled_through(last),
                totals: progress.totals,
                before_seeks: view.totals_before_seeks(unit),
                is_sought: view.is_sought(unit),
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
                reason: Why::BlockedOutput,
                detail: format!("stream `{stream}` does not exist"),
                since: waits.map(|(_, since)| *since),
                output: Some(stream),
            });
        }
        let damaged = units.iter().filter_map(|unit| {
            let status = statuses.of(*unit)?;
            status.damage().cloned()
        });
        if let Some(hole) = damaged.min_by_key(|hole| hole.since) {
            return Some(Blocked {
                reason: Why::Damaged,
                detail: hole.damage.words.clone(),
                since: Some(hole.since),
                output: None,
            });
        }
        refused.into_iter().find_map(|(refusal, since)| {
            let mut output = None;
            let (reason, detail) = match refusal {
                Unavailable::DeadLettersFull => (
                    Why::DeadLettersFull,
                    "the mapping's dead letters have reached their quota: a record that would be one \
                     more waits until there is room"
                        .to_owned(),
                ),
                Unavailable::DiskFull => (
                    Why::DiskFull,
                    "there is no room above the disk reserve".to_owned(),
                ),
                Unavailable::OutputFull(name) => {
                    let words = format!(
                        "output stream `{name}` is at its quota: results wait until there is room \
                         (fnctl streams describe {name})"
                    );
                    output = Some(name);
                    (Why::OutputFull, words)
                }
                // The stream is there again: the commit is about to be sent again.
                Unavailable::NoSuchOutput(_) => return None,
            };
            Some(Blocked {
                reason,
                detail,
                since: Some(since),
                output,
            })
        })
    }

    /// The word of a mapping's state.
    pub(crate) fn state_of(&self, mapping: &Mapping, made: &[Arc<Stream>]) -> &'static str {
        match self.blocked(mapping, made) {
            _ if self.is_deleting(mapping.id) => State::Deleting.as_str(),
            Some(_) => State::Blocked.as_str(),
            None => state_name(&mapping.state),
        }
    }

    /// A mapping in words and figures; `None`: it is gone. Letters are
    /// counted and checkpoints spelt only for `details`.
    pub(crate) async fn mapping_status(
        &self,
        mapping: &Mapping,
        details: bool,
    ) -> Option<MappingStatus> {
        // Before the figures: those of a worker that has ended are its last.
        let blocked = self.blocked(mapping, &[]);
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
        let since = blocked.as_ref().and_then(|blocked| blocked.since);
        let output = blocked.as_ref().and_then(|blocked| blocked.output.clone());
        let (state, reason, detail) = match (&mapping.state, blocked) {
            _ if self.is_deleting(mapping.id) => (State::Deleting, Some(Why::Deleting), None),
            (_, Some(Blocked { reason, detail, .. })) => {
                (State::Blocked, Some(reason), Some(detail))
            }
            (stored @ MappingState::Stopped { code, message }, _) => {
                let words = format!("{code}: {message}");
                (State::of(stored), Some(Why::StoppedFatal), Some(words))
            }
            (stored @ MappingState::Paused, _) => (State::of(stored), Some(Why::Paused), None),
            (stored @ MappingState::Failed, _) => {
                (State::of(stored), Some(Why::StreamDeleted), None)
            }
            (stored @ MappingState::Running, None) => (State::of(stored), None, None),
        };
        let state = state.as_str();
        let mut totals = Totals::default();
        totals.add(&gone);
        let mut shards = Vec::with_capacity(units.len());
        let mut do_answer = true;
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
            let parked = match details && do_answer {
                true => self.parked_count(mapping, unit.unit).await,
                false => None,
            };
            let standing = self.supervisor().statuses().standing(unit.unit);
            let parked = parked.unwrap_or_else(|| {
                // One that is too busy is waited for, and no others: what they last said is known.
                do_answer = false;
                let keys = standing.as_ref().map_or(0, |standing| standing.parked_keys);
                ParkedCount { keys, failed: keys }
            });
            // Of a mapping that does not run they have passed: they wait for whoever resumes it.
            let is_running = mapping.state == MappingState::Running;
            let next_retry = standing.as_ref().filter(|_| is_running);
            let now = self.now();
            let next_retry = next_retry.and_then(|standing| standing.next_retry_to_come(now));
            let circuit_of = |open: &Open| match is_running {
                true => CircuitStatus::of(open),
                false => CircuitStatus::of(open).until_resumed(),
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
                circuit: open.as_deref().map(circuit_of),
                canary_circuit: canary.as_deref().map(circuit_of),
                waits_for: waits_for.map(|ancestor| ancestor.shard.shard_id()),
                waits_for_key,
                ended: unit.turn == UnitTurn::Ended,
                shard_id: unit.unit.shard.shard_id(),
                iterator_age_ms: self.age_of(unit).await,
                pending_records: unit.pending,
                checkpoint,
                parked_keys: parked.keys,
                failed_keys: parked.failed,
                next_retry_at: next_retry.map(rfc3339::format),
                open_windows: unit.open_windows,
                oldest_window_ends_at: unit.window_end.map(rfc3339::format),
            });
        }
        // Looked at later than the others, which it is never below.
        totals.polled = self.polled(mapping.id, &gone).max(totals.settled());
        let (dead_letters_by_code, dead_letters_damaged) = match details {
            true => self.letters_by_code(mapping).await,
            false => (BTreeMap::new(), 0),
        };
        let mut status = MappingStatus {
            id: mapping.id.to_string(),
            name: format!("{}/{}", function.name, mapping.stream_name),
            function: function.name.to_string(),
            version: function.live.0,
            live_since: rfc3339::format(function.live_since),
            canary: self.canaries().status(&function),
            stream: mapping.stream_name.to_string(),
            state: state.to_owned(),
            reason: reason.map(|reason| reason.as_str().to_owned()),
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
            dead_letters_by_code,
            dead_letters_damaged,
            relay: match details {
                true => self.relay_status(mapping).await,
                false => None,
            },
            redriving: self
                .redrives()
                .of(mapping.id, self.view(|view| view.open_letters(mapping.id))),
            redrives: self.redrives().lines(mapping.id),
            created_at: rfc3339::format(mapping.created_at),
            diagnosis: None,
            rates: None,
        };
        let asked = Asked {
            mapping: mapping.id,
            function: &function,
            units: units.iter().map(|unit| unit.unit).collect(),
            older_records: units.iter().map(|unit| unit.older).sum(),
            before_seeks: units
                .iter()
                .filter(|unit| unit.is_sought)
                .map(|unit| unit.before_seeks.settled())
                .reduce(|all, more| all + more),
            output,
            details,
        };
        self.diagnose(&mut status, asked).await;
        Some(status)
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
