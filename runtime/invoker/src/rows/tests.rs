use fnctl_core::{
    id::Ordinal,
    record::{ColumnBuilder, Records},
};
use proptest::prelude::*;

use super::*;

struct Facts;

impl CallFacts for Facts {
    fn attempt(&self, _: u32) -> u32 {
        1
    }
    fn ordinal(&self, index: u32) -> Ordinal {
        Ordinal(u64::from(index) + 1)
    }
    fn sequence_number(&self, _: u32) -> String {
        String::new()
    }
    fn record_id(&self, index: u32) -> String {
        format!("id-{index}")
    }
    fn header(&self, _: u32, _: &str) -> Option<Vec<u8>> {
        None
    }
}

fn records(count: u32) -> Records {
    let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
    for index in 0..count {
        keys.push(format!("k{index}").as_bytes());
        data.push(format!("body {index}").as_bytes());
    }
    Records {
        keys: keys.finish(),
        data: data.finish(),
        arrival_ms: vec![0; count as usize],
    }
}

/// Rows of output 0, one a call of `emit`.
/// So many outputs whose streams have the usual limit.
fn plain(count: usize) -> Outputs<'static> {
    Outputs {
        count,
        row_bytes_max: &[],
    }
}

fn emit_each(rows: &[(u32, Option<&str>, &str)], count: u32) -> Emitted {
    let mut emitted = Emitted::default();
    for (source, key, body) in rows {
        let ends = key.map(|key| [index_of(key.len())]);
        let keys = key.zip(ends.as_ref()).map(|(key, ends)| ColumnView {
            bytes: key.as_bytes(),
            ends,
            nulls: &[],
        });
        let data = ColumnView {
            bytes: body.as_bytes(),
            ends: &[index_of(body.len())],
            nulls: &[],
        };
        let view = RowsView {
            sources: &[*source],
            keys,
            data,
        };
        emitted
            .emit(0, plain(1), &records(count), &Facts, view)
            .unwrap()
            .unwrap();
    }
    emitted
}

fn told(rows: &[Rows]) -> Vec<(u32, String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let row = |rows: &Rows, at: usize| {
        (
            rows.sources[at],
            text(rows.keys.get(at)),
            text(rows.data.get(at)),
        )
    };
    rows.iter()
        .flat_map(|rows| (0..rows.sources.len()).map(move |at| row(rows, at)))
        .collect()
}

fn told_rows(rows: &[(u32, &str, &str)]) -> Vec<(u32, String, String)> {
    rows.iter()
        .map(|(source, key, body)| (*source, (*key).to_owned(), (*body).to_owned()))
        .collect()
}

#[test]
fn rows_are_ordered_by_source_and_those_of_one_source_as_emitted() {
    let rows = [
        (2, None, "c"),
        (0, Some("own"), "a1"),
        (WHOLE_CALL, None, "all"),
        (2, None, "d"),
        (0, None, "a2"),
    ];
    let expected = [
        (0, "own", "a1"),
        (0, "k0", "a2"),
        (2, "k2", "c"),
        (2, "k2", "d"),
        (WHOLE_CALL, "id-2+1", "all"),
    ];
    assert_eq!(told(&emit_each(&rows, 3).finish(&[])), told_rows(&expected));
}

#[test]
fn rows_of_failed_records_are_dropped_and_an_output_without_rows_is_none() {
    let rows = [(0, None, "a"), (1, None, "b"), (2, None, "c")];
    assert_eq!(
        told(&emit_each(&rows, 3).finish(&[0, 2])),
        told_rows(&[(1, "k1", "b")])
    );
    assert_eq!(emit_each(&rows, 3).finish(&[0, 1, 2]), []);
}

#[test]
fn a_key_is_one_to_256_characters_of_text() {
    let long = "é".repeat(256);
    for key in ["k", &"k".repeat(256), &long, "\u{0}"] {
        assert!(is_key(key.as_bytes()), "{key:?}");
    }
    for key in [
        &b""[..],
        &[b'k'; 257],
        format!("{long}x").as_bytes(),
        b"\xff",
        &[b'k'; 2_000],
    ] {
        assert!(!is_key(key), "{key:?}");
    }
}

#[test]
fn a_bad_key_and_a_large_body_fail_their_record_and_no_other() {
    let large = "x".repeat(usize::try_from(STREAM_RECORD_BYTES_DEFAULT).unwrap() + 1);
    let emitted = emit_each(
        &[
            (0, Some(""), "a"),
            (1, Some("k"), &large),
            (2, None, "fine"),
        ],
        3,
    );
    let faults: Vec<_> = emitted
        .faults
        .iter()
        .map(|row| (row.source, row.fault))
        .collect();
    assert_eq!(
        faults,
        [
            (0, RowFault::BadKey),
            (
                1,
                RowFault::TooLarge {
                    most: STREAM_RECORD_BYTES_DEFAULT
                }
            )
        ]
    );
}

#[test]
fn a_body_may_be_as_large_as_its_own_outputs_stream_takes() {
    let usual = usize::try_from(STREAM_RECORD_BYTES_DEFAULT).unwrap();
    let outputs = Outputs {
        count: 3,
        row_bytes_max: &[2 * STREAM_RECORD_BYTES_DEFAULT, 10],
    };
    let mut data = ColumnBuilder::default();
    data.push(&vec![0; usual + 1]);
    let mut records = records(1);
    records.data = data.finish();
    // 0 takes more, 1 less, 2 what is usual.
    for (output, most) in [
        (0, None),
        (1, Some(10)),
        (2, Some(STREAM_RECORD_BYTES_DEFAULT)),
    ] {
        let mut emitted = Emitted::default();
        let forwarded = emitted.forward(output, outputs, &records, &Facts, &[0]);
        assert_eq!(forwarded, Ok(Ok(())));
        let faults: Vec<_> = emitted.faults.iter().map(|row| row.fault).collect();
        let expected: Vec<_> = most
            .map(|most| RowFault::TooLarge { most })
            .into_iter()
            .collect();
        assert_eq!(faults, expected, "output {output}");
    }
}

