//! Many trials from seeds, side by side, all failures told.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// The number in an environment variable, else this one.
pub(crate) fn number(variable: &str, or: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.and_then(|n| n.parse().ok()).unwrap_or(or)
}

/// Runs a trial for each seed from `FNCTL_SEED` (1) on, as many as `trials`, `at_once` of them side by
/// side. The results come in no order.
///
/// # Panics
/// A trial does; every seed that did is named with what it said.
pub(crate) fn run<T: Send>(trials: u64, at_once: u64, trial: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let first = number("FNCTL_SEED", 1);
    let next = AtomicU64::new(first);
    let (results, failures) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + trials {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| trial(seed))) {
                        Ok(result) => results.lock().expect("whole").push(result),
                        Err(words) => {
                            let words = words
                                .downcast_ref::<String>()
                                .cloned()
                                .or_else(|| words.downcast_ref::<&str>().map(|w| (*w).to_owned()))
                                .unwrap_or_default();
                            eprintln!("seed {seed}: {words}");
                            failures
                                .lock()
                                .expect("whole")
                                .push(format!("seed {seed}: {words}"));
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("whole");
    assert!(
        failures.is_empty(),
        "{} of {trials} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    results.into_inner().expect("whole")
}
