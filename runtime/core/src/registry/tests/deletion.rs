//! What is refused, and what goes with what (Lambda ESM specification §3, §22 row Life cycle).

use super::*;

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
        ..FakeTails::default()
    };
    let letters = bench.mapping("enrich").dead_letters;
    assert_eq!(bench.registry.find_letters("enrich"), Ok(letters));
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
    assert_eq!(bench.registry.find_letters("1"), Ok(letters));
    for other in ["enrich", "enrich/signups", "2"] {
        assert!(bench.registry.find_letters(other).is_err(), "{other}");
    }
    let mut bench = deployed();
    let letters = bench.mapping("enrich").dead_letters;
    bench.run(&delete(false)).unwrap();
    assert!(bench.registry.stream(letters).is_none());
}

#[test]
fn a_deploy_makes_the_outputs_that_are_missing_also_of_mappings_it_does_not_name() {
    for (digest, mapping) in [
        ("a", json!({"stream": "signups"})),
        ("a", json!(null)),
        ("b", json!(null)),
    ] {
        let mut bench = deployed();
        bench
            .run(&Command::DeleteStream {
                name: name("enrich.out"),
                force: true,
            })
            .unwrap();
        let done = bench.deploy(deploy(digest, mapping)).unwrap();
        assert!(done.changed);
        let made: Vec<_> = done
            .created_streams
            .iter()
            .map(|stream| &stream.name)
            .collect();
        assert_eq!(made, [&name("enrich.out")]);
    }
}
