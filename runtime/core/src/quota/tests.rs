use proptest::prelude::*;

use super::*;

#[test]
fn a_bound_takes_what_fills_it_and_nothing_more() {
    for (bound, stored, adding, has_room) in [
        (None, u64::MAX, u64::MAX, true),
        (Some(10), 0, 10, true),
        (Some(10), 4, 6, true),
        (Some(10), 4, 7, false),
        (Some(10), 11, 0, false),
        (Some(10), u64::MAX, 1, false),
        (Some(u64::MAX), u64::MAX, 1, true),
    ] {
        assert_eq!(
            super::has_room(bound, stored, adding),
            has_room,
            "{stored} + {adding} of {bound:?}"
        );
    }
}

const fn run(shard: u32, next: u64, bytes: u64, stamp: u64) -> StoredRun {
    StoredRun {
        shard: ShardNumber(shard),
        next: Ordinal(next),
        bytes,
        stamp,
    }
}

#[test]
fn the_oldest_runs_of_all_shards_go_and_no_more_than_needed() {
    let runs = [
        run(0, 10, 100, 5),
        run(0, 20, 100, 9),
        run(1, 7, 100, 2),
        run(1, 9, 100, 7),
    ];
    let horizons = |bound, shown| -> Vec<(u32, u64)> {
        horizons_within(bound, shown, runs)
            .into_iter()
            .map(|(shard, next)| (shard.0, next.0))
            .collect()
    };
    assert_eq!(horizons(500, 500), []);
    assert_eq!(horizons(499, 500), [(1, 7)]);
    assert_eq!(horizons(400, 500), [(1, 7)]);
    assert_eq!(horizons(399, 500), [(0, 10), (1, 7)]);
    assert_eq!(horizons(200, 500), [(0, 10), (1, 9)]);
    // What may not go stays, however far above the bound it is.
    assert_eq!(horizons(0, 500), [(0, 20), (1, 9)]);
    assert_eq!(horizons_within(0, 500, []), BTreeMap::new());
}

#[test]
fn files_of_a_bounded_log_are_a_small_part_of_it() {
    for (bound, shards, size) in [
        (None, 1, 64),
        (Some(1_000), 1, 64),
        (Some(256), 1, 32),
        (Some(256), 4, 8),
        (Some(256), 100, 4),
        (Some(256), 0, 32),
        (Some(0), 1, 4),
    ] {
        assert_eq!(run_bytes(bound, shards, 4, 64), size, "{bound:?}, {shards}");
    }
    // A test's own sizes may be below the least.
    assert_eq!(run_bytes(Some(256), 1, 4, 2), 2);
}

fn some_runs() -> impl Strategy<Value = Vec<StoredRun>> {
    let piece = (0_u32..3, 1_u64..50, 0_u64..20);
    prop::collection::vec(piece, 0..30).prop_map(|pieces| {
        let mut ends = BTreeMap::new();
        let mut stamps = BTreeMap::new();
        pieces
            .into_iter()
            .map(|(shard, bytes, later)| {
                let end: &mut u64 = ends.entry(shard).or_insert(1);
                *end += bytes;
                let stamp: &mut u64 = stamps.entry(shard).or_default();
                *stamp += later;
                run(shard, *end, bytes, *stamp)
            })
            .collect()
    })
}

proptest! {
    /// What stays is within the bound unless everything went, and it would not be without the last that
    /// went; whatever is older than something that goes, goes.
    #[test]
    fn what_stays_is_within_the_bound_and_nothing_goes_in_vain(
        runs in some_runs(),
        open in 0_u64..100,
        bound in 0_u64..800,
    ) {
        let total: u64 = runs.iter().map(|run| run.bytes).sum::<u64>() + open;
        let horizons = horizons_within(bound, total, runs.clone());
        let goes = |run: &StoredRun| {
            horizons.get(&run.shard).is_some_and(|horizon| run.next <= *horizon)
        };
        let (gone, kept): (Vec<_>, Vec<_>) = runs.iter().copied().partition(goes);
        let left = kept.iter().map(|run| run.bytes).sum::<u64>() + open;
        prop_assert!(left <= bound || kept.is_empty());
        if let Some(newest) = gone.iter().map(|run| run.stamp).max() {
            let least = gone.iter().filter(|run| run.stamp == newest);
            let least = least.map(|run| run.bytes).max().unwrap_or(0);
            prop_assert!(left + least > bound);
            prop_assert!(kept.iter().all(|run| run.stamp >= newest));
        }
    }
}
