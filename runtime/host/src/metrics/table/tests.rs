use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use super::*;

/// The reference page, in Markdown.
fn reference() -> String {
    let mut page = "# Metrics\n\n<!-- Generated from runtime/host/src/metrics/table.rs by `make reference`. -->\n\n\
        `GET /metrics` of the API's listener, in Prometheus text format. Units are base units. A counter ends in `_total`\n\
        and begins at zero as soon as what it counts exists; how records ended is counted in the data directory, but for\n\
        why they are dead letters; the rest begins again with the process. Labels come from closed sets and from names that were configured, never from\n\
        records. What the alerts make of all this is in [`deploy/prometheus`](../../deploy/prometheus), what to do about\n\
        them in [`runbooks.md`](runbooks.md).\n"
        .to_owned();
    for (title, about, rows) in SECTIONS {
        write!(page, "\n## {title}\n\n{about}\n").expect("writing to memory does not fail");
        for metric in rows {
            let labels: Vec<String> = metric
                .labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            let labels = match labels.is_empty() {
                true => String::new(),
                false => format!(", by {}", labels.join(", ")),
            };
            let unit = match metric.unit {
                "" => String::new(),
                unit => format!(", {unit}"),
            };
            write!(
                page,
                "\n### `{}`\n\n{}{unit}{labels}. {}.\n\n```promql\n{}\n```\n",
                metric.name,
                metric.kind.as_str(),
                metric.help,
                metric.query
            )
            .expect("writing to memory does not fail");
        }
    }
    page
}

/// The page is made by `make reference`, which runs this with `FNCTL_REFERENCE=write`.
#[test]
fn the_reference_page_is_that_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = reference();
    if std::env::var_os("FNCTL_REFERENCE").is_some_and(|what| what == "write") {
        fs::write(&path, &page).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == page,
        "runtime/docs/metrics.md is not what the table says: run `make reference`"
    );
}

#[test]
fn names_are_told_once_and_by_the_rules_of_prometheus() {
    let mut names = BTreeSet::new();
    for metric in all() {
        let name = metric.name;
        assert!(names.insert(name), "{name} stands twice");
        let is_total = name.ends_with("_total");
        assert_eq!(is_total, metric.kind == Kind::Counter, "{name}");
        let is_base = !["_ms", "_millis", "_micros", "_kb", "_mb", "_percent"]
            .iter()
            .any(|unit| name.ends_with(unit));
        assert!(is_base, "{name} is in base units");
        if metric.unit.starts_with("seconds") || metric.unit == "bytes" {
            let word = metric.unit.split(' ').next().unwrap();
            assert!(name.contains(word), "{name} is in {}", metric.unit);
        }
        assert!(!metric.help.ends_with('.'), "{name}: no full stop");
        let is_named = metric.query.contains(name);
        assert!(is_named, "{name}: its example query asks for it");
    }
}
