use serde_json::{Value, json};

use super::*;
use crate::canary::{Guard, GuardReason, Permille, SwitchKind, Tripped};

/// A deploy of bytes `digest` as a canary.
fn canary(digest: &str, spec: Value) -> Deploy {
    Deploy {
        canary: Some(serde_json::from_value(spec).unwrap()),
        ..deploy(digest, Value::Null)
    }
}

/// Version 1 is live, version 2 its canary at 10%.
fn with_canary() -> Bench {
    let mut bench = deployed();
    let done = bench.deploy(canary("b", json!({"weight": "10%"}))).unwrap();
    assert_eq!(
        (done.function.live, done.version, done.changed),
        (FunctionVersion(1), FunctionVersion(2), true)
    );
    bench
}

impl Bench {
    fn enrich(&self) -> &Function {
        self.registry.function_by_name(&function()).unwrap()
    }

    /// Live version, canary, its weight in thousandths.
    fn versions(&self) -> (u64, Option<(u64, u16)>) {
        let enrich = self.enrich();
        let canary = enrich.canary();
        (
            enrich.live.0,
            canary.map(|canary| (canary.version.0, canary.weight.get())),
        )
    }

    fn switches(&self) -> Vec<(SwitchKind, u64, u64)> {
        let switches = self.enrich().rollout.switches.iter();
        switches
            .map(|switch| (switch.kind, switch.canary.0, switch.live.0))
            .collect()
    }
}

fn promote(spec: Option<Value>) -> Command {
    Command::Promote {
        function: function(),
        canary: spec.map(|spec| serde_json::from_value(spec).unwrap()),
    }
}

fn rollback(to: Option<u64>) -> Command {
    Command::Rollback {
        function: function(),
        to: to.map(FunctionVersion),
    }
}

#[test]
fn a_canary_stands_beside_the_live_version_with_its_weight_and_guard() {
    let mut bench = deployed();
    let spec = json!({"weight": "2.5%", "rollback_errors": "off", "rollback_age": "5m"});
    let done = bench.deploy(canary("b", spec)).unwrap();
    let wanted = Guard {
        errors: None,
        age_ms: Some(300_000),
    };
    let canary = done.function.canary().unwrap();
    assert_eq!((canary.weight.get(), canary.guard), (25, wanted));
    assert_eq!(canary.since, Timestamp(bench.now));
    let said = done.changes.iter().find(|change| change.path == "canary");
    assert_eq!(said.unwrap().to.to_string(), "version 2 2.5%");
    assert!(bench.enrich().calls(FunctionVersion(1)) && bench.enrich().calls(FunctionVersion(2)));
}

#[test]
fn unless_said_otherwise_a_twentieth_of_the_calls_may_fail() {
    let bench = with_canary();
    let guard = bench.enrich().canary().unwrap().guard;
    assert_eq!((guard.errors, guard.age_ms), (Permille::new(50), None));
}

