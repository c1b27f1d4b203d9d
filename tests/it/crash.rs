//! `kill -9` at random moments under load: everything acknowledged has exactly one output or one dead
//! letter, none lost, none twice, order per key kept (Lambda ESM specification §22 row Crash, where Lambda
//! allows duplicates).

mod swaps;

use std::sync::Arc;

use fnctl_tests::{
    get,
    ledger::{Ledger, check_effects},
    produce,
};

use crate::support::{deploy_hostile, drained, server_on};

/// Connections, each with a key of its own.
const PRODUCERS: usize = 6;

/// How often the server is killed: `FNCTL_CRASHES`, else 200.
fn crashes() -> u64 {
    std::env::var("FNCTL_CRASHES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(200)
}

/// A small generator, so that a run can be told by its seed.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kill_9() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut seed = std::env::var("FNCTL_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0x5eed_u64);
    let ledger = Arc::new(Ledger::new(PRODUCERS));
    let server = server_on(folder.path());
    // One more than the records need: a kill in caution charges the record in hand.
    let lanes = ["--shards", "2", "--parallelization-factor", "3"];
    let calls = ["--batch-size", "50", "--max-attempts", "3"];
    deploy_hostile(&server, &[lanes, calls].concat());
    assert_eq!(server.stop().unwrap_or_else(|e| panic!("{e}")), Some(0));

    for crash in 0..crashes() {
        // Most lives forget that there were deaths before them: those that remember call records one at
        // a time, which is another path.
        if crash % 10 < 7 {
            drop(std::fs::remove_file(folder.path().join("unclean-stops")));
        }
        let server = server_on(folder.path());
        // The load itself says when: after so many acknowledgements, now and then after none.
        let until = next(&mut seed) % 300;
        let until = if until < 20 { 0 } else { until };
        ledger.stop_after(until);
        std::thread::scope(|scope| {
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|key| {
                    let (ledger, api) = (Arc::clone(&ledger), server.api.clone());
                    scope.spawn(move || produce(&api, key, &ledger, u64::MAX))
                })
                .collect();
            ledger.wait_for_stop();
            server
                .kill()
                .unwrap_or_else(|e| panic!("crash {crash}: {e}"));
            for producer in producers {
                let error = producer
                    .join()
                    .expect("a producer ends with its connection");
                assert_eq!(error, None, "crash {crash}");
            }
        });
    }

    let server = server_on(folder.path());
    let status = drained(&server, "hostile");
    let text = |path: &str| {
        get(&server.api, path)
            .unwrap_or_else(|e| panic!("{e}"))
            .text()
    };
    let outputs = text("/v1/streams/out/records?from=trim-horizon&follow=false");
    let letters = text("/v1/mappings/hostile/dead-letters");
    let input = text("/v1/streams/in/records?from=trim-horizon&follow=false");
    let acknowledged = ledger.check_input(&input);
    check_effects(&input, &outputs, &letters);
    let totals = &status["totals"];
    let sum =
        totals["processed"].as_u64().unwrap_or(0) + totals["dead_lettered"].as_u64().unwrap_or(0);
    assert_eq!(
        sum as usize,
        outputs.lines().count() + letters.lines().count()
    );
    eprintln!(
        "{} crashes, {acknowledged} records acknowledged, {sum} settled",
        crashes()
    );
}
