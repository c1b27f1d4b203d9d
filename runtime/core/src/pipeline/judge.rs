//! What an outcome means for each record of the call (commit and storage rules §4, command line and
//! SDK §2).

mod cause;

use std::{collections::hash_map::Entry, sync::Arc};

use self::cause::Cause;
use crate::{
    commit::ErrorKind,
    id::{Ordinal, Timestamp},
    lane::KeyHash,
    mapping::{MappingSettings, OnFatal, Ordering},
    outcome::{self, Failure, FailureKind, ItemFailure, Outcome, Rows, WHOLE_CALL},
    park::KeyMap,
    retry::RetryPolicy,
};

/// What judging needs to know of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) position: Ordinal,
    pub(super) key: KeyHash,
    /// Charged attempts before this call.
    pub(super) attempts: u32,
    /// It waits for no attempt longer than until then, when it is given up for its age.
    pub(super) expires_at: Timestamp,
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It settles, with its rows.
    Done,
    /// It settles as a dead letter.
    Dead,
    /// It is charged and parks its key.
    Charged,
    /// Its key parks, by no fault of its own: neither settled nor charged.
    Void,
    /// It runs again at once, uncharged.
    Again,
}

/// A record given up, by its index in the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) index: usize,
    pub(super) kind: ErrorKind,
    pub(super) code: Arc<str>,
    pub(super) error: Arc<str>,
    pub(super) attempts: u32,
}

/// Whose a failure was, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The call failed, with other records in it.
    Call,
    /// The record's: it was named, or alone, in a call that broke.
    Record,
    /// The record's, by the function's own answer: it went on, and did the others of the call.
    Answered,
}

/// A record charged, by its index in the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) index: usize,
    /// Charged attempts after this call.
    pub(super) attempts: u32,
    pub(super) next_retry: Timestamp,
    pub(super) fault: Fault,
    pub(super) kind: ErrorKind,
    pub(super) code: Arc<str>,
    pub(super) error: Arc<str>,
}

impl Charge {
    /// Why.
    pub(super) fn cause(&self) -> outcome::Cause {
        outcome::Cause {
            kind: self.kind,
            code: self.code.clone(),
            error: self.error.clone(),
        }
    }
}

/// A call that decided something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    /// One a record; empty: all done.
    pub(super) endings: Vec<Ending>,
    pub(super) letters: Vec<Letter>,
    pub(super) charges: Vec<Charge>,
    /// What may be published, before rows of failed records are dropped.
    pub(super) rows: Vec<Rows>,
}

/// What is done about an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Commit this.
    Ended(Judgement),
    /// Run both halves again at once, free of charge.
    Halved,
    /// The same, after the mapping's bisect (Lambda ESM specification §9).
    Bisected {
        /// Whether it is one record's fault rather than their number's: then a culprit that is not in
        /// one half is in the other.
        presumes: bool,
    },
    /// Run what is in front of this record, the record, and what is behind it again at once, each by
    /// itself and free of charge: it would be given up in front of an earlier record of its key.
    Split(usize),
    /// Run the same again after a pause, free of charge.
    Uncharged,
    /// Stop the mapping; nothing of the batch commits.
    Fatal { code: Arc<str>, message: Arc<str> },
}

