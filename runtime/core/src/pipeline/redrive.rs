//! Dead letters that are given to the function again, one at a time, in the retry slot
//! (commit and storage rules §7).
//!
//! A redriven record settled when it was given up, so it is none of the backlog: what it needs is in the
//! request. It is serialised with its key like everything else: it starts when no slot holds the key and
//! the key is not parked, and while it runs the key's other records wait behind it as behind a parked
//! one. It gets one attempt. Its commit resolves the letter or stores it anew under its id, and adds to
//! nothing but `emitted` and `failed`. A redrive never stops the mapping: that an old record is told
//! `fatal` says nothing of those that come now.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Action, BlockMeta, CommitPlan, Invocation, PlannedLetter, PlannedRows, RecordRef, RowSource,
    ShardPipeline,
    conclude::is_published,
    judge::{Judgement, Letter, Subject, Verdict, judge},
    slot::{Call, Purpose},
};
use crate::{
    commit::{DeadLetter, ErrorKind, Redriven, UnitTotals},
    id::{FunctionVersion, Ordinal, ShardNumber, Timestamp},
    lane::{KeyHash, key_hash},
    limits,
    mapping::{MappingSettings, MaxAttempts, OutputBinding},
    outcome::{Outcome, Rows},
    park::KeyMap,
    retry::RetryPolicy,
};

/// A dead letter that is to be given to the function again. Its payload is the only record of a block of
/// its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// The worker's name for it, for [`Action::Redriven`].
    pub ticket: u64,
    /// The letter.
    pub letter: Redriven,
    /// The block with its payload, numbered like fetched ones.
    pub block: BlockMeta,
    /// Its record's key.
    pub key: KeyHash,
    /// The shard that it was read from, which may be an ancestor of the unit's.
    pub shard: ShardNumber,
    /// Its record's position there.
    pub position: Ordinal,
    /// Its record's sequence number, as the source spells it.
    pub sequence_number: Arc<str>,
    /// When its record arrived.
    pub arrival: Timestamp,
    /// Attempts that were charged so far.
    pub attempts: u32,
    /// How many functions its record has come through.
    pub hops: u8,
    /// Another version is called than the one that its key meets.
    pub with: Option<OtherVersion>,
}

impl Redrive {
    /// A letter as a unit is given it, with its payload as the only record of `block`.
    #[must_use]
    pub fn of(
        ticket: u64,
        redriven: Redriven,
        letter: &DeadLetter,
        block: BlockMeta,
        with: Option<OtherVersion>,
    ) -> Self {
        Self {
            ticket,
            letter: redriven,
            block,
            key: key_hash(Some(&letter.key), letter.position),
            shard: letter.shard,
            position: letter.position,
            sequence_number: Arc::clone(&letter.sequence_number),
            arrival: letter.arrival,
            attempts: letter.attempts,
            // A letter does not keep them; one of a loop has more than are allowed.
            hops: match letter.kind {
                ErrorKind::Loop => limits::HOPS_MAX,
                _ => 0,
            },
            with,
        }
    }
}

/// A version that is called beside the live one: by a redrive that names it, or as a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherVersion {
    /// The version.
    pub version: FunctionVersion,
    /// The mapping's bindings by output number, as this version declares them.
    pub outputs: Arc<[OutputBinding]>,
}

/// What became of a redrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedriveEnding {
    /// The letter is resolved, and what the function emitted is published.
    Resolved,
    /// The letter is still open, with its new cause.
    FailedAgain,
    /// The letter was not open any more, or nobody wanted it redriven: nothing happened.
    Closed,
}

/// The redrives of a unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Redrives {
    waiting: VecDeque<Arc<Redrive>>,
    /// The one whose key the retry slot holds.
    current: Option<Arc<Redrive>>,
    /// A parked key had the retry slot since the last redrive: now it is a redrive's turn.
    is_due: bool,
    /// Accepted and not known to be synced: number of the commit, ticket, ending.
    unsynced: VecDeque<(u64, u64, RedriveEnding)>,
}

impl Redrives {
    /// Whether the retry slot is a redrive's.
    pub(super) const fn has_slot(&self) -> bool {
        self.current.is_some()
    }

    /// The key that a redrive holds.
    pub(super) fn key(&self) -> Option<KeyHash> {
        self.current.as_ref().map(|redrive| redrive.key)
    }

    /// Whether one waits or is to be run again.
    pub(super) fn is_wanted(&self) -> bool {
        self.current.is_some() || !self.waiting.is_empty()
    }

    /// A parked key takes the retry slot.
    pub(super) const fn gave_way(&mut self) {
        self.is_due = true;
    }
}

impl ShardPipeline {
    /// A letter is to be redriven.
    pub(super) fn redrive(&mut self, redrive: Redrive) {
        self.backlog.blocks.hold(redrive.block);
        self.redrives.waiting.push_back(Arc::new(redrive));
    }

