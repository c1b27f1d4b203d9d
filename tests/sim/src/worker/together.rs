//! Retries that share a call, and what becomes of them when it fails as a whole.

use std::collections::BTreeSet;

use fnctl_core::{
    id::{Ordinal, SlotId},
    mapping::MaxAttempts,
    outcome::{FailureKind, Outcome},
    pipeline::Invocation,
};

use super::Worker;
use crate::journal::Journal;

impl Worker {
    /// Whether a call tries charged records of several keys again.
    pub(crate) fn is_of_several(call: &Invocation, journal: &Journal) -> bool {
        let seen = Self::seen(journal, call);
        let charged = seen.iter().filter(|record| record.attempt > 1);
        let keys: BTreeSet<u64> = charged.map(|record| record.key).collect();
        call.slot == SlotId::Retry && call.redrive.is_none() && keys.len() > 1
    }

    /// Whether what follows a record's last attempt in its key went along.
    pub(crate) fn takes_along(&self, call: &Invocation, journal: &Journal) -> bool {
        let MaxAttempts::Count(max) = self.settings.max_attempts else {
            return false;
        };
        let seen = Self::seen(journal, call);
        let is_last = |attempt: u32| attempt > 1 && attempt == max;
        let follows = |at: usize, key: u64| {
            let behind = seen.get(at + 1..).unwrap_or_default();
            behind
                .iter()
                .any(|next| next.key == key && next.attempt == 1)
        };
        let mut records = seen.iter().enumerate();
        call.slot == SlotId::Retry
            && records.any(|(at, record)| is_last(record.attempt) && follows(at, record.key))
    }

    /// A call ended. Retries that failed together, nobody says by whose fault, are called alone from then on;
    /// whether that is so now.
    pub(crate) fn parts(
        &mut self,
        call: &Invocation,
        outcome: &Outcome,
        journal: &Journal,
    ) -> bool {
        let is_nobodys = match outcome {
            Outcome::Error(failure) => failure.kind == FailureKind::Retry,
            Outcome::Trap { record, .. } => record.is_none(),
            Outcome::Timeout { .. } | Outcome::OutOfMemory { .. } => true,
            _ => false,
        };
        let parts = is_nobodys && Self::is_of_several(call, journal);
        if parts {
            let charged = call.records.iter().filter(|record| record.attempts > 0);
            self.apart.extend(charged.map(|record| record.position));
        }
        parts
    }

    pub(super) fn check_apart(&self, call: &Invocation) {
        let is_apart = |position: Ordinal| self.apart.contains(&position);
        assert!(
            call.records.len() == 1 || !call.records.iter().any(|r| is_apart(r.position)),
            "it broke a call of others before: {call:?}"
        );
    }
}