/// Judges the outcome of a call of `subjects` records, described on demand.
pub(super) fn judge(
    outcome: Outcome,
    records: usize,
    subject: impl Fn(usize) -> Subject,
    rules: &MappingSettings,
    policy: &RetryPolicy,
    now: Timestamp,
) -> Verdict {
    let bench = Bench {
        records,
        subject,
        rules,
        policy,
        now,
    };
    match bench.whole_where_asked(outcome) {
        Outcome::Returned { rows, failures } if failures.is_empty() => Verdict::Ended(Judgement {
            rows,
            ..Judgement::default()
        }),
        Outcome::Returned { rows, failures } => bench.partial(rows, &failures),
        Outcome::Error(failure) => match failure.kind {
            FailureKind::Fatal if rules.on_fatal == OnFatal::Stop => fatal(&failure),
            // `skip` says that trying again cannot help, not whom it is about: the call is halved
            // until one record is left, so that no record is condemned for its neighbours.
            FailureKind::Skip | FailureKind::Fatal if records > 1 => match rules.bisect_on_error {
                true => Verdict::Bisected { presumes: true },
                false => Verdict::Halved,
            },
            FailureKind::Skip => bench.condemned(ErrorKind::Skip, &failure.code, &failure.message),
            FailureKind::Fatal => {
                bench.condemned(ErrorKind::Fatal, &failure.code, &failure.message)
            }
            FailureKind::Retry => bench.whole(Cause::named(&failure)),
        },
        Outcome::Trap { record, message } => {
            let cause = Cause::unnamed(outcome::Cause::of(ErrorKind::Trap, message));
            match record.map(|record| record as usize) {
                Some(index) if index < records => bench.blamed(index, cause),
                _ => bench.whole(cause),
            }
        }
        Outcome::Timeout { after_ms } => {
            bench.whole(Cause::unnamed(outcome::Cause::timeout(after_ms)))
        }
        Outcome::OutOfMemory { limit_bytes } => {
            bench.whole(Cause::unnamed(outcome::Cause::out_of_memory(limit_bytes)))
        }
        Outcome::OutputTooLarge { .. } if records > 1 => Verdict::Halved,
        // One record's rows alone are too large: another attempt would give the same.
        Outcome::OutputTooLarge { limit_bytes } => {
            let cause = outcome::Cause::output_too_large(limit_bytes);
            bench.condemned(cause.kind, &cause.code, &cause.error)
        }
        Outcome::Interrupted => Verdict::Uncharged,
    }
}

fn fatal(failure: &Failure) -> Verdict {
    Verdict::Fatal {
        code: failure.code.clone(),
        message: failure.message.clone(),
    }
}

struct Bench<'a, S> {
    records: usize,
    subject: S,
    rules: &'a MappingSettings,
    policy: &'a RetryPolicy,
    now: Timestamp,
}

