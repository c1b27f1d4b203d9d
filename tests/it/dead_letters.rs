//! Dead letters as a tool: what is told of them, export and purge.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::{
    all, ask, deploy_hostile, describe, drained, metric, one, put, server, server_on, tail,
};

fn ids(letters: &[Value]) -> Vec<String> {
    let id = |letter: &Value| fnctl_tests::text(letter, "id");
    letters.iter().map(id).collect()
}

fn with_letters(server: &fnctl_tests::Server, words: &[&str]) -> Vec<String> {
    deploy_hostile(server, &["--max-attempts", "1"]);
    for (n, word) in words.iter().enumerate() {
        let key = format!("key-{n}");
        put(server, "in", &[(*word).to_owned()], &["--key", &key]);
    }
    drained(server, "hostile");
    ids(&all(server, &["dlq", "list", "hostile"]))
}

#[test]
fn purged_letters_go_once_it_was_said_what_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = server_on(&data);
    let letters = with_letters(&server, &["skip 1", "retry 2", "skip 3", "skip 4"]);
    assert_eq!(letters.len(), 4);
    let open = || all(&server, &["dlq", "list", "hostile"]).len();
    // Without a terminal nobody can be asked.
    let refused = server.one(&["dlq", "purge", "hostile", "--all"]);
    let refused = refused.expect_err("not confirmed");
    assert_eq!(refused.exit, Some(2), "{refused}");
    assert!(refused.to_string().contains("4 dead letters"), "{refused}");
    let would = one(&server, &["dlq", "purge", "hostile", "--all", "--dry-run"]);
    assert_eq!(
        (&would["purged"], &would["dry_run"]),
        (&4.into(), &true.into())
    );
    assert_eq!(open(), 4);
    // What is not there is said before anything is asked.
    let missing = server.one(&["dlq", "purge", "hostile", "999"]);
    assert_eq!(missing.expect_err("there is none").exit, Some(3));
    let purged = one(&server, &["dlq", "purge", "hostile", &letters[0], "--yes"]);
    assert_eq!(purged["purged"], 1);
    let again = server.one(&["dlq", "purge", "hostile", &letters[0], "--yes"]);
    assert_eq!(again.expect_err("it is purged").exit, Some(3));
    one(
        &server,
        &["dlq", "purge", "hostile", "--code", "busy", "--yes"],
    );
    assert_eq!(
        ids(&all(&server, &["dlq", "list", "hostile"])),
        letters[2..]
    );
    let by_code = &describe(&server, "hostile")["dead_letters_by_code"];
    assert_eq!(by_code, &serde_json::json!({"refused": 2}));
    let told = all(&server, &["dlq", "list", "hostile", "--all"]);
    let status: Vec<&str> = told.iter().filter_map(|l| l["status"].as_str()).collect();
    assert_eq!(status, ["purged", "purged", "open", "open"]);
    let shown = one(&server, &["dlq", "show", "hostile", &letters[0]]);
    assert_eq!(shown["status"], "purged");
    server.kill().unwrap_or_else(|e| panic!("{e}"));
    let server = server_on(&data);
    assert_eq!(all(&server, &["dlq", "list", "hostile", "--all"]), told);
    let refused = server.one(&["mappings", "delete", "hostile", "--yes"]);
    assert!(refused.is_err(), "two are open");
    one(&server, &["dlq", "purge", "hostile", "--all", "--yes"]);
    one(&server, &["mappings", "delete", "hostile", "--yes"]);
}

#[test]
fn the_letters_of_a_deleted_mapping_are_purged_by_its_id() {
    let server = server();
    let letters = with_letters(&server, &["skip 1", "skip 2"]);
    let id = fnctl_tests::text(&describe(&server, "hostile"), "id");
    one(
        &server,
        &["mappings", "delete", "hostile", "--yes", "--force"],
    );
    one(&server, &["dlq", "purge", &id, &letters[1], "--yes"]);
    assert_eq!(ids(&all(&server, &["dlq", "list", &id])), letters[..1]);
    assert_eq!(
        one(&server, &["dlq", "purge", &id, "--all", "--yes"])["purged"],
        1
    );
    // Nothing is left that could be told of.
    let gone = server.one(&["dlq", "list", &id]);
    assert_eq!(
        gone.expect_err("its stream went with the last one").exit,
        Some(3)
    );
}

