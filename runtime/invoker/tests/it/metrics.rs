//! Functions' own counters and gauges: they count at once, whatever becomes of the call, and fail none.

use std::{sync::Arc, time::Instant};

use fnctl_core::{outcome::Outcome, series::RefusalReason};
use fnctl_invoker::{Engine, Function, FunctionSeries, Isolation, LogSource, VersionSettings};

use crate::support::{Lines, bodies, complete, engine, guest, load, outcome, settings, told};

async fn counting(engine: &Engine, series: &Arc<FunctionSeries>) -> Arc<Function> {
    let settings = VersionSettings {
        series: Arc::clone(series),
        ..settings()
    };
    load(engine, "counting", settings).await
}

/// Every series, as `name{label=value} value`.
fn standing(series: &FunctionSeries) -> Vec<String> {
    let line = |(series, value): &(Arc<fnctl_core::series::Series>, f64)| {
        let labels: Vec<String> = series.labels().map(|(l, v)| format!("{l}={v}")).collect();
        format!("{}{{{}}} {value}", series.family(), labels.join(","))
    };
    series.samples().iter().map(line).collect()
}

fn dropped(lines: &Lines) -> Vec<String> {
    let all = lines.take().into_iter();
    all.filter(|line| line.source == LogSource::Host)
        .map(|line| line.message)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_counts_stays_whatever_becomes_of_it() {
    let (engine, _) = engine();
    let series = Arc::default();
    let function = counting(&engine, &series).await;
    let words = [
        "sold book",
        "sold pen",
        "sold book",
        "add 2.5",
        "level 4",
        "by -6",
        "skip",
    ];
    let (_, failures) = told(&outcome(&function, &words).await);
    assert_eq!(failures, [(6, "bad".to_owned())]);
    let trapped = outcome(&function, &["panic"]).await;
    assert!(matches!(trapped, Outcome::Trap { .. }), "{trapped:?}");
    assert_eq!(
        standing(&series),
        [
            "fnctl_custom_level{} -2",
            "fnctl_custom_seen_total{} 8",
            "fnctl_custom_sold_total{} 2.5",
            "fnctl_custom_sold_total{kind=book} 2",
            "fnctl_custom_sold_total{kind=pen} 1",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_and_versions_that_share_series_add_up() {
    let (engine, _) = engine();
    let series = Arc::default();
    let fresh = VersionSettings {
        isolation: Isolation::Fresh,
        series: Arc::clone(&series),
        ..settings()
    };
    let (one, other) = (
        load(&engine, "counting", fresh).await,
        counting(&engine, &series).await,
    );
    for _ in 0..3 {
        complete(&one, &["a", "sold book"]).await;
        complete(&other, &["sold book"]).await;
    }
    assert_eq!(
        standing(&series),
        [
            "fnctl_custom_seen_total{} 9",
            "fnctl_custom_sold_total{kind=book} 6"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_drops_what_is_beyond_and_tells_it_once() {
    let (engine, lines) = engine();
    let series = Arc::default();
    let function = counting(&engine, &series).await;
    // With the one that it has seen: three too many, also in the next instance.
    for _ in 0..2 {
        let (_, failures) = told(&outcome(&function, &["series 102"]).await);
        assert_eq!(failures, []);
    }
    let all = standing(&series);
    assert_eq!(all.len(), 100);
    assert!(
        all.contains(&"fnctl_custom_sold_total{kind=98} 2".to_owned()),
        "{all:?}"
    );
    assert_eq!(series.refused(RefusalReason::Budget), 6);
    let told = dropped(&lines);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("the function has 100 series"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_are_dropped_counted_and_told_once_by_reason() {
    let (engine, lines) = engine();
    let series: Arc<FunctionSeries> = Arc::default();
    let settings = VersionSettings {
        series: Arc::clone(&series),
        ..settings()
    };
    let raw = load(&engine, "raw", settings).await;
    for _ in 0..2 {
        let outcome = outcome(&raw, &["metric-lies"]).await;
        assert_eq!(bodies(&outcome), ["4 refused, then 0"]);
    }
    assert_eq!(standing(&series), ["fnctl_custom_lies_total{} 1"]);
    let refused = RefusalReason::ALL.map(|reason| (reason.as_str(), series.refused(reason)));
    assert_eq!(
        refused,
        [
            ("name", 4),
            ("label", 4),
            ("budget", 0),
            ("kind", 8),
            ("amount", 6),
            ("number", 2),
        ]
    );
    let told = dropped(&lines);
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(told.iter().all(|line| line.len() < 300), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_counts_nothing_does_not_import_it() {
    let (engine, _) = engine();
    for (name, imports) in [("counting", true), ("hostile", false), ("windowed", false)] {
        let uses = engine.inspect(guest(name)).await.expect("it is good").uses;
        assert_eq!(
            uses.contains(&"metrics".to_owned()),
            imports,
            "{name}: {uses:?}"
        );
    }
}

/// A figure, and no test of it: what one `add` costs, of a warm instance, the difference of many calls of it
/// and one.
#[tokio::test(flavor = "multi_thread")]
async fn adding_a_million_times_adds_a_million() {
    let (engine, _) = engine();
    let series: Arc<FunctionSeries> = Arc::default();
    let function = counting(&engine, &series).await;
    complete(&function, &["times 1", "times-with 1"]).await;
    for word in ["times", "times-with"] {
        let start = Instant::now();
        complete(&function, &[&format!("{word} 1000000")]).await;
        println!(
            "{word}: {} ns an add",
            start.elapsed().as_nanos() / 1_000_000
        );
    }
    let all = standing(&series);
    assert!(
        all.contains(&"fnctl_custom_sold_total{} 1000001".to_owned()),
        "{all:?}"
    );
    assert!(
        all.contains(&"fnctl_custom_sold_total{kind=a} 1000001".to_owned()),
        "{all:?}"
    );
}
