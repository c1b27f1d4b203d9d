//! The interposer itself: what is not made durable is lost, what is stays, and nothing passes unseen.

use std::{fs, path::Path, process::Command};

use fnctl_faults::{
    Interposed, Random,
    disk::{Disk, Leaves, Told},
};

struct Ran {
    disk: Disk,
    told: Told,
    /// Lines that the program said are durable.
    said: usize,
    succeeded: bool,
}

fn interposed(folder: &Path, more: &[(&str, &str)]) -> Interposed {
    let plan = Interposed::new(&folder.join("root"), &folder.join("log"));
    more.iter()
        .fold(plan, |plan, (key, value)| plan.with(key, value))
}

fn run(folder: &Path, wishes: &[&str], more: &[(&str, &str)]) -> Ran {
    let root = folder.join("root");
    fs::create_dir(&root).expect("a folder");
    let plan = interposed(folder, more);
    let output = Command::new(env!("CARGO_BIN_EXE_fnctl-faults-writer"))
        .arg(&root)
        .args(wishes)
        .envs(plan.environment())
        .output()
        .expect("the writer starts");
    let records = plan.records().expect("records");
    let mut disk = Disk::default();
    let told = disk.replay(&records);
    Ran {
        disk,
        told,
        said: String::from_utf8_lossy(&output.stdout).lines().count(),
        succeeded: output.status.success(),
    }
}

/// Lines in front of the first one that is not as it was written.
fn lines_left(disk: &Disk, name: &str) -> Option<usize> {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("left");
    disk.write(&root).expect("a copy");
    let text = fs::read(root.join("inner").join(name)).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines = text.split_inclusive('\n').enumerate();
    Some(
        lines
            .take_while(|(n, line)| *line == format!("line {n}\n"))
            .count(),
    )
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn what_was_synced_survives_a_cut_at_any_call() {
    for (seed, wishes) in (1..60).zip([["none"], ["raw"]].iter().cycle()) {
        let folder = folder();
        let mut random = Random::new(seed);
        let kill = random.below(500).to_string();
        let how = *random.pick(&["before", "after", "half"]);
        let ran = run(folder.path(), wishes, &[("kill", &kill), ("how", how)]);
        assert_eq!(ran.succeeded, ran.told.killed.is_none());
        for leaves in [Leaves::Nothing, Leaves::Some, Leaves::All] {
            let disk = ran.disk.power_cut(leaves, leaves, &mut random);
            let left = lines_left(&disk, "lines").unwrap_or(0);
            assert!(
                left >= ran.said,
                "seed {seed}: {left} lines are left of {}",
                ran.said
            );
        }
    }
}

#[test]
fn what_was_not_synced_is_lost() {
    let folder = folder();
    let ran = run(folder.path(), &["no-sync"], &[]);
    assert!(ran.succeeded && ran.said == 200);
    let mut random = Random::new(7);
    let mut cut = |leaves| ran.disk.power_cut(leaves, Leaves::All, &mut random);
    assert_eq!(lines_left(&cut(Leaves::Nothing), "lines"), Some(0));
    assert_eq!(lines_left(&cut(Leaves::All), "lines"), Some(200));
    let some: Vec<_> = (0..50)
        .map(|_| lines_left(&cut(Leaves::Some), "lines"))
        .collect();
    assert!(some.iter().any(|left| *left < Some(200)), "{some:?}");
}

#[test]
fn a_name_is_lost_without_a_sync_of_its_directory() {
    let folder = folder();
    let ran = run(folder.path(), &["no-directory-sync"], &[]);
    assert!(ran.succeeded && ran.said == 200);
    let mut random = Random::new(7);
    let mut cut = |names| ran.disk.power_cut(Leaves::All, names, &mut random);
    assert_eq!(lines_left(&cut(Leaves::Nothing), "lines"), None);
    assert_eq!(lines_left(&cut(Leaves::All), "lines"), Some(200));
}

#[test]
fn a_new_name_is_taken_back_without_a_sync_of_its_directory() {
    for (wish, old, new) in [
        ("rename-directory-sync", None, Some(200)),
        ("no-more", Some(200), None),
    ] {
        let folder = folder();
        let ran = run(folder.path(), &["rename", wish], &[]);
        let mut random = Random::new(7);
        let cut = ran
            .disk
            .power_cut(Leaves::Nothing, Leaves::Nothing, &mut random);
        assert_eq!(lines_left(&cut, "lines.tmp"), old, "{wish}");
        assert_eq!(lines_left(&cut, "lines"), new, "{wish}");
    }
}

#[test]
fn a_sync_that_failed_is_not_made_good_by_a_later_one() {
    let folder = folder();
    // Syncs 1 and 2 are of directories, 3 is that of the first line.
    let ran = run(folder.path(), &["none"], &[("fault", "3"), ("of", "syncs")]);
    assert!(!ran.succeeded, "the writer gives up at the first error");
    assert_eq!(ran.told.faults.len(), 1);
    let mut random = Random::new(7);
    let cut = ran
        .disk
        .power_cut(Leaves::Nothing, Leaves::All, &mut random);
    assert_eq!(lines_left(&cut, "lines"), Some(0));
}

#[test]
fn a_short_write_is_short() {
    let folder = folder();
    let ran = run(
        folder.path(),
        &["none"],
        &[("fault", "4"), ("of", "writes"), ("kind", "short")],
    );
    // The standard library writes the rest.
    assert!(ran.succeeded && ran.told.faults.len() == 1);
    let mut random = Random::new(7);
    let cut = ran
        .disk
        .power_cut(Leaves::Nothing, Leaves::Nothing, &mut random);
    assert_eq!(lines_left(&cut, "lines"), Some(200));
}

#[test]
fn a_way_to_write_that_is_not_understood_ends_the_program() {
    for (wish, words) in [
        ("shared-map", "a shared mapping"),
        ("copy", "a copy in the kernel"),
    ] {
        let folder = folder();
        let root = folder.path().join("root");
        fs::create_dir(&root).expect("a folder");
        let output = Command::new(env!("CARGO_BIN_EXE_fnctl-faults-writer"))
            .arg(&root)
            .arg(wish)
            .envs(interposed(folder.path(), &[]).environment())
            .output()
            .expect("the writer starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(words),
            "{wish}: {said}"
        );
    }
}
