//! Any commands in any order.

use super::*;
use proptest::prelude::*;

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
            message: "m".into(),
            version: FunctionVersion(1),
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
