//! Rot under a running server: found at rest, named, counted, and the rest is served on.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
};

use fnctl_tests::{Server, ServerOptions, get};
use serde_json::Value;

use crate::support::{metric, one, put, refused, server_on, tail};

fn scrubbing(data_dir: Option<PathBuf>) -> Server {
    let options = ServerOptions {
        data_dir,
        arguments: ["--scrub-rate", "1GiB", "--scrub-period", "1s"]
            .map(str::to_owned)
            .to_vec(),
        ..ServerOptions::default()
    };
    Server::start(options).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn files(below: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(below).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() {
                files(&path, ending)
            } else if path.to_string_lossy().ends_with(ending) {
                vec![path]
            } else {
                Vec::new()
            }
        })
        .collect();
    found.sort();
    found
}

pub(crate) fn flip(file: &Path, offset: u64) {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(file)
        .expect("the file is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset)
        .expect("it is so long");
    byte[0] ^= 4;
    file.write_all_at(&byte, offset).expect("it is written");
}

/// Waits for two more passes: one that begins after this, to its end.
fn passed(server: &Server) {
    let before = metric(server, "fnctl_scrub_passes_total");
    while metric(server, "fnctl_scrub_passes_total") < before + 2.0 {}
}

#[test]
fn a_bit_that_flips_at_rest_is_found_named_and_counted_while_the_rest_is_served() {
    let server = scrubbing(None);
    one(&server, &["streams", "create", "rots"]);
    one(&server, &["streams", "create", "sound"]);
    let lines: Vec<String> = (0..2_000).map(|n| format!("{n:0>400}")).collect();
    put(&server, "rots", &lines, &[]);
    put(&server, "sound", &lines, &[]);
    let streams = server.data_dir.join("streams");
    let segment = loop {
        // Written by the applier a moment later.
        let found = files(&streams, ".segment");
        let long = |file: &&PathBuf| fs::metadata(file).is_ok_and(|meta| meta.len() > 600_000);
        if found.iter().filter(long).count() == 2 {
            break found[0].clone();
        }
    };
    passed(&server);
    for kind in ["segment", "journal", "snapshot", "artifact", "image"] {
        let series = format!("fnctl_storage_errors_total{{file=\"{kind}\"}}");
        assert_eq!(metric(&server, &series), 0.0, "{kind}");
    }
    assert!(metric(&server, "fnctl_scrub_bytes_total") > 1.2e6);
    assert!(metric(&server, "fnctl_scrub_last_pass_timestamp_seconds") > 1.7e9);

    flip(&segment, 300_000);
    let series = "fnctl_storage_errors_total{file=\"segment\"}";
    while metric(&server, series) == 0.0 {}
    passed(&server);
    assert_eq!(metric(&server, series), 1.0, "one place, counted once");
    assert_eq!(metric(&server, "fnctl_storage_damaged_places"), 1.0);
    let log = server.log();
    let line = log
        .lines()
        .find(|line| line.contains("the scrub found damage"))
        .unwrap_or_else(|| panic!("no line in {log}"));
    let name = segment.file_name().expect("it has a name");
    for part in [
        &*name.to_string_lossy(),
        "path=",
        "offset=",
        "stream=\"rots\"",
        "shard=\"shardId-000000000000\"",
        "records",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let status = one(&server, &["streams", "describe", "rots"]);
    let damaged = &status["damaged"][0];
    assert_eq!(damaged["shard_id"], "shardId-000000000000", "{status}");
    assert!(damaged["first_record"].as_u64() >= Some(1), "{status}");
    assert!(damaged["last_record"].as_u64() >= damaged["first_record"].as_u64());
    let status = one(&server, &["streams", "describe", "sound"]);
    assert_eq!(status["damaged"], serde_json::json!([]));

    // The rest of the node serves on, and nothing was cleaned up.
    assert_eq!(tail(&server, "sound", 2_000).len(), 2_000);
    put(&server, "rots", &["goes on".to_owned()], &[]);
    assert!(segment.exists());
    assert_eq!(
        get(&server.api, "/readyz").map(|answer| answer.status).ok(),
        Some(200)
    );
    flip(&segment, 300_000);
    while metric(&server, "fnctl_storage_damaged_places") > 0.0 {}
    assert_eq!(server.stop().unwrap_or_else(|e| panic!("{e}")), Some(0));
}

#[test]
fn an_image_that_rots_is_found_at_rest_and_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = scrubbing(Some(folder.path().to_owned()));
    one(&server, &["streams", "create", "s"]);
    let lines: Vec<String> = (0..50).map(|n| format!("record {n}")).collect();
    put(&server, "s", &lines, &[]);
    while metric(&server, "fnctl_image_behind_entries") > 0.0 {}
    passed(&server);
    let series = "fnctl_storage_errors_total{file=\"image\"}";
    assert_eq!(metric(&server, series), 0.0);
    let image = server.data_dir.join("image/db");
    let length = fs::metadata(&image).expect("it is there").len();
    let file = fs::File::options()
        .write(true)
        .open(&image)
        .expect("it is there");
    let zeros = vec![0; usize::try_from(length).expect("it is small")];
    file.write_all_at(&zeros, 0).expect("it is written");
    while metric(&server, series) == 0.0 {}
    while metric(&server, "fnctl_storage_damaged_places") > 0.0 {}
    assert_eq!(metric(&server, series), 1.0, "counted once");
    // What was made anew is what the next start goes on from.
    let kept = tail(&server, "s", 50);
    assert_eq!(server.stop().unwrap_or_else(|e| panic!("{e}")), Some(0));
    let server = server_on(folder.path());
    assert_eq!(tail(&server, "s", 50), kept);
    assert_eq!(metric(&server, series), 0.0, "{}", server.log());
}

/// A stream's segment files by shard, once its records are in them.
fn settled(server: &Server, stream: &str, bytes: u64) -> Vec<PathBuf> {
    let applied = || metric(server, "fnctl_journal_unapplied_bytes") == 0.0;
    loop {
        let found = files(&server.data_dir.join("streams").join(stream), ".segment");
        let length = |file: &PathBuf| fs::metadata(file).map_or(0, |meta| meta.len());
        if applied() && found.iter().map(length).sum::<u64>() > bytes {
            return found;
        }
    }
}

#[test]
fn damage_met_at_a_start_or_by_a_reader_is_told_before_any_pass() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_on(folder.path());
    one(&server, &["streams", "create", "rots", "--shards", "2"]);
    one(&server, &["streams", "create", "goes"]);
    let lines: Vec<String> = (0..2_000).map(|n| format!("{n:0>400}")).collect();
    let placed = put(&server, "rots", &lines, &[]);
    put(&server, "goes", &lines, &[]);
    // Ids are given in order.
    let rots = settled(&server, "1", 800_000);
    let goes = settled(&server, "2", 800_000);
    assert_eq!((rots.len(), goes.len()), (2, 1), "{rots:?} {goes:?}");
    assert_eq!(server.stop().unwrap_or_else(|e| panic!("{e}")), Some(0));
    flip(&rots[0], 300_000);
    fs::remove_file(&goes[0]).expect("it is there");

    let server = server_on(folder.path());
    let series = "fnctl_storage_errors_total{file=\"segment\"}";
    let damaged = |stream: &str| one(&server, &["streams", "describe", stream])["damaged"].clone();
    // The start missed one file, and nobody has read the other one yet.
    let gone = damaged("goes");
    assert_eq!(
        (&gone[0]["first_record"], &gone[0]["last_record"]),
        (&1.into(), &2_000.into()),
        "{gone}"
    );
    assert_eq!(damaged("rots"), serde_json::json!([]));
    assert_eq!(metric(&server, series), 1.0);

    // Both shards are read: one to its hole, the other whole; the error is the last word.
    let path = "/v1/streams/rots/records?from=trim-horizon&follow=false";
    let answer = get(&server.api, path).unwrap_or_else(|e| panic!("{e}"));
    let text = answer.text();
    let said: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let of = |shard: &str| {
        let is_its = |line: &&Value| line["shard_id"] == shard;
        let there = placed.iter().filter(is_its).count();
        (said.iter().filter(is_its).count(), there)
    };
    let (shown, there) = of("shardId-000000000000");
    assert!(shown > 0 && shown < there, "{shown} of {there}");
    let (whole, all) = of("shardId-000000000001");
    assert_eq!(whole, all);
    let holes: Vec<&Value> = said
        .iter()
        .filter(|line| line["hole"].is_object())
        .collect();
    let [hole] = holes[..] else {
        panic!("{holes:?}");
    };
    let hole = &hole["hole"];
    assert_eq!(hole["shard_id"], "shardId-000000000000");
    assert_eq!(hole["first_record"], shown + 1);
    let number = |name: &str| hole[name].as_str().map(str::to_owned);
    let after = said
        .iter()
        .rfind(|line| line["shard_id"] == "shardId-000000000000")
        .and_then(|line| line["sequence_number"].as_str().map(str::to_owned));
    assert_eq!(number("after_sequence_number"), after);
    // There may be nothing behind it.
    let before = number("before_sequence_number");
    assert!(before.is_none() || before > after, "{hole}");
    let last = said.last().expect("there are lines");
    assert_eq!(last["error"]["code"], "FN5003", "{last}");

    // Known now, as the scrub would know it, and counted once however often it is met.
    let found = damaged("rots");
    assert_eq!(
        (&found[0]["first_record"], &found[0]["last_record"]),
        (&hole["first_record"], &hole["last_record"]),
        "{found}"
    );
    // In the same words wherever it is said, with the stream's name.
    let place = format!(
        " at offset {}: {}, stream `rots`, shardId-000000000000, records {} to {}",
        found[0]["offset"],
        found[0]["message"].as_str().unwrap_or_default(),
        found[0]["first_record"],
        found[0]["last_record"]
    );
    for told in [&hole["message"], &last["error"]["message"]] {
        let told = told.as_str().unwrap_or_default();
        assert!(told.ends_with(&place), "{told}: {place}");
    }
    assert_eq!(metric(&server, series), 2.0);
    assert_eq!(metric(&server, "fnctl_storage_damaged_places"), 2.0);

    // A person who follows is told once, and goes on to see the other shard.
    let mut tail = server
        .command(&["tail", "rots", "--from", "trim-horizon"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let stderr = BufReader::new(tail.stderr.take().expect("it is piped"));
    let stdout = BufReader::new(tail.stdout.take().expect("it is piped"));
    let shows = thread::spawn(move || {
        let mut lines = stdout.lines().map_while(Result::ok);
        lines.any(|line| line.ends_with("behind the hole"))
    });
    let told = stderr.lines().map_while(Result::ok).next();
    let told = told.unwrap_or_default();
    assert!(
        told.starts_with("warning: shardId-000000000000 has a hole, records"),
        "{told}"
    );
    let (mut key, to) = (0, "shardId-000000000001");
    while put(
        &server,
        "rots",
        &["behind the hole".to_owned()],
        &["--key", &key.to_string()],
    )[0]["shard_id"]
        != to
    {
        key += 1;
    }
    assert!(shows.join().expect("it reads"), "the other shard goes on");
    tail.kill().expect("it runs");
    tail.wait().expect("it ends");

    // Of that one shard alone the error ends it.
    let path = "/v1/streams/goes/records?from=trim-horizon";
    let answer = get(&server.api, path).unwrap_or_else(|e| panic!("{e}"));
    let text = answer.text();
    assert!(
        text.starts_with("{\"error\"") && text.contains("FN5003"),
        "{text}"
    );
    assert_eq!(metric(&server, series), 2.0);
}

#[test]
fn rates_and_periods_out_of_bounds_are_refused() {
    for (flag, value, exit) in [
        ("--scrub-rate", "1KiB", 7),
        ("--scrub-rate", "fast", 2),
        ("--scrub-period", "10ms", 7),
        ("--scrub-period", "daily", 2),
    ] {
        let options = ServerOptions {
            arguments: vec![flag.to_owned(), value.to_owned()],
            ..ServerOptions::default()
        };
        let Err(failure) = Server::start(options) else {
            panic!("{flag} {value} is taken");
        };
        assert_eq!(
            failure.exit,
            Some(exit),
            "{flag} {value}: {}",
            failure.message
        );
    }
}

/// An empty list of a server that serves reads alone is not one of a new server: it is told so, and what to do.
#[test]
fn a_server_that_serves_reads_alone_says_so_beside_its_lists() {
    let data = tempfile::tempdir().expect("a folder");
    let server = server_on(data.path());
    one(&server, &["streams", "create", "in"]);
    for _ in 0..3 {
        let lines: Vec<String> = (0..500).map(|n| format!("{n:0>400}")).collect();
        put(&server, "in", &lines, &[]);
    }
    let said = |server: &Server, arguments: &[&str]| {
        let output = server.command(arguments).output().expect("it runs");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    assert!(!said(&server, &["status"]).contains("reads alone"));
    server.kill().unwrap_or_else(|e| panic!("{e}"));
    let journal = files(&data.path().join("journal"), ".journal");
    flip(journal.first().expect("there is one"), 3_000);
    let server = server_on(data.path());
    for list in [
        &["status"][..],
        &["mappings", "list"],
        &["streams", "list"],
        &["status", "-o", "json"],
        &["doctor"],
    ] {
        let said = said(&server, list);
        assert!(
            said.contains("the server serves reads alone")
                && said.contains("fnctl restore --from")
                && !said.contains("no mappings yet")
                && said.contains(&*data.path().to_string_lossy()),
            "{list:?}: {said}"
        );
    }
    // What changes something is refused as a whole, and nobody is told to wait.
    for change in [
        &["put", "in", "data"][..],
        &["streams", "create", "other"],
        &["streams", "delete", "in", "--yes"],
    ] {
        let (exit, error) = refused(&server, change);
        assert_eq!(
            (exit, &error["code"]),
            (Some(1), &"FN5009".into()),
            "{error}"
        );
        let fix = error["fix"].as_str().unwrap_or_default();
        assert!(fix.contains("changes nothing"), "{error}");
    }
    let ready = get(&server.api, "/readyz").unwrap_or_else(|e| panic!("{e}"));
    assert!(ready.text().contains("ready, for reads alone"));
}
