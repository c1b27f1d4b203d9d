//! What makes a version, and which one is live.

use super::*;

#[test]
fn a_first_deploy_makes_function_streams_and_mapping() {
    let mut bench = Bench::default();
    let done = bench
        .deploy(deploy("a", json!({"stream": "signups"})))
        .unwrap();
    assert!(done.changed);
    assert_eq!(
        (done.function.live, done.previous_version),
        (FunctionVersion(1), None)
    );
    let created: Vec<&str> = done
        .created_streams
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(created, ["enrich.out", "signups"]);
    let mapping = bench.mapping("enrich/signups");
    assert_eq!(mapping.state, MappingState::Running);
    assert_eq!(
        mapping.outputs[&OutputName::parse("default").unwrap()],
        OutputBinding::Stream(name("enrich.out"))
    );
    assert!(
        bench
            .registry
            .stream(mapping.dead_letters)
            .unwrap()
            .is_internal
    );
    assert!(
        bench
            .registry
            .stream_by_name(&name("fnctl.dead-letters.1"))
            .is_none()
    );
}

#[test]
fn the_same_again_changes_nothing_and_says_so() {
    let mut bench = deployed();
    let before = bench.registry.clone();
    let command = Command::Deploy(Box::new(deploy("a", json!({"stream": "signups"}))));
    assert_eq!(bench.ask(&command).unwrap().change, None);
    let done = bench
        .deploy(deploy("a", json!({"stream": "signups"})))
        .unwrap();
    assert!(!done.changed && done.changes.is_empty());
    assert_eq!(bench.registry, before);
}

#[test]
fn what_makes_a_version_makes_the_next_one_and_fences_the_mapping() {
    let cases = [
        json!({"memory": "64MiB"}),
        json!({"timeout": "1s"}),
        json!({"isolation": "fresh"}),
        json!({"config": {"a": "1"}}),
    ];
    for spec in cases {
        let bench = deployed();
        let mut again = deploy("a", json!(null));
        again.spec = serde_json::from_value(spec.clone()).unwrap();
        let evaluated = bench.ask(&Command::Deploy(Box::new(again))).unwrap();
        let Applied::Deployed(done) = evaluated.applied else {
            panic!()
        };
        assert_eq!(done.function.live, FunctionVersion(2), "{spec}");
        assert_eq!(done.previous_version, Some(FunctionVersion(1)));
        assert_eq!(done.changes.len(), 1, "{:?}", done.changes);
        assert_eq!(evaluated.fenced.len(), 1);
    }
}

#[test]
fn concurrency_and_mapping_settings_make_no_version() {
    let mut bench = deployed();
    let mut more = deploy("a", json!({"max_attempts": 3}));
    more.component = None;
    more.spec = serde_json::from_value(json!({"concurrency": 4})).unwrap();
    let done = bench.deploy(more).unwrap();
    assert_eq!(done.function.live, FunctionVersion(1));
    assert_eq!(done.function.concurrency, Some(4));
    assert_eq!(
        serde_json::to_value(&done.changes).unwrap(),
        json!([
            {"path": "function.concurrency", "from": "default", "to": 4},
            {"path": "mapping.max_attempts", "from": 5, "to": 3},
        ])
    );
}

#[test]
fn flags_change_only_what_they_name_and_a_manifest_is_the_whole_truth() {
    let mut bench = deployed();
    let mut flags = deploy("a", json!({"batch_size": 7}));
    flags.spec = serde_json::from_value(json!({"memory": "64MiB", "config": {"a": "1"}})).unwrap();
    bench.deploy(flags).unwrap();
    bench
        .deploy(deploy("b", json!({"batch_window": "1s"})))
        .unwrap();
    assert_eq!(bench.mapping("enrich").settings.batch_size, 7);
    let live = |bench: &Bench| {
        Arc::clone(
            bench
                .registry
                .function_by_name(&function())
                .unwrap()
                .live_version(),
        )
    };
    assert_eq!(live(&bench).settings.memory_bytes, 64 << 20);
    let mut manifest = deploy("b", json!({"stream": "signups", "batch_window": "1s"}));
    manifest.is_manifest = true;
    let done = bench.deploy(manifest).unwrap();
    let paths: Vec<&str> = done
        .changes
        .iter()
        .map(|change| change.path.as_str())
        .collect();
    assert_eq!(paths, ["function.memory", "config.a", "mapping.batch_size"]);
    assert_eq!(live(&bench).settings.memory_bytes, 128 << 20);
}

