//! Reads `tests/conformance.md`: a table a subject, a row a case, and the tests that prove it.

/// The sections that the table must have.
const SECTIONS: [&str; 12] = [
    "Batch",
    "Retry",
    "Destination",
    "Bisect",
    "Partial",
    "Order",
    "Window",
    "Filter",
    "Life cycle",
    "Metrics",
    "Crash",
    "Rules of our own",
];

/// What is wrong with the table: a row whose test does not exist, a row that has neither a test nor a word
/// why not, a section that is missing. `read` gives the text of a file by its path in the last column.
#[must_use]
pub fn faults(table: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut sections = Vec::new();
    for (number, line) in (1..).zip(table.lines()) {
        if let Some(section) = line.strip_prefix("## ") {
            sections.push(section.trim());
        }
        let Some(row) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
            continue;
        };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let is_head = cells[0] == "Case" || cells.iter().all(|cell| cell.starts_with("---"));
        if is_head {
            continue;
        }
        let mut told = |words: String| faults.push(format!("line {number}: {words}"));
        let [case, ours, tests] = cells[..] else {
            told(format!("{} columns, not 3", cells.len()));
            continue;
        };
        if tests.is_empty() && ours.is_empty() {
            told(format!("`{case}` has neither a test nor a reason"));
        }
        for fault in faults_of_tests(tests, &read) {
            told(format!("`{case}`: {fault}"));
        }
    }
    for section in SECTIONS {
        if !sections.contains(&section) {
            faults.push(format!("no section `{section}`"));
        }
    }
    faults
}

/// A cell: a file in backticks, then its tests in backticks, then the next file.
fn faults_of_tests(cell: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut file: Option<(&str, String)> = None;
    for name in cell.split('`').skip(1).step_by(2) {
        if name.ends_with(".rs") {
            file = read(name).map(|text| (name, text));
            if file.is_none() {
                faults.push(format!("there is no file `{name}`"));
            }
            continue;
        }
        match &file {
            Some((path, text)) if !has_test(text, name) => {
                faults.push(format!("`{path}` has no test `{name}`"));
            }
            Some(_) => {}
            // A file that is not there was told already.
            None if faults.is_empty() => faults.push(format!("`{name}` stands behind no file")),
            None => {}
        }
    }
    faults
}

/// Whether `text` has a function of that name with a `test` attribute in front of it.
fn has_test(text: &str, name: &str) -> bool {
    let mut is_marked = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_marked |= line.starts_with("#[test]") || line.contains("::test");
            continue;
        }
        let function = line.strip_prefix("async ").unwrap_or(line);
        let function = function.strip_prefix("fn ");
        let rest = function.and_then(|function| function.strip_prefix(name));
        if is_marked && rest.is_some_and(|rest| rest.starts_with('(')) {
            return true;
        }
        is_marked = false;
    }
    false
}
