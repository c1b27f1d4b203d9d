//! The commit of the checkout that is built, read from git's files: nothing need be installed, and
//! nothing is told outside a checkout.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Tells the compiler the commit of the checkout at `root`, and cargo when to ask again.
pub(crate) fn tell(root: &Path, version: &str) {
    // Somebody who builds from an archive may still say it.
    println!("cargo::rerun-if-env-changed=FNCTL_COMMIT");
    let given = std::env::var("FNCTL_COMMIT").ok();
    let commit = given
        .filter(|commit| !commit.is_empty())
        .or_else(|| of_checkout(root));
    match commit {
        Some(commit) => {
            println!("cargo::rustc-env=FNCTL_COMMIT={commit}");
            println!("cargo::rustc-env=FNCTL_VERSION_LINE={version} (commit {commit})");
        }
        None => println!("cargo::rustc-env=FNCTL_VERSION_LINE={version}"),
    }
}

fn of_checkout(root: &Path) -> Option<String> {
    let git = git_folder(&root.join(".git"))?;
    // The log of HEAD grows with everything that moves it; the others stand in where there is none.
    // A path that is missing would run this script at every build.
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let common = fs::read_to_string(git.join("commondir"))
        .map_or_else(|_| git.clone(), |path| git.join(path.trim()));
    let name = head.trim().strip_prefix("ref: ");
    let mut watched = vec![
        git.join("HEAD"),
        git.join("logs/HEAD"),
        common.join("packed-refs"),
    ];
    watched.extend(name.map(|name| common.join(name)));
    for path in watched.iter().filter(|path| path.is_file()) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let commit = match name {
        None => head.trim().to_owned(),
        Some(name) => fs::read_to_string(common.join(name))
            .ok()
            .or_else(|| packed(&common, name))?,
    };
    let short = commit.trim().get(..12)?;
    short
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| short.to_owned())
}

/// `.git`, or in a worktree the folder that it names.
fn git_folder(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let text = fs::read_to_string(path).ok()?;
    let folder = text.trim().strip_prefix("gitdir: ")?;
    Some(path.parent()?.join(folder))
}

fn packed(common: &Path, name: &str) -> Option<String> {
    let refs = fs::read_to_string(common.join("packed-refs")).ok()?;
    refs.lines()
        .find_map(|line| line.strip_suffix(name)?.strip_suffix(' '))
        .map(str::to_owned)
}
