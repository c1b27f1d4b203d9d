//! `kill -9` under three mappings, one reading another's output, while versions are swapped, mappings
//! pause and load comes in bursts.

use std::sync::Arc;

use fnctl_tests::{
    Seen, Server, get,
    ledger::{Ledger, check_effects},
    produce,
};

use super::next;
use crate::support::{drained, guest, one, server_on};

const PRODUCERS: usize = 4;
/// Function, component, input, output.
const MAPPINGS: [(&str, &str, &str, &str); 3] = [
    ("hostile", "hostile", "in", "out"),
    ("copier", "echo", "in", "copy"),
    ("relay", "echo", "out", "far"),
];

/// How often the server is killed: `FNCTL_SWAP_CRASHES`, else 100.
fn crashes() -> u64 {
    let set = std::env::var("FNCTL_SWAP_CRASHES").ok();
    set.and_then(|n| n.parse().ok()).unwrap_or(100)
}

/// Deploys a mapping; another size of batch is another version of it.
fn deploy(server: &Server, mapping: usize, batch: u64) -> Result<(), fnctl_tests::Failure> {
    let (name, component, from, to) = MAPPINGS[mapping];
    let (component, batch) = (guest(component), batch.to_string());
    let setting = format!("batch={batch}");
    let mut words = vec!["deploy", &component, "--name", name, "--stream", from];
    words.extend(["--to", to, "--shards", "2", "--batch-size", &batch]);
    words.extend([
        "--max-attempts",
        "6",
        "--backoff-initial",
        "10ms",
        "--config",
        &setting,
    ]);
    if component.contains("hostile") {
        words.extend(["--to", "side=none", "--parallelization-factor", "3"]);
    }
    server.json(&words).map(drop)
}

/// What a person does while the server may die at any moment: it may fail only because it did.
fn interfere(server: &Server, random: u64) {
    let mapping = (random % 3) as usize;
    let name = MAPPINGS[mapping].0;
    let done = match random / 3 % 4 {
        0 => deploy(server, mapping, 1 + random / 12 % 60),
        1 => server.json(&["mappings", "pause", name]).map(drop),
        2 => server.json(&["mappings", "resume", name]).map(drop),
        _ => Ok(()),
    };
    if let Err(failure) = done {
        let is_known = failure
            .error
            .as_ref()
            .is_some_and(|error| error["kind"] != "internal");
        assert!(is_known, "{failure}");
    }
}

#[test]
fn swaps_pauses_and_bursts_under_kill_9_lose_and_double_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let seed = std::env::var("FNCTL_SEED")
        .ok()
        .and_then(|n| n.parse().ok());
    let mut seed: u64 = seed.unwrap_or(0x0005_a9ed);
    let ledger = Arc::new(Ledger::new(PRODUCERS));
    let seen = ["in", "out", "far"].map(Seen::new);
    let server = server_on(folder.path());
    for mapping in 0..MAPPINGS.len() {
        deploy(&server, mapping, 50).unwrap_or_else(|e| panic!("{e}"));
    }
    assert_eq!(server.stop().unwrap_or_else(|e| panic!("{e}")), Some(0));

    for crash in 0..crashes() {
        // As in the other loop: most lives do not know of the deaths before them.
        if crash % 10 < 7 {
            drop(std::fs::remove_file(folder.path().join("unclean-stops")));
        }
        let server = server_on(folder.path());
        let (until, burst) = (next(&mut seed) % 250, next(&mut seed) % 120);
        let (first, second) = (next(&mut seed), next(&mut seed));
        ledger.stop_after(until);
        std::thread::scope(|scope| {
            for seen in &seen {
                let api = server.api.clone();
                scope.spawn(move || seen.watch(&api));
            }
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|key| {
                    let (ledger, api) = (Arc::clone(&ledger), server.api.clone());
                    // Some come in bursts, with quiet between them.
                    let count = if key % 2 == 0 { u64::MAX } else { burst };
                    scope.spawn(move || produce(&api, key, &ledger, count))
                })
                .collect();
            let person = scope.spawn(|| {
                interfere(&server, first);
                interfere(&server, second);
            });
            ledger.wait_for_stop();
            server.kill_now();
            person
                .join()
                .expect("no interference is refused without a reason");
            for producer in producers {
                let error = producer
                    .join()
                    .expect("a producer ends with its connection");
                assert_eq!(error, None, "crash {crash}");
            }
        });
        server
            .kill()
            .unwrap_or_else(|e| panic!("crash {crash}: {e}"));
    }

    let server = server_on(folder.path());
    for (name, ..) in MAPPINGS {
        one(&server, &["mappings", "resume", name]);
    }
    for (name, ..) in MAPPINGS {
        drained(&server, name);
    }
    let text = |path: String| {
        get(&server.api, &path)
            .unwrap_or_else(|e| panic!("{e}"))
            .text()
    };
    let all = |stream: &str| {
        text(format!(
            "/v1/streams/{stream}/records?from=trim-horizon&follow=false"
        ))
    };
    let acknowledged = ledger.check_input(&all("in"));
    for (name, _, from, to) in MAPPINGS {
        let letters = text(format!("/v1/mappings/{name}/dead-letters"));
        check_effects(&all(from), &all(to), &letters);
    }
    for (seen, stream) in seen.iter().zip(["in", "out", "far"]) {
        seen.check(&all(stream));
    }
    eprintln!("{} crashes, {acknowledged} records acknowledged", crashes());
}
