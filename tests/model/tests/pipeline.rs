//! The protocol with the production pipeline as its worker: smaller, nothing modelled but the
//! journal. Totals must be exact behind every commit.

use fnctl_core::view::CommitFault;
use fnctl_model::{Config, Family, Verdict, Violation, explore_pipeline};

fn holds(config: &Config) {
    let report = explore_pipeline(config);
    println!("{report}");
    assert_eq!(report.verdict, Verdict::Holds, "{}", config.name);
}

fn breaks(config: &Config, expected: Violation) {
    breaks_so(config, |violation| violation == expected);
}

fn breaks_so(config: &Config, expected: impl Fn(Violation) -> bool) {
    let report = explore_pipeline(config);
    println!("{report}");
    match report.verdict {
        Verdict::Fails(violation, _) => {
            assert!(expected(violation), "{}: {violation}", config.name);
        }
        other => panic!("{}: {other:?}", config.name),
    }
}

#[test]
fn two_lanes_a_takeover_and_a_crash() {
    holds(&Config {
        records: 2,
        ..Config::protocol("pipeline, 2 records, 2 lanes")
    });
}

#[test]
fn three_records_of_two_keys_in_two_lanes() {
    holds(&Config {
        takeovers: 0,
        ..Config::protocol("pipeline, 3 records, 2 lanes, no takeover")
    });
}

#[test]
fn three_records_of_two_keys_in_one_lane() {
    holds(&Config {
        lane: [0, 0, 0],
        takeovers: 0,
        ..Config::protocol("pipeline, 3 records, 1 lane")
    });
}

#[test]
fn three_records_of_one_key_in_one_batch() {
    holds(&Config {
        batch: 3,
        key: [0; 5],
        lane: [0, 0, 0],
        ..Config::protocol("pipeline, 3 records of one key")
    });
}

#[test]
fn three_attempts() {
    holds(&Config {
        records: 2,
        key: [0; 5],
        attempts_max: 3,
        ..Config::protocol("pipeline, 2 records, 3 attempts")
    });
}

/// Schedule 21 of §10: retention takes records at the function, parked, or on their way to a commit.
#[test]
fn retention_takes_records_in_flight() {
    holds(&Config {
        records: 2,
        expiries: 1,
        takeovers: 0,
        ..Config::protocol("pipeline, 2 records, expiry")
    });
}

#[test]
fn retention_takes_the_first_of_a_key() {
    holds(&Config {
        key: [0; 5],
        expiries: 1,
        takeovers: 0,
        crashes: 0,
        ..Config::protocol("pipeline, 3 records of one key, expiry")
    });
}

/// Schedule 29 of §10. A refused commit waits, is sent again with the totals of what was accepted
/// meanwhile, or is dropped and its batch runs again, uncharged.
#[test]
fn an_output_stream_goes_and_comes_back() {
    holds(&Config {
        records: 2,
        outages: 1,
        refusals: 1,
        takeovers: 0,
        crashes: 0,
        ..Config::protocol("pipeline, 2 records, output deleted and made anew")
    });
}

/// Two shards, an owner each: their outputs go to one stream in every order, one frame holds commits
/// of both, and an owner that is replaced leaves the other alone.
#[test]
fn two_units_of_one_stream() {
    holds(&Config {
        records: 2,
        shard: [0, 1, 0, 1, 0],
        lane: [0; 3],
        ..Config::protocol("pipeline, 2 units of a record each")
    });
}

#[test]
fn two_units_and_retention_takes_from_one() {
    holds(&Config {
        records: 2,
        shard: [0, 1, 0, 1, 0],
        lane: [0; 3],
        expiries: 1,
        takeovers: 0,
        ..Config::protocol("pipeline, 2 units, expiry")
    });
}

#[test]
fn two_units_and_their_output_stream_goes() {
    holds(&Config {
        records: 2,
        shard: [0, 1, 0, 1, 0],
        lane: [0; 3],
        outages: 1,
        refusals: 1,
        takeovers: 0,
        crashes: 0,
        ..Config::protocol("pipeline, 2 units, output deleted and made anew")
    });
}

