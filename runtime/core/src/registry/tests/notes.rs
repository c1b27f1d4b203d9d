//! What a deploy changes and what it leaves as it is, said mapping by mapping.

use super::*;

/// A manifest: the whole truth.
fn manifest(mappings: &[serde_json::Value], streams: serde_json::Value) -> Deploy {
    let mut all = deploy("a", json!(mappings));
    all.streams = serde_json::from_value(streams).unwrap();
    all.is_manifest = true;
    all
}

fn paths(done: &Deployed) -> Vec<&str> {
    done.notes.iter().map(|note| note.path.as_str()).collect()
}

#[test]
fn changes_of_a_function_with_several_mappings_name_theirs() {
    let mut bench = Bench::default();
    let both = [json!({"stream": "s"}), json!({"stream": "t"})];
    bench.deploy(manifest(&both, json!({}))).unwrap();
    let done = bench.deploy(deploy("a", json!({"batch_size": 7}))).unwrap();
    let changed: Vec<&str> = done.changes.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(changed, ["mapping[s].batch_size", "mapping[t].batch_size"]);
    let one = json!({"stream": "t", "batch_size": 8});
    let done = bench.deploy(deploy("a", one)).unwrap();
    assert_eq!(done.changes[0].path, "mapping[t].batch_size");
}

#[test]
fn what_a_deploy_leaves_as_it_is_is_said() {
    let mut bench = Bench::default();
    let both = [
        json!({"stream": "s", "starting_position": "trim-horizon"}),
        json!({"stream": "t"}),
    ];
    let streams = json!({"s": {"shards": 3, "retention": "24h", "ack": "synced"}});
    let done = bench.deploy(manifest(&both, streams.clone())).unwrap();
    assert_eq!(paths(&done), [] as [&str; 0]);
    let done = bench.deploy(manifest(&both, streams)).unwrap();
    assert!(
        !done.changed && done.notes.is_empty(),
        "all is as it is named"
    );

    let streams = json!({"s": {"shards": 5, "retention": "48h", "ack": "written", "max_record_size": "2MiB"}});
    let done = bench.deploy(manifest(&both[..1], streams)).unwrap();
    assert!(!done.changed);
    assert_eq!(
        paths(&done),
        [
            "mapping[t]",
            "streams.s.shards",
            "streams.s.retention",
            "streams.s.ack",
            "streams.s.max_record_size"
        ]
    );
    assert_eq!(done.notes[0].fix, "fnctl mappings delete enrich/t");
    assert_eq!(
        done.notes[1].message,
        "5 is used when a stream is made: `s` has 3"
    );

    let streams = json!({"s": {"retention": "48h", "quota": "1GiB", "retention_bytes": "512MiB"}});
    let done = bench.deploy(manifest(&both, streams)).unwrap();
    let fixes: Vec<(&str, &str)> = done
        .notes
        .iter()
        .map(|note| (note.path.as_str(), note.fix.as_str()))
        .collect();
    assert_eq!(
        fixes,
        [
            (
                "streams.s.retention",
                "fnctl streams update s --retention 2d"
            ),
            ("streams.s.quota", "fnctl streams update s --quota 1GiB"),
            (
                "streams.s.retention_bytes",
                "fnctl streams update s --retention-bytes 512MiB"
            ),
        ]
    );

    // A mapping that a layer does not name is none that was left out.
    let done = bench
        .deploy(deploy(
            "a",
            json!({"stream": "t", "starting_position": "trim-horizon"}),
        ))
        .unwrap();
    assert_eq!(paths(&done), ["mapping[t].starting_position"]);
    let latest = [
        json!({"stream": "s", "starting_position": "latest"}),
        both[1].clone(),
    ];
    let done = bench.deploy(manifest(&latest, json!({}))).unwrap();
    assert_eq!(paths(&done), ["mapping[s].starting_position"]);
    let mut flag = deploy("a", json!({"stream": "s"}));
    flag.new_streams = serde_json::from_value(json!({"shards": 5})).unwrap();
    let done = bench.deploy(flag).unwrap();
    assert_eq!(
        paths(&done),
        ["streams.enrich.out.shards", "streams.s.shards"]
    );
}

#[test]
fn a_function_that_asks_for_windows_is_told_which_mappings_have_none() {
    let mut bench = Bench::default();
    let mut component = deploy("a", json!({"stream": "s"}));
    let facts = component.component.as_mut().unwrap();
    facts.uses = vec!["emit".to_owned(), "state".to_owned()];
    let done = bench.deploy(component.clone()).unwrap();
    assert_eq!(paths(&done), ["mapping.tumbling_window"]);
    let fix = "fnctl mappings update enrich/s --tumbling-window 60s";
    assert_eq!(done.notes[0].fix, fix);
    component.mappings =
        serde_json::from_value(json!([{"stream": "s", "tumbling_window": "60s"}])).unwrap();
    let done = bench.deploy(component).unwrap();
    assert_eq!(paths(&done), [] as [&str; 0]);
}

#[test]
fn a_canary_in_windows_is_told_that_states_change_sides() {
    let mut bench = Bench::default();
    let mut counts = deploy("a", json!({"stream": "s", "tumbling_window": "60s"}));
    counts.component.as_mut().unwrap().uses = vec!["state".to_owned()];
    bench.deploy(counts.clone()).unwrap();
    counts.component.as_mut().unwrap().digest = "b".into();
    counts.canary = Some(serde_json::from_value(json!({"weight": "10%"})).unwrap());
    let done = bench.deploy(counts.clone()).unwrap();
    assert_eq!(paths(&done), ["mapping.tumbling_window"]);
    let words = &done.notes[0].message;
    assert!(
        words.contains("version 2 is taken back if it cannot read those of 1"),
        "{words}"
    );
    // Without windows no state is handed on.
    let mut bench = Bench::default();
    counts.canary = None;
    counts.mappings =
        serde_json::from_value(json!([{"stream": "s", "tumbling_window": "0s"}])).unwrap();
    bench.deploy(counts.clone()).unwrap();
    counts.component.as_mut().unwrap().digest = "c".into();
    counts.canary = Some(serde_json::from_value(json!({"weight": "10%"})).unwrap());
    let done = bench.deploy(counts).unwrap();
    let words: Vec<&str> = done
        .notes
        .iter()
        .map(|note| note.message.as_str())
        .collect();
    assert!(
        words.iter().all(|words| !words.contains("change sides")),
        "{words:?}"
    );
}

#[test]
fn a_version_that_reads_no_states_is_told_what_open_windows_lose() {
    let mut bench = Bench::default();
    let windows = json!({"stream": "s", "tumbling_window": "60s"});
    let mut counts = deploy("a", windows.clone());
    counts.component.as_mut().unwrap().uses = vec!["state".to_owned()];
    bench.deploy(counts).unwrap();
    let done = bench.deploy(deploy("b", windows.clone())).unwrap();
    assert_eq!(paths(&done), ["mapping.tumbling_window"]);
    let note = &done.notes[0];
    assert!(note.message.contains("version 2"), "{}", note.message);
    assert!(
        note.fix.starts_with("fnctl rollback enrich"),
        "{}",
        note.fix
    );
    // Nothing is lost by the next one, which finds no states.
    let done = bench.deploy(deploy("c", windows)).unwrap();
    assert_eq!(paths(&done), [] as [&str; 0]);
}
