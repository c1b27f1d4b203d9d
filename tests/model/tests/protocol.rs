//! The protocol holds: no violation in any reachable state, and from each a path to all settled (Lambda ESM
//! specification §22 row Crash: the process may die between any two steps).
//!
//! `FNCTL_MODEL=large cargo test -p fnctl-model -- --nocapture` explores larger configurations as
//! well: some minutes and a few GiB.

use fnctl_model::{Config, Report, Verdict, explore};

/// What the ordinary run must at least exhaust in one configuration.
const STATES_MIN: usize = 3_000_000;

fn holds(config: &Config) -> Report {
    let report = explore(config);
    println!("{report}");
    assert_eq!(report.verdict, Verdict::Holds, "{}", config.name);
    report
}

#[test]
fn four_records_two_lanes_a_takeover_a_crash_and_a_lost_answer() {
    let report = holds(&Config {
        records: 4,
        lost_answers: 1,
        ..Config::protocol("4 records, 2 keys, 2 lanes, lost answer")
    });
    assert!(report.states >= STATES_MIN, "{} states", report.states);
}

/// Everywhere else a former owner only finds out; here it goes on calling and committing.
#[test]
fn a_former_owner_may_do_what_it_likes() {
    holds(&Config {
        collapses_former: false,
        skips: false,
        ..Config::protocol("3 records, former owner acts")
    });
}

#[test]
fn two_keys_of_one_lane() {
    holds(&Config {
        records: 4,
        lane: [0, 0, 0],
        ..Config::protocol("4 records, 2 keys, 1 lane")
    });
}

#[test]
fn two_crashes_and_three_attempts() {
    holds(&Config {
        key: [0, 0, 1, 0, 1],
        crashes: 2,
        attempts_max: 3,
        ..Config::protocol("3 records, 2 crashes, 3 attempts")
    });
}

/// Schedule 21 of §10. Retention takes one record or several at once, those behind a settled one too.
#[test]
fn retention_takes_records_in_flight() {
    holds(&Config {
        expiries: 1,
        ..Config::protocol("3 records, expiry")
    });
}

#[test]
fn retention_goes_on_taking() {
    holds(&Config {
        expiries: 2,
        skips: false,
        takeovers: 0,
        ..Config::protocol("3 records, 2 expiries")
    });
}

/// Schedule 29 of §10. Every output is in the stream that had the name when its commit was accepted.
#[test]
fn an_output_stream_goes_and_comes_back() {
    holds(&Config {
        outages: 1,
        takeovers: 0,
        ..Config::protocol("3 records, output deleted and made anew")
    });
}

#[test]
fn an_output_stream_goes_and_comes_back_twice() {
    holds(&Config {
        records: 2,
        outages: 2,
        takeovers: 0,
        ..Config::protocol("2 records, output deleted twice")
    });
}

#[test]
fn an_output_stream_goes_while_retention_takes_records() {
    holds(&Config {
        records: 2,
        expiries: 1,
        outages: 1,
        ..Config::protocol("2 records, expiry, output deleted")
    });
}

/// Schedule 28 of §10. The owner of a mapping that was deleted goes on committing; the mapping of its
/// name starts anew.
#[test]
fn a_mapping_goes_and_one_of_its_name_comes() {
    holds(&Config {
        records: 2,
        deletions: 1,
        takeovers: 0,
        collapses_former: false,
        ..Config::protocol("2 records, mapping deleted, former owner acts")
    });
}

/// What a seek goes back over ends once more, what it skips ends nowhere; the owner is fenced.
#[test]
fn somebody_seeks() {
    holds(&Config {
        seeks: 1,
        takeovers: 0,
        ..Config::protocol("3 records, a seek")
    });
}

#[test]
fn somebody_seeks_while_retention_takes_records() {
    holds(&Config {
        records: 2,
        seeks: 1,
        expiries: 1,
        takeovers: 0,
        ..Config::protocol("2 records, a seek, expiry")
    });
}

#[test]
fn larger_configurations_when_asked() {
    if std::env::var_os("FNCTL_MODEL").is_none() {
        return;
    }
    let base = Config {
        records: 4,
        ..Config::protocol("")
    };
    for config in [
        Config {
            name: "4 records, 3 attempts",
            attempts_max: 3,
            ..base.clone()
        },
        Config {
            name: "4 records, 2 crashes, lost answer",
            crashes: 2,
            lost_answers: 1,
            ..base.clone()
        },
        Config {
            name: "5 records, 3 keys",
            records: 5,
            key: [0, 1, 0, 2, 1],
            ..base.clone()
        },
        Config {
            name: "4 records, expiry, output deleted",
            expiries: 1,
            outages: 1,
            takeovers: 0,
            ..base.clone()
        },
        Config {
            name: "4 records, a seek, takeover",
            seeks: 1,
            ..base.clone()
        },
        Config {
            name: "2 records, 2 seeks, expiry",
            records: 2,
            seeks: 2,
            expiries: 1,
            takeovers: 0,
            ..base.clone()
        },
        Config {
            name: "3 records, a seek, expiry, output deleted",
            records: 3,
            seeks: 1,
            expiries: 1,
            outages: 1,
            takeovers: 0,
            ..base.clone()
        },
        Config {
            name: "3 records, mapping deleted, former owner acts",
            records: 3,
            deletions: 1,
            takeovers: 0,
            skips: false,
            collapses_former: false,
            ..base.clone()
        },
        Config {
            name: "3 records, former owner acts and skips",
            records: 3,
            collapses_former: false,
            lost_answers: 1,
            ..base.clone()
        },
        Config {
            name: "4 records, former owner acts, no crash",
            collapses_former: false,
            skips: false,
            batch: 1,
            crashes: 0,
            ..base
        },
    ] {
        holds(&config);
    }
}
