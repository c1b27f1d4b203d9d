//! From an outcome to a commit, in the slot of the call.

use super::{
    Action, CommitPlan, PlannedLetter, PlannedRetry, PlannedRows, RowSource, ShardPipeline,
    StopReason,
    backlog::Serial,
    in_order::THE_SHARD,
    judge::{Ending, Judgement, Letter, Subject, Verdict, judge},
    slot::{Phase, Purpose, Unaccepted},
};
use crate::{
    commit::{AttemptMark, ErrorKind, UnitTotals},
    id::Timestamp,
    limits,
    mapping::OutputBinding,
    outcome::{Outcome, Rows, WHOLE_CALL},
    retry::{exponential, full_jitter},
    settled::SettledRanges,
};

impl ShardPipeline {
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
            return self.conclude_redrive(outcome, now);
        }
        let (backlog, age) = (&self.backlog, self.age);
        let is_one_key = self.holds_the_shard();
        let subject = |index: usize| {
            let entry = backlog.get(records[index]);
            Subject {
                position: entry.position,
                key: if is_one_key { THE_SHARD } else { entry.key },
                attempts: entry.attempts,
                expires_at: age.expires_at(entry.arrival),
            }
        };
        let rules = &self.config.settings;
        match judge(outcome, records.len(), subject, rules, &self.policy, now) {
            Verdict::Ended(judgement) => {
                let adds = self.adds(records.len(), &judgement);
                self.decide(slot, records, judgement, adds, now);
            }
            Verdict::Halved => self.halve(slot, records, false),
            Verdict::Bisected { presumes } => self.bisect(slot, records, presumes, actions),
            Verdict::Split(at) => self.cut(slot, records, &[at, at + 1]),
            Verdict::Uncharged if self.slots[slot].mark.is_some() => {
                self.unmark(slot, records, now);
            }
            Verdict::Uncharged => self.run_again_later(slot, records, now),
            Verdict::Fatal { code, message } if self.slots[slot].mark.is_some() => {
                self.end_marked(slot, records, StopReason::Fatal { code, message }, now);
            }
            Verdict::Fatal { code, message } => {
                self.slots[slot].pieces.push_front(records);
                self.stop(StopReason::Fatal { code, message }, actions);
            }
        }
    }

    /// Records that no function may be given: dead letters without a call.
    pub(super) fn condemn(&mut self, slot: usize, records: Vec<Serial>, now: Timestamp) {
        let letters: Vec<Letter> = records
            .iter()
            .enumerate()
            .filter_map(|(index, &serial)| {
                let entry = self.backlog.get(serial);
                let kind = entry.condemned()?;
                let error = match kind {
                    ErrorKind::RecordTooLarge => format!(
                        "{} bytes of key and data, above the limit of {}",
                        entry.bytes,
                        limits::RECORD_BYTES_MAX
                    ),
                    ErrorKind::ByHand => self.given_up_words(entry.position),
                    ErrorKind::Unparsable => {
                        "the filter cannot judge it: its payload is not JSON".to_owned()
                    }
                    _ => format!(
                        "came through {} functions, above the limit of {}",
                        entry.hops,
                        limits::HOPS_MAX
                    ),
                };
                Some(Letter {
                    index,
                    kind,
                    code: kind.as_str().into(),
                    error: error.into(),
                    attempts: entry.attempts,
                })
            })
            .collect();
        debug_assert_eq!(letters.len(), records.len(), "a batch is of one sort");
        let adds = UnitTotals {
            dead_lettered: letters.len() as u64,
            ..UnitTotals::default()
        };
        let judgement = Judgement {
            endings: vec![Ending::Dead; records.len()],
            letters,
            ..Judgement::default()
        };
        self.decide(slot, records, judgement, adds, now);
    }

    /// Cuts a call at the given indices, ascending, into pieces that run again at once.
    pub(super) fn cut(&mut self, slot: usize, mut records: Vec<Serial>, at: &[usize]) {
        let slot = &mut self.slots[slot];
        slot.faults = 0;
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
        let holder = &mut self.slots[slot];
        debug_assert!(holder.unaccepted.is_none(), "one commit at a time");
        holder.faults = 0;
        holder.unaccepted = Some(Unaccepted {
            records,
            judgement,
            filtered: Vec::new(),
            adds,
            phase: Phase::Queued(Box::new(plan)),
            refusals: 0,
            purpose: Purpose::Outcome,
            drops_letters: false,
        });
        self.send_queue.push_back(slot);
    }

    fn plan(
        &self,
        slot: usize,
        records: &[Serial],
        judgement: &Judgement,
        rows: Vec<Rows>,
        now: Timestamp,
    ) -> CommitPlan {
        let entry = |index: usize| self.backlog.get(records[index]);
        let endings = &judgement.endings;
        let settles: SettledRanges = (0..records.len())
            .filter(|&index| matches!(endings.get(index), None | Some(Ending::Done | Ending::Dead)))
            .map(|index| entry(index).range())
            .collect();
        let attempts = judgement
            .charges
            .iter()
            .map(|charge| AttemptMark {
                position: entry(charge.index).position,
                count: charge.attempts,
                version: self.config.version,
                next_retry: charge.next_retry,
                is_in_hand: false,
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
            unit: self.config.unit,
            epoch: self.epoch,
            slot: self.slots[slot].id,
            // Number and totals are put in when it is sent.
            number: 0,
            settles,
            attempts,
            totals: self.totals,
            retries,
            letters,
            rows: PlannedRows { rows, sources },
            version: self.config.version,
            decided_at: now,
            redriven: None,
        }
    }

    /// What a judged call adds to the totals.
    fn adds(&self, records: usize, judgement: &Judgement) -> UnitTotals {
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
        let is_published = |rows: &&Rows| {
            let binding = self.config.outputs.get(usize::from(rows.output));
            matches!(binding, Some(OutputBinding::Stream(_)))
        };
        let emitted = judgement
            .rows
            .iter()
            .filter(is_published)
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
