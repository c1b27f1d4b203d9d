//! Keys that wait, and what a person does to them.

use std::{collections::HashMap, sync::Arc};

use fnctl_core::{
    commit::AttemptMark,
    diagnosis::Why,
    id::{Ordinal, ShardNumber, Timestamp, UnitId},
    lane::{KeyHash, key_hash},
    mapping::{Mapping, MappingState, Ordering},
    outcome::Cause,
    pipeline::{WaitingKey, WaitingRecord, WaitingWindow, WaitsFor},
    record::RecordBlock,
    rfc3339,
    status::{DataText, Encoding, ParkedStatus, ParkedWindow},
};
use fnctl_streams::sequence;

use crate::{limits, node::HostNode, source, supervisor::GivenUp, text};

/// A key that waits: where, and its failing records, or the oldest where none failed.
pub(crate) struct ParkedOne {
    pub(crate) unit: UnitId,
    /// The oldest first; none where a window cannot be closed.
    pub(crate) positions: Vec<Ordinal>,
    /// What each of them last failed with, as far as that is known.
    pub(crate) failures: Vec<Option<Cause>>,
    /// Those of them that failed; with order within the shard the one that holds it, failed or not.
    pub(crate) failing: Vec<Ordinal>,
    /// It was not tried yet, and waits in its lane for a probe of whatever is first there.
    pub(crate) is_behind_lane: bool,
    /// The window that cannot be closed.
    pub(crate) window: Option<WaitingWindow>,
    /// What is shown of it.
    pub(crate) status: ParkedStatus,
}

/// What a person gives up of a key.
pub(crate) struct ToGiveUp {
    pub(crate) records: Vec<Ordinal>,
    /// Records of the key that are not among them.
    pub(crate) remaining: u64,
}

/// Which keys that wait are listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WantedKeys<'a> {
    /// Those that are written so alone.
    pub(crate) key: Option<&'a str>,
    /// Those of this shard alone.
    pub(crate) shard: Option<ShardNumber>,
    /// So many of each shard at most.
    pub(crate) most: usize,
}

impl<'a> WantedKeys<'a> {
    /// A key, or all of them, as many as are listed unasked.
    pub(crate) const fn of(key: Option<&'a str>) -> Self {
        Self {
            key,
            shard: None,
            most: limits::WAITING_KEYS_LISTED,
        }
    }
}

/// How many keys of a unit wait, as the list has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParkedCount {
    /// All of them.
    pub(crate) keys: u64,
    /// Those that failed.
    pub(crate) failed: u64,
}

/// A unit whose keys are listed.
struct Unit {
    id: UnitId,
    created_at: Timestamp,
    is_running: bool,
    /// Order holds within the shard: whatever is in front holds all else.
    is_in_order: bool,
    /// Why its commits are refused.
    blocked: Option<Why>,
    now: Timestamp,
}

impl HostNode {
    /// The keys of a mapping that wait, shard by shard, those that failed first. Of very many of a shard the
    /// oldest are looked at, and each says how many there are.
    pub(crate) async fn parked_keys(
        &self,
        mapping: &Mapping,
        wanted: WantedKeys<'_>,
    ) -> Vec<ParkedOne> {
        let units: Vec<UnitId> =
            self.view(|view| view.units_of(mapping.id).map(|(unit, _)| unit).collect());
        let is_wanted = |unit: &UnitId| wanted.shard.is_none_or(|shard| shard == unit.shard);
        let mut all = Vec::new();
        for unit in units.into_iter().filter(is_wanted) {
            let of_unit = all.len();
            let left = self.parked_of(mapping, unit, wanted, &mut all).await;
            let listed = (all.len() - of_unit) as u64;
            for one in &mut all[of_unit..] {
                one.status.shard_keys = left.map(|left| listed + left);
            }
        }
        if let Some(key) = wanted.key {
            all.retain(|one| one.status.partition_key == key && one.status.window.is_none());
        }
        all
    }

    /// How many keys of a unit wait: as many as the list has, those that it leaves out included. `None`: its
    /// owner is too busy to say.
    pub(super) async fn parked_count(
        &self,
        mapping: &Mapping,
        unit: UnitId,
    ) -> Option<ParkedCount> {
        let marks = self.charged(mapping, unit);
        let known = self.supervisor().waiting(unit, None, 0).await;
        let has_read = |at: Ordinal| marks.iter().all(|mark| mark.position <= at);
        match known {
            Some(known) if has_read(known.read_position) => {
                return Some(ParkedCount {
                    keys: known.count,
                    failed: known.failed,
                });
            }
            None if self.supervisor().statuses().is_owned(unit) => return None,
            Some(_) | None => {}
        }
        // Its owner has yet to read them, if there is one.
        let mut all = Vec::new();
        let wanted = WantedKeys::of(None);
        let left = self.parked_of(mapping, unit, wanted, &mut all).await;
        let has_failed =
            |one: &&ParkedOne| one.status.failing_records > 0 || one.status.window.is_some();
        let failed = all.iter().filter(has_failed).count() as u64;
        Some(ParkedCount {
            keys: all.len() as u64 + left.unwrap_or_default(),
            failed,
        })
    }

