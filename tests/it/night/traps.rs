//! A version traps at every record.

use serde_json::Value;

use super::{
    Night,
    minutes::{MAPPING, commands, message, numbered},
};
use crate::support::{all, put};

#[test]
fn a_version_that_traps_is_told_beside_the_one_before_rolled_back_and_its_letters_redriven() {
    let mut night = Night::begins();
    night.deploy(&["--max-attempts", "2", "--backoff-initial", "1ms"]);
    let mut records = Vec::new();
    for round in 0..5 {
        let some = numbered("told", round * 3..round * 3 + 3);
        put(&night, "signups", &some, &[]);
        night.until(|status| status["pending_records"] == 0);
        records.extend(some);
    }
    night.minute();
    night.minute();
    night.fire(&[]);

    night.pasted("fnctl deploy --name enrich --config told=trap");
    let good = records.len();
    // What is known of calls goes by the machine's uptime, which no minute of this night moves: it is asked
    // before they pass.
    for _ in 0..4 {
        let some = numbered("told", records.len()..records.len() + 3);
        put(&night, "signups", &some, &[]);
        records.extend(some);
        night.until(|status| status["pending_records"] == 0);
    }
    let described = night.why("function-failing");
    let said = message(&described);
    assert!(
        said.contains("end in `trap`, none did on version 1"),
        "{said}"
    );
    let steps = commands(&described);
    assert_eq!(steps[0], "fnctl rollback enrich");
    night.until_fire(
        30,
        &[
            r#"{alertname="FnctlDeadLetterRate",mapping="enrich/signups"}"#,
            r#"{alertname="FnctlFunctionFailing",mapping="enrich/signups"}"#,
        ],
        |server| {
            let some = numbered("told", records.len()..records.len() + 3);
            put(server, "signups", &some, &[]);
            records.extend(some);
            while crate::support::describe(server, "enrich")["pending_records"] != 0 {}
        },
    );
    night.why("function-failing");
    night.pasted(&steps[0]);
    let letters = all(&night, &["dlq", "list", MAPPING]);
    assert_eq!(letters.len(), records.len() - good);
    let is_right = |letter: &Value| letter["error_kind"] == "trap" && letter["attempts"] == 2;
    assert!(letters.iter().all(is_right), "{letters:?}");
    night.pasted(&format!("fnctl dlq redrive {MAPPING} --all --wait"));
    night.has_all(&records);
    night.until_fire(20, &[], |_| {});
}
