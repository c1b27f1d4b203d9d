use proptest::prelude::*;

use super::*;

fn values(arena: &Arena) -> Vec<Option<Vec<u8>>> {
    (0..arena.ends.len())
        .map(|index| {
            let is_null = arena.nulls.contains(&(index as u32));
            (!is_null).then(|| arena.bytes[arena.value(index)].to_vec())
        })
        .collect()
}

#[test]
fn output_names_are_checked() {
    for name in ["a", "rejected", "a_b-9", &"a".repeat(64)] {
        assert!(is_output_name(name), "{name}");
    }
    for name in ["", "A", "9a", "-a", "ä", "a b", &"a".repeat(65)] {
        assert!(!is_output_name(name), "{name}");
    }
}

#[test]
fn keys_cost_nothing_until_a_row_has_one() {
    let mut pending = Pending::new(Output::DEFAULT);
    pending.push(0, None);
    assert!(pending.keys.ends.is_empty());
    pending.push(1, Some(b"k"));
    pending.push(2, None);
    assert_eq!(values(&pending.keys), [None, Some(b"k".to_vec()), None]);
    assert_eq!(pending.byte_len(), 1);
}

proptest! {
    #[test]
    fn dropping_rows_is_filtering_them(
        rows in prop::collection::vec(
            (0u32..8, prop::option::of("[a-z]{0,3}"), "[a-z]{0,5}"), 0..30),
        failed in prop::collection::btree_set(0u32..8, 0..5),
    ) {
        let mut pending = Pending::new(Output::DEFAULT);
        for (source, key, body) in &rows {
            pending.data.bytes.extend_from_slice(body.as_bytes());
            pending.push(*source, key.as_deref().map(str::as_bytes));
        }
        let has_keys = !pending.keys.ends.is_empty();
        let failed: Vec<u32> = failed.into_iter().collect();
        pending.drop_rows_of(&failed);

        let left: Vec<_> = rows.iter().filter(|(source, _, _)| !failed.contains(source)).collect();
        prop_assert_eq!(&pending.sources, &left.iter().map(|row| row.0).collect::<Vec<_>>());
        let bodies: Vec<_> = left.iter().map(|row| Some(row.2.clone().into_bytes())).collect();
        prop_assert_eq!(values(&pending.data), bodies);
        if has_keys {
            let keys: Vec<_> =
                left.iter().map(|row| row.1.clone().map(String::into_bytes)).collect();
            prop_assert_eq!(values(&pending.keys), keys);
        }
        prop_assert_eq!(pending.data.bytes.len(), left.iter().map(|row| row.2.len()).sum::<usize>());
    }
}
