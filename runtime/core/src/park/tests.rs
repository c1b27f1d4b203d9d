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

fn take_due(park: &mut Park<u32>, now: Timestamp, call: &mut Vec<u32>) -> Option<KeyHash> {
    let due = park.due(now).next()?;
    park.take(due, call);
    Some(due.key)
}

fn charge(at: u64, is_blamed: bool) -> ParkedCharge {
    ParkedCharge {
        next_retry: Timestamp(at),
        is_blamed,
    }
}

#[test]
fn a_glance_tells_most_keys_that_they_need_not_wait_while_few_do() {
    let spread = |n: u64| KeyHash(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let passed = |waiting: usize| {
        let glance = KeyGlance::of((0..waiting as u64).map(spread));
        assert!((0..waiting as u64).all(|n| glance.may_have(spread(n))));
        let others = (waiting as u64..).map(spread).take(1_000);
        others.filter(|&key| !glance.may_have(key)).count()
    };
    assert_eq!(passed(0), 1_000);
    assert!(passed(3) > 900, "{}", passed(3));
    assert_eq!(passed(limits::GLANCE_KEYS_MAX + 1), 0);
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
        park.park(KEY, records.collect(), Timestamp(0));
        assert_eq!(park.next_retry(), Some(Timestamp(due)), "{name}");
        let mut taken = Vec::new();
        if due > 0 {
            assert_eq!(
                take_due(&mut park, Timestamp(due - 1), &mut taken),
                None,
                "{name}"
            );
        }
        assert_eq!(
            take_due(&mut park, Timestamp(due), &mut taken),
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
        Timestamp(0),
    );
    park.wait_behind(KEY, 7, 1);
    let mut call = Vec::new();
    take_due(&mut park, Timestamp(5), &mut call);
    assert_eq!(call, [1]);
    park.remove(KEY, 1);
    assert!(park.give_back(KEY, Timestamp(5)).is_empty());
    assert!(park.contains(KEY));
    call.clear();
    take_due(&mut park, Timestamp(5), &mut call);
    assert_eq!(call, [3]);
    park.remove(KEY, 3);
    let released: Vec<u32> = park
        .give_back(KEY, Timestamp(5))
        .iter()
        .map(|record| record.item)
        .collect();
    assert_eq!(released, [7]);
    assert!(park.is_empty());
}

#[test]
fn the_key_that_is_due_longest_goes_first_and_the_older_record_among_equals() {
    let mut park = Park::new(LIMITS);
    park.park(KeyHash(3), vec![record(9, Some((5, true)))], Timestamp(0));
    park.park(KeyHash(1), vec![record(8, Some((6, true)))], Timestamp(0));
    park.park(KeyHash(2), vec![record(2, Some((5, true)))], Timestamp(0));
    let mut order = Vec::new();
    while let Some(key) = take_due(&mut park, Timestamp(10), &mut Vec::new()) {
        order.push(key.0);
    }
    assert_eq!(order, [2, 3, 1]);
}

/// Records in front of a blamed one wait for no backoff, but other keys' turns they do wait for.
#[test]
fn a_key_that_needs_many_calls_lets_others_in_between() {
    let mut park = Park::new(BatchLimits {
        records_max: 1,
        ..LIMITS
    });
    let mut long: Vec<_> = (0..5).map(|item| record(item, None)).collect();
    long.push(record(5, Some((0, true))));
    park.park(KEY, long, Timestamp(1));
    park.park(KeyHash(2), vec![record(9, Some((2, true)))], Timestamp(1));
    let mut order = Vec::new();
    for now in [1, 4, 7] {
        let mut call = Vec::new();
        let key = take_due(&mut park, Timestamp(now), &mut call).unwrap();
        park.remove(key, call[0]);
        park.give_back(key, Timestamp(now + 2));
        order.push((key.0, call[0]));
    }
    assert_eq!(order, [(1, 0), (2, 9), (1, 1)]);
}

#[test]
fn a_failed_retry_waits_again() {
    let mut park = Park::new(LIMITS);
    park.park(KEY, vec![record(1, Some((5, false)))], Timestamp(0));
    take_due(&mut park, Timestamp(5), &mut Vec::new());
    park.charge(KEY, 1, charge(50, true));
    park.give_back(KEY, Timestamp(5));
    assert_eq!(park.next_retry(), Some(Timestamp(50)));
}

#[test]
fn a_clock_that_goes_back_lengthens_no_wait() {
    let mut park = Park::new(LIMITS);
    park.park(KEY, vec![record(1, Some((5_000, true)))], Timestamp(0));
    park.park(KeyHash(2), vec![record(2, Some((10, true)))], Timestamp(0));
    take_due(&mut park, Timestamp(10), &mut Vec::new());
    park.clock_went_back(Timestamp(1), Timestamp(100));
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
        park.park(KEY, records, Timestamp(0));
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
            take_due(&mut park, due, &mut call).unwrap();
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
            left.extend(park.give_back(KEY, due).iter().map(|record| record.item));
        }
        prop_assert!(left.is_sorted());
        let end = if park.contains(KEY) { first_waiting(&park) } else { next_item };
        prop_assert_eq!(left, (0..end).collect::<Vec<_>>());
    }
}

proptest! {
    /// Keys that fail for ever, each call taking a while: between two calls of one key, every key that
    /// was due when the first began has been called.
    #[test]
    fn no_parked_key_starves(
        keys in 2_u64..8,
        steps in prop::collection::vec((0_u64..40, 0_u64..30, any::<bool>()), 1..200),
    ) {
        let mut park: Park<u32> = Park::new(LIMITS);
        let mut now = 100;
        let mut due: Vec<u64> = Vec::new();
        let mut waiting: Vec<bool> = Vec::new();
        for key in 0..keys {
            let item = u32::try_from(key).unwrap();
            park.park(KeyHash(key), vec![record(item, Some((now, true)))], Timestamp(now));
            due.push(now);
            waiting.push(false);
        }
        for (takes, backoff, is_named) in steps {
            let mut call = Vec::new();
            let Some(key) = take_due(&mut park, Timestamp(now), &mut call) else {
                now = due.iter().copied().min().unwrap();
                continue;
            };
            let of = usize::try_from(key.0).unwrap();
            let overtaken = (0..due.len()).find(|&other| waiting[other] && due[other] < due[of]);
            prop_assert_eq!(overtaken, None, "key {} went first", of);
            for (other, at) in due.iter().enumerate() {
                waiting[other] |= other != of && *at <= now;
            }
            waiting[of] = false;
            now += takes;
            due[of] = now + backoff;
            park.charge(key, call[0], charge(due[of], is_named));
            park.give_back(key, Timestamp(now));
        }
    }
}

fn first_waiting(park: &Park<u32>) -> u32 {
    park.keys[&KEY].records[0].item
}
