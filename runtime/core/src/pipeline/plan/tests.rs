use super::*;
use crate::{
    id::{MappingId, ShardNumber, StreamId, StreamName},
    pipeline::BlockId,
    record::ByteColumn,
};

const COST: CallCost = CallCost {
    duration_us: 1_500,
    memory_bytes: 1 << 16,
};

const STREAM: StreamId = StreamId(7);
const SHARD: ShardNumber = ShardNumber(2);

struct Shard;

impl Payloads for Shard {
    fn key(&self, record: &RecordRef) -> Bytes {
        format!("k{}", record.position).into()
    }
    fn data(&self, record: &RecordRef) -> Bytes {
        format!("d{}", record.position).into()
    }
    fn hash_key(&self, record: &RecordRef) -> u128 {
        u128::from(record.position.0)
    }
    fn sequence_number(&self, record: &RecordRef) -> Arc<str> {
        format!("s{}", record.position).into()
    }
}

fn column(values: &[&str]) -> ByteColumn {
    let mut column = ColumnBuilder::default();
    for value in values {
        column.push(value.as_bytes());
    }
    column.finish()
}

fn rows(output: u16, rows: &[(u32, &str)]) -> Rows {
    let data: Vec<&str> = rows.iter().map(|row| row.1).collect();
    Rows {
        output,
        sources: rows.iter().map(|row| row.0).collect(),
        keys: column(&data),
        data: column(&data),
    }
}

/// Four records at positions 10, 20, 30, 40 with 0, 3, 1, 0 hops.
fn plan(rows: Vec<Rows>, kept: [bool; 4]) -> CommitPlan {
    CommitPlan {
        unit: UnitId {
            mapping: MappingId(1),
            stream: STREAM,
            shard: SHARD,
        },
        epoch: LeaseEpoch(1),
        slot: SlotId::Lane(0),
        number: 1,
        settles: SettledRanges::new(),
        attempts: Vec::new(),
        totals: UnitTotals::default(),
        retries: Vec::new(),
        letters: Vec::new(),
        rows: PlannedRows {
            rows,
            sources: [(10, 0), (20, 3), (30, 1), (40, 0)]
                .into_iter()
                .zip(kept)
                .map(|((position, hops), is_kept)| RowSource {
                    position: Ordinal(position),
                    hops,
                    is_kept,
                })
                .collect(),
        },
        version: FunctionVersion(5),
        cost: Some(COST),
        redriven: None,
        window: None,
        outages: None,
        decided_at: Timestamp(99),
    }
}

fn stream(name: &str) -> OutputBinding {
    OutputBinding::Stream(StreamName::parse(name).unwrap())
}

fn published(rows: Vec<Rows>, kept: [bool; 4]) -> Vec<(String, Vec<String>)> {
    let bindings = [stream("a"), OutputBinding::None, stream("b")];
    complete(plan(rows, kept), &bindings, &Shard, |key| key.len() as u128)
        .outputs
        .into_iter()
        .map(|output| {
            let records = output.records;
            let rows = (0..records.len())
                .map(|row| {
                    format!(
                        "{} h{} o{} #{}",
                        String::from_utf8_lossy(records.data.get(row)),
                        records.hops[row],
                        records.origins[row].position,
                        records.hash_keys[row],
                    )
                })
                .collect();
            (output.stream.to_string(), rows)
        })
        .collect()
}

fn one(stream: &str, rows: &[&str]) -> Vec<(String, Vec<String>)> {
    vec![(
        stream.to_owned(),
        rows.iter().map(|&row| row.to_owned()).collect(),
    )]
}

const ALL: [bool; 4] = [true; 4];

#[test]
fn rows_in_order_and_kept_are_moved_not_copied() {
    let rows = rows(0, &[(0, "x"), (1, "yy")]);
    let arena = rows.data.bytes.as_ptr();
    let commit = complete(plan(vec![rows], ALL), &[stream("a")], &Shard, |_| 0);
    assert_eq!(commit.outputs[0].records.data.bytes.as_ptr(), arena);
}

#[test]
fn rows_follow_their_source_then_their_emission_and_whole_call_rows_come_last() {
    let rows = rows(
        0,
        &[
            (WHOLE_CALL, "w1"),
            (2, "c1"),
            (0, "a"),
            (2, "c2"),
            (WHOLE_CALL, "w2"),
        ],
    );
    assert_eq!(
        published(vec![rows], ALL),
        // Hops: one more than the source's; of the whole call, one more than the highest.
        one(
            "a",
            &[
                "a h1 o10 #1",
                "c1 h2 o30 #2",
                "c2 h2 o30 #2",
                "w1 h4 o40 #2",
                "w2 h4 o40 #2"
            ]
        )
    );
}

#[test]
fn rows_of_a_source_that_failed_or_does_not_settle_are_dropped() {
    let rows = rows(2, &[(0, "a"), (1, "b"), (3, "d")]);
    assert_eq!(
        published(vec![rows], [true, false, true, true]),
        one("b", &["a h1 o10 #1", "d h1 o40 #1"])
    );
}

#[test]
fn an_output_bound_to_nothing_or_without_kept_rows_is_not_in_the_commit() {
    let nowhere = rows(1, &[(0, "a")]);
    let dropped = rows(0, &[(1, "b")]);
    assert!(published(vec![nowhere, dropped], [true, false, true, true]).is_empty());
}

#[test]
fn null_payloads_stay_null_when_rows_are_gathered() {
    let mut data = ColumnBuilder::default();
    data.push(b"x");
    data.push_null();
    let rows = Rows {
        output: 0,
        sources: vec![1, 0],
        keys: column(&["k", "k"]),
        data: data.finish(),
    };
    let commit = complete(plan(vec![rows], ALL), &[stream("a")], &Shard, |_| 0);
    assert!(commit.outputs[0].records.data.is_null(0));
    assert!(!commit.outputs[0].records.data.is_null(1));
}

#[test]
fn a_letter_keeps_payload_and_cause_and_a_too_large_one_only_metadata() {
    let letter = |kind| PlannedLetter {
        record: RecordRef {
            position: Ordinal(20),
            block: BlockId(1),
            index: 0,
            attempts: 1,
        },
        arrival: Timestamp(5),
        kind,
        code: "bad-age".into(),
        error: "age".into(),
        attempts: 2,
    };
    let mut plan = plan(Vec::new(), ALL);
    plan.letters = vec![letter(ErrorKind::Skip), letter(ErrorKind::RecordTooLarge)];
    let commit = complete(plan, &[], &Shard, |_| 0);
    let whole = DeadLetter {
        shard: SHARD,
        position: Ordinal(20),
        arrival: Timestamp(5),
        sequence_number: "s20".into(),
        key: "k20".into(),
        hash_key: 20,
        data: "d20".into(),
        kind: ErrorKind::Skip,
        code: "bad-age".into(),
        error: "age".into(),
        attempts: 2,
        version: FunctionVersion(5),
        failed_at: Timestamp(99),
        cost: Some(COST),
    };
    assert_eq!(commit.dead_letters[0], whole);
    assert_eq!(
        commit.dead_letters[1],
        DeadLetter {
            data: Bytes::new(),
            kind: ErrorKind::RecordTooLarge,
            ..whole
        }
    );
}
