//! Reads `deploy/` and the pages that belong to it: whether alerts, dashboards, reference and runbooks agree.

use std::collections::BTreeSet;

/// The names of the reference page `runtime/docs/metrics.md`, with those of the series that histograms and summaries
/// have.
#[must_use]
pub fn series(reference: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut name = "";
    for line in reference.lines() {
        if let Some(heading) = line.strip_prefix("### `") {
            name = heading.trim_end_matches('`');
            names.insert(name.to_owned());
        }
        let suffixes: &[&str] = match line.split([',', '.']).next() {
            Some("histogram") => &["_bucket", "_sum", "_count"],
            Some("summary") => &["_sum", "_count"],
            _ => &[],
        };
        names.extend(suffixes.iter().map(|suffix| format!("{name}{suffix}")));
    }
    names
}

/// What in a rule file or dashboard is named like a metric or a recorded series.
pub fn named(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let words = text.split(move |c| !is_part(c));
    words.map(|word| word.trim_matches(':')).filter(|word| {
        let is_ours = ["fnctl_", "process_", "tokio_"]
            .iter()
            .any(|prefix| word.starts_with(prefix));
        is_ours || word.contains(":fnctl_")
    })
}

/// The values of a key of a YAML file whose lines are `key: value` or `- key: value`.
pub fn values<'a>(yaml: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    yaml.lines().filter_map(move |line| {
        let line = line.trim_start().trim_start_matches("- ");
        line.strip_prefix(key)?.strip_prefix(": ").map(str::trim)
    })
}

/// What is wrong with the alerts: one that lacks a severity, words, a paragraph of its own, or a test that it fires
/// and one that it does not; a paragraph of no alert.
#[must_use]
pub fn faults_of_alerts(alerts: &str, tests: &str, runbooks: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let names: Vec<&str> = values(alerts, "alert").collect();
    let blocks = alerts.split("- alert: ").skip(1);
    for (name, block) in names.iter().zip(blocks) {
        for part in [
            "expr: ",
            "labels: {severity: ",
            "summary: ",
            "description: ",
        ] {
            if !block.contains(part) {
                faults.push(format!("`{name}` has no `{part}`"));
            }
        }
        let page = format!("runtime/docs/runbooks.md#{}", name.to_lowercase());
        if !values(block, "runbook").any(|runbook| runbook == page) {
            faults.push(format!("`{name}` does not name `{page}`"));
        }
        if !runbooks.lines().any(|line| line == format!("### {name}")) {
            faults.push(format!("`{name}` has no paragraph in the runbooks"));
        }
        for word in ["fires", "does not fire"] {
            let test = format!("{name} {word}");
            if !values(tests, "name").any(|name| name == test) {
                faults.push(format!("no test `{test}`"));
            }
        }
    }
    let headings = runbooks
        .lines()
        .filter_map(|line| line.strip_prefix("### "));
    for heading in headings.filter(|heading| !names.contains(heading)) {
        faults.push(format!(
            "the runbooks have a paragraph of no alert: `{heading}`"
        ));
    }
    for link in runbooks.split("](#").skip(1) {
        let anchor = link.split(')').next().unwrap_or_default();
        if !names.iter().any(|name| name.to_lowercase() == anchor) {
            faults.push(format!("the runbooks point to nothing: `#{anchor}`"));
        }
    }
    faults
}
