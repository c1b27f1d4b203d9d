//! A canary on the real binary: which keys meet it, how it becomes live or goes, and that neither loses or
//! repeats a record.

use std::collections::BTreeMap;

use fnctl_tests::Server;
use serde_json::Value;

use crate::support::{
    deploy_hostile, describe, drained, metric, one, put_keyed, refused, server, server_on, tail,
};

/// What tells the version that it is called by.
const FACTS: &str = "facts";
/// Longer than a version with a time limit of 20 ms has.
const SLEEP: &str = "sleep 60";
/// Fails whoever calls it.
const RETRY: &str = "retry";

/// Puts one such record for each of so many keys.
fn put_keys(server: &Server, keys: usize, data: &str) {
    let keys: Vec<String> = (0..keys).map(|key| format!("key-{key}")).collect();
    put_keyed(server, "in", keys.iter().map(|key| (key.as_str(), data)));
}

fn function(server: &Server) -> Value {
    one(server, &["functions", "describe", "hostile"])
}

/// Asks so many keys which version they meet; `round` is how often they were asked, this time included.
fn versions(server: &Server, keys: usize, round: usize) -> BTreeMap<String, u64> {
    put_keys(server, keys, FACTS);
    drained(server, "hostile");
    let rows = tail(server, "out", keys * round);
    let rows = rows.iter().skip(keys * (round - 1)).map(|row| {
        let key = row["partition_key"].as_str().expect("a key").to_owned();
        let facts = row["data"].as_str().expect("text");
        let facts: Value = serde_json::from_str(facts).expect("JSON");
        (key, facts[4].as_u64().expect("a version"))
    });
    let met: BTreeMap<String, u64> = rows.collect();
    assert_eq!(met.len(), keys, "each key has one row");
    met
}

fn met(versions: &BTreeMap<String, u64>, version: u64) -> usize {
    versions.values().filter(|met| **met == version).count()
}

