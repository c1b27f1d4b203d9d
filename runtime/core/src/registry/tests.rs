use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    function::SecretValue,
    id::{FunctionVersion, Ordinal, OutputName, ShardNumber, Timestamp},
    mapping::{MappingState, OutputBinding},
    spec::resolve::StreamSettings,
};

#[derive(Default)]
struct FakeTails {
    last: u64,
    horizon: u64,
    open: u64,
}

impl Tails for FakeTails {
    fn last(&self, _: StreamId, _: ShardNumber) -> Ordinal {
        Ordinal(self.last)
    }
    fn before_horizon(&self, _: StreamId, _: ShardNumber) -> Ordinal {
        Ordinal(self.horizon)
    }
    fn open_dead_letters(&self, _: MappingId) -> u64 {
        self.open
    }
}

/// A catalogue with a clock that advances by a second a command.
#[derive(Default)]
struct Bench {
    registry: Registry,
    tails: FakeTails,
    now: u64,
}

impl Bench {
    fn ask(&self, command: &Command) -> Result<Evaluated, Refusal> {
        self.registry
            .evaluate(command, &self.tails, Timestamp(self.now))
    }

    fn run(&mut self, command: &Command) -> Result<Applied, Refusal> {
        self.now += 1_000;
        let evaluated = self.ask(command)?;
        if let Some(change) = &evaluated.change {
            self.registry.apply(change);
            let once = self.registry.clone();
            self.registry.apply(change);
            assert_eq!(
                once, self.registry,
                "a change applied twice is applied once"
            );
        }
        Ok(evaluated.applied)
    }

    fn deploy(&mut self, deploy: Deploy) -> Result<Deployed, Refusal> {
        match self.run(&Command::Deploy(Box::new(deploy)))? {
            Applied::Deployed(deployed) => Ok(*deployed),
            other => panic!("a deploy says {other:?}"),
        }
    }

    fn mapping(&self, address: &str) -> &Mapping {
        self.registry.find_mapping(address).unwrap()
    }
}

fn component(digest: &str, outputs: &[&str]) -> ComponentFacts {
    ComponentFacts {
        digest: digest.into(),
        bytes: 10,
        outputs: outputs
            .iter()
            .map(|name| OutputName::parse(name).unwrap())
            .collect(),
        uses: vec![],
    }
}

/// A deploy of bytes `digest` with a mapping's layer.
fn deploy(digest: &str, mapping: serde_json::Value) -> Deploy {
    Deploy {
        function: FunctionName::parse("enrich").unwrap(),
        component: Some(component(digest, &["default"])),
        spec: Default::default(),
        mappings: match mapping {
            serde_json::Value::Null => vec![],
            serde_json::Value::Array(all) => all
                .into_iter()
                .map(|one| serde_json::from_value(one).unwrap())
                .collect(),
            one => vec![serde_json::from_value(one).unwrap()],
        },
        streams: BTreeMap::new(),
        new_streams: Default::default(),
        secrets: BTreeMap::new(),
        is_manifest: false,
        unset: vec![],
        allow_loop: false,
        found: vec![],
    }
}

