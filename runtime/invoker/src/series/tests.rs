use super::*;
use SeriesKind::{Counter, Gauge};

fn cell(
    of: &FunctionSeries,
    kind: SeriesKind,
    name: &str,
    label: &str,
) -> Result<Arc<SeriesCell>, SeriesRefusal> {
    of.cell(Series::new(kind, name, [("a", label)]).expect("a good name"))
}

#[test]
fn a_series_is_one_whoever_asks_for_it() {
    let all = FunctionSeries::default();
    cell(&all, Counter, "n", "1").unwrap().add(1.0).unwrap();
    cell(&all, Counter, "n_total", "1")
        .unwrap()
        .add(2.5)
        .unwrap();
    cell(&all, Counter, "n", "2").unwrap();
    cell(&all, Gauge, "n", "1").unwrap().set(-4.0).unwrap();
    let samples = all.samples();
    let told: Vec<_> = samples
        .iter()
        .map(|(s, value)| (s.family(), *value))
        .collect();
    assert_eq!(
        told,
        [
            ("fnctl_custom_n", -4.0),
            ("fnctl_custom_n_total", 3.5),
            ("fnctl_custom_n_total", 0.0),
        ]
    );
}

#[test]
fn the_budget_refuses_what_is_new_and_nothing_that_is_there() {
    let all = FunctionSeries::default();
    for number in 0..FUNCTION_SERIES_MAX {
        cell(&all, Counter, "n", &number.to_string()).expect("within the budget");
    }
    let refusal = cell(&all, Counter, "n", "one more").unwrap_err();
    assert_eq!(refusal.reason(), RefusalReason::Budget);
    assert!(cell(&all, Gauge, "n", "0").is_err());
    assert!(cell(&all, Counter, "n", "7").is_ok());
    assert_eq!(all.samples().len(), FUNCTION_SERIES_MAX);
}

#[test]
fn counters_grow_gauges_go_both_ways_and_both_stay_finite() {
    let all = FunctionSeries::default();
    let counter = cell(&all, Counter, "n", "").unwrap();
    let gauge = cell(&all, Gauge, "n", "").unwrap();
    let reason = |refused: Result<(), SeriesRefusal>| refused.unwrap_err().reason();
    for amount in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(
            reason(counter.add(amount)),
            RefusalReason::Amount,
            "{amount}"
        );
    }
    assert_eq!(reason(counter.set(1.0)), RefusalReason::Kind);
    for value in [f64::NAN, f64::INFINITY] {
        assert_eq!(reason(gauge.set(value)), RefusalReason::Amount, "{value}");
        assert_eq!(reason(gauge.add(value)), RefusalReason::Amount, "{value}");
    }
    assert_eq!((counter.get(), gauge.get()), (0.0, 0.0));
    counter.add(f64::MAX).unwrap();
    assert_eq!(reason(counter.add(f64::MAX)), RefusalReason::Amount);
    assert_eq!(counter.get(), f64::MAX);
    gauge.set(2.0).unwrap();
    gauge.add(-3.0).unwrap();
    assert_eq!(gauge.get(), -1.0);
}

#[test]
fn nothing_is_lost_between_threads() {
    let all = FunctionSeries::default();
    let counter = cell(&all, Counter, "n", "").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(|_| counter.add(1.0).unwrap()));
        }
    });
    assert_eq!(counter.get(), 40_000.0);
}