    /// Why the commits of a unit are refused and kept; `None`: they are not.
    fn refused(&self, unit: UnitId) -> Option<Why> {
        let standing = self.supervisor().statuses().standing(unit)?;
        standing
            .blocked
            .map(|(refusal, _)| Why::of_refusal(&refusal))
    }

    /// The charged records of a unit that wait, ascending.
    fn charged(&self, mapping: &Mapping, unit: UnitId) -> Vec<AttemptMark> {
        self.view(|view| {
            let function = view.registry().function(mapping.function);
            let is_called = |version| function.is_some_and(|function| function.calls(version));
            let marks = view.unit(unit).into_iter();
            let marks = marks.flat_map(|progress| progress.attempts.values());
            // A new version starts from nothing; what is in hand is being tried.
            let marks = marks.filter(|mark| is_called(mark.version) && !mark.is_in_hand);
            marks.cloned().collect()
        })
    }

    /// Adds the keys of a unit: how many were left out, `None` where nobody counted them.
    async fn parked_of(
        &self,
        mapping: &Mapping,
        id: UnitId,
        wanted: WantedKeys<'_>,
        all: &mut Vec<ParkedOne>,
    ) -> Option<u64> {
        let mut marks = self.charged(mapping, id);
        let created_at = self.view(|view| {
            let stream = view.registry().stream(id.stream)?;
            Some(stream.shard(id.shard)?.created_at)
        });
        let mut left_out = 0;
        // A shard that is gone has no records that could wait.
        let Some(created_at) = created_at else {
            return Some(left_out);
        };
        let is_shard = mapping.settings.ordering == Ordering::Shard;
        let unit = Unit {
            id,
            created_at,
            is_running: mapping.state == MappingState::Running,
            is_in_order: is_shard,
            blocked: self.refused(id),
            now: self.now(),
        };
        let known = self.supervisor();
        let known = known.waiting(id, wanted.key.map(hashes), wanted.most).await;
        let mut by_key: HashMap<Vec<u8>, usize> = HashMap::new();
        if let Some(known) = known {
            left_out = known.count - known.keys.len() as u64;
            // What was read the owner knows better.
            marks.retain(|mark| mark.position > known.read_position);
            for waiting in known.keys {
                match &waiting.window {
                    Some(window) => all.push(unit.window(window, &waiting)),
                    None => self.add(&unit, waiting, &mut by_key, all).await,
                }
            }
        }
        // With order within the shard the first is what all others wait for.
        let (most, is_cut) = match is_shard {
            true => (usize::from(by_key.is_empty()), false),
            false => (wanted.most, marks.len() > wanted.most),
        };
        marks.truncate(most);
        for mark in marks {
            let waiting = WaitingKey {
                records: vec![WaitingRecord {
                    position: mark.position,
                    attempts: mark.count,
                    has_failed: true,
                    // As it was charged.
                    failure: mark.cause.as_deref().cloned(),
                }],
                behind: 0,
                why: WaitsFor::Retry,
                until: Some(mark.next_retry),
                window: None,
                is_behind_lane: false,
            };
            let before = all.len();
            self.add(&unit, waiting, &mut by_key, all).await;
            for one in &mut all[before..] {
                // Nobody has read what is behind it.
                one.status.waiting_records = None;
            }
        }
        (!is_cut).then_some(left_out)
    }