    /// Nobody wants the letter redriven any more: it is given to nobody, unless it was already.
    pub(super) fn withdraw_redrive(&mut self, ticket: u64, actions: &mut Vec<Action>) {
        let waiting = &mut self.redrives.waiting;
        let at = waiting.iter().position(|redrive| redrive.ticket == ticket);
        if let Some(redrive) = at.and_then(|at| waiting.remove(at)) {
            let ending = RedriveEnding::Closed;
            actions.push(Action::Redriven { ticket, ending });
            self.backlog.let_go(redrive.block.id, actions);
        }
    }

    /// Starts a redrive if the retry slot is free and no parked key has more right to it.
    pub(super) fn start_redrive(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if !self.redrives.is_wanted() {
            return;
        }
        let index = self.lanes.len();
        let slot = &self.slots[index];
        let may_start = slot.is_free() && slot.not_before <= now && slot.pieces.is_empty();
        if !may_start || !self.may_call_in(index, now) {
            return;
        }
        if self.redrives.current.is_none() {
            let is_other_due = self.is_retry_due(now);
            let is_turn = self.redrives.is_due || !is_other_due;
            // After unclean stops retries are made with care, which is not for letters: they wait.
            if !is_turn || self.caution.covers(index) || !self.seize_next(now, actions) {
                return;
            }
        }
        let current = self.redrives.current.as_ref();
        let redrive = Arc::clone(current.expect("one was seized"));
        let window = match self.has_windows() {
            true => match self.fold_redriven(&redrive) {
                Some(window) => Some(window),
                // Records came meanwhile: which window is the current one is known when they are read.
                None => return,
            },
            false => None,
        };
        let attempt = self.next_attempt;
        self.next_attempt = attempt.next();
        let slot = &mut self.slots[index];
        slot.call = Some(Call {
            attempt,
            records: Vec::new(),
        });
        let slot = slot.id;
        actions.push(Action::Invoke(Invocation {
            attempt,
            slot,
            records: vec![redrive.reference()],
            version: self.version_of_redrive(&redrive),
            is_fresh: true,
            redrive: Some(redrive.ticket),
            window,
        }));
    }

    /// Takes the first redrive whose key is free, and the key with it: the key's other records wait
    /// behind it.
    fn seize_next(&mut self, now: Timestamp, actions: &mut Vec<Action>) -> bool {
        let is_free = |redrive: &Arc<Redrive>| {
            if !self.lets_redrive(redrive.key, now) {
                return false;
            }
            if self.has_windows() {
                return self.seize_group(redrive);
            }
            if self.holds_the_shard() {
                return self.slots[0].held().next().is_none();
            }
            let lane = self.lane_of(redrive.key);
            // A key is in its own lane, parked, or in the retry slot, which is free.
            !self.park.contains(redrive.key)
                && !self.slots[lane]
                    .held()
                    .any(|serial| self.backlog.get(serial).key == redrive.key)
        };
        let Some(at) = self.redrives.waiting.iter().position(is_free) else {
            return false;
        };
        let redrive = self.redrives.waiting.remove(at).expect("it was found");
        self.redrives.is_due = false;
        if self.has_windows() {
            // Its group waits for it: no key has to be held.
            self.redrive_holds(Some(redrive.key));
            self.redrives.current = Some(redrive);
            return true;
        }
        let lane = self.lane_of(redrive.key);
        let mut parking = KeyMap::from_iter([(redrive.key, Vec::new())]);
        // With order within the shard nothing is called beside it, so nothing has to wait elsewhere.
        if !self.holds_the_shard() {
            self.sweep(lane, &mut parking, actions);
        }
        let behind = parking.remove(&redrive.key).unwrap_or_default();
        self.park.hold(redrive.key, behind);
        self.slots[self.lanes.len()].keys = vec![redrive.key];
        self.redrives.current = Some(redrive);
        true
    }

    /// Whether lanes wait for a redrive: with order within the shard nothing is called beside it.
    pub(super) fn waits_for_redrive(&self) -> bool {
        self.holds_the_shard() && self.redrives.has_slot()
    }

