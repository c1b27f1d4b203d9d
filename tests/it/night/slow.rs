//! A version is slow: calls succeed, and are not enough.

use super::{
    Night,
    minutes::{commands, message, numbered},
};
use crate::support::put;

/// Enough that at the slow pace nobody would call it caught up soon.
const RECORDS: usize = 1_500;

#[test]
fn a_function_that_turns_slow_is_told_given_lanes_and_rolled_back() {
    let mut night = Night::begins();
    night.deploy(&["--batch-size", "1"]);
    let mut records = numbered("told", 0..10);
    put(&night, "signups", &records, &[]);
    night.until(|status| status["pending_records"] == 0);
    night.minute();
    night.minute();
    night.fire(&[]);

    // The next version waits for something at every record.
    night.pasted("fnctl deploy --name enrich --config told='sleep 400'");
    let more = numbered("told", 10..RECORDS);
    put(&night, "signups", &more, &[]);
    records.extend(more);
    let mut last = night.until(|_| true)["totals"]["processed"].as_u64();
    night.until_fire(
        20,
        &[
            r#"{alertname="FnctlIteratorAgeGrowing",mapping="enrich/signups"}"#,
            r#"{alertname="FnctlIteratorAgeHigh",mapping="enrich/signups"}"#,
        ],
        // It goes on, slowly: that is not a mapping that stands still.
        |server| loop {
            let status = crate::support::describe(server, "enrich");
            let now = status["totals"]["processed"].as_u64();
            if now > last {
                last = now;
                break;
            }
        },
    );
    let described = night.why("function-slow");
    let said = message(&described);
    assert!(
        said.starts_with("calls succeed, and are not enough: 1 lane busy "),
        "{said}"
    );
    let steps = commands(&described);
    assert_eq!(steps[0], "fnctl rollback enrich", "{described:#}");
    let lanes = "fnctl mappings update enrich/signups --parallelization-factor 2";
    assert_eq!(steps[1], lanes, "{described:#}");

    // More lanes are in force at once; here they are not enough, and it began with the version.
    night.pasted(lanes);
    let described = night.until(|status| status["settings"]["parallelization_factor"] == 2);
    assert_eq!(described["state"], "running", "{described:#}");
    night.pasted(&steps[0]);
    night.has_all(&records);
    night.until_fire(10, &[], |_| {});
}
