//! What a process used, as the kernel counts it.

use std::{collections::BTreeMap, fs, sync::mpsc, time::Duration};

/// CPU seconds (user and system, all threads) of process `pid` so far.
///
/// # Panics
/// If there is no such process: a benchmark measures one that it started.
#[must_use]
pub fn cpu_seconds(pid: u32) -> f64 {
    // Nanoseconds on CPU per thread; `stat` alone counts in ticks of 10 ms. Threads that ended are
    // in `stat` only, so the larger of the two is right.
    let ticks = {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
        let rest = stat.rsplit(") ").next().expect("stat has a command");
        // Signed: without a terminal one of them is -1, and must not shift the others.
        let fields: Vec<i64> = rest.split(' ').filter_map(|f| f.parse().ok()).collect();
        // After the state: utime is field 14 and stime 15 of the whole line; the state is no number.
        (fields[10] + fields[11]) as f64 / 100.0
    };
    let threads: f64 = fs::read_dir(format!("/proc/{pid}/task"))
        .expect("the process has threads")
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<f64>().ok())
        .sum();
    ticks.max(threads / 1e9)
}

/// CPU seconds by thread name of process `pid` so far; threads that ended are not in it.
///
/// # Panics
/// If there is no such process.
#[must_use]
pub fn cpu_seconds_by_thread(pid: u32) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .expect("the process lives")
        .flatten()
    {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let ns: f64 = read("schedstat")
            .split(' ')
            .next()
            .and_then(|t| t.parse().ok())
            .unwrap_or_default();
        *all.entry(read("comm").trim().to_owned()).or_default() += ns / 1e9;
    }
    all
}

/// Waits: for a figure that needs time to pass.
pub fn wait(time: Duration) {
    let (_sender, receiver) = mpsc::channel::<()>();
    let _timed_out = receiver.recv_timeout(time);
}

/// Resident memory of process `pid`, MiB.
///
/// # Panics
/// If there is no such process.
#[must_use]
pub fn resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().split(' ').next()?.parse::<f64>().ok())
        .map_or(0.0, |kib| kib / 1024.0)
}

/// The median of samples.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// The `percent`-th percentile by nearest rank.
///
/// # Panics
/// If there is no sample.
#[must_use]
pub fn percentile(samples: &mut [f64], percent: usize) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[(samples.len() * percent).div_ceil(100).max(1) - 1]
}
