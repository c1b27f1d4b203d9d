//! What must always hold, written once: asked by property tests, by the simulation and by debug
//! assertions. Each predicate names what broke.

use std::collections::HashMap;
use std::hash::Hash;

use crate::{
    commit::{Commit, ErrorKind, UnitTotals},
    id::{Ordinal, SlotId},
    lane::KeyHash,
    limits,
    mapping::MaxAttempts,
    pipeline::{Inspection, PipelineStats},
    settled::Settled,
    view::UnitView,
    window::GroupWindow,
};

/// A broken invariant, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub String);

fn ensure(holds: bool, words: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation(words()))
    }
}

/// The checkpoint never passes an unsettled record.
///
/// # Errors
/// The record that it passed.
pub fn checkpoint_passes_only_settled(
    low_watermark: Ordinal,
    unsettled: impl IntoIterator<Item = Ordinal>,
) -> Result<(), Violation> {
    let passed = unsettled
        .into_iter()
        .find(|&record| record <= low_watermark);
    ensure(passed.is_none(), || {
        format!("the checkpoint {low_watermark} passed the unsettled record {passed:?}")
    })
}

/// A key is in one slot at a time (commit and storage rules §2).
///
/// # Errors
/// The key and two of its slots.
pub fn one_key_one_slot(
    holdings: impl IntoIterator<Item = (SlotId, KeyHash)>,
) -> Result<(), Violation> {
    let mut holders = HashMap::new();
    for (slot, key) in holdings {
        let holder = *holders.entry(key).or_insert(slot);
        ensure(holder == slot, || {
            format!("the key {key:?} is in {holder:?} and in {slot:?}")
        })?;
    }
    Ok(())
}

/// What is published of a key is in the order of its records: `published` are (key, source record) in
/// the order of publication.
///
/// # Errors
/// The key and the record that came late.
pub fn order_per_key<K: Hash + Eq + std::fmt::Debug>(
    published: impl IntoIterator<Item = (K, Ordinal)>,
) -> Result<(), Violation> {
    let mut last: HashMap<K, Ordinal> = HashMap::new();
    for (key, record) in published {
        match last.get_mut(&key) {
            Some(last) => {
                ensure(*last <= record, || {
                    format!("key {key:?}: record {record} was published behind {last}")
                })?;
                *last = record;
            }
            None => {
                last.insert(key, record);
            }
        }
    }
    Ok(())
}

/// A record is charged at most `max_attempts` times, and one that is not done fewer times.
///
/// # Errors
/// The count that is too high.
pub fn charges_are_bounded(
    charged: u32,
    is_done: bool,
    max_attempts: MaxAttempts,
) -> Result<(), Violation> {
    let MaxAttempts::Count(max) = max_attempts else {
        return Ok(());
    };
    let most = if is_done { max } else { max - 1 };
    ensure(charged <= most, || {
        format!("charged {charged} times of {max}, done: {is_done}")
    })
}

/// Each record has one end: processed, or a dead letter, or expired.
///
/// # Errors
/// The record and its ends.
pub fn one_end(record: Ordinal, ends: u32, is_settled: bool) -> Result<(), Violation> {
    ensure(ends == u32::from(is_settled), || {
        format!("record {record} has {ends} ends, settled: {is_settled}")
    })
}

/// Every record is accounted for: `records` since the start of the unit are filtered, processed,
/// dead-lettered, dropped, expired or pending (command line and SDK §5).
///
/// # Errors
/// Both sides of the sum.
pub fn totals_add_up(totals: &UnitTotals, records: u64, pending: u64) -> Result<(), Violation> {
    let given_up = totals.dead_lettered + totals.dropped;
    let ended = totals.filtered + totals.processed + given_up + totals.expired;
    ensure(records == ended + pending, || {
        format!("{records} records, but {totals:?} and {pending} pending")
    })
}

/// A commit settles what was not settled, charges what it does not settle, and says something. One of a
/// redrive says it of its letter alone: [`redrive_is_sound`].
///
/// # Errors
/// What contradicts.
pub fn commit_is_sound(commit: &Commit, settled: &Settled) -> Result<(), Violation> {
    if commit.redriven.is_some() {
        return redrive_is_sound(commit);
    }
    for &range in commit.settles.as_slice() {
        ensure(!settled.overlaps(range), || {
            format!("{range:?} is settled twice")
        })?;
    }
    let settles = |position| {
        let ranges = commit.settles.as_slice();
        ranges
            .iter()
            .any(|r| r.after < position && position <= r.through)
    };
    for mark in &commit.attempts {
        let is_open = !settles(mark.position) && !settled.contains(mark.position);
        ensure(is_open, || format!("{mark:?} is of a settled record"))?;
    }
    let of_records = commit.dead_letters.iter();
    for letter in of_records.filter(|letter| letter.kind != ErrorKind::WindowFailed) {
        ensure(settles(letter.position), || {
            format!("{} is a letter and not settled", letter.position)
        })?;
    }
    ensure(
        !commit.settles.is_empty() || !commit.attempts.is_empty() || commit.window.is_some(),
        || "an empty commit".to_owned(),
    )
}

