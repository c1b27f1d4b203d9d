//! States of a mapping, and what is refused in which words (Lambda ESM specification §3, §22 row Life
//! cycle). A change is one entry of the journal: what Lambda tells as `Creating`, `Updating`, `Enabling`,
//! `Disabling` and `Deleting` is no state here.

use super::*;

/// What is done to a mapping.
type Deed = (&'static str, fn(&mut Bench) -> Result<(), Refusal>);

const ID: MappingId = MappingId(1);

fn run(bench: &mut Bench, command: &Command) -> Result<(), Refusal> {
    bench.run(command).map(drop)
}

const PAUSE: Deed = ("pause", |bench| {
    run(bench, &Command::PauseMapping { mapping: ID })
});
const RESUME: Deed = ("resume", |bench| {
    run(bench, &Command::ResumeMapping { mapping: ID })
});
const FATAL: Deed = ("fatal", |bench| {
    let stop = Command::StopMapping {
        mapping: ID,
        code: "c".into(),
        message: "m".into(),
        version: FunctionVersion(1),
    };
    run(bench, &stop)
});
const VERSION: Deed = ("a new version", |bench| {
    bench.deploy(deploy("b", json!(null))).map(drop)
});
const UPDATE: Deed = ("an update", |bench| {
    let change = Deploy {
        component: None,
        mapping_is: Some(MappingIs::There(ID)),
        ..deploy("a", json!({"stream": "signups", "batch_size": 7}))
    };
    bench.deploy(change).map(drop)
});
const LOSS: Deed = ("the stream goes", |bench| {
    let delete = Command::DeleteStream {
        name: name("signups"),
        force: true,
    };
    run(bench, &delete)
});

fn word(state: &MappingState) -> &'static str {
    match state {
        MappingState::Running => "running",
        MappingState::Paused => "paused",
        MappingState::Stopped { .. } => "stopped",
        MappingState::Failed => "failed",
    }
}

#[test]
fn a_mapping_goes_from_state_to_state_as_the_table_says() {
    let from: [(&str, &[Deed]); 4] = [
        ("running", &[]),
        ("paused", &[PAUSE]),
        ("stopped", &[FATAL]),
        ("failed", &[LOSS]),
    ];
    let table = [
        (PAUSE, ["paused", "paused", "paused", "refused"]),
        (RESUME, ["running", "running", "running", "refused"]),
        (FATAL, ["stopped", "paused", "stopped", "failed"]),
        (VERSION, ["running", "paused", "running", "failed"]),
        (UPDATE, ["running", "paused", "stopped", "refused"]),
    ];
    for ((what, deed), after) in table {
        for ((before, way), expected) in from.iter().zip(after) {
            let mut bench = deployed();
            for (_, deed) in *way {
                deed(&mut bench).unwrap();
            }
            assert_eq!(word(&bench.mapping("1").state), *before);
            let done = deed(&mut bench);
            let found = match &done {
                Ok(()) => word(&bench.mapping("1").state),
                Err(_) => "refused",
            };
            assert_eq!(found, expected, "{what} while {before}: {done:?}");
            if done.is_err() {
                assert_eq!(word(&bench.mapping("1").state), *before, "nothing changed");
            }
        }
    }
}

/// Lambda makes a mapping enabled or disabled; ours runs once it is there.
#[test]
fn a_mapping_runs_from_the_entry_that_makes_it_and_is_gone_with_the_one_that_deletes_it() {
    let mut bench = deployed();
    assert_eq!(word(&bench.mapping("enrich").state), "running");
    let delete = Command::DeleteMapping {
        mapping: ID,
        force: false,
    };
    bench.run(&delete).unwrap();
    assert!(bench.registry.find_mapping("enrich").is_err());
    assert_eq!(bench.run(&delete), Err(Refusal::NoSuchMapping(ID)));
}

/// Code, words, and what to do: none is without any of them.
#[test]
fn refusals_have_a_code_words_and_a_way_on() {
    let function = |bench: &mut Bench, force| {
        let name = function();
        bench.run(&Command::DeleteFunction { name, force })
    };
    let delete = |mapping| Command::DeleteMapping {
        mapping: MappingId(mapping),
        force: false,
    };
    let of = |refusal: Refusal| {
        let error = refusal.to_error();
        assert!(error.fix.is_some(), "{refusal}: what to do is not said");
        format!("{} {}", error.code, error.message)
    };
    let mut bench = deployed();
    let without_function = Deploy {
        component: None,
        function: FunctionName::parse("nobody").unwrap(),
        ..deploy("a", json!({"stream": "signups"}))
    };
    let twice = Deploy {
        component: None,
        mapping_is: Some(MappingIs::New),
        ..deploy("a", json!({"stream": "signups"}))
    };
    let mut found = vec![
        of(bench.deploy(without_function).unwrap_err()),
        of(bench.deploy(twice).unwrap_err()),
        of(function(&mut bench, false).unwrap_err()),
        of(bench.run(&delete(9)).unwrap_err()),
    ];
    bench.tails.open = 3;
    found.push(of(bench.run(&delete(1)).unwrap_err()));
    bench.tails.open = 0;
    LOSS.1(&mut bench).unwrap();
    found.push(of(RESUME.1(&mut bench).unwrap_err()));
    assert_eq!(
        found,
        [
            "FN2107 no function `nobody`",
            "FN3012 mapping `enrich/signups` exists already, as 1",
            "FN2110 function `enrich` is in use by enrich/signups",
            "FN3004 no mapping `9`",
            "FN3006 mapping `enrich/signups` has 3 open dead letters",
            "FN3005 mapping `enrich/signups` has failed for good: its stream was deleted",
        ]
    );
}
