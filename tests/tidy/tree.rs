//! The project's files as the house rules see them.

pub mod conformance;
pub mod logging;
pub mod watching;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A tracked text file.
pub struct SourceFile {
    /// Path from the root of the checkout, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The root of the checkout.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file that git tracks or would track, as paths from the root.
///
/// # Panics
/// If git does not answer.
#[must_use]
pub fn paths() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs in a checkout");
    assert!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The files with one of `extensions`.
#[must_use]
pub fn files(extensions: &[&str]) -> Vec<SourceFile> {
    paths()
        .into_iter()
        .filter(|path| {
            extensions
                .iter()
                .any(|e| path.rsplit('.').next() == Some(e))
        })
        .filter_map(|path| {
            let text = std::fs::read_to_string(root().join(&path)).ok()?;
            Some(SourceFile { path, text })
        })
        .collect()
}

/// `cargo metadata` of the workspace.
///
/// # Panics
/// If cargo does not answer.
#[must_use]
pub fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo answers JSON")
}