#[test]
fn letters_are_told_and_exported_by_code_kind_key_and_time() {
    let server = server();
    let letters = with_letters(&server, &["skip 1", "retry 2", "skip 3"]);
    let told = |filters: &[&str]| {
        let mut words = vec!["dlq", "list", "hostile"];
        words.extend_from_slice(filters);
        let listed = all(&server, &words);
        words[1] = "export";
        assert_eq!(all(&server, &words), listed, "{filters:?}");
        ids(&listed)
    };
    assert_eq!(told(&["--code", "refused"]), [&*letters[0], &letters[2]]);
    assert_eq!(told(&["--kind", "error"]), letters[1..2]);
    assert_eq!(told(&["--key", "key-2"]), letters[2..]);
    assert_eq!(told(&["--since", "1h"]), letters);
    assert_eq!(
        told(&["--since", "2100-01-01T00:00:00Z"]),
        Vec::<String>::new()
    );
    for (words, exit) in [(["--kind", "bad"], 2), (["--since", "latest"], 2)] {
        let refused = server.json(&["dlq", "list", "hostile", words[0], words[1]]);
        assert_eq!(
            refused.expect_err("no such word").exit,
            Some(exit),
            "{words:?}"
        );
    }
    let file = server.folder().join("letters.ndjson");
    let to = file.to_string_lossy().into_owned();
    let exported = one(&server, &["dlq", "export", "hostile", "--to", &to]);
    assert_eq!(exported["exported"], 3);
    // It holds payloads.
    let mode = std::fs::metadata(&file)
        .expect("it was written")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).expect("it was written");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a letter"))
        .collect();
    assert_eq!(lines, all(&server, &["dlq", "list", "hostile"]));
    let taken = server.one(&["dlq", "export", "hostile", "--to", &to]);
    assert_eq!(taken.expect_err("the file is there").exit, Some(4));
}

#[test]
fn letters_are_redriven_and_purged_by_kind_key_and_time() {
    let server = server();
    let letters = with_letters(&server, &["skip 1", "retry-until 2", "skip 3"]);
    for (command, count) in [("redrive", "redriven"), ("purge", "purged")] {
        let would = |filters: &[&str]| {
            let words = [&["dlq", command, "hostile", "--dry-run"][..], filters].concat();
            one(&server, &words)[count].clone()
        };
        assert_eq!(would(&["--kind", "error"]), 1);
        assert_eq!(would(&["--key", "key-2"]), 1);
        assert_eq!(would(&["--since", "1h"]), 3);
        assert_eq!(would(&["--since", "2100-01-01T00:00:00Z"]), 0);
        // All of them hold at once.
        assert_eq!(would(&["--kind", "skip", "--code", "refused"]), 2);
        assert_eq!(would(&["--kind", "skip", "--key", "key-1"]), 0);
        for more in [
            &["--all", "--kind", "skip"][..],
            &[&letters[0], "--key", "key-0"],
            &["--kind", "bad"],
            &["--since", "latest"],
        ] {
            let words = [&["dlq", command, "hostile", "--dry-run"][..], more].concat();
            let refused = server.one(&words).expect_err("refused");
            assert_eq!(refused.exit, Some(2), "{more:?}: {refused}");
        }
        let words = ["dlq", command, "hostile", "--dry-run", "--key", "nobody"];
        let told = server.command(&words).output().expect("it runs");
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        let said = "no open dead letter is all that; there are:";
        assert!(told.contains(said), "{told}");
    }
    let redriven = ["dlq", "redrive", "hostile", "--kind", "error", "--wait"];
    assert_eq!(one(&server, &redriven)["processed"], 1);
    let purged = [
        "dlq", "purge", "hostile", "--kind", "skip", "--key", "key-2", "--yes",
    ];
    assert_eq!(one(&server, &purged)["purged"], 1);
    assert_eq!(
        ids(&all(&server, &["dlq", "list", "hostile"])),
        letters[..1]
    );
    // The API itself refuses what the command does not let through.
    let path = "/v1/mappings/hostile/dead-letters/redrive";
    for body in [&br#"{"all":true,"kind":"skip"}"#[..], br#"{"kind":"bad"}"#] {
        let refused = ask(&server, "POST", path, body);
        assert_eq!(refused.status, 400, "{}", refused.text());
    }
}

