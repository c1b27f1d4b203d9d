//! The house rules that a machine can check. Each test lists every offender at once.

use fnctl_tidy::{SourceFile, files, metadata, paths};

const LINES_MAX: usize = 500;

/// Which of our packages each runtime crate may depend on: the arrows of `runtime/ARCHITECTURE.md`.
const ARROWS: [(&str, &[&str]); 8] = [
    ("fnctl-core", &[]),
    ("fnctl-store", &["fnctl-core"]),
    ("fnctl-streams", &["fnctl-core", "fnctl-store"]),
    ("fnctl-invoker", &["fnctl-core"]),
    (
        "fnctl-host",
        &[
            "fnctl-core",
            "fnctl-store",
            "fnctl-streams",
            "fnctl-invoker",
        ],
    ),
    (
        "fnctl-cli",
        &["fnctl-core", "fnctl-store", "fnctl-host", "fnctl-invoker"],
    ),
    ("fnctl-sdk", &["fnctl-sdk-macros"]),
    ("fnctl-sdk-macros", &[]),
];

fn none(offenders: Vec<String>, rule: &str) {
    assert!(
        offenders.is_empty(),
        "{rule}:\n  {}",
        offenders.join("\n  ")
    );
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Lines of a file in front of its inline tests.
fn own_lines(file: &SourceFile) -> usize {
    file.text
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .count()
}

#[test]
fn files_stay_short() {
    let long = files(&["rs"])
        .iter()
        .filter(|file| !is_test(&file.path) && own_lines(file) > LINES_MAX)
        .map(|file| format!("{} has {} lines", file.path, own_lines(file)))
        .collect();
    none(long, "a file holds one concept, in at most 500 lines");
}

#[test]
fn names_say_what_is_inside() {
    let vague = paths()
        .into_iter()
        .filter(|path| {
            let stem = path
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .split('.')
                .next();
            path.ends_with("/mod.rs")
                || matches!(
                    stem,
                    Some("util" | "utils" | "helper" | "helpers" | "common" | "misc" | "manager")
                )
        })
        .collect();
    none(vague, "no mod.rs, no utils, no common, no manager");
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["todo!(", "unimplemented!(", "dbg!(", "TODO", "FIXME", "XXX"];
    let mut found = Vec::new();
    for file in files(&["rs"])
        .iter()
        .filter(|file| !file.path.starts_with("tests/tidy/"))
    {
        for (number, line) in file.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    none(found, "nothing is left for later");
}

#[test]
fn tests_neither_sleep_nor_rest() {
    let marks = ["#[ignore", "thread::sleep("];
    // A guest may sleep: that is what some of them are for.
    let is_judged =
        |path: &str| !path.starts_with("tests/tidy/") && !path.starts_with("tests/guests/");
    let mut found = Vec::new();
    for file in files(&["rs"]).iter().filter(|file| is_judged(&file.path)) {
        for (number, line) in file.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{}:{}", file.path, number + 1));
            }
        }
    }
    none(found, "no sleeping, no ignored tests");
}

#[test]
fn core_stays_pure() {
    let marks = [
        "Instant::now",
        "SystemTime::now",
        "tokio::",
        "tracing::",
        "std::fs",
        "std::net",
        "std::env",
        "std::thread",
        "println!",
        "rand::",
    ];
    let mut found = Vec::new();
    for file in files(&["rs"])
        .iter()
        .filter(|file| file.path.starts_with("runtime/core/src/"))
    {
        for (number, line) in file.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if !is_test(&file.path) && marks.iter().any(|mark| code.contains(mark)) {
                found.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    none(
        found,
        "core has no I/O, clock, randomness, runtime or logging",
    );
}

#[test]
fn only_the_invoker_is_unsafe() {
    let found = files(&["rs"])
        .iter()
        .filter(|file| {
            file.path.starts_with("runtime/") && !file.path.starts_with("runtime/invoker/")
        })
        .filter(|file| {
            file.text
                .lines()
                .any(|line| line.trim_start().starts_with("unsafe ") || line.contains(" unsafe {"))
        })
        .map(|file| file.path.clone())
        .collect();
    none(found, "unsafe code lives in the invoker alone");
}

#[test]
fn dependencies_point_one_way() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    let mut found = Vec::new();
    for (name, allowed) in ARROWS {
        let package = packages
            .iter()
            .find(|package| package["name"] == name)
            .unwrap_or_else(|| panic!("package {name} exists"));
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let on = dependency["name"].as_str().unwrap_or_default();
            let is_ours = on.starts_with("fnctl-");
            if is_ours && dependency["kind"].is_null() && !allowed.contains(&on) {
                found.push(format!("{name} depends on {on}"));
            }
        }
    }
    none(
        found,
        "dependencies point the way that runtime/ARCHITECTURE.md draws",
    );
}

#[test]
fn every_runtime_crate_names_its_bounds() {
    let all = paths();
    let missing = ["core", "store", "streams", "invoker", "host"]
        .iter()
        .map(|name| format!("runtime/{name}/src/limits.rs"))
        .filter(|path| !all.contains(path))
        .collect();
    none(missing, "each crate that bounds something has a limits.rs");
}

#[test]
fn versions_live_in_the_workspace_table() {
    let mut found = Vec::new();
    for file in files(&["toml"]) {
        let is_member = file.path.ends_with("Cargo.toml")
            && (file.path.starts_with("runtime/") || file.path.starts_with("tests/"))
            && !file.path.starts_with("tests/guests/")
            && !file.path.contains("/template/");
        for line in file.text.lines().filter(|_| is_member) {
            let is_version = line.contains(" = \"") && line.contains("version = \"");
            let is_short = line.split_once(" = \"").is_some_and(|(_, rest)| {
                rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '=' | '^' | '~'))
            });
            if is_version || is_short {
                found.push(format!("{}: {line}", file.path));
            }
        }
    }
    none(
        found,
        "a dependency's version is written once, in the root manifest",
    );
}
