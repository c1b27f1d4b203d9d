//! The disk fills, on a small file system of this test's own: puts end first, then results.

use std::{fs, path::Path, process::Command};

use fnctl_tests::{Server, request};
use serde_json::json;

use super::{
    Night,
    minutes::{commands, message, numbered},
};
use crate::support::{metric, one, put};

/// Set in the process that has a mount namespace of its own.
const INSIDE: &str = "FNCTL_NIGHT_MOUNTED";
/// Set by who accepts that this is not tested.
const WITHOUT: &str = "FNCTL_NO_MOUNT";
const THIS: &str =
    "night::disk::a_disk_that_fills_is_told_and_given_room_and_nothing_that_was_taken_is_lost";
const MIB: u64 = 1 << 20;

#[test]
fn a_disk_that_fills_is_told_and_given_room_and_nothing_that_was_taken_is_lost() {
    if std::env::var_os(INSIDE).is_some() {
        let folder = tempfile::tempdir().expect("a folder");
        sized(folder.path(), "1400m", "rw");
        fills(folder.path());
        return;
    }
    let test = std::env::current_exe().expect("a program knows its path");
    // As root, or as nobody in particular; the mount goes with the process.
    for flags in ["-m", "-rm"] {
        let probe = ["sh", "-c", "mount -t tmpfs -o size=1m tmpfs /tmp"];
        let probe = Command::new("unshare").arg(flags).args(probe).output();
        if !probe.is_ok_and(|output| output.status.success()) {
            continue;
        }
        let mut inside = Command::new("unshare");
        inside
            .arg(flags)
            .arg(&test)
            .args(["--exact", THIS, "--nocapture"]);
        let ran = inside
            .env(INSIDE, "1")
            .output()
            .expect("it has just worked");
        let words = [ran.stdout, ran.stderr].concat();
        let words = String::from_utf8_lossy(&words).into_owned();
        assert!(
            ran.status.success() && words.contains("1 passed"),
            "{words}"
        );
        return;
    }
    assert!(
        std::env::var_os(WITHOUT).is_some(),
        "no file system can be mounted here, neither as root nor in a user namespace, so a full disk is NOT \
         TESTED; {WITHOUT}=1 accepts that"
    );
}

/// Mounts a file system of this size, or gives the one that is there another.
fn sized(at: &Path, size: &str, how: &str) {
    let options = format!("{how},size={size}");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
        .arg(at)
        .status();
    assert!(mounted.is_ok_and(|status| status.success()), "mount");
}

/// Another program takes so much that this is left.
fn leave(mount: &Path, name: &str, left: u64) {
    let space = rustix::fs::statvfs(mount).expect("a file system");
    let free = space.f_bavail * space.f_frsize;
    let file = fs::File::create(mount.join(name)).expect("a file");
    let none = rustix::fs::FallocateFlags::empty();
    rustix::fs::fallocate(&file, none, 0, free.checked_sub(left).expect("room")).expect("room");
}

/// Puts a record; what was answered when it was not taken.
fn refused(server: &Server, stream: &str, data: &str) -> Option<String> {
    let path = format!("/v1/streams/{stream}/records?key=k");
    let body = format!("{data}\n");
    let answer = request(&server.api, "POST", &path, &[], body.as_bytes());
    let answer = answer.unwrap_or_else(|e| panic!("{e}: {}", server.log()));
    let is_taken = answer.status == 200 && answer.text().starts_with("{\"line\"");
    (!is_taken).then(|| format!("{} {}", answer.status, answer.text()))
}

fn fills(mount: &Path) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut night = Night::on(folder, mount.join("data"), &[]);
    one(&night, &["streams", "create", "bulk"]);
    night.deploy(&[]);
    let mut records = numbered("ok", 0..10);
    put(&night, "signups", &records, &[]);
    night.until(|status| status["pending_records"] == 0);
    night.minute();
    night.minute();
    night.fire(&[]);
    one(&night, &["mappings", "pause", "enrich"]);
    let more = numbered("ok", 10..30);
    put(&night, "signups", &more, &[]);
    records.extend(more);

    // Another program and a stream that nobody reads.
    let reserve = metric(&night, "fnctl_disk_reserve_bytes");
    let reserve = reserve as u64;
    leave(mount, "another", 2 * reserve + 60 * MIB);
    let bulky = "x".repeat(900_000);
    let told = loop {
        if let Some(told) = refused(&night, "bulk", &bulky) {
            break told;
        }
    };
    assert!(
        told.starts_with("429 ") && told.contains("FN5001"),
        "{told}"
    );
    // Twice the reserve of 320 MiB and what the view takes: 640 or 641 MiB.
    assert!(told.contains("puts are taken from 64"), "{told}");
    // What was promised to records is applied meanwhile: at the bound there may be room again.
    leave(mount, "another still", 2 * reserve - 40 * MIB);
    let free = || metric(&night, "fnctl_disk_free_bytes");
    while free() >= 2.0 * metric(&night, "fnctl_disk_reserve_bytes") {}
    night.minute();
    night.fire(&[r#"{alertname="FnctlDiskFull"}"#]);

    // Less than the reserve: results wait, too, and the producers go on asking.
    leave(mount, "more", reserve / 2);
    while metric(&night, "fnctl_disk_free_bytes") >= metric(&night, "fnctl_disk_reserve_bytes") {}
    one(&night, &["mappings", "resume", "enrich"]);
    let described = night.why("disk-full");
    assert_eq!(described["state"], "blocked", "{described:#}");
    assert!(
        message(&described).contains("no room above the disk reserve"),
        "{described:#}"
    );
    night.until_fire(
        9,
        &[
            r#"{alertname="FnctlDiskFull"}"#,
            r#"{alertname="FnctlDiskNearReserve"}"#,
            r#"{alertname="FnctlMappingBlocked",mapping="enrich/signups"}"#,
            r#"{alertname="FnctlPutsRefused",reason="disk-full"}"#,
        ],
        |server| assert!(refused(server, "signups", "ok 30").is_some()),
    );

    // What takes the room, and its room back.
    let most = json!({ "labels": r#"{stream="bulk"}"#, "value": 1 });
    night.answers(
        "count by (stream) (topk(1, fnctl_stream_stored_bytes))",
        vec![most],
    );
    for step in commands(&described) {
        let said = night.pasted(&step);
        assert!(
            !step.starts_with("fnctl streams") || said.contains("bulk"),
            "{step}: {said}"
        );
    }
    let before = metric(&night, "fnctl_disk_free_bytes");
    night.pasted("fnctl streams delete bulk --yes");
    while metric(&night, "fnctl_disk_free_bytes") < before + (20 * MIB) as f64 {}
    night.why("disk-full");
    // More room: it goes on by itself, and takes what it refused.
    sized(mount, "2800m", "remount");
    night.until(|status| status["state"] == "running" && status["pending_records"] == 0);
    while refused(&night, "signups", "ok 30").is_some() {}
    records.push("ok 30".to_owned());
    night.has_all(&records);
    night.until_fire(10, &[], |_| {});
}
