use proptest::prelude::*;

use super::*;

/// When the next attempt is, and whether the record was blamed.
type Charged = Option<(u64, bool)>;

const KEY: KeyHash = KeyHash(1);
const LIMITS: BatchLimits = BatchLimits {
    records_max: 3,
    bytes_max: 100,
    window_ms: 0,
};

fn record(item: u32, charge: Charged) -> ParkedRecord<u32> {
    ParkedRecord {
        item,
        bytes: 1,
        charge: charge.map(|(at, is_blamed)| ParkedCharge {
            next_retry: Timestamp(at),
            is_blamed,
        }),
    }
}

fn charge(at: u64, is_blamed: bool) -> ParkedCharge {
    ParkedCharge {
        next_retry: Timestamp(at),
        is_blamed,
    }
}

/// Records of one key, when their call is due, and which they are (rules §4, "keys, attempts").
#[test]
fn the_next_call_of_a_key() {
    let together = |at| Some((at, false));
    let blamed = |at| Some((at, true));
    let cases: [(&str, &[Charged], u64, &[u32]); 7] = [
        ("one charged record", &[blamed(9)], 9, &[0]),
        ("followers wait", &[blamed(9), None, None], 9, &[0]),
        (
            "a piece fails together",
            &[together(5), together(9)],
            9,
            &[0, 1],
        ),
        (
            "up to the last charged one",
            &[together(5), None, together(9), None],
            9,
            &[0, 1, 2],
        ),
        (
            "at most a batch",
            &[together(1), together(2), together(3), together(9)],
            3,
            &[0, 1, 2],
        ),
        (
            "in front of a blamed one, at once",
            &[None, None, blamed(9)],
            0,
            &[0, 1],
        ),
        ("a blamed one alone", &[blamed(4), blamed(9)], 4, &[0]),
    ];
    for (name, charges, due, call) in cases {
        let mut park = Park::new(LIMITS);
        let records = (0..)
            .zip(charges)
            .map(|(item, &charge)| record(item, charge));
        park.park(KEY, records.collect());
        assert_eq!(park.next_retry(), Some(Timestamp(due)), "{name}");
        let mut taken = Vec::new();
        if due > 0 {
            assert_eq!(
                park.take_due(Timestamp(due - 1), &mut taken),
                None,
                "{name}"
            );
        }
        assert_eq!(
            park.take_due(Timestamp(due), &mut taken),
            Some(KEY),
            "{name}"
        );
        assert_eq!(taken, call, "{name}");
        assert_eq!(park.next_retry(), None, "the slot holds the key: {name}");
    }
}

#[test]
fn a_key_stays_parked_until_no_charged_record_is_left() {
    let mut park = Park::new(LIMITS);
    park.park(
        KEY,
        vec![record(3, Some((5, true))), record(1, Some((5, true)))],
    );
    park.wait_behind(KEY, 7, 1);
    let mut call = Vec::new();
    park.take_due(Timestamp(5), &mut call);
    assert_eq!(call, [1]);
    park.remove(KEY, 1);
    assert!(park.give_back(KEY).is_empty());
    assert!(park.contains(KEY));
    call.clear();
    park.take_due(Timestamp(5), &mut call);
    assert_eq!(call, [3]);
    park.remove(KEY, 3);
    let released: Vec<u32> = park
        .give_back(KEY)
        .iter()
        .map(|record| record.item)
        .collect();
    assert_eq!(released, [7]);
    assert!(park.is_empty());
}

#[test]
fn the_key_that_is_due_longest_goes_first_and_the_older_record_among_equals() {
    let mut park = Park::new(LIMITS);
    park.park(KeyHash(3), vec![record(9, Some((5, true)))]);
    park.park(KeyHash(1), vec![record(8, Some((6, true)))]);
    park.park(KeyHash(2), vec![record(2, Some((5, true)))]);
    let mut order = Vec::new();
    while let Some(key) = park.take_due(Timestamp(10), &mut Vec::new()) {
        order.push(key.0);
    }
    assert_eq!(order, [2, 3, 1]);
}

#[test]
fn a_failed_retry_waits_again() {
    let mut park = Park::new(LIMITS);
    park.park(KEY, vec![record(1, Some((5, false)))]);
    park.take_due(Timestamp(5), &mut Vec::new());
    park.charge(KEY, 1, charge(50, true));
    park.give_back(KEY);
    assert_eq!(park.next_retry(), Some(Timestamp(50)));
}

#[test]
fn a_clock_that_goes_back_lengthens_no_wait() {
    let mut park = Park::new(LIMITS);
    park.park(KEY, vec![record(1, Some((5_000, true)))]);
    park.park(KeyHash(2), vec![record(2, Some((10, true)))]);
    park.take_due(Timestamp(10), &mut Vec::new());
    park.clock_went_back(Timestamp(100));
    assert_eq!(
        park.next_retry(),
        Some(Timestamp(100)),
        "the held key is not queued"
    );
}

proptest! {
    /// Random charges, retries and arrivals: every record is called in order of its key, and in the
    /// end all have left.
    #[test]
    fn every_record_of_a_parked_key_leaves_in_order(
        seeds in prop::collection::vec((any::<bool>(), any::<bool>(), 0_u64..100), 1..20),
        outcomes in prop::collection::vec(0_u8..4, 200),
    ) {
        let mut park = Park::new(LIMITS);
        let mut records: Vec<_> = (0..)
            .zip(&seeds)
            .map(|(item, &(is_charged, is_blamed, at))| record(item, is_charged.then_some((at, is_blamed))))
            .collect();
        if records.iter().all(|record| record.charge.is_none()) {
            records[0].charge = Some(charge(1, false));
        }
        let mut next_item = records.len() as u32;
        park.park(KEY, records);
        let mut left = Vec::new();
        for outcome in outcomes {
            if !park.contains(KEY) {
                break;
            }
            if outcome == 3 {
                park.wait_behind(KEY, next_item, 1);
                next_item += 1;
                continue;
            }
            let due = park.next_retry().unwrap();
            let mut call = Vec::new();
            park.take_due(due, &mut call).unwrap();
            prop_assert!(!call.is_empty() && call.len() <= 3 && call.is_sorted());
            // Done up to some record, which is charged.
            let done = match outcome { 0 => 0, 1 => 1, _ => call.len() };
            for &item in &call[..done] {
                park.remove(KEY, item);
                left.push(item);
            }
            if done < call.len() {
                park.charge(KEY, call[done], charge(due.0 + 1, true));
            }
            left.extend(park.give_back(KEY).iter().map(|record| record.item));
        }
        prop_assert!(left.is_sorted());
        let end = if park.contains(KEY) { first_waiting(&park) } else { next_item };
        prop_assert_eq!(left, (0..end).collect::<Vec<_>>());
    }
}

fn first_waiting(park: &Park<u32>) -> u32 {
    park.keys[&KEY].records[0].item
}
