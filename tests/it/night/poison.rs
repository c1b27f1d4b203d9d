//! Some of the input cannot be handled: a record in eleven is given up, and a key waits for what is not there.

use serde_json::Value;

use super::{
    Night,
    minutes::{MAPPING, commands, message, numbered},
};
use crate::support::{all, put, put_keyed};

#[test]
fn poison_is_given_up_beside_the_rest_told_and_redriven_once_it_is_mended() {
    let mut night = Night::begins();
    let waits = ["--backoff-max", "24h", "--batch-size", "1"];
    let late = "told_late=retry-after 86400000";
    night.deploy(&[&["--config", "told=skip", "--config", late][..], &waits].concat());
    let mut records = numbered("ok", 0..10);
    put(&night, "signups", &records, &[]);
    night.until(|status| status["pending_records"] == 0);
    night.minute();
    night.minute();
    night.fire(&[]);

    put_keyed(
        &night,
        "signups",
        [("held", "told_late 1"), ("held", "ok held")],
    );
    records.extend(["told_late 1", "ok held"].map(str::to_owned));
    let mut round = 0;
    night.until_fire(
        20,
        &[
            r#"{alertname="FnctlDeadLetterRate",mapping="enrich/signups"}"#,
            r#"{alertname="FnctlIteratorAgeGrowing",mapping="enrich/signups"}"#,
            r#"{alertname="FnctlIteratorAgeHigh",mapping="enrich/signups"}"#,
        ],
        |server| {
            round += 1;
            let mut more = numbered("ok", round * 10..round * 10 + 10);
            more.push(format!("told {round}"));
            put(server, "signups", &more, &[]);
            records.extend(more);
            // Each of them is judged; the key that waits holds no others.
            while crate::support::describe(server, "enrich")["pending_records"] != 2 {}
        },
    );

    // Two troubles: first the key that waits, and all is old for.
    let described = night.why("parked-keys");
    assert!(
        message(&described).starts_with("1 key waits for a retry"),
        "{described:#}"
    );
    let steps = commands(&described);
    let listed = night.pasted(&steps[0]);
    assert!(
        listed.contains("held") && listed.contains("busy"),
        "{listed}"
    );
    assert_eq!(steps[1], "fnctl mappings release enrich/signups --all");
    let failed = described["totals"]["failed"].as_u64().expect("a number");
    night.pasted(&steps[1]);
    // It was tried, and what it needs is still not there.
    night.until(|status| status["totals"]["failed"] == failed + 1);
    assert_eq!(night.why("parked-keys")["pending_records"], 2);
    night.pasted("fnctl deploy --name enrich --config told_late=ok");
    let settled = night.until(|status| status["pending_records"] == 0);
    assert_eq!(
        settled["dead_letters_by_code"]["refused"], round,
        "{settled:#}"
    );

    // Then what was given up.
    let described = night.why("caught-up");
    let open = format!("{round} dead letters open");
    assert!(message(&described).contains(&open), "{described:#}");
    night.pasted(&commands(&described)[0]);
    let letters = all(&night, &["dlq", "list", MAPPING]);
    let id = fnctl_tests::text(&letters[0], "id");
    let shown = night.pasted(&format!("fnctl dlq show {MAPPING} {id}"));
    assert!(
        shown.contains("refused") && shown.contains("told 1"),
        "{shown}"
    );
    // The next version is mended.
    night.pasted("fnctl deploy --name enrich --config told=ok");
    night.pasted(&format!(
        "fnctl dlq redrive {MAPPING} --code refused --wait"
    ));
    night.has_all(&records);
    let letters = all(&night, &["dlq", "list", MAPPING, "--all"]);
    assert_eq!(letters.len(), round);
    let status = |letter: &Value| letter["status"] == "resolved";
    assert!(letters.iter().all(status), "{letters:?}");
    night.until_fire(10, &[], |_| {});
}