#[test]
fn a_redriven_letter_is_resolved_or_keeps_its_id_with_a_new_cause() {
    let server = server();
    let letters = with_letters(&server, &["retry-until 2", "retry-until 3", "skip 3"]);
    let before = describe(&server, "hostile")["totals"].clone();
    let would = one(
        &server,
        &["dlq", "redrive", "hostile", "--all", "--dry-run"],
    );
    assert_eq!(
        (&would["redriven"], &would["processed"]),
        (&3.into(), &Value::Null)
    );
    let done = one(&server, &["dlq", "redrive", "hostile", "--all", "--wait"]);
    let told = |done: &Value| -> Vec<u64> {
        let names = [
            "redriven",
            "processed",
            "dead_lettered",
            "skipped",
            "pending",
        ];
        names
            .iter()
            .filter_map(|name| done[*name].as_u64())
            .collect()
    };
    assert_eq!(told(&done), [3, 1, 2, 0, 0], "{done}");
    let open = all(&server, &["dlq", "list", "hostile"]);
    let mut still = ids(&open);
    still.sort_unstable();
    assert_eq!(still, letters[1..], "never a second letter");
    let of = |id: &str| one(&server, &["dlq", "show", "hostile", id]);
    assert_eq!(of(&letters[0])["status"], "resolved");
    assert_eq!(
        (&of(&letters[1])["attempts"], &of(&letters[1])["error"]),
        (&2.into(), &"attempt 2".into())
    );
    let records = tail(&server, "out", 1);
    assert_eq!(
        (&records[0]["data"], &records[0]["partition_key"]),
        (&"retry-until 2".into(), &"key-0".into())
    );
    // Of the totals only two count a redrive.
    let after = describe(&server, "hostile")["totals"].clone();
    let grown = |name: &str| after[name].as_u64().unwrap_or(0) - before[name].as_u64().unwrap_or(0);
    assert_eq!((grown("emitted"), grown("failed")), (1, 2));
    assert_eq!(
        (grown("processed"), grown("dead_lettered"), grown("polled")),
        (0, 0, 0)
    );
    let done = one(
        &server,
        &["dlq", "redrive", "hostile", &letters[1], "--wait"],
    );
    assert_eq!(told(&done), [1, 1, 0, 0, 0], "{done}");
    for (words, exit) in [
        (&["dlq", "redrive", "hostile", &letters[1]][..], 3),
        (&["dlq", "redrive", "hostile", "999"], 3),
        (&["dlq", "redrive", "hostile"], 2),
        (&["dlq", "redrive", "hostile", "--all", "--version", "9"], 3),
    ] {
        assert_eq!(
            server.one(words).expect_err("refused").exit,
            Some(exit),
            "{words:?}"
        );
    }
    // A code that no open letter has: which there are, instead.
    for (command, count) in [("redrive", "redriven"), ("purge", "purged")] {
        let words = ["dlq", command, "hostile", "--code", "bad-state"];
        let done = one(&server, &words);
        assert_eq!(done[count], 0, "{done}");
        assert_eq!(
            done["open_codes"],
            serde_json::json!({"refused": 1}),
            "{done}"
        );
        let told = server.command(&words).output().expect("it runs");
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        let said = "no open dead letter has the code `bad-state`; there are: refused 1";
        assert!(told.contains(said), "{told}");
    }
    one(&server, &["mappings", "pause", "hostile"]);
    let refused = server.one(&["dlq", "redrive", "hostile", "--all"]);
    assert_eq!(refused.expect_err("nobody takes them").exit, Some(4));
}

#[test]
fn a_letter_is_redriven_with_the_version_that_is_named() {
    let server = server();
    let letters = with_letters(&server, &["skip 1", "skip 2"]);
    let guest = crate::support::guest("hostile");
    let deploy = ["deploy", &guest, "--name", "hostile", "--config", "a=b"];
    assert_eq!(one(&server, &deploy)["version"], 2);
    let redrive = |id: &str, more: &[&str]| {
        let mut words = vec!["dlq", "redrive", "hostile", id, "--wait"];
        words.extend_from_slice(more);
        one(&server, &words);
        one(&server, &["dlq", "show", "hostile", id])["function_version"].clone()
    };
    assert_eq!(redrive(&letters[0], &[]), 2);
    assert_eq!(redrive(&letters[1], &["--version", "1"]), 1);
}

