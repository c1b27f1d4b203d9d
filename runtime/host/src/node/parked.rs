//! Keys that wait for a retry, and what a person does to them.

use std::{collections::HashMap, sync::Arc};

use fnctl_core::{
    commit::AttemptMark,
    id::{Ordinal, UnitId},
    mapping::{Mapping, MappingState},
    pipeline::Parked,
    record::RecordBlock,
    rfc3339,
    status::{DataText, ParkedStatus},
};
use fnctl_streams::sequence;

use crate::{limits, node::HostNode, source, supervisor::GivenUp, text};

/// Code and words of a failure.
pub(crate) type Cause = (Arc<str>, Arc<str>);

/// A parked key: where it waits, and its failing records.
pub(crate) struct ParkedOne {
    pub(crate) unit: UnitId,
    /// The oldest first.
    pub(crate) positions: Vec<Ordinal>,
    /// What each of them last failed with, as far as that is known.
    pub(crate) failures: Vec<Option<Cause>>,
    /// What is shown of it.
    pub(crate) status: ParkedStatus,
}

impl HostNode {
    /// The parked keys of a mapping, shard by shard, the oldest failing record first. Of very many failing
    /// records of a shard the oldest are looked at.
    pub(crate) async fn parked_keys(&self, mapping: &Mapping) -> Vec<ParkedOne> {
        let units: Vec<(UnitId, Vec<AttemptMark>)> = self.view(|view| {
            let function = view.registry().function(mapping.function);
            let is_called = |version| function.is_some_and(|function| function.calls(version));
            let units = view.units_of(mapping.id).map(|(unit, progress)| {
                let marks = progress.attempts.values();
                // A new version starts from nothing; what is in hand is being tried.
                let marks = marks.filter(|mark| is_called(mark.version) && !mark.is_in_hand);
                let marks = marks.take(limits::CHARGED_RECORDS_READ_MAX);
                (unit, marks.cloned().collect())
            });
            units.collect()
        });
        let mut all = Vec::new();
        for (unit, marks) in units {
            if !marks.is_empty() {
                self.parked_of(mapping, unit, &marks, &mut all).await;
            }
        }
        all
    }

    async fn parked_of(
        &self,
        mapping: &Mapping,
        unit: UnitId,
        marks: &[AttemptMark],
        all: &mut Vec<ParkedOne>,
    ) {
        let created_at = self.view(|view| {
            let stream = view.registry().stream(unit.stream)?;
            Some(stream.shard(unit.shard)?.created_at)
        });
        // A shard that is gone has no records that could wait.
        let Some(created_at) = created_at else {
            return;
        };
        let positions = marks.iter().map(|mark| mark.position).collect();
        let known = self.supervisor().parked(unit, positions).await;
        let known = known.unwrap_or_default().into_iter();
        let mut known: HashMap<Ordinal, Parked> = known.map(|one| (one.position, one)).collect();
        let is_running = mapping.state == MappingState::Running;
        let mut by_key: HashMap<Vec<u8>, usize> = HashMap::new();
        for mark in marks {
            let Some(block) = self.record_at(unit, mark.position).await else {
                continue;
            };
            let key = block.records.keys.get(0).to_vec();
            let (waiting, failure) = match known.remove(&mark.position) {
                Some(parked) => (Some(parked.waiting), parked.failure),
                None => (None, None),
            };
            // A record that its owner has not read yet, or that nobody runs: as it was charged.
            let failure = failure.or_else(|| {
                let cause = mark.cause.as_ref()?;
                Some((cause.code.clone(), cause.error.clone()))
            });
            if let Some(&at) = by_key.get(&key) {
                let one: &mut ParkedOne = &mut all[at];
                one.positions.push(mark.position);
                one.failures.push(failure);
                one.status.failing_records += 1;
                continue;
            }
            let (code, error) = failure.clone().unzip();
            let shown = DataText::of(&key, text::base64);
            let arrival = block.arrival(0);
            by_key.insert(key, all.len());
            all.push(ParkedOne {
                unit,
                positions: vec![mark.position],
                failures: vec![failure],
                status: ParkedStatus {
                    shard_id: unit.shard.shard_id(),
                    partition_key: shown.data,
                    key_encoding: shown.encoding,
                    sequence_number: sequence::encode(
                        created_at,
                        unit.shard,
                        mark.position,
                        arrival,
                    ),
                    failing_records: 1,
                    waiting_records: waiting,
                    attempts: mark.count,
                    next_retry_at: is_running.then(|| rfc3339::format(mark.next_retry)),
                    code: code.map(|code| code.to_string()),
                    error: error.map(|error| error.to_string()),
                },
            });
        }
    }

    /// A record that is still there, alone in its block.
    pub(crate) async fn record_at(
        &self,
        unit: UnitId,
        position: Ordinal,
    ) -> Option<Arc<RecordBlock>> {
        let before = Ordinal(position.0.checked_sub(1)?);
        let read = source::read(self.store(), unit.stream, unit.shard, before, 1, 1).await;
        let block = read.ok()?.into_iter().next()?;
        (block.first == position && !block.is_empty()).then_some(block)
    }

    /// The failing records of a key; with `all` everything of it that is not done, as far as it was read.
    /// `None`: nobody runs its shard.
    pub(crate) async fn parked_records(
        &self,
        parked: &ParkedOne,
        all: bool,
    ) -> Option<Vec<Ordinal>> {
        let supervisor = self.supervisor();
        if !all {
            let is_owned = supervisor.statuses().is_owned(parked.unit);
            return is_owned.then(|| parked.positions.clone());
        }
        let positions = parked.positions.clone();
        supervisor.records_of_keys(parked.unit, positions).await
    }

    /// Makes dead letters of records of a parked key, on behalf of somebody. `None`: nobody runs its
    /// shard, and nothing was done.
    pub(crate) async fn give_up_parked(
        &self,
        parked: &ParkedOne,
        records: Vec<Ordinal>,
        by: Arc<str>,
    ) -> Option<GivenUp> {
        self.supervisor().give_up(parked.unit, records, by).await
    }

    /// Has the failing records of a key tried now: how many. None: nobody runs its shard.
    pub(crate) async fn release_parked(&self, parked: &ParkedOne) -> u64 {
        let positions = parked.positions.clone();
        let is_told = self.supervisor().release(parked.unit, positions).await;
        if is_told {
            parked.positions.len() as u64
        } else {
            0
        }
    }
}
