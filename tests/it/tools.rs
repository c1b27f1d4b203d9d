//! The tools that look after data: backup and restore of a server under load, doctor, dump.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
};

use fnctl_tests::{
    Server, binary, get,
    ledger::{Ledger, check_effects},
    produce,
};
use serde_json::Value;

use crate::support::{deploy_hostile, drained, one, put, server, server_on};

/// Connections that put while the backup is taken, each with a key of its own.
const PRODUCERS: usize = 4;
const INPUT: &str = "/v1/streams/in/records?from=trim-horizon&follow=false";
const OUTPUT: &str = "/v1/streams/out/records?from=trim-horizon&follow=false";
const LETTERS: &str = "/v1/mappings/hostile/dead-letters";

fn text(server: &Server, path: &str) -> String {
    get(&server.api, path)
        .unwrap_or_else(|e| panic!("{e}"))
        .text()
}

fn deploy(server: &Server) {
    let lanes = ["--shards", "2", "--parallelization-factor", "3"];
    let calls = ["--batch-size", "50", "--max-attempts", "2"];
    deploy_hostile(server, &[lanes, calls].concat());
}

/// Runs the binary beside any server.
fn fnctl(arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

fn objects(output: &Output) -> Vec<Value> {
    let lines = String::from_utf8_lossy(&output.stdout);
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    lines.lines().map(parse).collect()
}

fn words(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Exit code and report of an examination.
fn doctor(data: &Path) -> (Option<i32>, Value) {
    let output = fnctl(&["doctor", "--data-dir", &words(data), "-o", "json"]);
    let report = objects(&output).into_iter().next().unwrap_or(Value::Null);
    (output.status.code(), report)
}

fn files(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(below).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn a_backup_under_load_restores_to_one_effect_for_each_record_it_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let (to, tar) = (
        folder.path().join("backup"),
        folder.path().join("backup.tar"),
    );
    let ledger = Arc::new(Ledger::new(PRODUCERS));
    let server = server();
    deploy(&server);
    ledger.stop_after(400);
    let (before, first, second) = std::thread::scope(|scope| {
        for key in 0..PRODUCERS {
            let (ledger, api) = (Arc::clone(&ledger), server.api.clone());
            scope.spawn(move || produce(&api, key, &ledger, 2_000));
        }
        ledger.wait_for_stop();
        let before = text(&server, INPUT);
        let first = one(&server, &["backup", "--to", &words(&to)]);
        one(&server, &["backup", "--to", &words(&tar)]);
        // More has come by now; components are taken over.
        let second = one(&server, &["backup", "--to", &words(&to)]);
        (before, first, second)
    });
    assert_eq!(first["reused"], 0, "{first}");
    assert!(second["reused"].as_u64() >= Some(1), "{second}");
    let all = text(&server, INPUT);
    let all: BTreeSet<&str> = all.lines().collect();
    assert_eq!(server.stop().unwrap_or_else(|e| panic!("{e}")), Some(0));

    for from in [&to, &tar] {
        let data = folder
            .path()
            .join("restored")
            .join(from.file_name().expect("a name"));
        let restored = fnctl(&[
            "restore",
            "--from",
            &words(from),
            "--data-dir",
            &words(&data),
        ]);
        assert!(
            restored.status.success(),
            "{}",
            String::from_utf8_lossy(&restored.stderr)
        );
        let (exit, report) = doctor(&data);
        let findings = report["findings"].as_array().expect("findings");
        let is_cache = |finding: &Value| {
            matches!(
                finding["kind"].as_str(),
                Some("image-missing" | "missing-file" | "witness-unusable")
            )
        };
        // What is not in a backup is what a start makes.
        assert!(findings.iter().all(is_cache) && exit == Some(1), "{report}");
        let server = server_on(&data);
        drained(&server, "hostile");
        let input = text(&server, INPUT);
        let there: BTreeSet<&str> = input.lines().collect();
        // The same records at the same places, with the same arrival; nothing else.
        assert!(
            before.lines().all(|line| there.contains(line)),
            "{}",
            from.display()
        );
        assert!(there.is_subset(&all));
        check_effects(&input, &text(&server, OUTPUT), &text(&server, LETTERS));
    }
}

#[test]
fn a_backup_and_the_data_directory_it_would_go_with_are_kept_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (to, data) = (folder.path().join("backup"), folder.path().join("data"));
    let server = server_on(&data);
    for to in [data.join("backup"), data.join("segments/deep/b.tar")] {
        let words = ["backup", "--to", &words(&to), "-o", "json"];
        let refused = server.command(&words).output().expect("the binary runs");
        let why = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(why.contains("lies in the data directory"), "{why}");
        assert!(!to.exists(), "{}", to.display());
    }
    one(&server, &["backup", "--to", &words(&to)]);
    server.stop().unwrap_or_else(|e| panic!("{e}"));
    // Whoever put one there, or names the backup as what is to be made.
    let inside = data.join("mine");
    fs::rename(&to, &inside).expect("it can be moved");
    for (from, data) in [(&inside, &data), (&inside, &inside)] {
        let before = files(data);
        let (from, target) = (words(from), words(data));
        let all = ["restore", "--from", &from, "--data-dir", &target];
        let refused = fnctl(&[&all[..], &["--force", "--yes"]].concat());
        assert_eq!(refused.status.code(), Some(4));
        assert_eq!(files(data), before);
    }
}

#[test]
fn a_restore_asks_before_it_destroys_and_refuses_what_is_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let (to, data) = (folder.path().join("backup"), folder.path().join("data"));
    let server = server_on(&data);
    deploy(&server);
    put(&server, "in", &["ok 1".to_owned()], &["--key", "k"]);
    one(&server, &["backup", "--to", &words(&to)]);
    let restore = |data: &Path, more: &[&str]| {
        let (from, data) = (words(&to), words(data));
        let mut all = vec![
            "restore",
            "--from",
            &from,
            "--data-dir",
            &data,
            "-o",
            "json",
        ];
        all.extend_from_slice(more);
        fnctl(&all).status.code()
    };
    assert_eq!(
        restore(&data, &["--force", "--yes"]),
        Some(4),
        "it is in use"
    );
    server.stop().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(restore(&data, &[]), Some(4));
    assert_eq!(restore(&data, &["--yes"]), Some(4));
    assert_eq!(restore(&data, &["--force"]), Some(2));
    assert_eq!(restore(&data, &["--force", "--yes"]), Some(0));
    assert!(doctor(&data).0 < Some(7));

    let is_component = |path: &&PathBuf| words(path).contains("sha256-");
    let component = files(&to)
        .into_iter()
        .find(|path| is_component(&path))
        .expect("a component");
    let whole = fs::read(&component).expect("it can be read");
    let mut bytes = whole.clone();
    bytes[100] ^= 1;
    fs::write(&component, bytes).expect("it can be written");
    let target = folder.path().join("other");
    assert_eq!(restore(&target, &[]), Some(7));
    // What it left behind is no data directory.
    let directory = words(&target);
    let opened = fnctl(&[
        "server",
        "--data-dir",
        &directory,
        "--listen",
        "127.0.0.1:0",
        "--kinesis-listen",
        "127.0.0.1:0",
    ]);
    assert!(!opened.status.success());
    // Nor is it in the way of the next restore.
    fs::write(&component, whole).expect("it can be written");
    assert_eq!(restore(&target, &[]), Some(0));
}

