use super::*;
use RefusalReason::{Label, Name};
use SeriesKind::{Counter, Gauge};

fn reason(kind: SeriesKind, name: &str, labels: &[(&str, &str)]) -> Option<RefusalReason> {
    let made = Series::new(kind, name, labels.iter().copied());
    made.err().map(|refusal| refusal.reason())
}

#[test]
fn a_counter_always_ends_in_total_and_a_gauge_never() {
    for (kind, name, exposed) in [
        (Counter, "orders", "fnctl_custom_orders_total"),
        (Counter, "orders_total", "fnctl_custom_orders_total"),
        (Counter, "total", "fnctl_custom_total_total"),
        (Counter, "a0__b", "fnctl_custom_a0__b_total"),
        (Gauge, "queue_bytes", "fnctl_custom_queue_bytes"),
        (Gauge, "total", "fnctl_custom_total"),
    ] {
        let series = Series::new(kind, name, []).expect("it is a name");
        assert_eq!((series.family(), series.kind()), (exposed, kind));
    }
    assert_eq!(reason(Gauge, "orders_total", &[]), Some(Name));
}

#[test]
fn names_that_would_not_be_prometheuss_are_refused() {
    let long = "a".repeat(65);
    for name in [
        "", "Orders", "0rders", "_orders", "or-ders", "or ders", "a:b", "zäh", "a\0", &long,
    ] {
        assert_eq!(reason(Counter, name, &[]), Some(Name), "{name}");
        assert_eq!(reason(Gauge, name, &[]), Some(Name), "{name}");
    }
    for end in ["bucket", "count", "created", "info", "sum"] {
        let name = format!("orders_{end}");
        assert_eq!(reason(Gauge, &name, &[]), Some(Name), "{name}");
        assert_eq!(reason(Counter, &name, &[]), Some(Name), "{name}");
        let name = format!("{name}_total");
        assert_eq!(reason(Counter, &name, &[]), Some(Name), "{name}");
    }
    assert_eq!(reason(Gauge, &"a".repeat(64), &[]), None);
}

#[test]
fn labels_are_bounded_and_leave_those_of_others_alone() {
    let long = "a".repeat(65);
    for label in [
        "", "Zip", "0", "a-b", "__name", "__", "function", "le", "quantile", "job", "instance",
        "zäh", &long,
    ] {
        assert_eq!(
            reason(Counter, "n", &[(label, "v")]),
            Some(Label),
            "{label}"
        );
    }
    for value in [&*"ä".repeat(65), "a\0", "a\r", "\u{1b}[1m", "\u{85}"] {
        assert_eq!(
            reason(Counter, "n", &[("a", value)]),
            Some(Label),
            "{value}"
        );
    }
    for value in [&*"ä".repeat(64), "a\"b\\c\nd\te", ""] {
        assert_eq!(reason(Counter, "n", &[("_a", value)]), None, "{value}");
    }
    let five = ["a", "b", "c", "d", "e"].map(|label| (label, "v"));
    assert_eq!(reason(Gauge, "n", &five), Some(Label));
    assert_eq!(reason(Gauge, "n", &five[..4]), None);
    assert_eq!(reason(Gauge, "n", &[("a", "1"), ("a", "1")]), Some(Label));
}

#[test]
fn the_order_of_labels_and_empty_ones_make_no_difference() {
    let of = |labels: &[(&str, &str)]| Series::new(Gauge, "n", labels.iter().copied()).unwrap();
    let series = of(&[("b", "2"), ("c", ""), ("a", "1")]);
    assert_eq!(series, of(&[("a", "1"), ("b", "2")]));
    let labels: Vec<_> = series.labels().collect();
    assert_eq!(labels, [("a", "1"), ("b", "2")]);
}

#[test]
fn what_is_told_of_a_bad_name_is_short_and_harmless() {
    let name = format!("\u{1b}[2J{}", "x".repeat(10_000));
    let words = Series::new(Counter, &name, []).unwrap_err().to_string();
    assert!(words.len() < 200 && !words.contains('\u{1b}'), "{words}");
}

#[test]
fn each_reason_stands_at_its_own_number() {
    for (index, reason) in RefusalReason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, index);
    }
}