/// Commit and storage rules §9: a key's record of the parent, and one of its child, with whatever
/// crashes, owners and failures come between.
const SPLIT: Config = Config {
    records: 2,
    key: [0; 5],
    shard: [0, 1, 1, 1, 1],
    lane: [0; 3],
    family: Family::Split,
    ..Config::protocol("pipeline, a key over a split")
};

/// A key in each of two shards that were merged, and both of them in the child.
const MERGE: Config = Config {
    records: 3,
    key: [0, 1, 0, 1, 0],
    shard: [0, 1, 2, 2, 2],
    lane: [0; 3],
    family: Family::Merge,
    ..Config::protocol("pipeline, keys over a merge")
};

#[test]
fn the_order_of_a_key_holds_over_a_split() {
    holds(&SPLIT);
}

#[test]
fn a_child_waits_for_all_records_of_its_parent() {
    holds(&Config {
        name: "pipeline, two keys over a split",
        records: 3,
        key: [0, 1, 1, 0, 0],
        shard: [0, 0, 1, 1, 1],
        takeovers: 0,
        ..SPLIT
    });
}

#[test]
fn retention_takes_what_a_child_waits_for() {
    holds(&Config {
        name: "pipeline, a split, expiry",
        expiries: 1,
        takeovers: 0,
        ..SPLIT
    });
}

#[test]
fn the_order_of_a_key_holds_over_a_merge() {
    holds(&Config {
        takeovers: 0,
        ..MERGE
    });
}

/// Schedule 26 of §10: two redrives, or a redrive and a purge, of one letter, with takeover and crash.
const LETTERS: Config = Config {
    records: 1,
    lane: [0; 3],
    redrives: 2,
    purges: 1,
    ..Config::protocol("pipeline, a letter redriven twice and purged")
};

/// A unit is sent anywhere, at any moment.
const SEEK: Config = Config {
    records: 2,
    key: [0; 5],
    lane: [0; 3],
    takeovers: 0,
    seeks: 1,
    ..Config::protocol("pipeline, 2 records of one key, a seek")
};

#[test]
fn a_letter_is_resolved_once() {
    holds(&LETTERS);
}

#[test]
fn a_letter_is_redriven_while_its_key_is_called() {
    holds(&Config {
        name: "pipeline, 2 records of one key, a letter redriven",
        records: 2,
        key: [0; 5],
        redrives: 1,
        purges: 0,
        takeovers: 0,
        ..LETTERS
    });
}

#[test]
fn a_letter_is_redriven_while_a_seek_goes_back_over_its_record() {
    holds(&Config {
        name: "pipeline, a letter redriven, a seek",
        seeks: 1,
        redrives: 1,
        purges: 0,
        takeovers: 0,
        ..LETTERS
    });
}

#[test]
fn what_a_seek_goes_back_over_ends_once_more() {
    holds(&Config { crashes: 0, ..SEEK });
}

#[test]
fn somebody_seeks_over_a_takeover_and_a_crash() {
    holds(&Config {
        name: "pipeline, 1 record, a seek, takeover",
        records: 1,
        takeovers: 1,
        ..SEEK
    });
}

/// Schedule 32 of §10: seek a parent whose children run.
#[test]
fn a_seek_of_a_parent_holds_its_child() {
    holds(&Config {
        name: "pipeline, a key over a split, a seek",
        shard: [0, 1, 1, 1, 1],
        family: Family::Split,
        crashes: 0,
        ..SEEK
    });
}

/// A commit that is refused for want of its output, or because its letter was closed meanwhile.
#[test]
fn a_letter_is_redriven_while_the_output_goes() {
    holds(&Config {
        name: "pipeline, a letter redriven and purged, output deleted and made anew",
        redrives: 1,
        outages: 1,
        refusals: 1,
        crashes: 0,
        ..LETTERS
    });
}

#[test]
fn a_letter_that_may_be_redriven_whatever_became_of_it_ends_twice() {
    let weak = Config {
        name: "pipeline, closed letters redriven",
        guards_letters: false,
        ..LETTERS
    };
    breaks(&weak, Violation::LetterEndedTwice);
}

#[test]
fn a_redrive_that_does_not_say_which_letter_it_was_leaves_it_open() {
    let weak = Config {
        name: "pipeline, letters not named",
        names_letters: false,
        ..LETTERS
    };
    breaks(&weak, Violation::LetterLost);
}

