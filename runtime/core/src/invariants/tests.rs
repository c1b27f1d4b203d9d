//! Each predicate must be able to fail: one that cannot proves nothing.

use super::*;
use crate::settled::SettledRange;

fn ordinals(positions: &[u64]) -> Vec<Ordinal> {
    positions.iter().copied().map(Ordinal).collect()
}

#[test]
fn a_checkpoint_at_or_above_an_unsettled_record_is_found() {
    assert!(checkpoint_passes_only_settled(Ordinal(4), ordinals(&[5, 9])).is_ok());
    for unsettled in [[4, 9], [2, 9]] {
        assert!(checkpoint_passes_only_settled(Ordinal(4), ordinals(&unsettled)).is_err());
    }
}

#[test]
fn a_key_in_two_slots_is_found() {
    let held = |slots: [SlotId; 2]| slots.map(|slot| (slot, KeyHash(7)));
    let (lane, other, retry) = (SlotId::Lane(0), SlotId::Lane(1), SlotId::Retry);
    assert!(one_key_one_slot(held([lane, lane])).is_ok());
    assert!(one_key_one_slot([(lane, KeyHash(1)), (retry, KeyHash(2))]).is_ok());
    for slots in [[lane, retry], [lane, other]] {
        assert!(one_key_one_slot(held(slots)).is_err());
    }
}

#[test]
fn a_record_published_behind_a_later_one_of_its_key_is_found() {
    let published = |records: [(char, u64); 4]| {
        order_per_key(records.map(|(key, record)| (key, Ordinal(record))))
    };
    assert!(published([('a', 1), ('b', 3), ('b', 3), ('a', 2)]).is_ok());
    assert!(published([('a', 1), ('b', 3), ('b', 2), ('a', 2)]).is_err());
}

#[test]
fn a_charge_too_many_is_found() {
    let max = MaxAttempts::Count(3);
    for (charged, is_done, holds) in [
        (2, false, true),
        (3, false, false),
        (3, true, true),
        (4, true, false),
    ] {
        assert_eq!(charges_are_bounded(charged, is_done, max).is_ok(), holds);
        assert!(charges_are_bounded(charged, is_done, MaxAttempts::Unlimited).is_ok());
    }
}

#[test]
fn a_record_without_an_end_or_with_two_is_found() {
    for (ends, is_settled, holds) in [
        (1, true, true),
        (0, false, true),
        (0, true, false),
        (2, true, false),
        (1, false, false),
    ] {
        assert_eq!(one_end(Ordinal(1), ends, is_settled).is_ok(), holds);
    }
}

#[test]
fn a_record_that_is_in_no_total_is_found() {
    let totals = UnitTotals {
        filtered: 1,
        processed: 2,
        dead_lettered: 3,
        expired: 4,
        failed: 99,
        emitted: 99,
        dropped: 6,
    };
    assert!(totals_add_up(&totals, 21, 5).is_ok());
    assert!(totals_add_up(&totals, 22, 5).is_err());
}

#[test]
fn a_commit_that_contradicts_what_is_settled_is_found() {
    use crate::{
        commit::{AttemptMark, Redriven},
        id::{FunctionVersion, LeaseEpoch, MappingId, ShardNumber, StreamId, Timestamp, UnitId},
        settled::SettledRanges,
    };
    let range = |after, through| SettledRange {
        after: Ordinal(after),
        through: Ordinal(through),
    };
    let commit = |settles: &[SettledRange], marked: Option<u64>| Commit {
        unit: UnitId {
            mapping: MappingId(1),
            stream: StreamId(1),
            shard: ShardNumber(0),
        },
        epoch: LeaseEpoch(1),
        slot: SlotId::Retry,
        number: 1,
        settles: settles.iter().copied().collect::<SettledRanges>(),
        attempts: marked
            .map(|position| AttemptMark {
                position: Ordinal(position),
                count: 1,
                version: FunctionVersion(1),
                next_retry: Timestamp(0),
                is_in_hand: false,
                cause: None,
            })
            .into_iter()
            .collect(),
        totals: UnitTotals::default(),
        dead_letters: Vec::new(),
        outputs: Vec::new(),
        function_version: FunctionVersion(1),
        redriven: None,
        window: None,
        outages: None,
    };
    let settled = Settled::starting_after(Ordinal(5));
    for (settles, marked, holds) in [
        (&[range(5, 6)][..], None, true),
        (&[range(6, 7)], Some(6), true),
        (&[], Some(6), true),
        (&[range(4, 6)], None, false),
        (&[range(5, 6)], Some(6), false),
        (&[], Some(5), false),
        (&[], None, false),
    ] {
        let commit = commit(settles, marked);
        assert_eq!(
            commit_is_sound(&commit, &settled).is_ok(),
            holds,
            "{commit:?}"
        );
    }
    // A redrive says nothing of its unit's records.
    for (settles, marked, holds) in [
        (&[][..], None, true),
        (&[range(5, 6)], None, false),
        (&[], Some(6), false),
    ] {
        let commit = Commit {
            redriven: Some(Redriven {
                id: Ordinal(1),
                body: Ordinal(1),
                bytes: 1,
            }),
            ..commit(settles, marked)
        };
        assert_eq!(
            commit_is_sound(&commit, &settled).is_ok(),
            holds,
            "{commit:?}"
        );
    }
}

#[test]
fn a_seek_that_counts_on_or_leaves_gaps_is_found() {
    let sought = UnitView {
        settled: Settled::starting_after(Ordinal(5)),
        ..UnitView::default()
    };
    assert!(sought_is_sound(&sought, Ordinal(5)).is_ok());
    assert!(sought_is_sound(&sought, Ordinal(4)).is_err());
    let mut counts_on = sought.clone();
    counts_on.totals.processed = 1;
    assert!(sought_is_sound(&counts_on, Ordinal(5)).is_err());
    let mut with_gap = sought;
    with_gap.settled.settle(SettledRange {
        after: Ordinal(6),
        through: Ordinal(7),
    });
    assert!(sought_is_sound(&with_gap, Ordinal(5)).is_err());
}

#[test]
fn a_state_that_forked_and_a_window_that_was_closed_are_found() {
    use crate::{id::Timestamp, window::Window};
    let group = |version, closed_through, open: Option<(u64, u32)>| GroupWindow {
        version,
        closed_through: Timestamp(closed_through),
        open: open.map(|(at, span)| crate::window::OpenWindow {
            window: Window::at(Timestamp(at), span),
            state: bytes::Bytes::new(),
            hops: 0,
            last: Ordinal(1),
            groups: 1,
            left_by: None,
        }),
    };
    let open = Some((2_000, 1_000));
    for (known, becomes, holds) in [
        (group(0, 0, None), group(1, 0, open), true),
        (group(4, 2_000, open), group(5, 2_000, open), true),
        (group(4, 2_000, open), group(5, 3_000, None), true),
        (group(4, 0, open), group(4, 0, open), false),
        (group(4, 0, open), group(6, 0, open), false),
        (group(4, 9, None), group(5, 8, None), false),
        (group(4, 0, open), group(5, 0, Some((3_000, 1_000))), false),
        (group(4, 3_000, None), group(5, 3_000, open), false),
        // A longer one may begin in front of what was closed.
        (
            group(4, 3_000, None),
            group(5, 3_000, Some((3_000, 60_000))),
            true,
        ),
    ] {
        let sound = window_is_sound(&known, &becomes);
        assert_eq!(sound.is_ok(), holds, "{known:?} {becomes:?}");
    }
}
