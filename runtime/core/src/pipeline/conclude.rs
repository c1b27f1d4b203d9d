//! From an outcome to a commit, in the slot of the call.

use bytes::Bytes;

use super::{
    Action, CommitPlan, PlannedLetter, PlannedRetry, PlannedRows, RowSource, ShardPipeline,
    StopReason,
    backlog::{Entry, Serial},
    in_order::THE_SHARD,
    judge::{Ending, Judgement, Letter, Subject, Verdict, judge},
    slot::{Phase, Purpose, Unaccepted},
};
use crate::{
    commit::{AttemptMark, CallCost, ErrorKind, UnitTotals},
    id::{AttemptId, FunctionVersion, Timestamp},
    limits,
    mapping::OutputBinding,
    outcome::{Outcome, Rows, WHOLE_CALL},
    retry::{exponential, full_jitter},
    settled::SettledRanges,
};

impl ShardPipeline {
    /// A call ended, with the state that it left and at its cost; a late answer of another one is discarded.
    pub(super) fn invoked(
        &mut self,
        attempt: AttemptId,
        outcome: Outcome,
        (state, cost): (Option<Bytes>, CallCost),
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some((slot, records)) = self.end_call(attempt) else {
            return;
        };
        self.state_left(slot, state);
        self.slots[slot].cost = Some(cost);
        self.feel(attempt, slot, &records, &outcome, now, actions);
        self.conclude(slot, records, outcome, now, actions);
        self.slots[slot].cost = None;
    }

    /// A call of `slot` ended.
    pub(super) fn conclude(
        &mut self,
        slot: usize,
        records: Vec<Serial>,
        outcome: Outcome,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if records.is_empty() {
            return match slot < self.lanes.len() {
                true => self.conclude_close(slot, outcome, now, actions),
                false => self.conclude_redrive(outcome, now),
            };
        }
        if self.must_part(slot, &records, &outcome) {
            return self.part(slot, records, now, actions);
        }
        if let Some(cause) = self.unreadable(slot, &outcome) {
            return self.give_state_up(slot, records, cause, now);
        }
        let (backlog, age) = (&self.backlog, self.age);
        let is_one_key = self.waits_in_order();
        let subject = |index: usize| {
            let entry = backlog.get(records[index]);
            Subject {
                position: entry.position,
                key: if is_one_key { THE_SHARD } else { entry.key },
                attempts: entry.attempts,
                expires_at: age.expires_at(entry.arrival),
            }
        };
        let settings = &self.config.settings;
        let free = self.circuit.free_rules(settings, self.config.seed);
        let (rules, policy) = match &free {
            Some((rules, policy)) => (rules, policy),
            None => (settings, &self.policy),
        };
        match judge(outcome, records.len(), subject, rules, policy, now) {
            Verdict::Ended(mut judgement) => {
                let window = self.fold(slot, &records, &mut judgement);
                let version = self.version_in(slot, &records);
                let mut adds = self.adds(records.len(), &judgement, version);
                if self.circuit.is_free() {
                    self.uncharge(&records, &mut judgement, &mut adds);
                }
                self.decide(slot, records, judgement, adds, now);
                self.plan_window(slot, window);
            }
            Verdict::Halved => self.halve(slot, records, false),
            Verdict::Bisected { presumes } => self.bisect(slot, records, presumes, actions),
            Verdict::Split(at) => {
                self.slots[slot].faults = 0;
                self.cut(slot, records, &[at, at + 1]);
            }
            Verdict::Uncharged if self.slots[slot].mark.is_some() => {
                self.unmark(slot, records, now);
            }
            Verdict::Uncharged => self.run_again_later(slot, records, now),
            Verdict::Fatal { code, message } if self.slots[slot].mark.is_some() => {
                let version = self.version_in(slot, &records);
                let reason = StopReason::Fatal {
                    code,
                    message,
                    version,
                };
                self.end_marked(slot, records, reason, now);
            }
            Verdict::Fatal { code, message } => {
                let version = self.version_in(slot, &records);
                self.slots[slot].pieces.push_front(records);
                let reason = StopReason::Fatal {
                    code,
                    message,
                    version,
                };
                self.stop(reason, actions);
            }
        }
    }

