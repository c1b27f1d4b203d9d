//! A commit as decided, and its completion with payloads.

use std::sync::Arc;

use bytes::Bytes;

use super::{RecordRef, Redrive};
use crate::{
    breaker::Outages,
    commit::{AttemptMark, CallCost, Commit, DeadLetter, ErrorKind, OutputRecords, UnitTotals},
    id::{FunctionVersion, LeaseEpoch, Ordinal, SlotId, Timestamp, UnitId},
    mapping::OutputBinding,
    outcome::{Cause, Rows, WHOLE_CALL},
    record::{ColumnBuilder, NewRecords, Origin},
    settled::SettledRanges,
    window::{OpenWindow, WindowChange},
};

/// A record that is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedLetter {
    /// The record; `attempts` of it are those before the call that condemned it.
    pub record: RecordRef,
    /// When it arrived.
    pub arrival: Timestamp,
    /// Why.
    pub kind: ErrorKind,
    /// The author's code, else the kind.
    pub code: Arc<str>,
    /// Words.
    pub error: Arc<str>,
    /// Charged attempts in all.
    pub attempts: u32,
}

/// A record that is charged and tried again: the charge itself is in `attempts`, here is why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRetry {
    /// The record; `attempts` of it are those before the call that charged it.
    pub record: RecordRef,
    /// Why.
    pub kind: ErrorKind,
    /// The author's code, else the kind.
    pub code: Arc<str>,
    /// Words.
    pub error: Arc<str>,
    /// Charged attempts in all.
    pub attempts: u32,
    /// When it is tried again, at the earliest.
    pub next_retry: Timestamp,
}

/// What a row inherits from the record it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowSource {
    /// The record's position.
    pub position: Ordinal,
    /// The record's hops.
    pub hops: u8,
    /// Whether its rows are published: it settles and did not fail.
    pub is_kept: bool,
}

/// The rows of a call and what became of their sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedRows {
    /// As the call emitted them.
    pub rows: Vec<Rows>,
    /// The call's records by index; empty when there are no rows.
    pub sources: Vec<RowSource>,
}

/// A commit as decided: everything but bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPlan {
    /// Whose progress.
    pub unit: UnitId,
    /// By which owner.
    pub epoch: LeaseEpoch,
    /// By which slot.
    pub slot: SlotId,
    /// Dense per (epoch, slot), from 1.
    pub number: u64,
    /// What is done.
    pub settles: SettledRanges,
    /// What was charged and is not done.
    pub attempts: Vec<AttemptMark>,
    /// The unit's totals after this.
    pub totals: UnitTotals,
    /// Why records were charged, for whoever watches; no part of the commit.
    pub retries: Vec<PlannedRetry>,
    /// What is given up.
    pub letters: Vec<PlannedLetter>,
    /// What is published.
    pub rows: PlannedRows,
    /// Which version did it.
    pub version: FunctionVersion,
    /// When this was decided.
    pub decided_at: Timestamp,
    /// What the call took that it tells of; `None`: there was none.
    pub cost: Option<CallCost>,
    /// The letter that was redriven, whose record alone it is about.
    pub redriven: Option<Arc<Redrive>>,
    /// What becomes of a group's window.
    pub window: Option<PlannedWindow>,
    /// What becomes of the unit's circuits; put in when it is sent.
    pub outages: Option<Outages>,
}

/// What a commit says of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedWindow {
    /// What becomes of it.
    pub change: WindowChange,
    /// A state that is given up, with its cause.
    pub lost: Option<LostWindow>,
}

/// A window whose state is given up, with its final call or because nobody can read it: it becomes a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostWindow {
    /// The window as it was open.
    pub open: OpenWindow,
    /// Why, in words that name the window.
    pub cause: Cause,
    /// Calls that failed for it.
    pub attempts: u32,
}

/// Resolves records to what a dead letter keeps of them; the worker's blocks implement it.
pub trait Payloads {
    /// The partition key; empty when the record has none.
    fn key(&self, record: &RecordRef) -> Bytes;
    /// The payload.
    fn data(&self, record: &RecordRef) -> Bytes;
    /// The 128-bit hash key.
    fn hash_key(&self, record: &RecordRef) -> u128;
    /// The sequence number, as the source spells it.
    fn sequence_number(&self, record: &RecordRef) -> Arc<str>;
}

