//! Somebody sets the machine's clock, back and forth.

use std::time::Duration;

use super::{
    Night,
    minutes::{message, numbered},
};
use crate::support::{metric, one, put};

const HOUR: Duration = Duration::from_secs(3_600);
const JUMPED: &str = r#"{alertname="FnctlClockJumped"}"#;
const OFFSET: &str = "fnctl_wall_clock_offset_seconds";

fn age_s(night: &Night) -> f64 {
    metric(
        night,
        r#"fnctl_shard_iterator_age_seconds{mapping="enrich/signups",shard="shardId-000000000000"}"#,
    )
}

#[test]
fn a_clock_that_jumps_is_told_and_loses_reorders_and_delays_nothing() {
    let mut night = Night::begins();
    one(
        &night,
        &["streams", "create", "signups", "--retention", "1h"],
    );
    let waits = ["--backoff-max", "4s", "--config", "told=retry-after 4000"];
    night.deploy(&waits);
    let mut records = numbered("ok", 0..5);
    put(&night, "signups", &records, &["--key", "k"]);
    night.until(|status| status["pending_records"] == 0);
    night.minute();
    night.minute();
    night.fire(&[]);
    assert_eq!(metric(&night, OFFSET), 0.0);

    // Back by two hours, while a key waits for a retry and the mapping is behind.
    let held = ["told 1".to_owned()];
    put(&night, "signups", &held, &["--key", "held"]);
    night.until(|status| status["shards"][0]["parked_keys"] == 1);
    night.clock_moves(2 * HOUR, true);
    night.scraped();
    night.fire(&[JUMPED]);
    let told = metric(&night, OFFSET);
    assert!((-7_200.0..-7_190.0).contains(&told), "{told}");
    records.extend(held);
    let more = numbered("ok", 5..10);
    put(&night, "signups", &more, &["--key", "k"]);
    records.extend(more);
    // The retry comes by what has passed, not two hours later.
    night.until(|status| status["totals"]["failed"].as_u64() >= Some(2));
    night.pasted("fnctl deploy --name enrich --config told=ok");
    night.until(|status| status["pending_records"] == 0);
    one(&night, &["mappings", "pause", "enrich"]);
    let more = numbered("ok", 10..15);
    put(&night, "signups", &more, &["--key", "k"]);
    records.extend(more);
    night.minute();
    night.minute();
    night.fire(&[JUMPED]);
    let described = night.why("paused");
    let words = "the server's clock went back behind the times of its records, by 1h5";
    assert!(message(&described).contains(words), "{described:#}");
    // As the runbook says: what waits is counted, its age is not to be had.
    assert_eq!(age_s(&night), 0.0);
    let waits =
        r#"fnctl_shard_pending_records{mapping="enrich/signups",shard="shardId-000000000000"}"#;
    assert_eq!(metric(&night, waits), 5.0);

    // It is set right: the next scrape says so, and times go on.
    night.clock_moves(2 * HOUR, false);
    night.scraped();
    night.fire(&[]);
    assert_eq!(metric(&night, OFFSET), 0.0);
    let age = age_s(&night);
    assert!((115.0..200.0).contains(&age), "{age}");

    // Three hours forward, three times what the stream keeps: nobody believes it, and no record is old for it.
    night.clock_moves(3 * HOUR, false);
    night.scraped();
    night.fire(&[JUMPED]);
    let told = metric(&night, OFFSET);
    assert!((10_790.0..10_800.1).contains(&told), "{told}");
    assert!(age_s(&night) < 200.0, "{}", age_s(&night));
    one(&night, &["mappings", "resume", "enrich"]);
    let more = numbered("ok", 15..20);
    put(&night, "signups", &more, &["--key", "k"]);
    records.extend(more);
    night.has_all(&records);
    night.clock_moves(3 * HOUR, true);
    night.minute();
    night.fire(&[]);

    night.has_all(&records);
    let put = night.records("signups");
    assert_eq!(put.len(), records.len(), "retention took none");
    let in_order = crate::support::tail(&night, "enriched", records.len());
    let of_key = in_order
        .iter()
        .filter(|record| record["partition_key"] == "k");
    let data: Vec<_> = of_key.map(|record| record["data"].clone()).collect();
    assert_eq!(data, numbered("ok", 0..20));
}
