use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn range(after: u64, through: u64) -> SettledRange {
    SettledRange {
        after: Ordinal(after),
        through: Ordinal(through),
    }
}

fn settled(low_watermark: u64, ranges: &[(u64, u64)]) -> Settled {
    let mut settled = Settled::starting_after(Ordinal(low_watermark));
    for &(after, through) in ranges {
        settled.settle(range(after, through));
    }
    settled
}

#[test]
fn ranges_that_touch_become_one_and_the_lowest_moves_the_watermark() {
    for (ranges, low_watermark, done) in [
        (&[(10, 12)][..], 12, &[][..]),
        (&[(12, 13)], 10, &[(12, 13)]),
        (&[(12, 13), (10, 12)], 13, &[]),
        (&[(12, 13), (15, 18), (13, 15)], 10, &[(12, 18)]),
        (&[(12, 13), (15, 18), (10, 11)], 11, &[(12, 13), (15, 18)]),
        (&[(12, 20), (14, 16)], 10, &[(12, 20)]),
        (&[(14, 16), (12, 20)], 10, &[(12, 20)]),
        (&[(3, 9)], 10, &[]),
        (&[(3, 14)], 14, &[]),
    ] {
        let settled = settled(10, ranges);
        let done: SettledRanges = done.iter().map(|&(a, t)| range(a, t)).collect();
        assert_eq!(
            settled.low_watermark(),
            Ordinal(low_watermark),
            "{ranges:?}"
        );
        assert_eq!(settled.done(), done, "{ranges:?}");
    }
}

#[test]
fn what_is_settled_reaches_over_a_boundary_that_vanished_from_its_source() {
    let settled = settled(10, &[(12, 20)]);
    for (position, reach) in [
        (3, 10),
        (10, 10),
        (11, 11),
        (12, 20),
        (15, 20),
        (20, 20),
        (21, 21),
    ] {
        assert_eq!(
            settled.reach(Ordinal(position)),
            Ordinal(reach),
            "{position}"
        );
    }
    assert_eq!(settled.last(), Ordinal(20));
    assert_eq!(
        super::Settled::starting_after(Ordinal(7)).last(),
        Ordinal(7)
    );
}

#[test]
#[should_panic(expected = "not empty")]
fn an_empty_range_is_refused() {
    SettledRanges::new().push(range(3, 3));
}

#[test]
#[should_panic(expected = "ascend")]
fn ranges_ascend() {
    SettledRanges::from_iter([range(5, 6), range(3, 4)]);
}

const TOP: u64 = 40;

fn naive(settled: &BTreeSet<u64>, position: u64) -> bool {
    settled.contains(&position)
}

proptest! {
    /// Against a plain set of positions: any ranges, in any order, any number of times.
    #[test]
    fn it_agrees_with_a_plain_set(
        start in 0_u64..10,
        ranges in prop::collection::vec((0_u64..TOP, 1_u64..8), 0..30),
    ) {
        let mut settled = Settled::starting_after(Ordinal(start));
        let mut set: BTreeSet<u64> = (0..=start).collect();
        for (after, width) in ranges {
            let range = range(after, after + width);
            let overlaps = (after + 1..=after + width).any(|p| naive(&set, p));
            prop_assert_eq!(settled.overlaps(range), overlaps, "{:?} {:?}", &settled, range);
            settled.settle(range);
            set.extend(after + 1..=after + width);
            // Redo settles again; nothing changes.
            let once = settled.clone();
            settled.settle(range);
            prop_assert_eq!(&settled, &once);
            for position in 0..TOP + 10 {
                prop_assert_eq!(settled.contains(Ordinal(position)), naive(&set, position));
                let unsettled = (0..=position).filter(|p| !naive(&set, *p)).count() as u64;
                prop_assert_eq!(settled.unsettled_through(Ordinal(position)), unsettled);
            }
            let low = (start..).take_while(|p| naive(&set, *p)).last().unwrap();
            prop_assert_eq!(settled.low_watermark(), Ordinal(low));
            prop_assert_eq!(settled.last(), Ordinal(*set.last().unwrap()));
            let rebuilt = Settled::from_parts(settled.low_watermark(), &settled.done());
            prop_assert_eq!(&settled, &rebuilt);
        }
    }

    /// The done-set holds as few ranges as there are gaps, so its bound is a bound on gaps.
    #[test]
    fn it_holds_one_range_a_gap(positions in prop::collection::btree_set(1_u64..TOP, 0..30)) {
        let mut settled = Settled::starting_after(Ordinal(0));
        for &position in positions.iter().rev() {
            settled.settle(range(position - 1, position));
        }
        let gaps = positions
            .iter()
            .filter(|&&p| p > settled.low_watermark().0 && !positions.contains(&(p - 1)))
            .count();
        prop_assert_eq!(settled.gaps(), gaps);
    }
}
