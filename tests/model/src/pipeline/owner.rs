//! An owner: the production pipeline, and a worker that reads at once and calls when told.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use fnctl_core::{
    commit::Commit,
    filter::FilterVerdict,
    id::{FunctionVersion, LeaseEpoch, Ordinal, SlotId, Timestamp},
    lane::key_hash,
    mapping::{MappingSettings, MaxAttempts},
    outcome::{Failure, FailureKind, ItemFailure, Outcome, Rows, WHOLE_CALL},
    pipeline::{
        Action, BlockId, BlockMeta, Event, Fetched, Invocation, Payloads, PipelineConfig,
        RecordMeta, RecordRef, ShardPipeline, Started, complete,
    },
    record::ColumnBuilder,
};
use xxhash_rust::xxh3::xxh3_128;

use super::{Driven, factor, step::Ending};
use crate::{
    content::{NOW, settings, unit_of},
    views::ViewId,
    window::{arrival, fold, records},
};

const HOUR_MS: u64 = 3_600_000;

/// A pipeline under an epoch, and what it waits for.
#[derive(Clone)]
pub(super) struct Owner {
    pipeline: ShardPipeline,
    /// Its shard.
    pub(super) unit: usize,
    pub(super) epoch: u8,
    pub(super) calls: Vec<Invocation>,
    /// Handed in and not answered.
    pub(super) commit: Option<Arc<Commit>>,
    /// Accepted and not synced, and whether in a frame.
    pub(super) unsynced: Vec<(SlotId, u64, bool)>,
    /// Refused, and kept to be sent again.
    pub(super) refused: Vec<Arc<Commit>>,
    /// Its clock moves when it has nothing to do but wait.
    pub(super) now: Timestamp,
    pub(super) blocks: u64,
    pub(super) is_stopped: bool,
    pub(super) fingerprint: u128,
}

impl Driven {
    pub(super) fn start(&self, unit: usize, epoch: u8, at: ViewId) -> Owner {
        let mut owner = Owner {
            pipeline: ShardPipeline::new(PipelineConfig {
                canary: None,
                is_canary: false,
                stateless: Vec::new(),
                unit: unit_of(&self.config, 0, unit),
                version: FunctionVersion(1),
                settings: MappingSettings {
                    batch_size: u32::try_from(self.config.batch).expect("small"),
                    parallelization_factor: factor(&self.config),
                    max_attempts: MaxAttempts::Count(u32::from(self.config.attempts_max)),
                    backoff_initial_ms: 0,
                    backoff_max_ms: 0,
                    ..settings(&self.config)
                },
                outputs: Arc::clone(&self.outputs),
                seed: 0,
            }),
            unit,
            epoch,
            calls: Vec::new(),
            commit: None,
            unsynced: Vec::new(),
            refused: Vec::new(),
            // Later than any moment that an earlier owner waited for.
            now: NOW.plus_ms(u64::from(epoch) * HOUR_MS),
            blocks: 0,
            is_stopped: false,
            fingerprint: 0,
        };
        let unit = self.views.unit(at, unit);
        let mut totals = unit.totals;
        if !self.config.carries_expired {
            totals.processed += std::mem::take(&mut totals.expired);
        }
        let started = Event::Started(Started {
            epoch: LeaseEpoch(u64::from(epoch)),
            settled: unit.settled.clone(),
            attempts: unit.attempts.values().cloned().collect(),
            totals,
            tail: self.tail(owner.unit),
            windows: match self.config.carries_windows {
                true => unit.windows.clone(),
                false => BTreeMap::new(),
            },
            outages: unit.outages.clone(),
            // Else a window would be open until somebody's clock moves.
            is_closed: self.config.has_windows(),
        });
        self.tell(&mut owner, started);
        owner
    }

