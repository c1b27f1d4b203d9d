//! A shard stops in front of what cannot be read any more.

use std::{fs, ops::RangeInclusive};

use fnctl_tests::{Server, get, text};
use serde_json::Value;

use super::{
    Night,
    minutes::{MAPPING, commands, message},
};
use crate::{
    scrub::{files, flip},
    support::{metric, one, put, server_on},
};

const RECORDS: usize = 2_000;
/// The shard that rots.
const SHARD: &str = "shardId-000000000000";

/// The records of the shard, in its order.
fn of_the_shard(server: &Server) -> Vec<String> {
    let path = "/v1/streams/signups/records?from=trim-horizon&follow=false";
    let answer = get(&server.api, path).unwrap_or_else(|e| panic!("{e}"));
    let body = answer.text();
    let lines = body.lines().map(|line| {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        record
    });
    let its = lines.filter(|record| record["shard_id"] == SHARD);
    its.map(|record| text(&record, "data")).collect()
}

/// Its segment, once all that was put is there.
fn segment(night: &Night) -> std::path::PathBuf {
    loop {
        let found = files(&night.data_dir.join("streams"), ".segment");
        let length = |file: &std::path::PathBuf| fs::metadata(file).map_or(0, |meta| meta.len());
        let long: Vec<_> = found
            .into_iter()
            .filter(|file| length(file) > 300_000)
            .collect();
        if metric(night, "fnctl_journal_unapplied_bytes") == 0.0 && long.len() == 2 {
            return long[0].clone();
        }
    }
}

#[test]
fn a_shard_that_rots_is_told_passed_over_and_what_it_lost_put_again_from_a_backup() {
    let mut night = Night::begins();
    one(&night, &["streams", "create", "signups", "--shards", "2"]);
    night.deploy(&[]);
    one(&night, &["mappings", "pause", "enrich"]);
    let records: Vec<String> = (0..RECORDS).map(|n| format!("ok {n:0>400}")).collect();
    put(&night, "signups", &records, &[]);
    let segment = segment(&night);
    let backup = night.beside().join("backup").to_string_lossy().into_owned();
    one(&night, &["backup", "--to", &backup]);
    night.minute();
    night.fire(&[]);
    night.stop();
    flip(&segment, 150_000);
    night.start();
    night.minute();
    night.fire(&[]);

    one(&night, &["mappings", "resume", "enrich"]);
    let described = night.why("damaged");
    assert!(
        message(&described).starts_with("a shard cannot be read: "),
        "{described:#}"
    );
    assert_eq!(described["state"], "blocked", "{described:#}");
    night.until_fire(
        8,
        &[
            r#"{alertname="FnctlMappingBlocked",mapping="enrich/signups",state="blocked"}"#,
            r#"{alertname="FnctlShardDamaged",mapping="enrich/signups"}"#,
            r#"{alertname="FnctlShardsNotOwned",mapping="enrich/signups"}"#,
            r#"{alertname="FnctlSourceErrors",kind="damaged"}"#,
            r#"{alertname="FnctlStorageDamaged"}"#,
        ],
        |_| {},
    );

    // What is damaged, and what going on behind it passes over.
    let steps = commands(&night.why("damaged"));
    let said = night.pasted(&steps[0]);
    assert!(said.contains("DAMAGED") && said.contains(SHARD), "{said}");
    let damaged = &one(&night, &["streams", "describe", "signups"])["damaged"][0];
    let number =
        |name: &str| usize::try_from(damaged[name].as_u64().expect("a number")).expect("small");
    let hole: RangeInclusive<usize> = number("first_record")..=number("last_record");
    assert!(
        steps[1].starts_with(&format!("fnctl mappings seek {MAPPING} --to ")),
        "{steps:?}"
    );
    assert!(
        steps[1].contains(&format!(" --shard {SHARD} --dry-run")),
        "{steps:?}"
    );
    night.pasted(&steps[1]);
    let seek = steps[1].replace("--dry-run", "--yes");
    night.pasted(&seek);
    let status = night.until(|status| status["pending_records"] == 0);
    assert_eq!(status["state"], "running", "{status:#}");
    // Nothing goes with it: what was read in front of it was settled before the worker ended.
    let out = night.records("enriched");
    assert_eq!(out.len(), RECORDS - hole.clone().count(), "{hole:?}");

    // A backup has it.
    let restored = night
        .beside()
        .join("restored")
        .to_string_lossy()
        .into_owned();
    night.pasted(&format!(
        "fnctl restore --from {backup} --data-dir {restored} --yes"
    ));
    let elsewhere = server_on(restored.as_ref());
    let whole = of_the_shard(&elsewhere);
    assert!(*hole.end() <= whole.len(), "{hole:?} of {}", whole.len());
    let is_out = |data: &String| out.binary_search(data).is_ok();
    let missing: Vec<String> = whole.into_iter().filter(|data| !is_out(data)).collect();
    put(&night, "signups", &missing, &[]);
    night.has_all(&records);
    // The place is known for as long as it is there.
    night.until_fire(20, &[r#"{alertname="FnctlStorageDamaged"}"#], |_| {});
}