#[test]
fn doctor_tells_whole_from_repairable_from_damaged_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = server_on(&data);
    deploy(&server);
    let lines: Vec<String> = (0..500).map(|n| format!("ok {n}")).collect();
    put(&server, "in", &lines, &["--key", "k"]);
    drained(&server, "hostile");
    assert_eq!(doctor(&data).0, Some(4), "a server has it");
    server.stop().unwrap_or_else(|e| panic!("{e}"));
    let before: Vec<(PathBuf, Vec<u8>)> = files(&data)
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).expect("it can be read")))
        .collect();
    let (exit, report) = doctor(&data);
    assert_eq!(
        (exit, report["status"].as_str()),
        (Some(0), Some("whole")),
        "{report}"
    );
    assert_eq!(
        report["findings"].as_array().map(Vec::len),
        Some(0),
        "{report}"
    );

    let is_segment = |path: &PathBuf| path.extension().is_some_and(|e| e == "segment");
    let segment = files(&data)
        .into_iter()
        .find(is_segment)
        .expect("a segment");
    let mut bytes = fs::read(&segment).expect("it can be read");
    bytes[300] ^= 1;
    fs::write(&segment, &bytes).expect("it can be written");
    let (exit, report) = doctor(&data);
    assert_eq!(
        (exit, report["status"].as_str()),
        (Some(7), Some("damaged"))
    );
    let finding = &report["findings"][0];
    assert_eq!(finding["kind"], "segment-damaged", "{report}");
    assert!(
        finding["first_record"].is_string() && finding["offset"].is_u64(),
        "{finding}"
    );
    bytes[300] ^= 1;
    fs::write(&segment, &bytes).expect("it can be written");

    for (file, kind) in [
        ("secret", "secret-unusable"),
        ("journal/newest", "witness-unusable"),
    ] {
        let (file, aside) = (data.join(file), folder.path().join("aside"));
        fs::rename(&file, &aside).expect("it is there");
        let (exit, report) = doctor(&data);
        assert_eq!(
            (
                exit,
                report["status"].as_str(),
                &report["findings"][0]["kind"]
            ),
            (Some(1), Some("repairable"), &kind.into()),
            "{report}"
        );
        fs::rename(&aside, &file).expect("it goes back");
    }

    fs::remove_dir_all(data.join("image")).expect("the image goes");
    let (exit, report) = doctor(&data);
    assert_eq!(
        (exit, report["status"].as_str()),
        (Some(1), Some("repairable"))
    );
    assert_eq!(report["findings"][0]["kind"], "image-missing");

    for (path, bytes) in before {
        if !path.starts_with(data.join("image")) {
            assert!(
                fs::read(&path).expect("it is there") == bytes,
                "{}",
                path.display()
            );
        }
    }
    assert_eq!(doctor(folder.path()).0, Some(3), "no data directory");
}