#[test]
fn a_redrive_that_is_killed_resolves_every_letter_once() {
    const LETTERS: usize = 500;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let start = || {
        // Deaths are what is wanted: letters wait while the node is careful.
        drop(std::fs::remove_file(data.join("unclean-stops")));
        server_on(&data)
    };
    let server = start();
    // So many that fail alike would be taken for an outage.
    let options = ["--max-attempts", "1", "--shards", "2"];
    deploy_hostile(
        &server,
        &[&options[..], &["--circuit-breaker=off"]].concat(),
    );
    put(
        &server,
        "in",
        &vec!["retry-until 2".to_owned(); LETTERS],
        &[],
    );
    drained(&server, "hostile");
    let keys = |lines: &[Value]| {
        let key = |line: &Value| fnctl_tests::text(line, "partition_key");
        let mut keys: Vec<String> = lines.iter().map(key).collect();
        keys.sort_unstable();
        keys
    };
    let wanted = keys(&all(&server, &["dlq", "list", "hostile"]));
    assert_eq!(wanted.len(), LETTERS);
    let emitted = |server: &fnctl_tests::Server| {
        let totals = describe(server, "hostile")["totals"].clone();
        totals["emitted"].as_u64().unwrap_or(0) as usize
    };
    let mut server = server;
    for kill in 1..=5 {
        one(
            &server,
            &["dlq", "redrive", "hostile", "--all", "--rate", "500"],
        );
        while emitted(&server) < kill * LETTERS / 10 {}
        server.kill().unwrap_or_else(|e| panic!("{e}"));
        server = start();
    }
    let done = one(&server, &["dlq", "redrive", "hostile", "--all", "--wait"]);
    // Those that were asked for before go on beside it, and take their share.
    let left = done["processed"].as_u64().expect("it was waited for");
    assert!(left <= (LETTERS / 2) as u64, "{done}");
    assert_eq!(
        all(&server, &["dlq", "list", "hostile"]),
        Vec::<Value>::new()
    );
    let out = ["tail", "out", "--from", "trim-horizon", "--timeout", "1s"];
    assert_eq!(keys(&all(&server, &out)), wanted, "each exactly once");
    assert_eq!(emitted(&server), LETTERS);
}

#[test]
fn letters_are_grouped_by_code_for_people_scripts_and_metrics() {
    let server = server();
    with_letters(&server, &["skip 1", "retry 2", "skip 3", "skip 4"]);
    let by_code = |filters: &[&str]| {
        let words = [&["dlq", "list", "hostile", "--by-code"], filters].concat();
        let lines = all(&server, &words);
        let told = lines.iter().map(|line| {
            let letters = line["letters"].as_u64().expect("a count");
            let text = |name| fnctl_tests::text(line, name);
            assert!(text("oldest_failed_at") <= text("newest_failed_at"));
            (text("code"), text("error_kind"), letters)
        });
        told.collect::<Vec<_>>()
    };
    let refused = ("refused".to_owned(), "skip".to_owned(), 3);
    let busy = ("busy".to_owned(), "error".to_owned(), 1);
    assert_eq!(by_code(&[]), [refused.clone(), busy.clone()]);
    assert_eq!(by_code(&["--kind", "error"]), [busy]);
    assert_eq!(by_code(&["--key", "key-9"]), []);
    // A person is shown the letters, and behind them the codes of all of them, whatever the limit.
    let shown = server.command(&["dlq", "list", "hostile", "--limit", "1"]);
    let shown = { shown }.output().expect("the binary runs");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let rows: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 6, "{shown}");
    assert_eq!(rows[3], ["code", "kind", "letters", "oldest", "newest"]);
    assert_eq!(rows[4][..3], ["refused", "skip", "3"]);
    let counted = |code: &str| {
        metric(
            &server,
            &format!(
                "fnctl_records_dead_lettered_by_code_total{{mapping=\"hostile/in\",code=\"{code}\"}}"
            ),
        )
    };
    assert_eq!((counted("refused"), counted("busy")), (3.0, 1.0));
    assert_eq!(counted("other"), 0.0);
}
