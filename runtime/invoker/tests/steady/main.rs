//! What many calls leave behind; in a process of its own, because it looks at the process.

#[path = "../it/support.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod support;

use fnctl_core::outcome::Outcome;
use fnctl_invoker::{Isolation, VersionSettings};

use support::{engine, load, outcome, settings};

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_calls_leave_the_process_as_large_as_it_was() {
    let (engine, _) = engine();
    let function = load(&engine, "hostile", settings()).await;
    let fresh = VersionSettings {
        isolation: Isolation::Fresh,
        ..settings()
    };
    let fresh = load(&engine, "hostile", fresh).await;
    let calls = async |count: u32| {
        for n in 0..count {
            let function = if n % 10 == 0 { &fresh } else { &function };
            assert!(matches!(
                outcome(function, &["ok", "skip"]).await,
                Outcome::Returned { .. }
            ));
        }
    };
    calls(2_000).await;
    let before = resident_kib();
    calls(18_000).await;
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 4 << 10, "grew by {grown} KiB");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("a size");
    line.trim()
        .split(' ')
        .next()
        .expect("a number")
        .parse()
        .expect("a number")
}