fn name(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

fn function() -> FunctionName {
    FunctionName::parse("enrich").unwrap()
}

fn deployed() -> Bench {
    let mut bench = Bench::default();
    bench
        .deploy(deploy("a", json!({"stream": "signups"})))
        .unwrap();
    bench
}

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
        let Applied::RolledBack { function, previous } = bench.run(&back).unwrap() else {
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
fn duplicates_and_absent_ones_are_refused() {
    let mut bench = deployed();
    let create = Command::CreateStream {
        name: name("signups"),
        settings: Default::default(),
    };
    assert_eq!(
        bench.run(&create),
        Err(Refusal::StreamExists(name("signups")))
    );
    let delete = Command::DeleteStream {
        name: name("nope"),
        force: true,
    };
    assert_eq!(bench.run(&delete), Err(Refusal::NoSuchStream(name("nope"))));
    let mut settings_only = deploy("a", json!(null));
    settings_only.component = None;
    settings_only.function = FunctionName::parse("other").unwrap();
    assert!(matches!(
        bench.deploy(settings_only),
        Err(Refusal::NoSuchFunction(_))
    ));
    let no_stream = Deploy {
        function: FunctionName::parse("o").unwrap(),
        ..deploy("a", json!({"batch_size": 1}))
    };
    assert!(matches!(
        bench.deploy(no_stream),
        Err(Refusal::Invalid { .. })
    ));
}

#[test]
fn deleting_what_is_used_is_refused_unless_forced() {
    let mut bench = deployed();
    for stream in ["signups", "enrich.out"] {
        let delete = Command::DeleteStream {
            name: name(stream),
            force: false,
        };
        let refusal = bench.run(&delete).unwrap_err();
        assert!(
            refusal.to_string().contains("in use by enrich/signups"),
            "{refusal}"
        );
    }
    let delete = Command::DeleteFunction {
        name: function(),
        force: false,
    };
    assert!(matches!(
        bench.run(&delete),
        Err(Refusal::FunctionInUse { .. })
    ));
    bench
        .run(&Command::DeleteStream {
            name: name("signups"),
            force: true,
        })
        .unwrap();
    assert_eq!(bench.mapping("enrich/signups").state, MappingState::Failed);
    let resume = Command::ResumeMapping {
        mapping: MappingId(1),
    };
    assert!(matches!(bench.run(&resume), Err(Refusal::MappingFailed(_))));
    bench
        .run(&Command::DeleteFunction {
            name: function(),
            force: true,
        })
        .unwrap();
    assert_eq!(bench.registry.mappings().count(), 0);
    assert_eq!(
        bench.registry.streams().count(),
        1,
        "only enrich.out is left"
    );
}

#[test]
fn a_recreated_stream_gets_a_mapping_of_its_own() {
    let mut bench = deployed();
    bench
        .run(&Command::DeleteStream {
            name: name("signups"),
            force: true,
        })
        .unwrap();
    let done = bench
        .deploy(deploy("a", json!({"stream": "signups"})))
        .unwrap();
    assert_eq!(done.created_mappings, [MappingId(2)]);
    assert_eq!(bench.mapping("enrich/signups").id, MappingId(2));
    assert_eq!(bench.mapping("1").state, MappingState::Failed);
}

#[test]
fn open_letters_hold_a_mapping_and_outlive_it() {
    let mut bench = deployed();
    bench.tails = FakeTails {
        last: 3,
        horizon: 0,
        open: 3,
    };
    let letters = bench.mapping("enrich").dead_letters;
    let delete = |force| Command::DeleteMapping {
        mapping: MappingId(1),
        force,
    };
    assert!(matches!(
        bench.run(&delete(false)),
        Err(Refusal::OpenDeadLetters { open: 3, .. })
    ));
    bench.run(&delete(true)).unwrap();
    assert!(bench.registry.stream(letters).is_some());
    let mut bench = deployed();
    let letters = bench.mapping("enrich").dead_letters;
    bench.run(&delete(false)).unwrap();
    assert!(bench.registry.stream(letters).is_none());
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

fn any_command() -> impl Strategy<Value = Command> {
    let stream = prop::sample::select(vec!["s1", "s2", "s3"]);
    let digest = prop::sample::select(vec!["a", "b"]);
    let function = prop::sample::select(vec!["f", "g"]);
    let mapping = (1_u64..6).prop_map(MappingId);
    prop_oneof![
        stream.clone().prop_map(|s| Command::CreateStream {
            name: name(s),
            settings: Default::default()
        }),
        (stream.clone(), any::<bool>()).prop_map(|(s, force)| Command::DeleteStream {
            name: name(s),
            force
        }),
        (
            function.clone(),
            digest,
            stream.clone(),
            stream,
            any::<bool>()
        )
            .prop_map(
                |(f, d, from, to, allow_loop)| Command::Deploy(Box::new(Deploy {
                    function: FunctionName::parse(f).unwrap(),
                    allow_loop,
                    ..deploy(d, json!({"stream": from, "outputs": {"default": to}}))
                }))
            ),
        function.clone().prop_map(|f| Command::Rollback {
            function: FunctionName::parse(f).unwrap(),
            to: None
        }),
        mapping
            .clone()
            .prop_map(|mapping| Command::PauseMapping { mapping }),
        mapping
            .clone()
            .prop_map(|mapping| Command::ResumeMapping { mapping }),
        mapping.clone().prop_map(|mapping| Command::StopMapping {
            mapping,
            code: "c".into(),
            message: "m".into()
        }),
        (mapping, any::<bool>())
            .prop_map(|(mapping, force)| Command::DeleteMapping { mapping, force }),
        (function, any::<bool>()).prop_map(|(f, force)| Command::DeleteFunction {
            name: FunctionName::parse(f).unwrap(),
            force
        }),
    ]
}

proptest! {
    /// References always lead somewhere, ids are never given twice, and redo of the whole history over
    /// the end is the end.
    #[test]
    fn the_catalogue_is_sound_after_any_commands(commands in prop::collection::vec(any_command(), 1..40)) {
        let mut bench = Bench::default();
        let mut history = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for command in &commands {
            bench.now += 1_000;
            let Ok(evaluated) = bench.ask(command) else { continue };
            let Some(change) = evaluated.change else { continue };
            for stream in &change.streams {
                prop_assert!(bench.registry.stream(stream.id).is_some() || seen.insert(stream.id));
            }
            bench.registry.apply(&change);
            history.push(change);
            for mapping in bench.registry.mappings() {
                prop_assert!(bench.registry.function(mapping.function).is_some());
                prop_assert!(bench.registry.stream(mapping.dead_letters).is_some());
                let has_stream = bench.registry.stream(mapping.stream).is_some();
                prop_assert_eq!(has_stream, mapping.state != MappingState::Failed);
            }
            for function in bench.registry.functions() {
                prop_assert!(function.versions.contains_key(&function.live));
            }
        }
        let end = bench.registry.clone();
        for change in &history {
            bench.registry.apply(change);
        }
        prop_assert_eq!(bench.registry, end);
    }
}
