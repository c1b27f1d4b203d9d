//! The unit of systemd, as systemd reads it.

use std::{path::Path, process::Command};

use fnctl_tests::binary;

/// The unit, with the binary under test in it.
fn unit(folder: &Path) -> std::path::PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd/fnctl.service");
    let unit = std::fs::read_to_string(source).expect("the unit is there");
    let installed = "/usr/local/bin/fnctl";
    assert!(unit.contains(installed));
    let path = folder.join("fnctl.service");
    let here = binary().canonicalize().expect("the binary is there");
    std::fs::write(&path, unit.replace(installed, &here.to_string_lossy())).expect("it is written");
    path
}

fn analyze(words: &[&str], unit: &Path) -> (bool, String) {
    let output = Command::new("systemd-analyze")
        .args(words)
        .arg(unit)
        .output()
        .expect("systemd-analyze, of the package systemd");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn systemd_takes_the_unit_and_finds_nothing_to_say() {
    let folder = tempfile::tempdir().unwrap();
    let (is_good, said) = analyze(&["verify", "--man=no"], &unit(folder.path()));
    assert!(is_good && said.trim().is_empty(), "{said}");
}

#[test]
fn the_unit_gives_the_service_little() {
    let folder = tempfile::tempdir().unwrap();
    // Of 100; without any of its lines it is 96.
    let words = ["security", "--offline=true", "--no-pager", "--threshold=20"];
    let (is_good, said) = analyze(&words, &unit(folder.path()));
    assert!(is_good, "{said}");
}
