//! What closes a batch (Lambda ESM specification §5, §22 row Batch).

use proptest::prelude::*;

use super::*;

fn batcher(records_max: u32, bytes_max: u64, window_ms: u64) -> Batcher<u32> {
    Batcher::new(BatchLimits {
        records_max,
        bytes_max,
        window_ms,
    })
}

fn take(batcher: &mut Batcher<u32>) -> Vec<u32> {
    let mut batch = Vec::new();
    batcher.take(&mut batch, |_| ());
    batch
}

/// Sizes in bytes, and the batches they make.
#[test]
fn a_batch_closes_on_count_or_before_it_would_pass_its_bytes() {
    for (records_max, bytes_max, sizes, batches) in [
        (3, 100, vec![1, 1, 1, 1, 1, 1, 1], vec![3, 3, 1]),
        (9, 10, vec![4, 4, 4, 4], vec![2, 2]),
        (9, 10, vec![5, 5, 5], vec![2, 1]),
        // One larger record goes alone, and takes nobody along.
        (9, 10, vec![1, 11, 1], vec![1, 1, 1]),
        (9, 10, vec![11, 10, 1], vec![1, 1, 1]),
        (1, 10, vec![1, 1], vec![1, 1]),
        (2, 10, vec![0, 0, 0], vec![2, 1]),
    ] {
        let mut batcher = batcher(records_max, bytes_max, 0);
        for (item, &bytes) in sizes.iter().enumerate() {
            batcher.push(item as u32, bytes, Timestamp(1));
        }
        let mut cut = Vec::new();
        while !batcher.is_empty() {
            cut.push(take(&mut batcher).len());
        }
        assert_eq!(cut, batches, "{records_max} {bytes_max} {sizes:?}");
        assert_eq!(batcher.bytes(), 0);
    }
}

#[test]
fn the_window_is_measured_from_the_first_buffered_record_to_the_millisecond() {
    let mut batcher = batcher(100, 1_000, 250);
    assert_eq!(batcher.deadline(), None);
    batcher.push(0, 1, Timestamp(1_000));
    batcher.push(1, 1, Timestamp(1_200));
    assert_eq!(batcher.deadline(), Some(Timestamp(1_250)));
    assert!(!batcher.is_due(Timestamp(1_249)));
    assert!(batcher.is_due(Timestamp(1_250)));
    assert_eq!(take(&mut batcher), [0, 1]);
    batcher.push(2, 1, Timestamp(2_000));
    assert_eq!(batcher.deadline(), Some(Timestamp(2_250)));
}

#[test]
fn a_full_batch_waits_for_no_window() {
    let mut by_count = batcher(2, 1_000, 60_000);
    by_count.push(0, 1, Timestamp(0));
    assert!(!by_count.is_due(Timestamp(0)));
    by_count.push(1, 1, Timestamp(0));
    assert!(by_count.is_due(Timestamp(0)));
    let mut by_bytes = batcher(100, 10, 60_000);
    by_bytes.push(0, 10, Timestamp(0));
    assert!(by_bytes.is_due(Timestamp(0)));
}

#[test]
fn without_a_window_one_record_is_due_at_once() {
    let mut batcher = batcher(100, 1_000, 0);
    batcher.push(0, 1, Timestamp(5));
    assert!(batcher.is_due(Timestamp(5)));
}

#[test]
fn a_batch_holds_records_of_one_sort() {
    let mut batcher = batcher(100, 1_000, 0);
    for item in [2, 4, 3, 6] {
        batcher.push(item, 1, Timestamp(0));
    }
    let mut batch = Vec::new();
    batcher.take(&mut batch, |item| item % 2);
    assert_eq!(batch, [2, 4]);
}

#[test]
fn a_clock_that_goes_back_lengthens_no_window() {
    let mut batcher = batcher(100, 1_000, 250);
    batcher.push(0, 1, Timestamp(1_000_000));
    batcher.clock_went_back(Timestamp(1_000));
    assert_eq!(batcher.deadline(), Some(Timestamp(1_250)));
}

proptest! {
    #[test]
    fn every_record_is_in_one_batch_in_order_and_within_the_limits(
        sizes in prop::collection::vec(0_u32..20, 0..60),
        records_max in 1_u32..8,
        bytes_max in 1_u64..40,
    ) {
        let mut batcher = batcher(records_max, bytes_max, 0);
        for (item, &bytes) in sizes.iter().enumerate() {
            batcher.push(item as u32, bytes, Timestamp(0));
        }
        let mut all = Vec::new();
        while !batcher.is_empty() {
            let batch = take(&mut batcher);
            let bytes: u64 = batch.iter().map(|&item| u64::from(sizes[item as usize])).sum();
            prop_assert!(batch.len() == 1 || bytes <= bytes_max);
            prop_assert!(batch.len() <= records_max as usize);
            all.extend(batch);
        }
        prop_assert_eq!(all, (0..sizes.len() as u32).collect::<Vec<_>>());
    }

    #[test]
    fn extracting_keeps_order_and_bytes(
        sizes in prop::collection::vec(0_u32..20, 0..60),
        divisor in 1_u32..5,
    ) {
        let mut batcher = batcher(100, 10_000, 0);
        for (item, &bytes) in sizes.iter().enumerate() {
            batcher.push(item as u32, bytes, Timestamp(0));
        }
        let mut taken = Vec::new();
        batcher.extract(|item| item % divisor == 0, &mut taken);
        prop_assert!(taken.is_sorted());
        let left: u64 = batcher.iter().map(|item| u64::from(sizes[item as usize])).sum();
        prop_assert_eq!(batcher.bytes(), left);
        prop_assert_eq!(batcher.len() + taken.len(), sizes.len());
    }
}
