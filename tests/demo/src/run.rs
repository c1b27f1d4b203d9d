//! The demo itself: serve, deploy, put, check, measure, print.

use std::{collections::HashMap, path::Path};

use fnctl_tests::{Failure, Server, ServerOptions, text};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::latency;

const LATENCY_RECORDS: usize = 200;

/// Runs the demo; with `is_kept` the server goes on until Ctrl-C.
pub(crate) fn demo(fnctl: &Path, example: &Path, is_kept: bool) -> Result<(), Failure> {
    println!("[3/4] serve");
    let mut server = Server::start(ServerOptions {
        binary: Some(fnctl.to_owned()),
        ..ServerOptions::default()
    })?;
    println!("[4/4] run");
    let example_text = example
        .to_str()
        .ok_or_else(|| Failure::new("the path is not UTF-8"))?;
    server.json(&["deploy", example_text])?;

    let input = example.join("data/signups.ndjson");
    let lines = std::fs::read_to_string(&input)
        .map_err(|e| Failure::new(format!("{}: {e}", input.display())))?;
    let input = input
        .to_str()
        .ok_or_else(|| Failure::new("the path is not UTF-8"))?;
    let put = server.json(&["put", "signups", "--file", input, "--key-field", "user_id"])?;
    let line_of: HashMap<(String, String), u64> = put
        .iter()
        .map(|ack| (place(ack), ack["line"].as_u64().unwrap_or_default()))
        .collect();

    let sample = read(example, "golden/count")?;
    let expected: usize = sample
        .trim()
        .parse()
        .map_err(|e| Failure::new(format!("golden/count: {e}")))?;
    let mut tail = server.follow(&["tail", "enriched", "--from", "trim-horizon", "-o", "json"])?;
    let mut rows = Vec::with_capacity(expected);
    for _ in 0..expected {
        rows.push(text(&tail.next_json()?, "data"));
    }

    let is_golden = digest(&mut rows) == read(example, "golden/sha256")?.trim();
    let refused = server.json(&["dlq", "list", "enrich"])?;

    let alone: Vec<&str> = lines.lines().take(LATENCY_RECORDS).collect();
    let times = latency::measure(&server, &mut tail, &alone)?;
    let mapping = described(&server, put.len() + alone.len())?;
    let totals = &mapping["totals"];
    let (pending, age) = shards(&mapping);
    println!(
        "put {}   processed {}   dead-lettered {}   pending {pending}   iterator age {age} ms   put → output p50 {:.1} ms p99 {:.1} ms",
        put.len(),
        totals["processed"].as_u64().unwrap_or_default() - alone.len() as u64,
        totals["dead_lettered"],
        latency::percentile_ms(&times, 50),
        latency::percentile_ms(&times, 99),
    );
    println!("out      {}", rows.first().map_or("", String::as_str));
    if let Some(letter) = refused.first() {
        let line = line_of.get(&place(letter)).copied().unwrap_or_default();
        println!(
            "refused  line {line}: {}: {}      golden  {}",
            text(letter, "code"),
            text(letter, "error"),
            if is_golden { "matches" } else { "DIFFERS" }
        );
    }
    if !is_golden {
        return Err(Failure::new(format!(
            "the output of {example_text} differs from its golden digest"
        )));
    }
    println!(
        "next     make demo KEEP=1 · make install · fnctl new my-function · README \"Your first function\""
    );
    drop(tail);
    if is_kept {
        println!(
            "api      {}   kinesis  {}   Ctrl-C stops",
            server.api, server.kinesis
        );
        server.wait()?;
        return Ok(());
    }
    match server.stop()? {
        Some(0) => Ok(()),
        code => Err(Failure::new(format!("the server ended with {code:?}"))),
    }
}

/// Describes the mapping once `records` records have ended: the watch on totals is the commands' own.
fn described(server: &Server, records: usize) -> Result<Value, Failure> {
    loop {
        let all = server.json(&["mappings", "describe", "enrich"])?;
        let mapping = all
            .into_iter()
            .next()
            .ok_or_else(|| Failure::new("no such mapping"))?;
        let ended = ["processed", "dead_lettered", "filtered", "expired"]
            .iter()
            .map(|total| mapping["totals"][total].as_u64().unwrap_or_default())
            .sum::<u64>();
        if ended >= records as u64 {
            return Ok(mapping);
        }
    }
}

/// Pending records of all shards and the highest iterator age, ms.
fn shards(mapping: &Value) -> (u64, u64) {
    let all = mapping["shards"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let of = |field: &str| {
        all.iter()
            .map(|s| s[field].as_u64().unwrap_or_default())
            .collect::<Vec<_>>()
    };
    (
        of("pending_records").iter().sum(),
        of("iterator_age_ms").into_iter().max().unwrap_or_default(),
    )
}

/// Where a record lies.
fn place(value: &Value) -> (String, String) {
    (text(value, "shard_id"), text(value, "sequence_number"))
}

/// SHA-256 over the sorted rows, a line each: order between shards is nobody's promise.
fn digest(rows: &mut [String]) -> String {
    rows.sort_unstable();
    let mut hash = Sha256::new();
    for row in rows.iter() {
        hash.update(row.as_bytes());
        hash.update(b"\n");
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn read(example: &Path, name: &str) -> Result<String, Failure> {
    let path = example.join(name);
    std::fs::read_to_string(&path).map_err(|e| Failure::new(format!("{}: {e}", path.display())))
}
