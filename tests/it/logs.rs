//! What functions write.

use crate::support::{deploy_hostile, metric, put, server, tail};

const SHARD: &str = "shardId-000000000000";

#[test]
fn a_flood_of_log_lines_is_cut_counted_and_told() {
    let server = server();
    deploy_hostile(&server, &["--batch-size", "1"]);
    // Calls of a thousand lines each, which one call may write; not all of them within a second.
    let lines: Vec<String> = (0..60).map(|_| "log 1000".to_owned()).collect();
    put(&server, "in", &lines, &[]);
    assert_eq!(tail(&server, "out", 60).len(), 60);
    let dropped = metric(
        &server,
        "fnctl_log_lines_dropped_total{function=\"hostile\"}",
    );
    assert!(dropped > 0.0, "{dropped}");
    let mut following = server
        .follow(&["logs", "hostile", "--follow", "-o", "json"])
        .expect("it starts");
    loop {
        let line = following
            .next_json()
            .unwrap_or_else(|e| panic!("{e}\nserver log: {}", server.log()));
        let message = line["message"].as_str().unwrap_or_default();
        assert_eq!(line["function"], "hostile", "{line}");
        if message.starts_with("line ") {
            let of = (&line["version"], &line["mapping"], &line["shard_id"]);
            let expected = (&1.into(), &"hostile/in".into(), &SHARD.into());
            assert_eq!(of, expected, "{line}");
        }
        if message.contains(" lines dropped: above ") {
            assert_eq!(line["level"], "warn");
            break;
        }
    }
}
