//! Where dead letters are copied to.

use super::*;
use crate::destination::{Destination, Relay};

fn relay(bench: &Bench) -> Option<&Relay> {
    bench.mapping("enrich").settings.on_failure.as_ref()
}

#[test]
fn letters_from_before_a_destination_was_named_are_not_copied() {
    let mut bench = Bench::default();
    let there = json!({"stream": "signups", "on_failure": "https://example.org/a"});
    bench.deploy(deploy("a", there.clone())).unwrap();
    assert_eq!(relay(&bench).map(|relay| relay.after), Some(Ordinal(0)));
    // What waits goes to wherever letters are to go now.
    bench.tails.last = 7;
    let done = bench.deploy(deploy("b", there)).unwrap();
    assert_eq!(done.changes.len(), 1, "the version alone");
    let other = json!({"stream": "signups", "on_failure": "file:/tmp/letters.ndjson"});
    let done = bench.deploy(deploy("b", other.clone())).unwrap();
    assert_eq!(done.changes[0].path, "mapping.on_failure");
    let found = relay(&bench).unwrap();
    assert_eq!(found.after, Ordinal(0));
    assert_eq!(
        found.to,
        Destination::parse("file:/tmp/letters.ndjson").unwrap()
    );
    for reset in ["dlq", "default"] {
        bench
            .deploy(deploy(
                "b",
                json!({"stream": "signups", "on_failure": reset}),
            ))
            .unwrap();
        assert_eq!(relay(&bench), None, "{reset}");
    }
    bench.deploy(deploy("b", other)).unwrap();
    assert_eq!(relay(&bench).map(|relay| relay.after), Some(Ordinal(7)));
}

#[test]
fn a_stream_that_takes_letters_is_made_and_is_in_use() {
    let mut bench = Bench::default();
    let there = json!({"stream": "signups", "on_failure": "stream:failures"});
    let done = bench.deploy(deploy("a", there)).unwrap();
    let made: Vec<&str> = done
        .created_streams
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert!(made.contains(&"failures"), "{made:?}");
    let refused = bench.run(&Command::DeleteStream {
        name: name("failures"),
        force: false,
    });
    assert!(
        matches!(refused, Err(Refusal::StreamInUse { .. })),
        "{refused:?}"
    );
}

#[test]
fn letters_never_come_back_to_where_they_failed_whatever_is_allowed() {
    for outputs in [json!({}), json!({"default": "none"})] {
        let mut bench = Bench::default();
        let round =
            json!({"stream": "signups", "outputs": outputs, "on_failure": "stream:signups"});
        let mut round = deploy("a", round);
        round.allow_loop = true;
        let refused = bench.deploy(round).unwrap_err();
        let Refusal::Invalid { problems } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(problems[0].path, "on_failure");
    }
}

#[test]
fn where_a_relay_has_come_to_is_not_another_way_for_a_loop_that_was_allowed() {
    let mut bench = Bench::default();
    let there = json!({"stream": "signups", "outputs": {"default": "signups"}});
    let mut round = deploy("a", there);
    round.allow_loop = true;
    bench.deploy(round).unwrap();
    bench.tails.last = 7;
    let there = json!({
        "stream": "signups", "outputs": {"default": "signups"}, "on_failure": "stream:failures"
    });
    let mut copied = deploy("a", there.clone());
    copied.allow_loop = true;
    bench.deploy(copied).unwrap();
    assert_eq!(relay(&bench).map(|relay| relay.after), Some(Ordinal(7)));
    let mut again = deploy("b", there);
    again.is_manifest = true;
    bench.deploy(again).expect("nothing of its way changed");
}
