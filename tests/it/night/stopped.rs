//! The function says `fatal`: its mapping stops in front of the record.

use super::{
    Night,
    minutes::{MAPPING, commands, message, numbered},
};
use crate::support::put;

#[test]
fn a_mapping_that_a_fatal_stopped_is_told_and_goes_on_with_the_same_record() {
    let mut night = Night::begins();
    night.deploy(&["--config", "told=fatal"]);
    let mut records = numbered("ok", 0..5);
    put(&night, "signups", &records, &[]);
    night.until(|status| status["pending_records"] == 0);
    night.minute();
    night.fire(&[]);

    let more = ["ok 5", "told 6", "ok 7"].map(str::to_owned);
    put(&night, "signups", &more, &["--key", "k"]);
    records.extend(more);
    let stopped = r#"{alertname="FnctlMappingStopped",mapping="enrich/signups",state="stopped"}"#;
    let described = night.why("stopped-fatal");
    assert!(
        message(&described).ends_with("gone: asked to stop"),
        "{described:#}"
    );
    night.until_fire(3, &[stopped], |_| {});
    // Nothing was mended: it meets the same record again, and says so again.
    let steps = commands(&described);
    assert_eq!(steps[0], format!("fnctl mappings resume {MAPPING}"));
    night.pasted(&steps[0]);
    night.until(|status| status["state"] == "stopped");
    night.minute();
    night.fire(&[stopped]);
    // Mended in the code: a deploy resumes it.
    night.pasted("fnctl deploy --name enrich --config told=ok");
    night.has_all(&records);
    night.until_fire(10, &[], |_| {});
}

#[test]
fn a_fatal_record_that_is_poison_is_kept_as_a_letter_and_the_rest_goes_on() {
    let mut night = Night::begins();
    night.deploy(&["--config", "told=fatal"]);
    let records = ["ok 0", "told 1", "ok 2"].map(str::to_owned);
    put(&night, "signups", &records, &["--key", "k"]);
    let described = night.why("stopped-fatal");
    night.minute();
    let update = format!("fnctl mappings update {MAPPING} --on-fatal dead-letter");
    assert!(commands(&described).contains(&update), "{described:#}");
    night.pasted(&update);
    night.pasted(&format!("fnctl mappings resume {MAPPING}"));
    night.until(|status| status["pending_records"] == 0);
    assert_eq!(night.records("enriched"), ["ok 0", "ok 2"]);
    night.pasted("fnctl deploy --name enrich --config told=ok");
    night.pasted(&format!("fnctl dlq redrive {MAPPING} --all --wait"));
    night.has_all(&records);
    night.until_fire(10, &[], |_| {});
}
