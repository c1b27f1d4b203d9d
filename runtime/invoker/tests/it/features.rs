//! What is compiled in: what is off cannot be reached by anything a component does.

use std::{collections::BTreeSet, process::Command};

/// The features of a crate that some member of the workspace, or something below one, switches on.
fn features(of: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--offline", "--edges", "features"])
        .args(["--prefix", "none", "--depth", "1", "--invert", of])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree: {words}");
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix(of)?.strip_prefix(" feature \""))
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()));
    names.collect()
}

/// Cargo joins what all crates ask for: one of them could switch on what most advisories are about.
#[test]
fn nothing_is_compiled_in_that_is_switched_off() {
    let wasmtime = features("wasmtime");
    assert!(wasmtime.contains("component-model"), "{wasmtime:?}");
    for off in [
        "component-model-async",
        "gc",
        "gc-copying",
        "gc-drc",
        "gc-null",
        "stack-switching",
        "threads",
        "winch",
    ] {
        assert!(!wasmtime.contains(off), "{off} is on: {wasmtime:?}");
    }
    let wasi: Vec<String> = features("wasmtime-wasi").into_iter().collect();
    assert_eq!(wasi, ["p2"], "WASI 0.2 and nothing else");
}
