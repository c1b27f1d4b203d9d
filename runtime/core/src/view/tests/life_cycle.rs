//! Where a mapping stands in its stream, through all that is done to it (Lambda ESM specification §3 and
//! §4, §22 row Life cycle).

use serde_json::json;

use super::*;

/// Ten records, five settled, one of the others done before its turn, one charged.
fn half_done() -> (Bench, UnitId) {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    bench.put("in", some(10));
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    let commit = Commit {
        settles: [range(0, 5), range(7, 8)].into_iter().collect(),
        attempts: vec![mark(6, 2)],
        ..bench.blank(unit)
    };
    bench.commit(commit).unwrap();
    (bench, unit)
}

/// What is done to it, and whether its owner has to go.
type Row = (&'static str, fn(&mut Bench, MappingId), bool);

#[test]
fn whatever_is_changed_a_mapping_goes_on_where_it_was() {
    let version = |bench: &mut Bench, digest: &str| {
        let deploy = deploy("f", digest, json!({"stream": "in"}));
        bench.command(&Command::Deploy(Box::new(deploy)));
    };
    let rows: [Row; 6] = [
        (
            "paused",
            |bench, mapping| drop(bench.command(&Command::PauseMapping { mapping })),
            false,
        ),
        (
            "paused and resumed",
            |bench, mapping| {
                bench.command(&Command::PauseMapping { mapping });
                bench.command(&Command::ResumeMapping { mapping });
            },
            false,
        ),
        (
            "stopped by a fatal",
            |bench, mapping| {
                let (code, message) = ("c".to_owned(), "m".to_owned());
                bench.command(&Command::StopMapping {
                    mapping,
                    code,
                    message,
                    version: crate::id::FunctionVersion(1),
                });
            },
            false,
        ),
        (
            "its settings changed",
            |bench, _| {
                let layer = json!({"stream": "in", "batch_size": 7, "starting_position": "latest"});
                bench.deploy("f", layer);
            },
            true,
        ),
        (
            "a filter named",
            |bench, _| {
                bench.deploy(
                    "f",
                    json!({"stream": "in", "filter": [{"partitionKey": ["k"]}]}),
                );
            },
            true,
        ),
        (
            "the node started anew",
            |bench, _| bench.view = NodeView::from_values(bench.view.values()).unwrap(),
            false,
        ),
    ];
    for (what, change, fences) in rows {
        let (mut bench, unit) = half_done();
        let before = bench.view.unit(unit).unwrap().clone();
        change(&mut bench, unit.mapping);
        let after = bench.view.unit(unit).unwrap();
        assert_eq!(after.settled, before.settled, "{what}");
        assert_eq!(after.attempts, before.attempts, "{what}");
        assert_eq!(after.totals, before.totals, "{what}");
        assert_eq!(bench.view.pending(unit), Some(4), "{what}");
        assert_eq!(after.epoch != before.epoch, fences, "{what}");
    }
    let (mut bench, unit) = half_done();
    version(&mut bench, "b");
    assert_eq!(bench.view.pending(unit), Some(4), "a new version");
}

#[test]
fn a_mapping_that_is_deleted_loses_its_place() {
    let (mut bench, unit) = half_done();
    bench.command(&Command::DeleteMapping {
        mapping: unit.mapping,
        force: true,
    });
    assert_eq!(bench.view.pending(unit), None);
    let again = bench.deploy("f", json!({"stream": "in"}));
    assert_ne!(again, unit.mapping);
    let unit = bench.unit(again, 0);
    assert_eq!(bench.view.pending(unit), Some(10), "from the beginning");
}
