//! What a deploy makes of mappings, and how they are addressed (Lambda ESM specification §3 and §4, §22 row
//! Life cycle).

use super::*;

#[test]
fn a_declared_output_must_be_bound() {
    let mut bench = Bench::default();
    let with = |mapping| {
        let mut all = deploy("a", mapping);
        all.component = Some(component("a", &["default", "rejected"]));
        all
    };
    let refusal = bench.deploy(with(json!({"stream": "s"}))).unwrap_err();
    assert!(matches!(refusal, Refusal::OutputUnbound { .. }));
    assert!(
        refusal
            .to_error()
            .fix
            .unwrap()
            .contains("--to rejected=STREAM")
    );
    bench
        .deploy(with(
            json!({"stream": "s", "outputs": {"rejected": "none"}}),
        ))
        .unwrap();
    let unknown = bench
        .deploy(with(json!({"outputs": {"rejcted": "r"}})))
        .unwrap_err();
    assert!(matches!(unknown, Refusal::NoSuchOutput { .. }));
}

#[test]
fn an_output_falls_back_to_the_functions_own_stream() {
    let mut bench = Bench::default();
    bench
        .deploy(deploy(
            "a",
            json!({"stream": "s", "outputs": {"default": "out"}}),
        ))
        .unwrap();
    let done = bench
        .deploy(deploy("a", json!({"outputs": {"default": "default"}})))
        .unwrap();
    assert_eq!(done.created_streams[0].name, name("enrich.out"));
}

#[test]
fn a_fatal_is_ended_by_a_version_and_a_pause_is_not() {
    for (command, after) in [
        (
            Command::StopMapping {
                mapping: MappingId(1),
                code: "c".into(),
                message: "m".into(),
                version: FunctionVersion(1),
            },
            MappingState::Running,
        ),
        (
            Command::PauseMapping {
                mapping: MappingId(1),
            },
            MappingState::Paused,
        ),
    ] {
        let mut bench = deployed();
        bench.run(&command).unwrap();
        let stopped = bench.mapping("enrich").state.clone();
        bench.deploy(deploy("a", json!(null))).unwrap();
        assert_eq!(
            bench.mapping("enrich").state,
            stopped,
            "nothing new, nothing resumed"
        );
        bench.deploy(deploy("b", json!(null))).unwrap();
        assert_eq!(bench.mapping("enrich").state, after);
        bench
            .run(&Command::ResumeMapping {
                mapping: MappingId(1),
            })
            .unwrap();
        assert_eq!(bench.mapping("enrich").state, MappingState::Running);
    }
}

#[test]
fn a_paused_mapping_is_not_stopped() {
    let mut bench = deployed();
    bench
        .run(&Command::PauseMapping {
            mapping: MappingId(1),
        })
        .unwrap();
    let stop = Command::StopMapping {
        mapping: MappingId(1),
        code: "c".into(),
        message: "m".into(),
        version: FunctionVersion(1),
    };
    bench.run(&stop).unwrap();
    assert_eq!(bench.mapping("enrich").state, MappingState::Paused);
}

#[test]
fn cycles_are_refused_unless_allowed_and_stay_allowed() {
    let mut bench = Bench::default();
    let second = |digest, mapping| Deploy {
        function: FunctionName::parse("second").unwrap(),
        ..deploy(digest, mapping)
    };
    let own = deploy("a", json!({"stream": "s", "outputs": {"default": "s"}}));
    assert!(matches!(bench.deploy(own), Err(Refusal::Cycle { .. })));
    bench
        .deploy(deploy(
            "a",
            json!({"stream": "s1", "outputs": {"default": "s2"}}),
        ))
        .unwrap();
    let mut back = second("a", json!({"stream": "s2", "outputs": {"default": "s1"}}));
    let Err(Refusal::Cycle { path, .. }) = bench.deploy(back.clone()) else {
        panic!()
    };
    assert_eq!(path, [name("s2"), name("s1"), name("s2")]);
    back.allow_loop = true;
    bench.deploy(back).unwrap();
    bench.deploy(second("b", json!(null))).unwrap();
    bench.deploy(second("b", json!({"batch_size": 5}))).unwrap();
}

