//! The protocol with one rule taken away. Either a schedule breaks it, and is printed, or another
//! rule still stands behind it: then the test says which, and takes that one away as well.

use fnctl_core::view::CommitFault;
use fnctl_model::{Config, Verdict, Violation, explore};

fn verdict(config: &Config) -> Verdict {
    let report = explore(config);
    println!("{report}");
    report.verdict
}

/// The schedule that breaks it, shortest first found, must end so.
fn breaks(config: &Config, expected: impl Fn(Violation) -> bool) -> Vec<String> {
    match verdict(config) {
        Verdict::Fails(violation, schedule) => {
            assert!(expected(violation), "{}: {violation}", config.name);
            schedule
        }
        other => panic!("{}: {other:?}", config.name),
    }
}

fn holds(config: &Config) {
    assert_eq!(verdict(config), Verdict::Holds, "{}", config.name);
}

const fn is_out_of_order(violation: Violation) -> bool {
    matches!(
        violation,
        Violation::OutputsOutOfOrder | Violation::KeyOutOfOrder
    )
}

const fn is_settled_twice(violation: Violation) -> bool {
    matches!(
        violation,
        Violation::AssertionFired(CommitFault::SettledTwice { .. })
    )
}

#[test]
fn without_the_epoch_guard_a_former_owner_commits() {
    let weak = Config {
        guards_epoch: false,
        ..Config::protocol("no epoch guard")
    };
    breaks(&weak, |violation| violation == Violation::FormerOwner);
}

/// With synchronous acceptance a slot has one commit at a time, so nothing can be out of order.
#[test]
fn numbers_are_a_second_line_while_every_answer_arrives() {
    holds(&Config {
        guards_number: false,
        ..Config::protocol("no number guard, every answer arrives")
    });
}

/// The first fault that numbers are for: a commit sent again because its answer was lost. The
/// settled guard stands behind them, and marks are absolute; with both guards gone a record has two
/// effects.
#[test]
fn without_numbers_the_settled_guard_stops_a_repetition_and_without_both_nothing_does() {
    let unnumbered = Config {
        guards_number: false,
        lost_answers: 1,
        ..Config::protocol("no number guard, lost answer")
    };
    holds(&unnumbered);
    let bare = Config {
        name: "no number and no settled guard, lost answer",
        guards_settled: false,
        ..unnumbered
    };
    breaks(&bare, |violation| violation == Violation::TwoEffects);
}

/// The second fault that numbers are for: a slot that goes on when its commit is sent, not when it
/// is accepted. Numbers then stop what overtakes, with an alarm; without them order per key is gone.
#[test]
fn a_slot_that_does_not_wait_for_acceptance_needs_numbers() {
    let ahead = Config {
        key: [0, 0, 0, 0, 1],
        waits_for_acceptance: false,
        ..Config::protocol("sends ahead of acceptance, numbered")
    };
    breaks(&ahead, |violation| {
        matches!(
            violation,
            Violation::AssertionFired(CommitFault::NumberGap { .. })
        )
    });
    let unnumbered = Config {
        name: "sends ahead of acceptance, no number guard",
        guards_number: false,
        ..ahead
    };
    breaks(&unnumbered, is_out_of_order);
}

/// The settled guard alone is a second line: numbers and epochs stop every repetition before it.
#[test]
fn the_settled_guard_is_a_second_line() {
    holds(&Config {
        guards_settled: false,
        lost_answers: 1,
        ..Config::protocol("no settled guard, lost answer")
    });
}

#[test]
fn publishing_before_the_sync_is_taken_back() {
    let weak = Config {
        publishes_synced: false,
        ..Config::protocol("publish before sync")
    };
    breaks(&weak, |violation| violation == Violation::Retracted);
}

/// Schedule 5 of §10: the page cache shows a tail that a power cut takes.
#[test]
fn a_restart_that_shows_an_unsynced_tail_is_taken_back() {
    let weak = Config {
        recovers_synced: false,
        crashes: 2,
        ..Config::protocol("recovery publishes an unsynced tail")
    };
    breaks(&weak, |violation| violation == Violation::Retracted);
}

/// §4: an outcome behind a held record of its key is void.
#[test]
fn without_the_key_hold_a_later_record_overtakes_a_failed_one() {
    let weak = Config {
        holds_keys: false,
        ..Config::protocol("no key hold")
    };
    breaks(&weak, is_out_of_order);
}

/// Schedule 15 of §10: a key moves from lane to retry slot while the old slot's commit is
/// unaccepted.
#[test]
fn without_one_slot_per_key_order_per_key_breaks() {
    let weak = Config {
        key: [0, 0, 0, 0, 1],
        one_slot_per_key: false,
        ..Config::protocol("a key in two slots")
    };
    let schedule = breaks(&weak, |violation| {
        is_out_of_order(violation) || violation == Violation::Miscounted
    });
    assert!(schedule.len() <= 12, "{} steps", schedule.len());
}