    /// Records that no function may be given: dead letters without a call.
    pub(super) fn condemn(&mut self, slot: usize, records: Vec<Serial>, now: Timestamp) {
        self.give_up(slot, records, now, |this, entry| {
            let kind = entry.condemned().expect("a batch is of one sort");
            let error = match kind {
                ErrorKind::RecordTooLarge => format!(
                    "{} bytes of key and data, above the limit of {}",
                    entry.bytes,
                    limits::RECORD_BYTES_MAX
                ),
                ErrorKind::ByHand => this.given_up_words(entry.position),
                ErrorKind::Unparsable => {
                    "the filter cannot judge it: its payload is not JSON".to_owned()
                }
                _ => format!(
                    "came through {} functions, above the limit of {}",
                    entry.hops,
                    limits::HOPS_MAX
                ),
            };
            (kind, error)
        });
    }

    /// Records that get no call: dead letters at the attempts they had, for what `why` says of each.
    pub(super) fn give_up(
        &mut self,
        slot: usize,
        records: Vec<Serial>,
        now: Timestamp,
        why: impl Fn(&Self, &Entry) -> (ErrorKind, String),
    ) {
        let letters = records.iter().enumerate().map(|(index, &serial)| {
            let entry = self.backlog.get(serial);
            let (kind, error) = why(self, entry);
            Letter {
                index,
                kind,
                code: kind.as_str().into(),
                error: error.into(),
                attempts: entry.attempts,
            }
        });
        let judgement = Judgement {
            letters: letters.collect(),
            endings: vec![Ending::Dead; records.len()],
            ..Judgement::default()
        };
        let adds = UnitTotals {
            dead_lettered: records.len() as u64,
            ..UnitTotals::default()
        };
        self.decide(slot, records, judgement, adds, now);
    }

    /// Cuts a call at the given indices, ascending, into pieces that run again at once.
    pub(super) fn cut(&mut self, slot: usize, mut records: Vec<Serial>, at: &[usize]) {
        let slot = &mut self.slots[slot];
        for &at in at.iter().rev() {
            let piece = records.split_off(at);
            if !piece.is_empty() {
                slot.pieces.push_front(piece);
            }
        }
        if !records.is_empty() {
            slot.pieces.push_front(records);
        }
    }

    /// The same records run again, uncharged, after a short pause that grows while nothing else
    /// happens: a host at fault is not asked in a tight loop.
    pub(super) fn run_again_later(&mut self, slot: usize, records: Vec<Serial>, now: Timestamp) {
        self.pause_uncharged(slot, now);
        self.slots[slot].pieces.push_front(records);
    }

    /// A slot pauses after something that cost nobody an attempt.
    pub(super) fn pause_uncharged(&mut self, slot: usize, now: Timestamp) {
        let subject = slot as u64;
        let slot = &mut self.slots[slot];
        slot.faults += 1;
        let ceiling = exponential(
            limits::UNCHARGED_RETRY_MS,
            limits::UNCHARGED_RETRY_MS_MAX,
            slot.faults,
        );
        let pause = full_jitter(self.config.seed, subject, slot.faults, ceiling);
        slot.not_before = now.plus_ms(pause);
    }

    /// Commits what became of the records of a call.
    pub(super) fn decide(
        &mut self,
        slot: usize,
        records: Vec<Serial>,
        mut judgement: Judgement,
        adds: UnitTotals,
        now: Timestamp,
    ) {
        let rows = std::mem::take(&mut judgement.rows);
        let plan = self.plan(slot, &records, &judgement, rows, now);
        self.slots[slot].faults = 0;
        self.queue(slot, plan, records, judgement, adds, Purpose::Outcome);
    }

    /// Puts a slot's commit behind those that wait to be sent.
    pub(super) fn queue(
        &mut self,
        slot: usize,
        plan: CommitPlan,
        records: Vec<Serial>,
        judgement: Judgement,
        adds: UnitTotals,
        purpose: Purpose,
    ) {
        let unaccepted = &mut self.slots[slot].unaccepted;
        debug_assert!(unaccepted.is_none(), "one commit at a time");
        *unaccepted = Some(Unaccepted {
            records,
            judgement,
            filtered: Vec::new(),
            adds,
            phase: Phase::Queued(Box::new(plan)),
            refusals: 0,
            purpose,
            drops_letters: false,
            window: None,
            outages: None,
        });
        self.send_queue.push_back(slot);
    }

