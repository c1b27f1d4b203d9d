//! What holds a mapping otherwise, each named and ended as it says.

use std::fs;

use fnctl_tests::{Server, ServerOptions};

use super::{
    Night,
    minutes::{MAPPING, commands, message},
};
use crate::{
    scrub::files,
    support::{all, guest, one, put},
};

#[test]
fn records_that_wait_for_those_of_their_parent_are_told_with_the_key_that_holds_them() {
    let night = Night::begins();
    night.deploy(&["--backoff-initial", "1h", "--backoff-max", "1h"]);
    let record = |text: &str| vec![text.to_owned()];
    put(
        &night,
        "signups",
        &record("retry-until 2"),
        &["--key", "it's held"],
    );
    night.until(|status| status["shards"][0]["parked_keys"] == 1);
    one(&night, &["streams", "split", "signups", "--shard", "0"]);
    put(&night, "signups", &record("ok 1"), &["--key", "a"]);
    put(&night, "signups", &record("ok 2"), &["--key", "b"]);
    let described = night.why("waiting-for-parents");
    let said = message(&described);
    assert!(
        said.contains("wait until those of shardId-000000000000")
            && said.contains("key `it\\'s held`"),
        "{said}"
    );
    let steps = commands(&described);
    assert_eq!(
        steps[0],
        format!(r"fnctl mappings release {MAPPING} --key 'it'\''s held'")
    );
    night.pasted(&steps[2]);
    night.pasted(&steps[0]);
    night.has_all(&["retry-until 2", "ok 1", "ok 2"].map(str::to_owned));
}

#[test]
fn dead_letters_at_their_quota_hold_the_mapping_until_they_are_redriven() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut night = Night::on(folder, data, &["--dead-letters-max", "16MiB"]);
    night.deploy(&["--config", "told=skip", "--batch-size", "1"]);
    night.minute();
    let records: Vec<String> = (0..22)
        .map(|n| format!("told {n} {}", "x".repeat(900_000)))
        .collect();
    put(&night, "signups", &records, &[]);
    let described = night.why("dead-letters-full");
    assert_eq!(described["state"], "blocked", "{described:#}");
    let open = described["dead_letters_by_code"]["refused"].as_u64();
    assert!(matches!(open, Some(15..=18)), "{described:#}");
    let blocked = r#"{alertname="FnctlMappingBlocked",mapping="enrich/signups"}"#;
    let given_up = r#"{alertname="FnctlDeadLetterRate",mapping="enrich/signups"}"#;
    night.until_fire(5, &[given_up, blocked], |_| {});
    let steps = commands(&described);
    assert!(night.pasted(&steps[0]).contains("refused"), "{steps:?}");
    assert_eq!(
        steps[1],
        format!("fnctl dlq redrive {MAPPING} --code refused")
    );
    night.pasted("fnctl deploy --name enrich --config told=ok");
    night.pasted(&format!("{} --wait", steps[1]));
    // What waited with the answer of the version before is given up by it as soon as there is room.
    night.until(|status| status["pending_records"] == 0);
    if !all(&night, &["dlq", "list", MAPPING]).is_empty() {
        night.pasted(&format!("{} --wait", steps[1]));
    }
    night.has_all(&records);
    night.until_fire(10, &[], |_| {});
}

#[test]
fn a_component_that_cannot_be_loaded_is_the_servers_fault_and_told_as_such() {
    let mut night = Night::begins();
    night.deploy(&[]);
    put(&night, "signups", &["ok 1".to_owned()], &[]);
    night.until(|status| status["pending_records"] == 0);
    night.stop();
    // What was deployed rots, and what was compiled of it is gone.
    let component = files(&night.data().join("artifacts"), "");
    let [component] = &component[..] else {
        panic!("{component:?}");
    };
    let whole = fs::read(component).expect("it is there");
    fs::write(component, &whole[..whole.len() / 2]).expect("it is written");
    fs::remove_dir_all(night.data().join("cache")).expect("it is there");
    night.start();
    night.minute();
    put(&night, "signups", &["ok 2".to_owned()], &[]);
    let described = night.why("host-fault");
    assert!(
        message(&described).contains("the server cannot make its calls"),
        "{described:#}"
    );
    let at_fault = r#"{alertname="FnctlHostFault",mapping="enrich/signups"}"#;
    let stands_still = r#"{alertname="FnctlNoProgress",mapping="enrich/signups"}"#;
    let rots = r#"{alertname="FnctlStorageDamaged"}"#;
    night.until_fire(4, &[at_fault, rots], |_| {});
    night.until_fire(9, &[at_fault, stands_still, rots], |_| {});
    for step in commands(&described) {
        night.pasted(&step.replace("FILE", &guest("hostile")));
    }
    // The last of them put it back.
    night.has_all(&["ok 1", "ok 2"].map(str::to_owned));
    // No damaged place is known any more; that one was met is told for an hour.
    let was_met = r#"{alertname="FnctlStorageDamaged",file="artifact"}"#;
    night.until_fire(10, &[was_met], |_| {});
}

#[test]
fn room_of_dead_letters_that_takes_no_record_is_refused() {
    for (room, exit) in [("1MiB", 7), ("2TiB", 7), ("much", 2)] {
        let options = ServerOptions {
            arguments: ["--dead-letters-max", room].map(str::to_owned).to_vec(),
            ..ServerOptions::default()
        };
        let Err(failure) = Server::start(options) else {
            panic!("{room} is taken");
        };
        assert_eq!(failure.exit, Some(exit), "{room}: {}", failure.message);
    }
}
