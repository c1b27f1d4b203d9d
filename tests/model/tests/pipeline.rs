//! The protocol with the production pipeline as its worker: smaller, nothing modelled but the
//! journal. Totals must be exact behind every commit.

use fnctl_model::{Config, Family, Verdict, Violation, explore_pipeline};

fn holds(config: &Config) {
    let report = explore_pipeline(config);
    println!("{report}");
    assert_eq!(report.verdict, Verdict::Holds, "{}", config.name);
}

fn breaks(config: &Config, expected: Violation) {
    let report = explore_pipeline(config);
    println!("{report}");
    match report.verdict {
        Verdict::Fails(violation, _) => assert_eq!(violation, expected, "{}", config.name),
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
}