    /// The call of a redrive ended.
    pub(super) fn conclude_redrive(&mut self, outcome: Outcome, now: Timestamp) {
        let index = self.lanes.len();
        let current = self.redrives.current.as_ref();
        let redrive = Arc::clone(current.expect("a redrive was called"));
        let subject = |_| Subject {
            position: redrive.position,
            key: redrive.key,
            attempts: 0,
            // It was given up before: however old it is, somebody wants it tried.
            expires_at: Timestamp(u64::MAX),
        };
        let once = MappingSettings {
            max_attempts: MaxAttempts::Count(1),
            ..self.config.settings.clone()
        };
        let policy = RetryPolicy::new(&once, self.config.seed);
        let judgement = match judge(outcome, 1, subject, &once, &policy, now) {
            Verdict::Ended(judgement) => judgement,
            Verdict::Fatal { code, message } => Judgement {
                letters: vec![Letter {
                    index: 0,
                    kind: ErrorKind::Error,
                    code,
                    error: message,
                    attempts: 1,
                }],
                ..Judgement::default()
            },
            // One record is cut no further: these are calls that cost nobody an attempt.
            Verdict::Uncharged | Verdict::Halved | Verdict::Split(_) | Verdict::Bisected { .. } => {
                return self.pause_uncharged(index, now);
            }
        };
        let plan = self.plan_redrive(&redrive, judgement, now);
        let is_dead = !plan.letters.is_empty();
        let window = match self.has_windows() && !is_dead {
            true => self.folded(index, plan.version, redrive.hops, Ordinal(0)),
            false => None,
        };
        let adds = UnitTotals {
            failed: u64::from(is_dead),
            emitted: self.published(&redrive, &plan.rows.rows),
            ..UnitTotals::default()
        };
        self.slots[index].faults = 0;
        let (judgement, purpose) = (Judgement::default(), Purpose::Redrive { is_dead });
        self.queue(index, plan, Vec::new(), judgement, adds, purpose);
        self.plan_window(index, window);
    }

    fn plan_redrive(
        &self,
        redrive: &Arc<Redrive>,
        judgement: Judgement,
        now: Timestamp,
    ) -> CommitPlan {
        let letters: Vec<PlannedLetter> = judgement
            .letters
            .into_iter()
            .map(|letter| PlannedLetter {
                record: redrive.reference(),
                arrival: redrive.arrival,
                kind: letter.kind,
                code: letter.code,
                error: letter.error,
                attempts: redrive.attempts.saturating_add(letter.attempts),
            })
            .collect();
        let rows = match letters.is_empty() {
            true => judgement.rows,
            false => Vec::new(),
        };
        let source = RowSource {
            position: redrive.position,
            hops: redrive.hops,
            is_kept: true,
        };
        CommitPlan {
            letters,
            rows: PlannedRows {
                sources: if rows.is_empty() {
                    vec![]
                } else {
                    vec![source]
                },
                rows,
            },
            version: self.version_of_redrive(redrive),
            redriven: Some(Arc::clone(redrive)),
            ..self.empty_plan(self.lanes.len(), now)
        }
    }

    /// The version that a letter is given to: the one asked for, else the one that its key meets.
    fn version_of_redrive(&self, redrive: &Redrive) -> FunctionVersion {
        let with = redrive.with.as_ref().map(|with| with.version);
        with.unwrap_or_else(|| self.version_of(redrive.key))
    }

    /// How many of the rows go to a stream.
    fn published(&self, redrive: &Redrive, rows: &[Rows]) -> u64 {
        let with = redrive.with.as_ref();
        let of_key = || self.outputs_of(self.version_of(redrive.key));
        let outputs = with.map_or_else(of_key, |with| &with.outputs);
        rows.iter()
            .filter(|rows| is_published(outputs, rows))
            .map(|rows| rows.sources.len() as u64)
            .sum()
    }

    /// The commit of a redrive was accepted: its key is given back.
    pub(super) fn redrive_accepted(
        &mut self,
        is_dead: bool,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        self.give_keys_back(now, actions);
        let ending = match is_dead {
            true => RedriveEnding::FailedAgain,
            false => RedriveEnding::Resolved,
        };
        let number = self.slots[self.lanes.len()].accepted;
        self.redrive_holds(None);
        if let Some(redrive) = self.redrives.current.take() {
            let ended = (number, redrive.ticket, ending);
            self.redrives.unsynced.push_back(ended);
            self.backlog.let_go(redrive.block.id, actions);
        }
    }

    /// The letter is not open any more: the attempt is dropped (commit and storage rules §3).
    pub(super) fn redrive_refused(
        &mut self,
        index: usize,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let slot = &mut self.slots[index];
        slot.unaccepted = None;
        slot.refusal = None;
        actions.push(Action::DropCommit {
            slot: slot.id,
            number: slot.accepted + 1,
        });
        self.give_keys_back(now, actions);
        self.redrive_holds(None);
        if let Some(redrive) = self.redrives.current.take() {
            actions.push(Action::Redriven {
                ticket: redrive.ticket,
                ending: RedriveEnding::Closed,
            });
            self.backlog.let_go(redrive.block.id, actions);
        }
    }

    /// Commits of the retry slot up to `number` are synced.
    pub(super) fn redrives_durable(&mut self, number: u64, actions: &mut Vec<Action>) {
        let is_synced = |ended: &mut (u64, u64, RedriveEnding)| ended.0 <= number;
        while let Some((_, ticket, ending)) = self.redrives.unsynced.pop_front_if(is_synced) {
            actions.push(Action::Redriven { ticket, ending });
        }
    }
}

impl Redrive {
    fn reference(&self) -> RecordRef {
        RecordRef {
            position: self.position,
            block: self.block.id,
            index: 0,
            attempts: self.attempts,
        }
    }
}
