//! What settles its records, or calls that succeed, and is not well all the same.

use super::*;

/// Keys that both versions of a canary at half of them meet.
const KEYS: usize = 60;

fn put_keys(server: &Server, stream: &str, data: &str) {
    let keys: Vec<String> = (0..KEYS).map(|key| format!("key-{key}")).collect();
    put_keyed(server, stream, keys.iter().map(|key| (key.as_str(), data)));
}

#[test]
fn a_canary_that_skips_its_records_is_named_and_taken_back_as_it_says() {
    let server = server();
    deploy(&server, "skips", &["--config", "told=ok"]);
    put_keys(&server, "skips", "told");
    drained(&server, "skips");
    deploy(
        &server,
        "skips",
        &["--config", "told=skip", "--canary", "50%"],
    );
    put_keys(&server, "skips", "told");
    drained(&server, "skips");
    let status = diagnosed(&server, "skips", "function-failing");
    let said = message(&status);
    assert!(
        said.starts_with("version 2, the canary at 50%, skips ") && said.contains("(`refused`)"),
        "{said}"
    );
    assert_eq!(status["canary"]["failures"], 0, "{status}");
    let commands = commands(&status["diagnosis"]);
    assert_eq!(commands[0], "fnctl rollback skips");
    pasted(&server, &commands[0]);
    let status = diagnosed(&server, "skips", "caught-up");
    assert!(message(&status).contains("dead letters open"), "{status}");
}

#[test]
fn a_canary_that_is_slow_is_named_while_its_first_calls_run() {
    let server = server();
    deploy(&server, "slows", &["--config", "told=ok"]);
    put_keys(&server, "slows", "told");
    drained(&server, "slows");
    let canary = [
        "--config",
        "told=sleep 1000",
        "--canary",
        "50%",
        "--rollback-errors",
        "off",
    ];
    deploy(&server, "slows", &canary);
    put_keys(&server, "slows", "told");
    let status = diagnosed(&server, "slows", "function-slow");
    let said = message(&status);
    assert!(said.contains("version 2, the canary at 50%,"), "{said}");
    assert_eq!(status["rates"]["failed_calls"], 0, "none was cut: {status}");
    let commands = commands(&status["diagnosis"]);
    assert_eq!(commands[0], "fnctl rollback slows");
    let offers = |flag: &str| commands.iter().any(|command| command.contains(flag));
    assert!(
        !offers("--parallelization-factor") && !offers("--timeout"),
        "{commands:?}"
    );
    pasted(&server, &commands[0]);
    drained(&server, "slows");
}

#[test]
fn what_is_given_up_for_its_age_is_told_with_the_bound() {
    let server = server();
    let policy = ["--batch-size", "1", "--max-record-age", "1s"];
    deploy(&server, "ages", &policy);
    put(
        &server,
        "ages",
        &vec!["sleep 300".to_owned(); 40],
        &["--key", "k"],
    );
    let letters = drained(&server, "ages")["totals"]["dead_lettered"].as_u64();
    assert!(letters > Some(20), "{letters:?}");
    let status = diagnosed(&server, "ages", "function-slow");
    let said = message(&status);
    assert!(
        said.starts_with(&format!(
            "{} of the last 40 records were given up for their age (`max_record_age` is 1000 ms)",
            letters.unwrap_or_default()
        )),
        "{said}"
    );
    let commands = commands(&status["diagnosis"]);
    let unbound = "fnctl mappings update ages/ages --max-record-age default";
    let unbound = commands.iter().find(|command| *command == unbound);
    pasted(&server, unbound.expect("it is offered"));
    let status = diagnosed(&server, "ages", "caught-up");
    assert_eq!(status["settings"]["max_record_age_ms"], Value::Null);
}

#[test]
fn a_batch_that_does_not_end_in_time_is_told_with_one_that_does() {
    let server = server();
    let policy = [
        "--timeout",
        "1s",
        "--max-attempts",
        "20",
        "--backoff-initial",
        "1ms",
    ];
    deploy(&server, "large", &policy);
    let lines = vec!["sleep 300".to_owned(); 40];
    put(&server, "large", &lines, &["--key", "k"]);
    let status = diagnosed(&server, "large", "function-slow");
    let status = match message(&status).starts_with("a call with ") {
        true => status,
        // Until a part of it has ended in time nobody knows what a record takes.
        false => loop {
            let status = diagnosed(&server, "large", "function-slow");
            if message(&status).starts_with("a call with ") {
                break status;
            }
        },
    };
    let less = "fnctl mappings update large/large --batch-size ";
    let commands = commands(&status["diagnosis"]);
    let batch = commands[0].strip_prefix(less);
    let batch = batch.and_then(|batch| batch.parse::<u32>().ok());
    assert!(
        batch.is_some_and(|batch| (1..=2).contains(&batch)),
        "{commands:?}"
    );
    let longer = commands[1].strip_prefix("fnctl deploy --name large --timeout ");
    let longer = longer.and_then(|longer| longer.strip_suffix("s")?.parse::<u32>().ok());
    assert!(longer >= Some(37), "a hundred records: {commands:?}");
    pasted(&server, &commands[1]);
    drained(&server, "large");
    // It was offered: it is not to be taken back.
    let status = one(&server, &["status", "large"]);
    let rollback = status["diagnosis"].to_string().contains("fnctl rollback");
    assert!(!rollback, "{status}");
}

#[test]
fn a_seek_that_counts_anew_does_not_say_that_nothing_ever_came() {
    let server = server();
    deploy(&server, "seeks", &[]);
    let lines = ["ok", "ok", "skip"].map(str::to_owned);
    put(&server, "seeks", &lines, &["--key", "k"]);
    drained(&server, "seeks");
    let seek = ["mappings", "seek", "seeks", "--to", "latest", "--yes"];
    one(&server, &seek);
    let status = diagnosed(&server, "seeks", "caught-up");
    assert_eq!(
        message(&status),
        "no record has come to stream `seeks` since a seek put the mapping behind 3 records that it holds; in front \
         of that 3 records were settled; 1 dead letter open"
    );
}
