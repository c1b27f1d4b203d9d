//! A record that kills the process (commit and storage rules §4 and §10, schedule 25): after two unclean
//! stops first batches and retries are called record by record, each marked before, so that the killer is
//! charged and given up, and nothing else is.

use std::{fs, process::Command};

use fnctl_tests::{Server, binary, get};
use serde_json::Value;

use crate::support::{
    all, deploy_hostile, describe, drained, metric, one, put_keyed, server_on, tail,
};

fn pending(status: &Value) -> u64 {
    status["pending_records"].as_u64().expect("a number")
}

/// Whether a call runs. The series begins with the first worker.
fn is_calling(server: &Server) -> bool {
    let text = get(&server.api, "/metrics")
        .unwrap_or_else(|e| panic!("{e}"))
        .text();
    let calling = "fnctl_invocations_in_flight{function=\"hostile\"} 1";
    text.lines().any(|line| line == calling)
}

/// Waits until only the killer and what waits behind it is left, and the killer is being called.
fn dies_with_the_killer(server: Server) {
    while pending(&describe(&server, "hostile")) > 2 || !is_calling(&server) {}
    server.kill().unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn a_record_that_kills_the_process_is_given_up_and_all_others_come_out_once_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_on(folder.path());
    deploy_hostile(&server, &["--max-attempts", "2", "--timeout", "600s"]);
    one(&server, &["mappings", "pause", "hostile"]);
    let good: Vec<String> = (0..20).map(|n| format!("ok {n}")).collect();
    // One request, so that one read gives them all and the first call has them all.
    let keyed = good.iter().map(|data| ("good", data.as_str()));
    put_keyed(
        &server,
        "in",
        keyed.chain([("bad", "loop"), ("bad", "ok behind")]),
    );
    one(&server, &["mappings", "resume", "hostile"]);

    // Twice nobody is charged: the killer goes with its batch.
    let mut server = server;
    for _ in 0..2 {
        assert_eq!(metric(&server, "fnctl_careful"), 0.0);
        while !is_calling(&server) {}
        assert_eq!(pending(&describe(&server, "hostile")), 22);
        server.kill().unwrap_or_else(|e| panic!("{e}"));
        server = server_on(folder.path());
    }
    // From now on it is alone, and charged.
    for failed in 0..2 {
        assert_eq!(metric(&server, "fnctl_careful"), 1.0);
        assert!(
            server
                .log()
                .contains("first batches and retries are called record by record")
        );
        dies_with_the_killer(server);
        server = server_on(folder.path());
        while describe(&server, "hostile")["totals"]["failed"] != failed + 1 {}
    }

    let status = drained(&server, "hostile");
    let totals = &status["totals"];
    assert_eq!(
        (&totals["processed"], &totals["dead_lettered"]),
        (&21.into(), &1.into())
    );
    let letters = all(&server, &["dlq", "list", "hostile"]);
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter = &letters[0];
    assert_eq!(
        (&letter["data"], &letter["attempts"]),
        (&"loop".into(), &2.into())
    );
    assert_eq!(letter["error_kind"], "trap", "{letter}");
    assert_eq!(letter["code"], "process-died", "{letter}");
    let out = tail(&server, "out", 21);
    let of_key = |key: &str| -> Vec<&str> {
        let records = out.iter().filter(|record| record["partition_key"] == key);
        records
            .filter_map(|record| record["data"].as_str())
            .collect()
    };
    assert_eq!(of_key("good"), good);
    assert_eq!(of_key("bad"), ["ok behind"]);
}

#[test]
fn a_start_that_is_refused_is_no_death_of_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let stop = |server: Server| server.stop().unwrap_or_else(|e| panic!("{e}"));
    stop(server_on(data));
    // What the last of them meets once the data are open: its folder is a file.
    fs::write(data.join("tls"), "no folder").expect("written");
    for (words, code) in [
        (&["--tls-cert", "nope", "--tls-key", "nope"][..], "FN6006"),
        (&["--tls-generate", "--tls-name", "bad name!"], "FN6006"),
        (&["--ready-file", "/proc/x/y"], "FN1011"),
        (&["--tls-generate"], "FN6006"),
    ] {
        for _ in 0..2 {
            let output = Command::new(binary())
                .args(["server", "--listen", "127.0.0.1:0"])
                .args(["--kinesis-listen", "127.0.0.1:0", "--data-dir"])
                .arg(data)
                .args(words)
                .output()
                .expect("the binary runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success(), "{words:?}");
            assert!(said.contains(&format!("error[{code}]")), "{said}");
            assert!(said.contains("  fix "), "{said}");
        }
    }
    assert!(!data.join("unclean-stops").exists());
    fs::remove_file(data.join("tls")).expect("removed");
    let server = server_on(data);
    assert_eq!(metric(&server, "fnctl_unclean_stops"), 0.0);
    assert_eq!(metric(&server, "fnctl_careful"), 0.0);
    stop(server);
}