    /// Tells the pipeline, and does what it wants: reads at once, calls and commits as steps.
    pub(super) fn tell(&self, owner: &mut Owner, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let mut actions = Vec::new();
            owner.pipeline.handle(event, owner.now, &mut actions);
            for action in actions {
                match action {
                    Action::Fetch {
                        after, records_max, ..
                    } => events.push(self.fetch(owner, after, records_max)),
                    Action::Invoke(call) => owner.calls.push(call),
                    Action::Interrupt { attempt } => {
                        owner.calls.retain(|call| call.attempt != attempt);
                    }
                    Action::Commit(plan) => {
                        let payloads = Keys(self, owner.unit);
                        let commit = complete(*plan, &self.outputs, &payloads, |key| key[0].into());
                        assert!(owner.commit.is_none(), "a unit sends one commit at a time");
                        owner.commit = Some(Arc::new(commit));
                    }
                    Action::Resend {
                        slot,
                        number,
                        totals,
                        drops_letters: _,
                    } => {
                        let mut commit = owner.take_refused(slot);
                        assert_eq!(commit.number, number, "the same commit is sent again");
                        if self.config.resends_totals {
                            Arc::make_mut(&mut commit).totals = totals;
                        }
                        owner.commit = Some(commit);
                    }
                    Action::DropCommit { slot, .. } => {
                        owner.take_refused(slot);
                    }
                    Action::Stop(_) => owner.is_stopped = true,
                    // One unit of a mapping: nobody else is to hear of it.
                    Action::Felt { .. } => {}
                    Action::KeepOnly { .. } | Action::ReleaseBlock(_) | Action::Redriven { .. } => {
                    }
                    other => unreachable!("nothing is read again, no turn is asked for: {other:?}"),
                }
            }
        }
        let due = owner.pipeline.deadline();
        assert!(due.is_none_or(|due| due > owner.now), "what is due is done");
        owner.calls.sort_by_key(|call| call.slot);
        let parts = (
            &owner.pipeline,
            &owner.calls,
            &owner.commit,
            &owner.unsynced,
            &owner.refused,
        );
        owner.fingerprint = xxh3_128(format!("{parts:?}").as_bytes());
    }

    fn fetch(&self, owner: &mut Owner, after: Ordinal, records_max: u32) -> Event {
        owner.blocks += 1;
        let block = BlockId(owner.blocks);
        let records: Vec<RecordMeta> = (after.0 + 1..=self.tail(owner.unit).0)
            .take(records_max as usize)
            .zip(0..)
            .map(|(position, index)| RecordMeta {
                position: Ordinal(position),
                key: key_hash(
                    Some(self.key(owner.unit, Ordinal(position))),
                    Ordinal(position),
                ),
                arrival: arrival(
                    &self.config,
                    self.config.record_at(owner.unit, Ordinal(position)),
                ),
                block,
                index,
                bytes: 2,
                hops: 0,
                verdict: FilterVerdict::Match,
            })
            .collect();
        let bytes = 2 * records.len() as u64;
        let blocks = vec![BlockMeta { id: block, bytes }];
        Event::Fetched(Fetched { blocks, records })
    }

    fn tail(&self, unit: usize) -> Ordinal {
        Ordinal(u64::from(self.config.records_of(unit).count_ones()))
    }

    pub(super) fn key(&self, unit: usize, position: Ordinal) -> &Bytes {
        &self.keys[self.config.key[self.config.record_at(unit, position)]]
    }

    pub(super) fn outcome(&self, unit: usize, call: &Invocation, ending: Ending) -> Outcome {
        let failure = |kind| Failure {
            kind,
            retry_after_ms: None,
            code: "e".into(),
            message: "e".into(),
        };
        let mut code = match ending {
            Ending::Returned(code) => code,
            Ending::Error => return Outcome::Error(failure(FailureKind::Retry)),
            Ending::TrapNamed | Ending::Trap => {
                return Outcome::Trap {
                    record: matches!(ending, Ending::TrapNamed).then_some(0),
                    message: "e".into(),
                };
            }
        };
        let mut failures = Vec::new();
        let mut keys = ColumnBuilder::default();
        let mut data = ColumnBuilder::default();
        for (index, record) in (0u32..).zip(&call.records) {
            keys.push(self.key(unit, record.position));
            data.push(b"d");
            let kind = [None, Some(FailureKind::Retry), Some(FailureKind::Skip)][code % 3];
            code /= 3;
            failures.extend(kind.map(|kind| ItemFailure {
                index,
                failure: failure(kind),
            }));
        }
        let mut sources: Vec<_> = (0..call.records.len() as u32).collect();
        if let Some(window) = call.window.as_ref().filter(|window| window.is_final) {
            keys.push(b"w");
            data.push(&window.state);
            sources.push(WHOLE_CALL);
        }
        let rows = Rows {
            output: 0,
            sources,
            keys: keys.finish(),
            data: data.finish(),
        };
        Outcome::Returned {
            rows: vec![rows],
            failures,
        }
    }
}

impl Driven {
    /// What a call leaves of the state that it was given: the records that went well are added.
    pub(super) fn state_after(
        &self,
        unit: usize,
        call: &Invocation,
        ending: Ending,
    ) -> Option<Bytes> {
        let (window, Ending::Returned(code)) = (call.window.as_ref()?, ending) else {
            return None;
        };
        let digits = (0..).map(|index| code / 3usize.pow(index) % 3);
        let well = call.records.iter().zip(digits);
        let well = well.filter_map(|(record, digit)| (digit == 0).then_some(record.position));
        let left = fold(&window.state, records(&self.config, unit, well));
        Some(left.into())
    }
}

impl Owner {
    fn take_refused(&mut self, slot: SlotId) -> Arc<Commit> {
        let at = self.refused.iter().position(|commit| commit.slot == slot);
        self.refused.remove(at.expect("only what was refused"))
    }

    /// When the pause of a refused commit is over.
    pub(super) fn resend_at(&self) -> Option<Timestamp> {
        self.pipeline
            .deadline()
            .filter(|_| !self.refused.is_empty())
    }
}

/// Payloads of a unit's records.
struct Keys<'a>(&'a Driven, usize);

impl Payloads for Keys<'_> {
    fn key(&self, record: &RecordRef) -> Bytes {
        self.0.key(self.1, record.position).clone()
    }

    fn data(&self, _: &RecordRef) -> Bytes {
        Bytes::from_static(b"d")
    }

    fn hash_key(&self, record: &RecordRef) -> u128 {
        self.0.key(self.1, record.position)[0].into()
    }

    fn sequence_number(&self, _: &RecordRef) -> Arc<str> {
        "1".into()
    }
}