#[test]
fn secrets_are_kept_replaced_and_unset_and_never_shown() {
    let mut bench = deployed();
    let secret = |text: &str| SecretValue(text.as_bytes().into());
    let mut with = deploy("a", json!(null));
    with.secrets = BTreeMap::from([("key".to_owned(), secret("hunter2"))]);
    let done = bench.deploy(with.clone()).unwrap();
    assert!(!format!("{:?}", done.changes).contains("hunter2"));
    assert!(!bench.deploy(deploy("a", json!(null))).unwrap().changed);
    with.secrets = BTreeMap::from([("key".to_owned(), secret("hunter3"))]);
    assert_eq!(
        bench.deploy(with).unwrap().function.live,
        FunctionVersion(3)
    );
    let mut without = deploy("a", json!(null));
    without.unset = vec!["key".to_owned()];
    assert_eq!(
        bench.deploy(without.clone()).unwrap().function.live,
        FunctionVersion(4)
    );
    assert!(matches!(
        bench.deploy(without),
        Err(Refusal::Invalid { .. })
    ));
}

#[test]
fn rollback_goes_to_what_was_live_before_and_numbers_stay() {
    let mut bench = deployed();
    bench.deploy(deploy("b", json!(null))).unwrap();
    bench.deploy(deploy("c", json!(null))).unwrap();
    let back = Command::Rollback {
        function: function(),
        to: None,
    };
    for (live, was) in [(2, 3), (1, 2)] {
        let Applied::RolledBack {
            function, previous, ..
        } = bench.run(&back).unwrap()
        else {
            panic!()
        };
        assert_eq!(
            (function.live, previous),
            (FunctionVersion(live), FunctionVersion(was))
        );
    }
    assert!(matches!(
        bench.run(&back),
        Err(Refusal::NothingBefore { .. })
    ));
    let done = bench.deploy(deploy("c", json!(null))).unwrap();
    assert_eq!(done.function.live, FunctionVersion(4));
    let (version, rolled_back) = done.same_bytes_as.unwrap();
    assert_eq!((version, rolled_back.is_some()), (FunctionVersion(3), true));
    let far = Command::Rollback {
        function: function(),
        to: Some(FunctionVersion(9)),
    };
    assert!(matches!(
        bench.run(&far),
        Err(Refusal::NoSuchVersion { .. })
    ));
}

#[test]
fn rollback_brings_settings_back() {
    let mut bench = deployed();
    let mut small = deploy("b", json!(null));
    small.spec = serde_json::from_value(json!({"memory": "64MiB", "config": {"a": "1"}})).unwrap();
    bench.deploy(small).unwrap();
    bench
        .run(&Command::Rollback {
            function: function(),
            to: None,
        })
        .unwrap();
    let live = bench
        .registry
        .function_by_name(&function())
        .unwrap()
        .live_version();
    assert_eq!(live.settings.memory_bytes, 128 << 20);
    assert!(live.settings.config.is_empty());
}

#[test]
fn versions_are_bounded_and_the_live_one_stays() {
    let mut bench = deployed();
    for index in 0..150 {
        bench
            .deploy(deploy(&format!("d{index}"), json!(null)))
            .unwrap();
    }
    let function = bench.registry.function_by_name(&function()).unwrap();
    assert_eq!(function.versions.len(), crate::limits::VERSIONS_MAX);
    assert_eq!(function.live, FunctionVersion(151));
    assert!(
        function
            .live_before
            .iter()
            .all(|version| function.versions.contains_key(version))
    );
}