    /// Adds a key, or its records to those of the same key.
    async fn add(
        &self,
        unit: &Unit,
        waiting: WaitingKey,
        by_key: &mut HashMap<Vec<u8>, usize>,
        all: &mut Vec<ParkedOne>,
    ) {
        let Some(first) = waiting.records.first() else {
            return;
        };
        let Some(block) = self.record_at(unit.id, first.position).await else {
            return;
        };
        let key = block.records.keys.get(0).to_vec();
        let at = *by_key.entry(key).or_insert(all.len());
        if at == all.len() {
            all.push(unit.key(&waiting, &block));
        }
        let one = &mut all[at];
        let failing = waiting.records.iter().filter(|record| record.has_failed);
        one.status.failing_records += failing.count() as u64;
        for record in waiting.records {
            if record.has_failed || unit.is_in_order {
                one.failing.push(record.position);
            }
            one.positions.push(record.position);
            one.failures.push(record.failure);
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

    /// The failing records of a key, and with order within the shard the one that holds it; with `all` everything
    /// of it that is not done, as far as it was read. `None`: nobody runs its shard.
    pub(crate) async fn to_give_up(&self, parked: &ParkedOne, all: bool) -> Option<ToGiveUp> {
        let positions = parked.positions.clone();
        let every = self.supervisor().records_of_keys(parked.unit, positions);
        let every = every.await?;
        if all {
            return Some(ToGiveUp {
                records: every,
                remaining: 0,
            });
        }
        let is_over = |at: &Ordinal| every.binary_search(at).is_err();
        let records = parked.failing.clone();
        let over = records.iter().filter(|at| is_over(at)).count();
        let remaining = every.len() - (records.len() - over);
        Some(ToGiveUp {
            records,
            remaining: remaining as u64,
        })
    }

    /// Makes dead letters of records of a key that waits, on behalf of somebody. `None`: nobody runs its
    /// shard, and nothing was done.
    pub(crate) async fn give_up_parked(
        &self,
        parked: &ParkedOne,
        records: Vec<Ordinal>,
        by: Arc<str>,
    ) -> Option<GivenUp> {
        self.supervisor().give_up(parked.unit, records, by).await
    }

    /// Has the records of a key tried now: how many. None: nobody runs its shard.
    pub(crate) async fn release_parked(&self, parked: &ParkedOne) -> u64 {
        let positions = parked.positions.clone();
        let is_told = self.supervisor().release(parked.unit, positions).await;
        if is_told {
            parked.positions.len() as u64
        } else {
            0
        }
    }

    /// Has everything of a mapping tried now that waits: how many keys do. `None`: nobody runs it.
    pub(crate) async fn release_all(&self, mapping: &Mapping) -> Option<u64> {
        let units: Vec<UnitId> =
            self.view(|view| view.units_of(mapping.id).map(|(unit, _)| unit).collect());
        let mut released = None;
        for unit in units {
            let told = self.supervisor().release_all(unit).await;
            released = match (released, told) {
                (Some(before), Some(more)) => Some(before + more),
                (before, more) => before.or(more),
            };
        }
        released
    }
}

impl Unit {
    fn key(&self, waiting: &WaitingKey, block: &RecordBlock) -> ParkedOne {
        let shown = DataText::of(block.records.keys.get(0), text::base64);
        let arrival = block.arrival(0);
        let first = waiting.records.first();
        let sequence_number =
            sequence::encode(self.created_at, self.id.shard, block.first, arrival);
        let failure = first.and_then(|record| record.failure.as_ref());
        ParkedOne {
            status: ParkedStatus {
                partition_key: shown.data,
                key_encoding: shown.encoding,
                sequence_number,
                attempts: first.map_or(0, |record| record.attempts),
                ..self.status(waiting, failure)
            },
            ..self.nobody(waiting)
        }
    }

    fn window(&self, window: &WaitingWindow, waiting: &WaitingKey) -> ParkedOne {
        ParkedOne {
            window: Some(window.clone()),
            status: ParkedStatus {
                attempts: window.attempts,
                window: Some(ParkedWindow {
                    group: window.group,
                    starts_at: rfc3339::format(window.window.start),
                    ends_at: rfc3339::format(window.window.end),
                }),
                ..self.status(waiting, Some(&window.failure))
            },
            ..self.nobody(waiting)
        }
    }

    fn nobody(&self, waiting: &WaitingKey) -> ParkedOne {
        ParkedOne {
            unit: self.id,
            positions: Vec::new(),
            failures: Vec::new(),
            failing: Vec::new(),
            is_behind_lane: waiting.is_behind_lane,
            window: None,
            status: self.status(waiting, None),
        }
    }

    /// What is the same of a key and a window.
    fn status(&self, waiting: &WaitingKey, failure: Option<&Cause>) -> ParkedStatus {
        let until = waiting.until.filter(|_| self.is_running);
        // Its turn was, or comes with the room.
        let has_come = until.is_some_and(|until| until <= self.now);
        let blocked = self.blocked.filter(|_| has_come);
        let until = until.filter(|_| blocked.is_none());
        ParkedStatus {
            shard_id: self.id.shard.shard_id(),
            shard_keys: None,
            partition_key: String::new(),
            key_encoding: Encoding::Text,
            sequence_number: String::new(),
            window: None,
            failing_records: 0,
            waiting_records: Some(waiting.behind),
            attempts: 0,
            why: waiting.why.as_str().to_owned(),
            next_retry_at: until.map(rfc3339::format),
            waits_for_resume: !self.is_running,
            blocked_by: blocked.map(|why| why.as_str().to_owned()),
            error_kind: failure.map(|cause| cause.kind.as_str().to_owned()),
            code: failure.map(|cause| cause.code.to_string()),
            error: failure.map(|cause| cause.error.to_string()),
        }
    }
}

/// The hashes that a key may have which is written so: as text, or as base64.
fn hashes(key: &str) -> Vec<KeyHash> {
    let bytes = text::from_base64(key);
    let written = [Some(key.as_bytes()), bytes.as_deref()];
    // What has a key has its hash wherever it lies.
    let hash = |key| key_hash(Some(key), Ordinal(0));
    written.into_iter().flatten().map(hash).collect()
}