#[test]
fn a_dump_shows_payloads_only_when_asked_and_goes_on_behind_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = server_on(&data);
    deploy(&server);
    let lines: Vec<String> = (0..50).map(|n| format!("ok hush-{n}")).collect();
    put(&server, "in", &lines, &["--key", "whose"]);
    drained(&server, "hostile");
    server.stop().unwrap_or_else(|e| panic!("{e}"));
    let dump = |part: &str, more: &[&str]| {
        let data = words(&data);
        let mut all = vec!["dump", part, "--data-dir", &data, "-o", "json"];
        all.extend_from_slice(more);
        let output = fnctl(&all);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (objects(&output), text)
    };
    for part in ["journal", "segments", "image"] {
        let (lines, text) = dump(part, &[]);
        assert!(
            !lines.is_empty() && !text.contains("hush") && !text.contains("whose"),
            "{part}"
        );
    }
    let kinds: BTreeSet<String> = dump("journal", &[])
        .0
        .iter()
        .map(|line| fnctl_tests::text(line, "kind"))
        .collect();
    for kind in [
        "append",
        "catalogue",
        "commit",
        "file",
        "frame",
        "lease",
        "record",
    ] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
    let (_, shown) = dump("segments", &["--payloads"]);
    assert!(shown.contains("ok hush-49") && shown.contains("whose"));

    let is_journal = |path: &PathBuf| path.extension().is_some_and(|e| e == "journal");
    let journal = files(&data)
        .into_iter()
        .rfind(is_journal)
        .expect("a journal");
    let count = |lines: &[Value], kind: &str| lines.iter().filter(|l| l["kind"] == kind).count();
    let whole = dump("journal", &[]).0;
    let second = whole
        .iter()
        .filter(|line| line["kind"] == "frame")
        .nth(1)
        .expect("a frame");
    let at = usize::try_from(second["offset"].as_u64().expect("an offset")).expect("small") + 90;
    let mut bytes = fs::read(&journal).expect("it can be read");
    bytes[at] ^= 1;
    fs::write(&journal, bytes).expect("it can be written");
    let damaged = dump("journal", &[]).0;
    assert_eq!(count(&damaged, "damaged"), 1);
    assert_eq!(count(&damaged, "frame"), count(&whole, "frame") - 1);
}

#[test]
fn a_data_directory_of_a_newer_version_is_refused_by_everything_that_opens_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = server_on(&data);
    server.stop().unwrap_or_else(|e| panic!("{e}"));
    fs::write(data.join("format"), "fnctl data directory, format 2\n").expect("it can be written");
    let data = words(&data);
    for arguments in [
        &["doctor", "--data-dir", &data, "-o", "json"][..],
        &[
            "server",
            "--data-dir",
            &data,
            "--listen",
            "127.0.0.1:0",
            "--kinesis-listen",
            "127.0.0.1:0",
            "-o",
            "json",
        ],
    ] {
        let output = fnctl(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last = stderr.lines().last().unwrap_or_default();
        let body: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {stderr}"));
        assert_eq!(output.status.code(), Some(7), "{stderr}");
        assert_eq!(body["error"]["code"], "FN5007", "{stderr}");
    }
}