#[test]
fn a_key_meets_one_version_and_more_weight_only_moves_keys_to_the_canary() {
    const KEYS: usize = 200;
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");
    let server = server_on(&data_dir);
    one(&server, &["streams", "create", "in", "--shards", "2"]);
    deploy_hostile(&server, &["--parallelization-factor", "2"]);
    let canary = ["--config", "name=new", "--canary", "30%"];
    let done = deploy_hostile(&server, &canary);
    assert_eq!(
        (&done["version"], &done["canary"]["version"]),
        (&1.into(), &2.into()),
        "{done}"
    );
    let some = versions(&server, KEYS, 1);
    let tried = met(&some, 2);
    assert!((30..90).contains(&tried), "{tried} of {KEYS}");
    let status = function(&server);
    assert_eq!(status["canary"]["weight"], "30%");
    assert!(status["canary"]["calls"].as_u64().is_some_and(|n| n > 0));
    assert_eq!(status["canary"]["failures"], 0, "{status}");
    assert_eq!(describe(&server, "hostile")["canary"]["version"], 2);
    let weight = "fnctl_function_canary_weight{function=\"hostile\"}";
    assert!((metric(&server, weight) - 0.3).abs() < 1e-9);

    // What a crash leaves is the same, and so are the keys.
    server.kill().unwrap_or_else(|e| panic!("{e}"));
    let server = server_on(&data_dir);
    assert_eq!(function(&server)["canary"]["weight"], "30%");
    assert_eq!(versions(&server, KEYS, 2), some, "a key meets one version");

    one(&server, &["promote", "hostile", "--canary", "60%"]);
    let more = versions(&server, KEYS, 3);
    assert!(met(&more, 2) > tried);
    for (key, version) in &some {
        assert!(more[key] >= *version, "{key} went back");
    }
    let done = one(&server, &["promote", "hostile"]);
    assert_eq!(
        (&done["version"], &done["previous_version"], &done["canary"]),
        (&2.into(), &1.into(), &Value::Null)
    );
    assert_eq!(met(&versions(&server, KEYS, 4), 2), KEYS);
    one(&server, &["rollback", "hostile"]);
    assert_eq!(met(&versions(&server, KEYS, 5), 1), KEYS);
    let switches = function(&server)["switches"].clone();
    let kinds: Vec<&str> = switches
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|switch| switch["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["begun", "changed", "promoted"]);
    let totals = describe(&server, "hostile")["totals"].clone();
    assert_eq!(
        (&totals["processed"], &totals["failed"]),
        (&(5 * KEYS).into(), &0.into()),
        "nothing was lost or called twice: {totals}"
    );
}

#[test]
fn a_canary_that_fails_goes_by_itself_and_nothing_is_lost_or_dead_lettered() {
    const KEYS: usize = 60;
    let server = server();
    deploy_hostile(&server, &["--backoff-initial", "1s"]);
    deploy_hostile(&server, &["--timeout", "20ms", "--canary", "50%"]);
    put_keys(&server, KEYS, SLEEP);
    let status = drained(&server, "hostile");
    assert_eq!(status["totals"]["processed"], KEYS, "{status}");
    assert_eq!(status["totals"]["dead_lettered"], 0, "{status}");
    assert_eq!(status["canary"], Value::Null, "{status}");
    assert_eq!(tail(&server, "out", KEYS).len(), KEYS);
    let status = function(&server);
    let said = status["rolled_back"].as_str().unwrap_or_default();
    assert!(
        said.starts_with("rolled back from canary version 2: ") && said.contains("(bound 5%"),
        "{status}"
    );
    assert_eq!(
        (&status["version"], &status["canary"]),
        (&1.into(), &Value::Null)
    );
    let of =
        |name: &str, more: &str| metric(&server, &format!("{name}{{function=\"hostile\"{more}}}"));
    let rollbacks = "fnctl_function_canary_rollbacks_total";
    assert!((of(rollbacks, ",reason=\"errors\"") - 1.0).abs() < 1e-9);
    assert!(of("fnctl_function_canary_weight", "").abs() < 1e-9);
    let log = server.log();
    assert!(
        log.contains("a canary was taken back by its guard"),
        "{log}"
    );
    // The next deploy is a new beginning.
    deploy_hostile(&server, &["--memory", "64MiB"]);
    assert_eq!(function(&server)["rolled_back"], Value::Null);
}

#[test]
fn a_canary_under_which_records_wait_too_long_goes_by_itself() {
    let server = server();
    deploy_hostile(&server, &["--max-attempts", "unlimited"]);
    let guard = ["--rollback-errors", "off", "--rollback-age", "1s"];
    let canary = ["--config", "name=new", "--canary", "50%"];
    deploy_hostile(&server, &[&canary[..], &guard].concat());
    put_keys(&server, 1, RETRY);
    let status = loop {
        let status = function(&server);
        if status["canary"].is_null() {
            break status;
        }
    };
    let said = status["rolled_back"].as_str().unwrap_or_default();
    assert!(
        said.contains("the oldest record of `hostile/in` waits for") && said.contains("(bound 1s)"),
        "{status}"
    );
}

#[test]
fn a_rollback_takes_a_canary_back_before_anything_else_and_text_says_what_stands() {
    let server = server();
    deploy_hostile(&server, &[]);
    deploy_hostile(&server, &["--memory", "64MiB"]);
    deploy_hostile(&server, &["--memory", "96MiB", "--canary", "2.5%"]);
    let text = |words: &[&str]| {
        let output = server.command(words).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let list = text(&["functions", "list"]);
    assert!(list.contains("2 + 3 2.5%"), "{list}");
    for words in [
        ["functions", "describe", "hostile"],
        ["mappings", "describe", "hostile"],
    ] {
        let said = text(&words);
        assert!(
            said.contains("canary  version 3 with 2.5% of the keys since "),
            "{said}"
        );
    }
    let said = text(&["promote", "hostile", "--canary", "5 %"]);
    assert_eq!(
        said,
        "function   hostile  version 2, canary version 3 with 5%\n"
    );
    let (exit, error) = refused(&server, &["promote", "hostile", "--canary", "1%"]);
    assert_eq!(
        (exit, &error["code"]),
        (Some(7), &"FN2102".into()),
        "{error}"
    );
    assert!(
        error["problems"][0]["message"]
            .as_str()
            .is_some_and(|words| words.contains("fnctl rollback hostile")),
        "{error}"
    );
    let said = text(&["rollback", "hostile"]);
    assert_eq!(
        said,
        "function   hostile  version 2, without its canary version 3\n"
    );
    let said = text(&["rollback", "hostile"]);
    assert_eq!(said, "function   hostile  version 1 (was 2)\n");
}

#[test]
fn what_is_no_canary_is_refused() {
    let server = server();
    let refused = |words: &[&str]| {
        let (exit, error) = refused(&server, words);
        let path = error["problems"][0]["path"].as_str().unwrap_or_default();
        let code = error["code"].as_str().unwrap_or_default();
        (exit.unwrap_or_default(), code.to_owned(), path.to_owned())
    };
    let guest = crate::support::guest("hostile");
    let deploy = |more: &[&str]| {
        let words = [
            "deploy",
            &guest,
            "--stream",
            "in",
            "--to",
            "out",
            "--to",
            "side=none",
        ];
        refused(&[&words[..], more].concat())
    };
    let of = |exit: i32, code: &str, path: &str| (exit, code.to_owned(), path.to_owned());
    // Nothing is live yet.
    assert_eq!(deploy(&["--canary", "10%"]), of(7, "FN2102", "--canary"));
    deploy_hostile(&server, &[]);
    for (more, told) in [
        (&["--canary", "10%"][..], of(7, "FN2102", "--canary")),
        (
            &["--canary", "100%", "--memory", "64MiB"],
            of(7, "FN2102", "--canary"),
        ),
        (
            &["--canary", "0%", "--memory", "64MiB"],
            of(7, "FN2102", "--canary"),
        ),
        (
            &["--canary", "10%", "--rollback-age", "1ms"],
            of(7, "FN2102", "--rollback-age"),
        ),
        (
            &["--canary", "10%", "--rollback-errors", "100%"],
            of(7, "FN2102", "--rollback-errors"),
        ),
        (&["--canary", "ten"], of(2, "FN1001", "")),
        (&["--canary", "10"], of(2, "FN1001", "")),
        (&["--rollback-errors", "5%"], of(2, "FN1001", "")),
        (&["--canary", "10%", "--wait"], of(2, "FN1001", "")),
    ] {
        assert_eq!(deploy(more), told, "{more:?}");
    }
    assert_eq!(refused(&["promote", "hostile"]), of(4, "FN2112", ""));
    assert_eq!(refused(&["promote", "nobody"]), of(3, "FN2107", ""));
    let weight = ["promote", "hostile", "--canary", "50%"];
    assert_eq!(refused(&weight), of(4, "FN2112", ""));
    assert_eq!(
        one(&server, &["functions", "describe", "hostile"])["version"],
        1
    );
}