#[test]
fn starting_positions_are_fixed_at_creation() {
    let start = |position: &str, found| {
        let mut bench = Bench::default();
        let settings = StreamSettings {
            shards: 1,
            ..Default::default()
        };
        bench
            .run(&Command::CreateStream {
                name: name("s"),
                settings,
            })
            .unwrap();
        bench.tails = FakeTails {
            last: 90,
            horizon: 10,
            open: 0,
            ..FakeTails::default()
        };
        bench.now = 1_772_368_200_000;
        let mut with = deploy("a", json!({"stream": "s", "starting_position": position}));
        with.found = found;
        bench
            .deploy(with)
            .map(|_| bench.mapping("enrich").starting_after[&ShardNumber(0)].0)
    };
    let found = |stream, after| {
        vec![FoundPosition {
            stream: StreamId(stream),
            shard: ShardNumber(0),
            after: Ordinal(after),
        }]
    };
    assert_eq!(start("trim-horizon", vec![]), Ok(10));
    assert_eq!(start("latest", vec![]), Ok(90));
    assert_eq!(start("2026-03-01T12:00:00Z", found(1, 50)), Ok(50));
    assert_eq!(start("15m", found(1, 60)), Ok(60));
    assert_eq!(
        start("15m", found(7, 60)),
        Ok(10),
        "a shard unknown to the look-up is read whole"
    );
    assert!(matches!(
        start("2036-03-01T12:00:00Z", vec![]),
        Err(Refusal::Invalid { .. })
    ));
}

#[test]
fn updating_a_mapping_never_moves_it() {
    let mut bench = deployed();
    let before = bench.mapping("enrich").starting_after.clone();
    bench.tails.last = 50;
    bench
        .deploy(deploy(
            "b",
            json!({"starting_position": "latest", "batch_size": 9}),
        ))
        .unwrap();
    assert_eq!(bench.mapping("enrich").starting_after, before);
}

#[test]
fn addresses_name_one_mapping_or_say_which_there_are() {
    let mut bench = deployed();
    assert_eq!(bench.mapping("enrich").id, MappingId(1));
    assert_eq!(bench.mapping("1").id, MappingId(1));
    bench
        .deploy(deploy("a", json!({"stream": "clicks"})))
        .unwrap();
    let Err(AddressError::Ambiguous { mappings, .. }) = bench.registry.find_mapping("enrich")
    else {
        panic!()
    };
    assert_eq!(mappings, ["enrich/signups", "enrich/clicks"]);
    for absent in ["enric", "enrich/", "enrich/x", "9", ""] {
        assert!(matches!(
            bench.registry.find_mapping(absent),
            Err(AddressError::NotFound(_))
        ));
    }
}

#[test]
fn without_a_stream_all_mappings_of_the_function_move() {
    let mut bench = deployed();
    bench
        .deploy(deploy("a", json!({"stream": "clicks"})))
        .unwrap();
    let evaluated = bench
        .ask(&Command::Deploy(Box::new(deploy(
            "b",
            json!({"batch_size": 3}),
        ))))
        .unwrap();
    assert_eq!(evaluated.fenced.len(), 2);
    bench.deploy(deploy("b", json!({"batch_size": 3}))).unwrap();
    for mapping in bench.registry.mappings() {
        assert_eq!(mapping.settings.batch_size, 3);
    }
}

#[test]
fn a_layer_meant_for_one_mapping_finds_that_one_or_is_refused() {
    let mut bench = Bench::default();
    bench.deploy(deploy("a", json!({"stream": "s"}))).unwrap();
    let id = bench.mapping("enrich/s").id;
    let layer = |mapping_is, layer| Deploy {
        component: None,
        mapping_is: Some(mapping_is),
        ..deploy("a", layer)
    };
    let done = bench
        .deploy(layer(
            MappingIs::There(id),
            json!({"stream": "s", "batch_size": 7}),
        ))
        .unwrap();
    assert_eq!(done.changes[0].path, "mapping.batch_size");
    assert_eq!(done.function.live, FunctionVersion(1), "no version is made");
    let exists = bench
        .deploy(layer(MappingIs::New, json!({"stream": "s"})))
        .unwrap_err();
    assert_eq!(
        exists.to_string(),
        format!("mapping `enrich/s` exists already, as {id}")
    );
    assert_eq!(exists.to_error().code, "FN3012");
    // Deleted since it was looked up: nothing is made anew.
    let gone = MappingId(99);
    let refusal = bench.deploy(layer(MappingIs::There(gone), json!({"stream": "s"})));
    assert_eq!(refusal.unwrap_err(), Refusal::NoSuchMapping(gone));
    let made = bench
        .deploy(layer(MappingIs::New, json!({"stream": "other"})))
        .unwrap();
    assert_eq!(made.created_mappings.len(), 1);
}