impl<S: Fn(usize) -> Subject> Bench<'_, S> {
    /// Without partial failures a record that failed fails its call: the gravest failure is the call's.
    fn whole_where_asked(&self, outcome: Outcome) -> Outcome {
        let Outcome::Returned { rows, failures } = outcome else {
            return outcome;
        };
        let gravest = failures.iter().min_by_key(|item| match item.failure.kind {
            FailureKind::Fatal => 0,
            FailureKind::Retry => 1,
            FailureKind::Skip => 2,
        });
        match gravest {
            Some(item) if !self.rules.partial_failures && self.records > 1 => {
                Outcome::Error(item.failure.clone())
            }
            _ => Outcome::Returned { rows, failures },
        }
    }

    /// Some records failed, each for itself.
    fn partial(&self, rows: Vec<Rows>, failures: &[ItemFailure]) -> Verdict {
        let is_fatal = |kind| kind == FailureKind::Fatal && self.rules.on_fatal == OnFatal::Stop;
        if let Some(item) = failures.iter().find(|i| is_fatal(i.failure.kind)) {
            return fatal(&item.failure);
        }
        let ended_at = outcome::ended_at(failures);
        // Rows of no record stand for the whole call: it is all or nothing.
        let runs_again = |item: &ItemFailure| item.failure.kind == FailureKind::Retry;
        let is_nothing = (ended_at.is_some() || failures.iter().any(runs_again))
            && rows.iter().any(|rows| rows.sources.contains(&WHOLE_CALL));
        let mut judgement = Judgement {
            endings: Vec::with_capacity(self.records),
            rows: if is_nothing { Vec::new() } else { rows },
            ..Judgement::default()
        };
        let mut held = KeyMap::default();
        let mut has_progressed = false;
        let mut failures = failures.iter().peekable();
        for index in 0..self.records {
            let failure = failures
                .next_if(|item| item.index as usize == index)
                .map(|item| &item.failure);
            let is_behind = ended_at.is_some_and(|ended_at| ended_at < index);
            let subject = (self.subject)(index);
            let ending = match held.entry(subject.key) {
                // An outcome behind a held record of its key is void.
                Entry::Occupied(_) => {
                    if has_progressed && subject.attempts > 0 {
                        let again = self.anew(index, subject, &judgement.charges[0]);
                        judgement.charges.push(again);
                    }
                    Ending::Void
                }
                Entry::Vacant(_) if is_behind => Ending::Again,
                Entry::Vacant(free) => match failure {
                    None if is_nothing => Ending::Again,
                    None => Ending::Done,
                    Some(failure)
                        if failure.kind == FailureKind::Retry
                            && self.has_progressed(&judgement.endings) =>
                    {
                        has_progressed = true;
                        let cause = Cause::answered(failure);
                        judgement
                            .charges
                            .push(self.uncharged(index, subject, cause));
                        free.insert(());
                        Ending::Void
                    }
                    Some(failure) => {
                        let cause = Cause::answered(failure);
                        let ending = self.charge(&mut judgement, index, subject, &cause, None);
                        if ending == Ending::Dead
                            && is_nothing
                            && self.waits_behind(index, &judgement.endings)
                        {
                            return Verdict::Split(index);
                        }
                        if ending == Ending::Charged {
                            free.insert(());
                        }
                        ending
                    }
                },
            };
            judgement.endings.push(ending);
        }
        self.void_again_of(&held, &mut judgement.endings);
        Verdict::Ended(judgement)
    }

    /// Within a shard, whether a call that failed at its next record settled others: then it costs no
    /// attempt, and the budget of what is left begins anew (Lambda ESM specification §10). In a window a call
    /// with a failed record is discarded, so that what it did well settles nothing.
    fn has_progressed(&self, before: &[Ending]) -> bool {
        let is_settled = |ending: &Ending| match ending {
            Ending::Done => !self.rules.has_windows(),
            Ending::Dead => true,
            Ending::Charged | Ending::Void | Ending::Again => false,
        };
        self.rules.ordering == Ordering::Shard && before.iter().any(is_settled)
    }

    /// A failed record that is not charged, and whose budget begins anew: it waits as after its first
    /// attempt.
    fn uncharged(&self, index: usize, subject: Subject, cause: Cause) -> Charge {
        let next_retry = self
            .policy
            .next_retry(self.now, subject.position, 1, cause.own_delay_ms);
        Charge {
            index,
            attempts: 0,
            next_retry: next_retry.min(subject.expires_at),
            fault: cause.fault,
            kind: cause.kind,
            code: cause.code,
            error: cause.error,
        }
    }

    /// The budget of a record begins anew, behind the one that failed.
    fn anew(&self, index: usize, subject: Subject, failed: &Charge) -> Charge {
        Charge {
            index,
            next_retry: failed.next_retry.min(subject.expires_at),
            ..failed.clone()
        }
    }

    /// One record is to blame; nothing else was decided.
    fn blamed(&self, culprit: usize, cause: Cause) -> Verdict {
        let mut judgement = Judgement {
            endings: vec![Ending::Again; self.records],
            ..Judgement::default()
        };
        let subject = (self.subject)(culprit);
        let ending = self.charge(&mut judgement, culprit, subject, &cause, None);
        if ending == Ending::Dead && self.waits_behind(culprit, &judgement.endings) {
            return Verdict::Split(culprit);
        }
        judgement.endings[culprit] = ending;
        if ending == Ending::Charged {
            let held = KeyMap::from_iter([(subject.key, ())]);
            self.void_again_of(&held, &mut judgement.endings);
        }
        Verdict::Ended(judgement)
    }

    /// The call failed as a whole: it is bisected, or its records are charged.
    fn whole(&self, cause: Cause) -> Verdict {
        if self.records > 1 && self.rules.bisect_on_error {
            // Fewer records take less time and memory: that half of them passes says nothing of the others.
            let presumes = !matches!(cause.kind, ErrorKind::Timeout | ErrorKind::OutOfMemory);
            return Verdict::Bisected { presumes };
        }
        self.cut_no_further(cause)
    }

    /// The call failed as a whole and is cut no further: all its records are charged.
    fn cut_no_further(&self, cause: Cause) -> Verdict {
        let mut judgement = Judgement {
            endings: Vec::with_capacity(self.records),
            ..Judgement::default()
        };
        let mut held: KeyMap<Timestamp> = KeyMap::default();
        for index in 0..self.records {
            let subject = (self.subject)(index);
            let attempts = subject.attempts + 1;
            let ending = match held.entry(subject.key) {
                // It would settle in front of an earlier record of its key.
                Entry::Occupied(_) if self.policy.is_exhausted(attempts) => Ending::Void,
                Entry::Occupied(earlier) => {
                    // The records of a key wait equally long: they are tried in one call.
                    let next_retry = Some(*earlier.get());
                    self.charge(&mut judgement, index, subject, &cause, next_retry)
                }
                Entry::Vacant(first) => {
                    let ending = self.charge(&mut judgement, index, subject, &cause, None);
                    if let (Ending::Charged, Some(charge)) = (ending, judgement.charges.last()) {
                        first.insert(charge.next_retry);
                    }
                    ending
                }
            };
            judgement.endings.push(ending);
        }
        if self.records > 1 {
            for charge in &mut judgement.charges {
                charge.fault = Fault::Call;
            }
        }
        Verdict::Ended(judgement)
    }

    /// The call's only record is given up at once.
    fn condemned(&self, kind: ErrorKind, code: &Arc<str>, error: &Arc<str>) -> Verdict {
        Verdict::Ended(Judgement {
            endings: vec![Ending::Dead],
            letters: vec![Letter {
                index: 0,
                kind,
                code: code.clone(),
                error: error.clone(),
                attempts: (self.subject)(0).attempts + 1,
            }],
            ..Judgement::default()
        })
    }

    /// Charges one record, or gives it up when that was its last attempt or trying cannot help.
    fn charge(
        &self,
        judgement: &mut Judgement,
        index: usize,
        subject: Subject,
        cause: &Cause,
        next_retry: Option<Timestamp>,
    ) -> Ending {
        let attempts = subject.attempts + 1;
        let is_hopeless = matches!(cause.kind, ErrorKind::Skip | ErrorKind::Fatal);
        if is_hopeless || self.policy.is_exhausted(attempts) {
            judgement.letters.push(Letter {
                index,
                kind: cause.kind,
                code: cause.code.clone(),
                error: cause.error.clone(),
                attempts,
            });
            return Ending::Dead;
        }
        judgement.charges.push(Charge {
            index,
            attempts,
            next_retry: next_retry.unwrap_or_else(|| {
                let next_retry = self.next_retry(subject.position, attempts, cause);
                next_retry.min(subject.expires_at)
            }),
            fault: cause.fault,
            kind: cause.kind,
            code: cause.code.clone(),
            error: cause.error.clone(),
        });
        Ending::Charged
    }

    fn next_retry(&self, position: Ordinal, attempts: u32, cause: &Cause) -> Timestamp {
        let may_share = cause.fault == Fault::Answered && self.rules.ordering == Ordering::Key;
        match cause.own_delay_ms {
            None if may_share => self.policy.next_beat(self.now, attempts),
            own => self.policy.next_retry(self.now, position, attempts, own),
        }
    }

    /// Whether an earlier record of the key of `index` is to be run again.
    fn waits_behind(&self, index: usize, endings: &[Ending]) -> bool {
        let key = (self.subject)(index).key;
        (0..index).any(|at| endings[at] == Ending::Again && (self.subject)(at).key == key)
    }

    /// A key moves whole: what would run again in the slot goes with its parked key instead, to be
    /// run in front of the charged record.
    fn void_again_of(&self, held: &KeyMap<()>, endings: &mut [Ending]) {
        for (index, ending) in endings.iter_mut().enumerate() {
            if *ending == Ending::Again && held.contains_key(&(self.subject)(index).key) {
                *ending = Ending::Void;
            }
        }
    }
}

#[cfg(test)]
mod tests;