/// Schedule 20 of §10. The assertions stand behind the rule: one fires, and nothing has two effects;
/// without the settled guard a record has.
#[test]
fn a_late_answer_that_is_believed_reaches_an_assertion() {
    let weak = Config {
        discards_late: false,
        ..Config::protocol("late answers believed")
    };
    breaks(&weak, |violation| {
        matches!(violation, Violation::AssertionFired(_))
    });
    let bare = Config {
        name: "late answers believed, no settled guard",
        guards_settled: false,
        asserts: false,
        ..weak
    };
    breaks(&bare, |violation| violation == Violation::TwoEffects);
}

/// §2: in one process the data-directory lock is the fence, so a lease may be used before its sync;
/// but not with a view that does not have it: what its predecessor committed would run again.
#[test]
fn a_lease_may_be_used_early_but_not_from_an_older_view() {
    let early = Config {
        leases_synced: false,
        crashes: 2,
        ..Config::protocol("lease used before its sync")
    };
    holds(&early);
    let blind = Config {
        name: "lease used early, from the published view",
        starts_behind_lease: false,
        ..early
    };
    breaks(&blind, |violation| {
        is_settled_twice(violation) || violation == Violation::Miscounted
    });
}

/// Schedule 16 of §10: marks-only commits of one failing key on an idle node.
#[test]
fn marks_that_nothing_writes_stop_their_slot_for_ever() {
    let failing = Config {
        records: 1,
        attempts_max: 4,
        ..Config::protocol("marks written with nobody waiting")
    };
    holds(&failing);
    let weak = Config {
        name: "marks never written by themselves",
        writes_marks: false,
        ..failing
    };
    breaks(&weak, |violation| violation == Violation::Stuck);
}

/// Schedule 21 of §10: retention passes a record in flight. The owner goes on under its epoch: it
/// settles what expired, or writes its totals over those that count it. The settled guard stops the
/// one and not the other; without it a record that expired has an effect as well.
#[test]
fn an_expiry_that_does_not_fence_settles_under_its_owner() {
    let weak = Config {
        expiries: 1,
        expiry_fences: false,
        ..Config::protocol("expiry without a fence")
    };
    breaks(&weak, |violation| {
        is_settled_twice(violation) || violation == Violation::WrongTotals
    });
    let unalarmed = Config {
        name: "expiry without a fence, nothing asserted",
        asserts: false,
        ..weak.clone()
    };
    breaks(&unalarmed, |violation| violation == Violation::WrongTotals);
    let bare = Config {
        name: "expiry without a fence, no settled guard",
        records: 1,
        guards_settled: false,
        ..weak
    };
    breaks(&bare, |violation| violation == Violation::TwoEffects);
}

#[test]
fn an_expiry_that_counts_nothing_leaves_records_uncounted() {
    let weak = Config {
        expiries: 1,
        expiry_counts: false,
        ..Config::protocol("expiry without a count")
    };
    breaks(&weak, |violation| violation == Violation::WrongTotals);
}

#[test]
fn an_owner_that_counts_what_expired_as_processed_is_found() {
    let weak = Config {
        expiries: 1,
        carries_expired: false,
        ..Config::protocol("expired counted as processed")
    };
    breaks(&weak, |violation| violation == Violation::WrongTotals);
}

/// Schedule 29 of §10: the output stream is recreated between invocation and commit.
#[test]
fn outputs_that_go_by_id_miss_a_recreated_stream() {
    let weak = Config {
        outages: 1,
        outputs_by_name: false,
        ..Config::protocol("outputs by id")
    };
    breaks(&weak, |violation| violation == Violation::OutputLost);
}

/// Schedule 29 of §10: the output stream is deleted between invocation and commit.
#[test]
fn without_the_output_guard_a_commit_loses_its_rows() {
    let weak = Config {
        outages: 1,
        guards_outputs: false,
        ..Config::protocol("no output guard")
    };
    breaks(&weak, |violation| violation == Violation::OutputLost);
}

/// §3: a commit that is refused for want of a stream is sent again as the same commit.
#[test]
fn a_refusal_that_uses_up_the_number_reaches_an_assertion() {
    let weak = Config {
        outages: 1,
        refusal_keeps_number: false,
        ..Config::protocol("a refusal uses up the number")
    };
    breaks(&weak, |violation| {
        matches!(
            violation,
            Violation::AssertionFired(CommitFault::NumberGap { .. })
        )
    });
}

/// Schedule 28 of §10: epochs of a mapping that was made anew begin anew; only its id tells its owner
/// from the former one.
#[test]
fn a_mapping_made_anew_under_an_old_id_takes_a_former_owners_commits() {
    let weak = Config {
        records: 2,
        deletions: 1,
        takeovers: 0,
        collapses_former: false,
        fresh_ids: false,
        ..Config::protocol("a mapping id is used again")
    };
    breaks(&weak, |violation| violation == Violation::FormerOwner);
}

/// §2: an owner that a seek does not fence goes on from where it was: it settles a key's later record in front
/// of those that are to be called again.
#[test]
fn a_seek_that_does_not_fence_is_overtaken_by_its_owner() {
    let weak = Config {
        seeks: 1,
        takeovers: 0,
        seek_fences: false,
        ..Config::protocol("a seek without a fence")
    };
    breaks(&weak, |violation| {
        is_out_of_order(violation) || is_settled_twice(violation)
    });
}