#[test]
fn a_change_of_a_mapping_alone_does_not_resume_it() {
    let mut bench = Bench::default();
    bench.deploy(deploy("a", json!({"stream": "s"}))).unwrap();
    let id = bench.mapping("enrich/s").id;
    bench
        .run(&Command::StopMapping {
            mapping: id,
            code: "broken".to_owned(),
            message: "it is".to_owned(),
            version: FunctionVersion(1),
        })
        .unwrap();
    let layer = json!({"stream": "s", "batch_size": 7});
    let change = Deploy {
        component: None,
        mapping_is: Some(MappingIs::There(id)),
        ..deploy("a", layer.clone())
    };
    bench.deploy(change).unwrap();
    let is_stopped = |bench: &Bench| {
        let state = &bench.mapping("enrich/s").state;
        matches!(state, MappingState::Stopped { .. })
    };
    assert!(is_stopped(&bench));
    bench.deploy(deploy("a", layer)).unwrap();
    assert!(!is_stopped(&bench), "a deploy does");
}

#[test]
fn a_filter_is_a_setting_like_any_other() {
    let mut bench = Bench::default();
    let (one, other) = (r#"{"data": {"a": [1]}}"#, r#"{"partitionKey": ["k"]}"#);
    bench
        .deploy(deploy(
            "a",
            json!({"stream": "s", "filter": [one, {"partitionKey": ["k"]}]}),
        ))
        .unwrap();
    let filter = bench.mapping("enrich/s").settings.filter.clone().unwrap();
    assert_eq!(filter.patterns().collect::<Vec<_>>(), [one, other]);
    let done = bench
        .deploy(deploy("a", json!({"filter": one, "on_unparsable": "pass"})))
        .unwrap();
    let words = |value: &ChangeValue| value.to_string();
    let change = |index: usize| {
        let Change { path, from, to } = &done.changes[index];
        (path.clone(), words(from), words(to))
    };
    let both = format!("{one} or {other}");
    assert_eq!(
        change(0),
        ("mapping.filter".to_owned(), both, one.to_owned())
    );
    let expected = ("mapping.on_unparsable", "drop", "pass");
    let (path, from, to) = change(1);
    assert_eq!((path.as_str(), from.as_str(), to.as_str()), expected);
    let units = bench.registry.mappings().count();
    assert_eq!(units, 1);
    for none in [json!([]), json!("default")] {
        bench.deploy(deploy("a", json!({"filter": one}))).unwrap();
        bench.deploy(deploy("a", json!({"filter": none}))).unwrap();
        assert_eq!(bench.mapping("enrich/s").settings.filter, None);
    }
    let refusal = bench.deploy(deploy("a", json!({"filter": ["{", {"data": 1}]})));
    let Refusal::Invalid { problems } = refusal.unwrap_err() else {
        panic!("settings are refused as such");
    };
    let paths: Vec<&str> = problems.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["mapping[0].filter[0]", "mapping[0].filter[1]"]);
}

#[test]
fn key_groups_and_ordering_are_fixed_while_windows_are_on() {
    let mut bench = Bench::default();
    let on = json!({"stream": "s", "tumbling_window": "60s", "key_groups": 8});
    bench.deploy(deploy("a", on)).unwrap();
    let settings = bench.mapping("enrich/s").settings.clone();
    assert_eq!(
        (settings.tumbling_window_ms, settings.key_groups),
        (60_000, 8)
    );
    assert_eq!(settings.window_groups(), 8);

    for (refused, path) in [
        (json!({"key_groups": 16}), "mapping[0].key_groups"),
        (json!({"key_groups": "default"}), "mapping[0].key_groups"),
        (json!({"ordering": "shard"}), "mapping[0].ordering"),
    ] {
        let refusal = bench.deploy(deploy("a", refused)).unwrap_err();
        let Refusal::Invalid { problems } = refusal else {
            panic!("settings are refused as such");
        };
        let paths: Vec<&str> = problems.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, [path]);
        assert!(problems[0].message.contains("turn windows off"));
    }

    let longer = json!({"tumbling_window": "2m", "key_groups": 8});
    let done = bench.deploy(deploy("a", longer)).unwrap();
    let Change { path, from, to } = &done.changes[0];
    let change = (path.as_str(), from.to_string(), to.to_string());
    let expected = ("mapping.tumbling_window", "1m".to_owned(), "2m".to_owned());
    assert_eq!(change, expected);
    let off = json!({"tumbling_window": "default", "key_groups": 16});
    bench.deploy(deploy("a", off)).unwrap();
    assert!(!bench.mapping("enrich/s").settings.has_windows());
    assert_eq!(bench.mapping("enrich/s").settings.key_groups, 16);
    let again = json!({"tumbling_window": "60s", "ordering": "shard"});
    bench.deploy(deploy("a", again)).unwrap();
    assert_eq!(bench.mapping("enrich/s").settings.window_groups(), 1);
}