/// A commit of a redrive neither settles nor charges anything: its record settled when it was given up,
/// once. It ends its letter, or keeps it with the one letter that it may have, and then publishes nothing
/// (commit and storage rules §3, `resolves`, and §7).
///
/// # Errors
/// What contradicts.
pub fn redrive_is_sound(commit: &Commit) -> Result<(), Violation> {
    ensure(
        commit.settles.is_empty() && commit.attempts.is_empty(),
        || "a redrive settles or charges a record".to_owned(),
    )?;
    let letters = commit.dead_letters.len();
    ensure(
        letters == 0 || letters == 1 && commit.outputs.is_empty(),
        || format!("a redrive that failed has {letters} letters, and outputs"),
    )
}

/// A seek settles all up to one place and nothing above it, and counts from there: what it skips is in no
/// total any more, what it goes back over is pending again (commit and storage rules §2).
///
/// # Errors
/// What the unit holds instead.
pub fn sought_is_sound(unit: &UnitView, to: Ordinal) -> Result<(), Violation> {
    let is_there = unit.settled == Settled::starting_after(to);
    ensure(is_there, || {
        format!(
            "sent to the place after {to}, settled is {:?}",
            unit.settled
        )
    })?;
    let is_new = unit.totals == UnitTotals::default() && unit.attempts.is_empty();
    ensure(is_new && unit.windows.is_empty(), || {
        format!("sent to the place after {to}, it counts on: {unit:?}")
    })
}

/// A state has one chain: what a commit says of a group was made from what is known of it, its open window
/// is none that closed, and a window that goes has closed or is ended for good
/// (commit and storage rules §8).
///
/// # Errors
/// What contradicts.
pub fn window_is_sound(known: &GroupWindow, becomes: &GroupWindow) -> Result<(), Violation> {
    let forked = known.version + 1 != becomes.version;
    ensure(!forked, || {
        format!(
            "a state of version {} was made from {}",
            becomes.version, known.version
        )
    })?;
    ensure(known.closed_through <= becomes.closed_through, || {
        format!(
            "closed through {:?} and again {:?}",
            known.closed_through, becomes.closed_through
        )
    })?;
    if let (Some(from), Some(to)) = (&known.open, &becomes.open) {
        ensure(from.window == to.window, || {
            format!(
                "{:?} became {:?} without a final call",
                from.window, to.window
            )
        })?;
    }
    let Some(open) = &becomes.open else {
        return Ok(());
    };
    // One that is longer than those before it may begin in front of what was closed.
    ensure(open.window.end > becomes.closed_through, || {
        format!(
            "{:?} is open behind {:?}",
            open.window, becomes.closed_through
        )
    })
}

/// What a pipeline holds is consistent and bounded.
///
/// # Errors
/// The first predicate that does not hold.
pub fn pipeline_is_sound(
    inspection: &Inspection,
    stats: &PipelineStats,
    max_attempts: MaxAttempts,
) -> Result<(), Violation> {
    let unsettled = inspection.unsettled.iter().copied();
    checkpoint_passes_only_settled(inspection.low_watermark, unsettled)?;
    one_key_one_slot(inspection.holdings.iter().copied())?;
    for &(_, attempts) in &inspection.attempts {
        charges_are_bounded(attempts, false, max_attempts)?;
    }
    ensure(inspection.miscounted.is_none(), || {
        format!("keys counted and listed: {:?}", inspection.miscounted)
    })?;
    ensure(inspection.astray.is_empty(), || {
        format!("no slot holds {:?}", inspection.astray)
    })?;
    for &(slot, unsynced) in &inspection.unsynced {
        ensure(unsynced <= u64::from(limits::COMMITS_IN_FLIGHT_MAX), || {
            format!("{slot:?} has {unsynced} unsynced commits")
        })?;
    }
    ensure(
        stats.window_records <= limits::UNSETTLED_RECORDS_MAX,
        || format!("{} records above the low watermark", stats.window_records),
    )?;
    ensure(stats.parked_bytes <= limits::PARKED_BYTES_MAX, || {
        format!("{} bytes of parked payload", stats.parked_bytes)
    })?;
    ensure(
        inspection.unsettled.is_empty() == stats.oldest_arrival.is_none(),
        || "the oldest unsettled record has no arrival".to_owned(),
    )
}

#[cfg(test)]
mod tests;
