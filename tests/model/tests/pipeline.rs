//! The protocol with the production pipeline as its worker: smaller, nothing modelled but the
//! journal. Totals must be exact behind every commit.

use fnctl_model::{Config, Verdict, explore_pipeline};

fn holds(config: &Config) {
    let report = explore_pipeline(config);
    println!("{report}");
    assert_eq!(report.verdict, Verdict::Holds, "{}", config.name);
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
        crashes: 2,
        attempts_max: 3,
        takeovers: 0,
        ..Config::protocol("pipeline, 3 records, 2 crashes, 3 attempts")
    });
}