#[test]
fn an_owner_that_a_seek_does_not_fence_settles_what_was_skipped() {
    let weak = Config {
        name: "pipeline, a seek without a fence",
        seek_fences: false,
        ..SEEK
    };
    breaks_so(&weak, |violation| {
        let is_settled = |fault| matches!(fault, CommitFault::SettledTwice { .. });
        matches!(violation, Violation::AssertionFired(fault) if is_settled(fault))
    });
}

#[test]
fn a_child_that_a_seek_of_its_parent_does_not_fence_breaks_the_order_of_a_key() {
    let weak = Config {
        name: "pipeline, a seek that fences no child",
        shard: [0, 1, 1, 1, 1],
        family: Family::Split,
        seek_fences_children: false,
        ..SEEK
    };
    breaks(&weak, Violation::KeyOutOfOrder);
}

#[test]
fn children_that_do_not_wait_for_their_parents_break_the_order_of_a_key() {
    let weak = Config {
        name: "pipeline, a split, nobody waits",
        waits_for_parents: false,
        ..SPLIT
    };
    breaks(&weak, Violation::KeyOutOfOrder);
    let weak = Config {
        name: "pipeline, a merge, nobody waits",
        waits_for_parents: false,
        takeovers: 0,
        ..MERGE
    };
    breaks(&weak, Violation::KeyOutOfOrder);
}

#[test]
fn a_sequencer_that_takes_two_units_for_one_mixes_their_progress() {
    let weak = Config {
        records: 2,
        shard: [0, 1, 0, 1, 0],
        lane: [0; 3],
        tells_units_apart: false,
        ..Config::protocol("pipeline, 2 units taken for one")
    };
    breaks(&weak, Violation::WrongTotals);
}

#[test]
fn an_owner_that_counts_what_expired_as_processed_is_found() {
    let weak = Config {
        records: 2,
        expiries: 1,
        carries_expired: false,
        ..Config::protocol("pipeline, expired counted as processed")
    };
    breaks(&weak, Violation::WrongTotals);
}

#[test]
fn outputs_that_go_by_id_miss_a_recreated_stream() {
    let weak = Config {
        records: 2,
        outages: 1,
        outputs_by_name: false,
        ..Config::protocol("pipeline, outputs by id")
    };
    breaks(&weak, Violation::OutputLost);
}

#[test]
fn a_commit_sent_again_with_its_old_totals_takes_counts_back() {
    let weak = Config {
        records: 2,
        outages: 1,
        refusals: 1,
        resends_totals: false,
        ..Config::protocol("pipeline, sent again with old totals")
    };
    breaks(&weak, Violation::WrongTotals);
}

#[test]
fn larger_configurations_when_asked() {
    if std::env::var_os("FNCTL_MODEL").is_none() {
        return;
    }
    holds(&Config {
        records: 2,
        collapses_former: false,
        ..Config::protocol("pipeline, 2 records, former owner acts")
    });
    holds(&Config::protocol("pipeline, 3 records, 2 lanes, takeover"));
    holds(&Config {
        expiries: 1,
        takeovers: 0,
        ..Config::protocol("pipeline, 3 records, 2 lanes, expiry")
    });
    holds(&Config {
        records: 2,
        outages: 1,
        refusals: 2,
        ..Config::protocol("pipeline, 2 records, output deleted, takeover, crash")
    });
    holds(&Config {
        shard: [0, 1, 0, 1, 0],
        lane: [0; 3],
        takeovers: 0,
        ..Config::protocol("pipeline, 2 units, 3 records")
    });
    holds(&Config {
        crashes: 2,
        attempts_max: 3,
        takeovers: 0,
        ..Config::protocol("pipeline, 3 records, 2 crashes, 3 attempts")
    });
    holds(&MERGE);
    holds(&Config {
        name: "pipeline, 2 records, letters redriven and purged, takeover",
        records: 2,
        ..LETTERS
    });
    holds(&SEEK);
    holds(&Config {
        name: "pipeline, 2 records, a seek, a letter redriven, takeover",
        takeovers: 1,
        redrives: 1,
        ..SEEK
    });
    holds(&Config {
        name: "pipeline, a key over a split, a seek, takeover, crash",
        shard: [0, 1, 1, 1, 1],
        family: Family::Split,
        takeovers: 1,
        ..SEEK
    });
}
