//! Windows, with the production pipeline as the worker: a state is committed with the records that went into it, and
//! what a final call is given is all of them, each once (commit and storage rules §8).
//!
//! `FNCTL_MODEL=large cargo test -p fnctl-model --test windows -- --nocapture` explores larger configurations.

use fnctl_core::view::CommitFault;
use fnctl_model::{Config, Family, Verdict, Violation, explore_pipeline};

/// Two records of one key and one window, each in a batch of its own or both in one.
const WINDOWS: Config = Config {
    records: 2,
    key: [0; 5],
    lane: [0; 3],
    key_groups: 1,
    ..Config::protocol("2 records of one window")
};

fn holds(config: &Config) {
    let report = explore_pipeline(config);
    println!("{report}");
    assert_eq!(report.verdict, Verdict::Holds, "{}", config.name);
}

fn broken(config: &Config) -> Violation {
    let report = explore_pipeline(config);
    println!("{report}");
    match report.verdict {
        Verdict::Fails(violation, _) => violation,
        other => panic!("{}: {other:?}", config.name),
    }
}

#[test]
fn two_records_share_the_state_of_a_window() {
    holds(&WINDOWS);
}

/// Schedule 17 of §10: what goes well in a call that fails is in no state, and is called again.
#[test]
fn a_record_goes_to_a_state_once_whatever_becomes_of_its_call() {
    holds(&Config {
        name: "2 records, each in a batch of its own",
        batch: 1,
        ..WINDOWS
    });
}

#[test]
fn a_record_of_the_next_window_closes_the_one_before() {
    holds(&Config {
        name: "a window each of 2 records",
        window: [0, 1, 1, 1, 1],
        ..WINDOWS
    });
}

#[test]
fn groups_of_keys_have_windows_of_their_own() {
    holds(&Config {
        name: "2 groups in 2 lanes",
        key: [0, 1, 0, 0, 0],
        lane: [0, 1, 0],
        key_groups: 2,
        takeovers: 0,
        crashes: 0,
        ..WINDOWS
    });
}

#[test]
fn keys_share_a_state_and_one_goes_on_in_the_next_window() {
    holds(&Config {
        name: "3 records of 2 keys, 2 windows",
        records: 3,
        key: [0, 1, 0, 0, 0],
        window: [0, 0, 1, 1, 1],
        takeovers: 0,
        crashes: 0,
        ..WINDOWS
    });
}

#[test]
fn retention_takes_records_of_a_window() {
    holds(&Config {
        name: "2 records of one window, expiry",
        expiries: 1,
        takeovers: 0,
        ..WINDOWS
    });
}

#[test]
fn a_final_call_waits_for_an_output_stream() {
    holds(&Config {
        name: "2 records of one window, output deleted and made anew",
        outages: 1,
        refusals: 1,
        takeovers: 0,
        crashes: 0,
        ..WINDOWS
    });
}

/// Schedule 32 of §10: open windows go without a final call, and the records belong to those of their time.
#[test]
fn somebody_seeks_while_a_window_is_open() {
    holds(&Config {
        name: "2 records of one window, a seek",
        seeks: 1,
        takeovers: 0,
        crashes: 0,
        ..WINDOWS
    });
}

#[test]
fn a_child_waits_for_the_windows_of_its_parent() {
    holds(&Config {
        name: "windows over a split",
        shard: [0, 1, 1, 1, 1],
        family: Family::Split,
        takeovers: 0,
        ..WINDOWS
    });
}

#[test]
fn an_owner_that_forgets_the_states_is_found_out() {
    let forgetful = Config {
        name: "an owner without the states",
        batch: 1,
        carries_windows: false,
        ..WINDOWS
    };
    let violation = broken(&forgetful);
    assert!(
        matches!(
            violation,
            Violation::AssertionFired(CommitFault::StateForked { .. })
        ),
        "{violation}"
    );
    let unguarded = Config {
        name: "such an owner, and no guard",
        guards_windows: false,
        ..forgetful
    };
    assert_eq!(broken(&unguarded), Violation::WindowWrong);
}

#[test]
fn larger_configurations_when_asked() {
    if std::env::var_os("FNCTL_MODEL").is_none() {
        return;
    }
    let two_keys = Config {
        name: "2 groups in 2 lanes, a crash, a takeover",
        key: [0, 1, 0, 0, 0],
        lane: [0, 1, 0],
        key_groups: 2,
        ..WINDOWS
    };
    let three = Config {
        name: "3 records of 2 keys, 2 windows, a crash",
        records: 3,
        window: [0, 0, 1, 1, 1],
        lane: [0; 3],
        key_groups: 1,
        takeovers: 0,
        ..two_keys.clone()
    };
    for config in [
        Config {
            name: "2 records of one window, a seek, a crash, a takeover",
            seeks: 1,
            ..WINDOWS
        },
        Config {
            name: "2 records of one window, 3 attempts, 2 crashes",
            attempts_max: 3,
            crashes: 2,
            ..WINDOWS
        },
        Config {
            name: "2 records of one window, expiry, output deleted",
            expiries: 1,
            outages: 1,
            refusals: 1,
            ..WINDOWS
        },
        two_keys,
        three,
    ] {
        holds(&config);
    }
}