    /// A slot's commit that says nothing yet.
    pub(super) fn empty_plan(&self, slot: usize, now: Timestamp) -> CommitPlan {
        CommitPlan {
            unit: self.config.unit,
            epoch: self.epoch,
            slot: self.slots[slot].id,
            // Number and totals are put in when it is sent.
            number: 0,
            settles: SettledRanges::new(),
            attempts: Vec::new(),
            totals: self.totals,
            retries: Vec::new(),
            letters: Vec::new(),
            rows: PlannedRows::default(),
            version: self.version_in(slot, &[]),
            decided_at: now,
            cost: self.slots[slot].cost,
            redriven: None,
            window: None,
            outages: None,
        }
    }

    fn plan(
        &self,
        slot: usize,
        records: &[Serial],
        judgement: &Judgement,
        rows: Vec<Rows>,
        now: Timestamp,
    ) -> CommitPlan {
        let version = self.version_in(slot, records);
        let entry = |index: usize| self.backlog.get(records[index]);
        let endings = &judgement.endings;
        let settles: SettledRanges = (0..records.len())
            .filter(|&index| matches!(endings.get(index), None | Some(Ending::Done | Ending::Dead)))
            .map(|index| entry(index).range())
            .collect();
        let mut room = self.failures.room();
        let attempts = judgement
            .charges
            .iter()
            .map(|charge| {
                let position = entry(charge.index).position;
                AttemptMark {
                    position,
                    count: charge.attempts,
                    version,
                    next_retry: charge.next_retry,
                    is_in_hand: false,
                    cause: self.failures.cause_of(position, charge, &mut room),
                }
            })
            .collect();
        let retries = judgement
            .charges
            .iter()
            .map(|charge| PlannedRetry {
                record: entry(charge.index).reference(),
                kind: charge.kind,
                code: charge.code.clone(),
                error: charge.error.clone(),
                attempts: charge.attempts,
                next_retry: charge.next_retry,
            })
            .collect();
        let letters = judgement
            .letters
            .iter()
            .map(|letter| PlannedLetter {
                record: entry(letter.index).reference(),
                arrival: entry(letter.index).arrival,
                kind: letter.kind,
                code: letter.code.clone(),
                error: letter.error.clone(),
                attempts: letter.attempts,
            })
            .collect();
        let sources = if rows.is_empty() {
            Vec::new()
        } else {
            (0..records.len())
                .map(|index| RowSource {
                    position: entry(index).position,
                    hops: entry(index).hops,
                    is_kept: matches!(endings.get(index), None | Some(Ending::Done)),
                })
                .collect()
        };
        CommitPlan {
            settles,
            attempts,
            retries,
            letters,
            rows: PlannedRows { rows, sources },
            version,
            ..self.empty_plan(slot, now)
        }
    }

    /// What a judged call of a version adds to the totals.
    pub(super) fn adds(
        &self,
        records: usize,
        judgement: &Judgement,
        version: FunctionVersion,
    ) -> UnitTotals {
        let outputs = self.outputs_of(version);
        let endings = &judgement.endings;
        let processed = if endings.is_empty() {
            records
        } else {
            endings.iter().filter(|&&e| e == Ending::Done).count()
        };
        let is_kept = |source: u32| {
            endings.is_empty()
                || source == WHOLE_CALL
                || endings.get(source as usize) == Some(&Ending::Done)
        };
        let emitted = judgement
            .rows
            .iter()
            .filter(|rows| is_published(outputs, rows))
            .map(|rows| rows.sources.iter().filter(|&&s| is_kept(s)).count() as u64)
            .sum();
        // A budget that begins anew is no charge.
        let charged = judgement.charges.iter().filter(|c| c.attempts > 0).count();
        UnitTotals {
            processed: processed as u64,
            failed: (charged + judgement.letters.len()) as u64,
            dead_lettered: judgement.letters.len() as u64,
            emitted,
            ..UnitTotals::default()
        }
    }
}

/// Whether rows go to a stream.
pub(super) fn is_published(outputs: &[OutputBinding], rows: &Rows) -> bool {
    let binding = outputs.get(usize::from(rows.output));
    binding.is_some_and(|binding| binding.stream().is_some())
}