/// Completes a plan to the commit that is handed to the committer.
///
/// `outputs` are the mapping's bindings by output number, `hash_key` is the hash of a partition key
/// (MD5 on our own streams; computed by the caller, once a row). Rows are ordered per output by source
/// record, then as emitted, rows of no record last; those of a source that does not settle or that
/// failed are dropped (command line and SDK §2). Columns are moved, not copied, when every row is kept
/// and already in order.
pub fn complete(
    plan: CommitPlan,
    outputs: &[OutputBinding],
    payloads: &impl Payloads,
    mut hash_key: impl FnMut(&[u8]) -> u128,
) -> Commit {
    let lost = plan.window.as_ref().and_then(|window| window.lost.as_ref());
    let dead_letters = plan
        .letters
        .iter()
        .map(|letter| dead_letter(letter, &plan, payloads))
        .chain(lost.map(|lost| lost_window(lost, &plan)))
        .collect();
    let redriven = plan.redriven.as_deref();
    let with = redriven.and_then(|redriven| redriven.with.as_ref());
    let outputs = with.map_or(outputs, |with| &*with.outputs);
    // A row's origin is the record that it came from, whichever unit has its key now.
    let source = UnitId {
        shard: redriven.map_or(plan.unit.shard, |redriven| redriven.shard),
        ..plan.unit
    };
    let letter = redriven.map(|redriven| redriven.letter.clone());
    let PlannedRows { rows, sources } = plan.rows;
    let outputs = rows
        .into_iter()
        .filter_map(|rows| {
            let stream = outputs.get(usize::from(rows.output))?.stream()?;
            let records = publish(rows, &sources, source, &mut hash_key)?;
            Some(OutputRecords {
                stream: stream.clone(),
                records,
            })
        })
        .collect();
    Commit {
        unit: plan.unit,
        epoch: plan.epoch,
        slot: plan.slot,
        number: plan.number,
        settles: plan.settles,
        attempts: plan.attempts,
        totals: plan.totals,
        dead_letters,
        outputs,
        function_version: plan.version,
        redriven: letter,
        window: plan.window.map(|window| window.change),
        outages: plan.outages,
    }
}

fn dead_letter(letter: &PlannedLetter, plan: &CommitPlan, payloads: &impl Payloads) -> DeadLetter {
    let record = &letter.record;
    let redriven = plan.redriven.as_deref();
    DeadLetter {
        shard: redriven.map_or(plan.unit.shard, |redriven| redriven.shard),
        position: record.position,
        arrival: letter.arrival,
        sequence_number: match redriven {
            Some(redriven) => Arc::clone(&redriven.sequence_number),
            None => payloads.sequence_number(record),
        },
        key: payloads.key(record),
        hash_key: payloads.hash_key(record),
        data: match letter.kind {
            // Metadata only: a letter must fit a commit (commit and storage rules §4).
            ErrorKind::RecordTooLarge => Bytes::new(),
            _ => payloads.data(record),
        },
        kind: letter.kind,
        code: letter.code.clone(),
        error: letter.error.clone(),
        attempts: letter.attempts,
        version: plan.version,
        failed_at: plan.decided_at,
        cost: plan.cost,
    }
}

/// A state that is given up, in the place of the last record in it.
fn lost_window(lost: &LostWindow, plan: &CommitPlan) -> DeadLetter {
    DeadLetter {
        shard: plan.unit.shard,
        position: lost.open.last,
        arrival: lost.open.window.end,
        sequence_number: "".into(),
        key: Bytes::new(),
        hash_key: 0,
        data: lost.open.state.clone(),
        kind: ErrorKind::WindowFailed,
        code: lost.cause.code.clone(),
        error: lost.cause.error.clone(),
        attempts: lost.attempts,
        version: plan.version,
        failed_at: plan.decided_at,
        cost: plan.cost,
    }
}

/// The rows of one output that are published; `None` when none is.
fn publish(
    rows: Rows,
    sources: &[RowSource],
    unit: UnitId,
    hash_key: &mut impl FnMut(&[u8]) -> u128,
) -> Option<NewRecords> {
    let is_kept = |source: u32| source == WHOLE_CALL || sources[source as usize].is_kept;
    let in_order = rows.sources.is_sorted();
    let all_kept = rows.sources.iter().all(|&source| is_kept(source));
    let (sorted, keys, data) = if in_order && all_kept {
        (rows.sources, rows.keys, rows.data)
    } else {
        let mut order: Vec<usize> = (0..rows.sources.len())
            .filter(|&row| is_kept(rows.sources[row]))
            .collect();
        // Stable; `WHOLE_CALL` is the largest number, so rows of no record come last by themselves.
        order.sort_by_key(|&row| rows.sources[row]);
        let mut keys = ColumnBuilder::with_capacity(order.len(), rows.keys.bytes.len());
        let mut data = ColumnBuilder::with_capacity(order.len(), rows.data.bytes.len());
        for &row in &order {
            keys.push(rows.keys.get(row));
            if rows.data.is_null(row) {
                data.push_null();
            } else {
                data.push(rows.data.get(row));
            }
        }
        let sorted = order.iter().map(|&row| rows.sources[row]).collect();
        (sorted, keys.finish(), data.finish())
    };
    if sorted.is_empty() {
        return None;
    }
    // A row of the whole call comes from every record of it (commit and storage rules §4, hops).
    let whole = RowSource {
        position: sources.last().map_or(Ordinal(0), |source| source.position),
        hops: sources.iter().map(|source| source.hops).max().unwrap_or(0),
        is_kept: true,
    };
    let source_of = |source: u32| match source {
        WHOLE_CALL => whole,
        source => sources[source as usize],
    };
    let hash_keys = (0..keys.len()).map(|row| hash_key(keys.get(row))).collect();
    let hops = sorted
        .iter()
        .map(|&source| source_of(source).hops.saturating_add(1))
        .collect();
    let origins = sorted
        .iter()
        .map(|&source| Origin {
            stream: unit.stream,
            shard: unit.shard,
            position: source_of(source).position,
        })
        .collect();
    Some(NewRecords {
        keys,
        data,
        hash_keys,
        hops,
        origins,
    })
}

#[cfg(test)]
mod tests;