#[test]
fn output_is_bounded_in_bytes_and_in_rows() {
    let records = records(1);
    let body = vec![0; 1 << 20];
    let data = ColumnView {
        bytes: &body,
        ends: &[1 << 20],
        nulls: &[],
    };
    let view = RowsView {
        sources: &[0],
        keys: None,
        data,
    };
    let mut emitted = Emitted::default();
    let taken = (0..)
        .take_while(|_| emitted.emit(0, plain(1), &records, &Facts, view).is_ok())
        .count();
    // The sixteenth fits with its key no more.
    assert_eq!(taken, 15);
    let mut emitted = Emitted::default();
    let sources = vec![0; OUTPUT_ROWS_MAX + 1];
    assert_eq!(
        emitted.forward(0, plain(1), &records, &Facts, &sources),
        Err(OutputOverflow)
    );
}

#[test]
fn a_refusal_takes_nothing_and_the_first_is_remembered() {
    let mut emitted = Emitted::default();
    let data = ColumnView {
        bytes: b"ab",
        ends: &[1, 2],
        nulls: &[],
    };
    let view = RowsView {
        sources: &[0],
        keys: None,
        data,
    };
    assert!(
        emitted
            .emit(0, plain(1), &records(1), &Facts, view)
            .unwrap()
            .is_err()
    );
    assert!(
        emitted
            .forward(1, plain(1), &records(1), &Facts, &[0])
            .unwrap()
            .is_err()
    );
    assert!(
        emitted
            .forward(0, plain(1), &records(1), &Facts, &[WHOLE_CALL])
            .unwrap()
            .is_err()
    );
    assert_eq!(emitted.refusal.as_deref(), Some("2 bodies for 1 sources"));
    assert_eq!(emitted.finish(&[]), []);
}

fn column() -> impl Strategy<Value = (Vec<u8>, Vec<u32>, Vec<u32>)> {
    let bytes = prop::collection::vec(any::<u8>(), 0..24);
    let ends = prop::collection::vec(0..26_u32, 0..6);
    (bytes, ends, prop::collection::vec(0..7_u32, 0..3))
}

/// Often sound: sorted ends that cover the bytes, no nulls.
fn mostly_sound() -> impl Strategy<Value = (Vec<u8>, Vec<u32>, Vec<u32>)> {
    (column(), 0..4).prop_map(|((bytes, mut ends, nulls), luck)| {
        if luck == 0 {
            return (bytes, ends, nulls);
        }
        ends.sort_unstable();
        ends.iter_mut()
            .for_each(|end| *end = (*end).min(index_of(bytes.len())));
        if let Some(last) = ends.last_mut() {
            *last = index_of(bytes.len());
        }
        let bytes = if ends.is_empty() { Vec::new() } else { bytes };
        (bytes, ends, Vec::new())
    })
}

proptest! {
    /// Whatever comes: no panic, and what is taken over is made of whole columns of one length, ordered by
    /// source, without a null key.
    #[test]
    fn whatever_a_guest_hands_over_comes_out_sound_or_not_at_all(
        parts in prop::collection::vec(
            (prop::collection::vec(prop_oneof![8 => 0..5_u32, 1 => Just(WHOLE_CALL)], 0..6), prop::option::of(mostly_sound()), mostly_sound(), any::<bool>()),
            0..5,
        ),
        failed in prop::collection::btree_set(0..4_u32, 0..3),
    ) {
        let records = records(4);
        let mut emitted = Emitted::default();
        for (mut sources, keys, data, fits) in parts {
            if fits {
                sources.resize(data.1.len(), 1);
            }
            let view = |column: &'_ (Vec<u8>, Vec<u32>, Vec<u32>)| -> ColumnView<'static> {
                // Leaked: a few bytes of a test.
                let (bytes, ends, nulls) = column.clone();
                ColumnView { bytes: bytes.leak(), ends: ends.leak(), nulls: nulls.leak() }
            };
            let keys = keys.as_ref().map(view).filter(|keys| !fits || keys.len() == data.1.len());
            let rows = RowsView { sources: &sources, keys, data: view(&data) };
            let taken = emitted.emit(0, plain(2), &records, &Facts, rows);
            prop_assert!(taken.is_ok());
            prop_assert!(emitted.forward(1, plain(2), &records, &Facts, &sources).is_ok());
        }
        let failed: Vec<u32> = failed.into_iter().collect();
        for rows in emitted.finish(&failed) {
            prop_assert!(!rows.sources.is_empty() && rows.sources.is_sorted());
            prop_assert!(rows.sources.iter().all(|source| !failed.contains(source)));
            prop_assert_eq!(rows.keys.check(), Ok(()));
            prop_assert_eq!(rows.data.check(), Ok(()));
            prop_assert!(rows.keys.nulls.is_empty());
            prop_assert_eq!((rows.keys.len(), rows.data.len()), (rows.sources.len(), rows.sources.len()));
        }
    }
}