fn refused(bench: &mut Bench, deploy: Deploy) -> Vec<String> {
    match bench.deploy(deploy) {
        Err(Refusal::Invalid { problems }) => problems
            .iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_canary_needs_something_to_stand_beside_and_a_difference() {
    let mut first = canary("a", json!({"weight": "10%"}));
    first.mappings = deploy("a", json!({"stream": "signups"})).mappings;
    assert_eq!(
        refused(&mut Bench::default(), first),
        [
            "canary: `enrich` has no live version that a canary could stand beside: deploy it without first"
        ]
    );
    assert_eq!(
        refused(&mut deployed(), canary("a", json!({"weight": "10%"}))),
        ["canary: version 1, which is live, is the same: there is nothing to try"]
    );
    for (spec, problem) in [
        (
            json!({"weight": "100%"}),
            "canary: 100% is no canary: all keys would meet it",
        ),
        (
            json!({"weight": "0%"}),
            "canary: 0% is not above 0% and up to 100%",
        ),
        (json!({"weight": 10}), "canary: 10 has no unit: write 10%"),
        (
            json!({"weight": "default"}),
            "canary: has no default: name a share such as 10%",
        ),
        (
            json!({"weight": "10%", "rollback_errors": "100%"}),
            "canary.rollback_errors: more than 100% never fail: write off",
        ),
        (
            json!({"weight": "10%", "rollback_age": "999ms"}),
            "canary.rollback_age: 999ms is below 1s",
        ),
        (
            json!({"weight": "10%", "rollback_age": 5}),
            "canary.rollback_age: 5 has no unit: write 5ms or 5s",
        ),
    ] {
        assert_eq!(refused(&mut deployed(), canary("b", spec)), [problem]);
    }
}

#[test]
fn no_key_goes_back_while_there_is_a_canary() {
    let words = "5% is less than the 10% it has, and no key goes back to the version before while there is a \
                 canary: fnctl rollback enrich takes all of them back";
    let mut bench = with_canary();
    let lower = json!({"weight": "5%"});
    let promoted = bench.ask(&promote(Some(lower.clone())));
    let Err(Refusal::Invalid { problems }) = promoted else {
        panic!("{promoted:?}");
    };
    assert_eq!(
        (&*problems[0].path, &*problems[0].message),
        ("canary", words)
    );
    assert_eq!(
        refused(&mut bench, canary("b", lower.clone())),
        [format!("canary: {words}")]
    );
    // Another version begins with whatever weight it is given.
    bench.deploy(canary("c", lower)).unwrap();
    assert_eq!(bench.versions(), (1, Some((3, 50))));
}

#[test]
fn the_same_canary_again_changes_its_weight_alone() {
    let mut bench = with_canary();
    let since = bench.enrich().canary().unwrap().since;
    let again = bench.deploy(canary("b", json!({"weight": "10%"}))).unwrap();
    assert!(!again.changed);
    bench.deploy(canary("b", json!({"weight": "50%"}))).unwrap();
    assert_eq!(bench.versions(), (1, Some((2, 500))));
    assert_eq!(bench.enrich().canary().unwrap().since, since);
    assert_eq!(
        bench.switches(),
        [(SwitchKind::Begun, 2, 1), (SwitchKind::Changed, 2, 1)]
    );
}

#[test]
fn another_canary_takes_its_place_and_that_is_said() {
    let mut bench = with_canary();
    let done = bench.deploy(canary("c", json!({"weight": "20%"}))).unwrap();
    assert_eq!(bench.versions(), (1, Some((3, 200))));
    let note = done.notes.iter().find(|note| note.path == "canary");
    assert_eq!(
        note.unwrap().message,
        "version 2 was the canary, with 10%, and is one no more"
    );
    assert!(bench.enrich().rolled_back.contains_key(&FunctionVersion(2)));
    assert_eq!(
        bench.switches(),
        [
            (SwitchKind::Begun, 2, 1),
            (SwitchKind::Dropped, 2, 1),
            (SwitchKind::Begun, 3, 1)
        ]
    );
}

#[test]
fn a_deploy_without_ends_a_canary_and_its_history() {
    let mut bench = with_canary();
    let done = bench.deploy(deploy("c", Value::Null)).unwrap();
    assert_eq!(bench.versions(), (3, None));
    assert!(done.notes.iter().any(|note| note.path == "canary"));
    assert!(bench.enrich().rollout.is_empty());
}

#[test]
fn a_deploy_of_what_is_tried_makes_it_live_under_its_number() {
    let mut bench = with_canary();
    let done = bench.deploy(deploy("b", Value::Null)).unwrap();
    assert_eq!(bench.versions(), (2, None));
    assert_eq!(done.previous_version, Some(FunctionVersion(1)));
    assert!(!done.notes.iter().any(|note| note.path == "canary"));
    assert!(bench.enrich().rolled_back.is_empty());
}

#[test]
fn a_deploy_of_settings_alone_leaves_the_canary_and_says_so() {
    let mut bench = with_canary();
    let mapping = json!({"stream": "signups", "batch_size": 7});
    let done = bench.deploy(deploy("a", mapping)).unwrap();
    assert_eq!(bench.versions(), (1, Some((2, 100))));
    let note = done.notes.iter().find(|note| note.path == "canary");
    assert_eq!(
        note.unwrap().message,
        "version 2 goes on as the canary, with 10%"
    );
}

#[test]
fn a_promoted_canary_is_live_and_a_rollback_brings_back_what_was() {
    let mut bench = with_canary();
    let Applied::Promoted { function, previous } = bench.run(&promote(None)).unwrap() else {
        panic!("a promotion says so");
    };
    assert_eq!(
        (function.live, previous),
        (FunctionVersion(2), FunctionVersion(1))
    );
    assert_eq!(bench.versions(), (2, None));
    bench.run(&rollback(None)).unwrap();
    assert_eq!(bench.versions(), (1, None));
}

#[test]
fn a_promotion_to_a_weight_leaves_what_it_does_not_name() {
    let mut bench = deployed();
    let spec = json!({"weight": "10%", "rollback_errors": "20%", "rollback_age": "5m"});
    bench.deploy(canary("b", spec)).unwrap();
    let spec = json!({"weight": "50%", "rollback_age": "off"});
    bench.run(&promote(Some(spec.clone()))).unwrap();
    let guard = Guard {
        errors: Permille::new(200),
        age_ms: None,
    };
    assert_eq!(bench.versions(), (1, Some((2, 500))));
    assert_eq!(bench.enrich().canary().unwrap().guard, guard);
    let again = bench.ask(&promote(Some(spec))).unwrap();
    assert!(again.change.is_none());
    let refused = bench.ask(&promote(Some(json!({"weight": "100%"}))));
    assert!(matches!(refused, Err(Refusal::Invalid { .. })));
}

#[test]
fn without_a_canary_there_is_nothing_to_promote() {
    for spec in [None, Some(json!({"weight": "50%"}))] {
        let refused = deployed().run(&promote(spec)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "function `enrich` has no canary: all keys meet version 1"
        );
        assert_eq!(refused.to_error().code, "FN2112");
    }
}

#[test]
fn a_rollback_takes_the_canary_back_first() {
    for to in [None, Some(1)] {
        let mut bench = with_canary();
        let Applied::RolledBack {
            previous, dropped, ..
        } = bench.run(&rollback(to)).unwrap()
        else {
            panic!("a rollback says so");
        };
        assert_eq!(
            (previous, dropped),
            (FunctionVersion(1), Some(FunctionVersion(2)))
        );
        assert_eq!(bench.versions(), (1, None));
        assert_eq!(bench.switches().last(), Some(&(SwitchKind::Dropped, 2, 1)));
    }
}

#[test]
fn a_rollback_to_the_canary_promotes_it_and_one_to_another_ends_it() {
    let mut bench = with_canary();
    bench.run(&rollback(Some(2))).unwrap();
    assert_eq!(bench.versions(), (2, None));
    assert!(bench.enrich().rolled_back.is_empty());
    bench.deploy(canary("c", json!({"weight": "10%"}))).unwrap();
    bench.run(&rollback(Some(1))).unwrap();
    assert_eq!(bench.versions(), (1, None));
    assert_eq!(bench.switches().last(), Some(&(SwitchKind::Dropped, 3, 1)));
}

#[test]
fn a_guard_takes_back_the_canary_it_watched_and_no_other() {
    let mut bench = with_canary();
    let id = bench.enrich().id;
    let trip = |version| Command::GuardTripped {
        function: id,
        version: FunctionVersion(version),
        tripped: Tripped {
            reason: GuardReason::Errors,
            words: "37% of 54 calls failed (bound 5%)".to_owned(),
        },
    };
    assert!(bench.ask(&trip(3)).unwrap().change.is_none());
    let judged = bench.ask(&trip(2)).unwrap();
    assert_eq!(judged.fenced.len(), 1, "its units are fenced");
    bench.run(&trip(2)).unwrap();
    assert_eq!(bench.versions(), (1, None));
    let said = bench.enrich().rollout.rolled_back().unwrap();
    assert_eq!(
        (said.kind, said.canary, said.why.as_str()),
        (
            SwitchKind::RolledBack,
            FunctionVersion(2),
            "37% of 54 calls failed (bound 5%)"
        )
    );
    assert!(bench.ask(&trip(2)).unwrap().change.is_none());
    // The next deploy is a new beginning.
    bench.deploy(deploy("c", Value::Null)).unwrap();
    assert_eq!(bench.enrich().rollout.rolled_back(), None);
}

/// A version of the mapping's function says `fatal`.
fn says_fatal(mapping: MappingId, version: u64) -> Command {
    Command::StopMapping {
        mapping,
        code: "bad-config".to_owned(),
        message: "no such table".to_owned(),
        version: FunctionVersion(version),
    }
}

#[test]
fn a_fatal_of_the_canary_takes_it_back_and_stops_nothing() {
    let mut bench = with_canary();
    let mapping = bench.mapping("enrich/signups").id;
    let stop = |version| says_fatal(mapping, version);
    // Two shards met it.
    for _ in 0..2 {
        bench.run(&stop(2)).unwrap();
        assert_eq!(bench.mapping("enrich/signups").state, MappingState::Running);
    }
    let said = bench.enrich().rollout.rolled_back().unwrap();
    assert_eq!(said.why, "it said `fatal`: bad-config: no such table");
    bench.run(&stop(1)).unwrap();
    assert!(matches!(
        bench.mapping("enrich/signups").state,
        MappingState::Stopped { .. }
    ));
}

#[test]
fn a_canary_that_is_taken_back_resumes_nothing_that_the_live_version_stopped() {
    let mut bench = with_canary();
    let mapping = bench.mapping("enrich/signups").id;
    let stop = |version| says_fatal(mapping, version);
    bench.run(&stop(1)).unwrap();
    let trip = Command::GuardTripped {
        function: bench.enrich().id,
        version: FunctionVersion(2),
        tripped: Tripped {
            reason: GuardReason::Errors,
            words: String::new(),
        },
    };
    bench.run(&trip).unwrap();
    assert_eq!(bench.versions(), (1, None));
    let state = &bench.mapping("enrich/signups").state;
    assert!(matches!(state, MappingState::Stopped { .. }), "{state:?}");
}

#[test]
fn a_mapping_that_failed_keeps_no_canary() {
    let mut bench = deployed();
    bench
        .deploy(deploy("a", json!({"stream": "orders"})))
        .unwrap();
    let delete = Command::DeleteStream {
        name: name("signups"),
        force: true,
    };
    bench.run(&delete).unwrap();
    // What this one declares is bound where it can be.
    let outputs = json!({"stream": "orders", "outputs": {"rejected": "rejects"}});
    let mut wider = deploy("b", outputs);
    wider.component = Some(component("b", &["default", "rejected"]));
    bench.deploy(wider).unwrap();
    let mut third = canary("c", json!({"weight": "10%"}));
    third.component = Some(component("c", &["default", "rejected"]));
    bench.deploy(third).unwrap();
    for command in [promote(None), rollback(None)] {
        bench.ask(&command).unwrap();
    }
    bench.run(&rollback(None)).unwrap();
    assert_eq!(bench.versions(), (2, None));
}

#[test]
fn outputs_of_both_versions_are_bound() {
    let mut bench = deployed();
    let mut wider = canary("b", json!({"weight": "10%"}));
    wider.component = Some(component("b", &["default", "rejected"]));
    let refused = bench.deploy(wider.clone()).unwrap_err();
    assert!(
        matches!(refused, Refusal::OutputUnbound { .. }),
        "{refused}"
    );
    wider.mappings = deploy("b", json!({"outputs": {"rejected": "rejects"}})).mappings;
    bench.deploy(wider).unwrap();
    assert_eq!(bench.versions(), (1, Some((2, 100))));
    // What the canary alone declares may be sent elsewhere while it is one.
    let mut elsewhere = deploy("", json!({"outputs": {"rejected": "others"}}));
    elsewhere.component = None;
    bench.deploy(elsewhere).unwrap();
    bench.run(&promote(None)).unwrap();
}

#[test]
fn every_switch_fences_the_units() {
    let mut bench = deployed();
    for command in [
        Command::Deploy(Box::new(canary("b", json!({"weight": "10%"})))),
        promote(Some(json!({"weight": "20%"}))),
        rollback(None),
        Command::Deploy(Box::new(canary("b", json!({"weight": "10%"})))),
        promote(None),
    ] {
        let judged = bench.ask(&command).unwrap();
        assert_eq!(judged.fenced.len(), 1, "{command:?}");
        bench.run(&command).unwrap();
    }
}

#[test]
fn versions_that_are_called_are_never_forgotten() {
    let mut bench = with_canary();
    for n in 0..2 * crate::limits::VERSIONS_MAX {
        let next = canary(&format!("x{n}"), json!({"weight": "10%"}));
        bench.deploy(next).unwrap();
    }
    let enrich = bench.enrich();
    assert_eq!(enrich.versions.len(), crate::limits::VERSIONS_MAX);
    assert!(enrich.versions.contains_key(&FunctionVersion(1)));
    assert!(enrich.canary_version().is_some());
}
