//! Where an owner of a shard begins, and what waits in it.

use std::collections::BTreeMap;

use super::{Harness, TAKEN, settings};
use crate::{
    breaker::Outages,
    commit::{AttemptMark, UnitTotals},
    id::{FunctionVersion, LeaseEpoch, Ordinal, Timestamp},
    mapping::MappingSettings,
    outcome::FailureKind::Retry,
    pipeline::Started,
    settled::Settled,
};

/// A shard in which nothing was ever done.
pub(in super::super) fn beginning() -> Started {
    Started {
        epoch: LeaseEpoch(1),
        settled: Settled::default(),
        attempts: Vec::new(),
        totals: UnitTotals::default(),
        tail: Ordinal(0),
        windows: BTreeMap::new(),
        outages: Outages::default(),
        is_closed: false,
    }
}

/// The same, but for what an earlier owner charged.
pub(in super::super) fn charged(attempts: Vec<AttemptMark>) -> Started {
    Started {
        attempts,
        ..beginning()
    }
}

/// A record that version 1 was charged for so often, and that waits until then.
pub(in super::super) fn mark(position: u64, count: u32, next_retry: u64) -> AttemptMark {
    AttemptMark {
        position: Ordinal(position),
        count,
        version: FunctionVersion(1),
        next_retry: Timestamp(next_retry),
        is_in_hand: false,
        cause: None,
    }
}

/// Backoff of exactly so many milliseconds at most.
pub(in super::super) fn waiting_ms(settings: MappingSettings, backoff_ms: u64) -> MappingSettings {
    MappingSettings {
        backoff_initial_ms: backoff_ms,
        backoff_max_ms: backoff_ms,
        ..settings
    }
}

/// Nothing that failed is due while a test looks at it.
pub(in super::super) fn slow() -> MappingSettings {
    waiting_ms(settings(), 100_000)
}

/// A shard in which record 1 of key "a" waits for a retry, and 3 behind it; 2, of key "b", is done.
pub(in super::super) fn parked(settings: MappingSettings) -> Harness {
    let mut shard = Harness::new(settings);
    shard.put("a b a");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.forget();
    shard
}
