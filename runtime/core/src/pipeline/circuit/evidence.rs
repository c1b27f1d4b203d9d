//! What a call that ended says of what its function needs.

use crate::{
    breaker::Sign,
    lane::KeyHash,
    limits,
    outcome::{self, Cause, FailureKind, Outcome},
    pipeline::{ShardPipeline, backlog::Serial},
};

impl ShardPipeline {
    /// Whether it is well, or may be sick, or nothing.
    pub(super) fn sign(&self, slot: usize, records: &[Serial], outcome: &Outcome) -> Sign {
        let cause = match outcome {
            Outcome::Returned { failures, .. } => {
                let retries = || {
                    let failures = failures.iter();
                    failures.filter(|item| item.failure.kind == FailureKind::Retry)
                };
                let count = retries().count();
                if count * 2 > records.len() {
                    let failed = retries().map(|item| records[item.index as usize]);
                    let first = retries().next().map(|item| Cause::named(&item.failure));
                    return match first {
                        Some(cause) => Sign::Sick {
                            keys: self.new_witnesses(failed),
                            cause,
                        },
                        None => Sign::None,
                    };
                }
                return match records.len().saturating_sub(failures.len()) {
                    // Nothing was done: whether it could have been is not known.
                    0 if !records.is_empty() => Sign::None,
                    done => Sign::Well {
                        records: done.max(1) as u64,
                    },
                };
            }
            Outcome::Error(failure) if failure.kind == FailureKind::Retry => Cause::named(failure),
            Outcome::Timeout { after_ms } => Cause::timeout(*after_ms),
            _ => return Sign::None,
        };
        let keys = match records {
            [] => match self.closing_failures(slot) {
                // A group is a key of its own to the calls that end its windows.
                Some((group, 0)) => vec![KeyHash(group.into())],
                _ => Vec::new(),
            },
            [_] => self.new_witnesses(records.iter().copied()),
            // No call of fewer records follows that would name one.
            _ if self.waits_in_order() && !self.config.settings.bisect_on_error => {
                self.new_witnesses(records.iter().copied())
            }
            _ => Vec::new(),
        };
        Sign::Sick { keys, cause }
    }

    /// The keys that a call names, in its order, and which of them were well.
    pub(super) fn verdicts(&self, records: &[Serial], outcome: &Outcome) -> Vec<(KeyHash, bool)> {
        let key = |serial: &Serial| self.backlog.get(*serial).key;
        let failures = match outcome {
            Outcome::Returned { failures, .. } => failures,
            Outcome::Error(failure) if failure.kind != FailureKind::Retry => return Vec::new(),
            // One of several may have failed it.
            Outcome::Error(_) | Outcome::Timeout { .. } if records.len() == 1 => {
                return vec![(key(&records[0]), false)];
            }
            _ => return Vec::new(),
        };
        let looked_at = outcome::ended_at(failures).map_or(records.len(), |at| at + 1);
        let mut failures = failures.iter().peekable();
        let verdict = |(index, serial): (usize, &Serial)| {
            let failed = failures.next_if(|item| item.index as usize == index);
            match failed.map(|item| item.failure.kind) {
                None => Some((key(serial), true)),
                Some(FailureKind::Retry) => Some((key(serial), false)),
                // It says nothing of what the function needs.
                Some(FailureKind::Skip | FailureKind::Fatal) => None,
            }
        };
        let looked_at = records.iter().take(looked_at).enumerate();
        looked_at.filter_map(verdict).collect()
    }

    /// Keys of records that failed by name now and had not before, as far as owners know.
    fn new_witnesses(&self, failed: impl Iterator<Item = Serial>) -> Vec<KeyHash> {
        let entries = failed.map(|serial| self.backlog.get(serial));
        let fresh = entries.filter(|entry| !entry.is_named);
        let mut keys: Vec<KeyHash> = Vec::new();
        for entry in fresh {
            if keys.len() as u64 == limits::CIRCUIT_KEYS {
                break;
            }
            if !keys.contains(&entry.key) {
                keys.push(entry.key);
            }
        }
        keys
    }

    /// Whether a sick call gives up what it was about, by attempts.
    pub(super) fn would_give_up(&self, slot: usize, records: &[Serial], outcome: &Outcome) -> bool {
        let is_exhausted = |attempts: u32| self.policy.is_exhausted(attempts + 1);
        let is_last = |&serial: &Serial| is_exhausted(self.backlog.get(serial).attempts);
        match outcome {
            Outcome::Returned { failures, .. } if self.config.settings.partial_failures => {
                let retries = failures
                    .iter()
                    .filter(|item| item.failure.kind == FailureKind::Retry);
                let mut failed = retries.map(|item| records[item.index as usize]);
                failed.any(|serial| is_last(&serial))
            }
            _ if records.is_empty() => {
                let closing = self.closing_failures(slot);
                closing.is_some_and(|(_, failures)| is_exhausted(failures))
            }
            _ => {
                // It may be one record's fault, of which other calls, or none, will tell.
                let is_unnamed = self.waits_in_order() || self.config.settings.bisect_on_error;
                !(is_unnamed && records.len() > 1) && records.iter().any(is_last)
            }
        }
    }
}
