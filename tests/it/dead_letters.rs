//! Dead letters as a tool: what is told of them, export and purge.

use serde_json::Value;

use crate::support::{all, deploy_hostile, describe, drained, one, put, server, server_on};

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
    let text = std::fs::read_to_string(&file).expect("it was written");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a letter"))
        .collect();
    assert_eq!(lines, all(&server, &["dlq", "list", "hostile"]));
    let taken = server.one(&["dlq", "export", "hostile", "--to", &to]);
    assert_eq!(taken.expect_err("the file is there").exit, Some(4));
}
