//! Why a mapping stands where it stands, and how fast it goes.

use serde::{Deserialize, Serialize};

/// What a mapping is doing, or what keeps it from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// One of the words of [`Why`](crate::diagnosis::Why).
    pub code: String,
    /// Since when that is, or the oldest record waits, RFC 3339; `null`: that is not known.
    pub since: Option<String>,
    /// Words to it.
    pub message: String,
    /// What can be done, the best first.
    pub actions: Vec<NextStep>,
}

/// One thing that can be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStep {
    /// A command as it can be pasted into a shell.
    pub command: String,
    /// What it comes to.
    pub effect: String,
}

/// Where a backlog goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trend {
    /// More comes than is settled.
    Growing,
    /// As much comes as is settled.
    Steady,
    /// More is settled than comes.
    Shrinking,
    /// Nothing comes, and nothing is settled; or the oldest record waits for a call that hangs, whatever else is.
    Stuck,
}

/// The last minutes of a mapping. Kept in memory: they begin anew with the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecentRates {
    /// How much time is told of, ms: up to five minutes.
    pub over_ms: u64,
    /// Records that came to the stream; `null`: that cannot be read.
    pub in_per_second: Option<f64>,
    /// Records handled.
    pub processed_per_second: f64,
    /// Records given up, and kept.
    pub dead_lettered_per_second: f64,
    /// Records that the filter let fall.
    pub filtered_per_second: f64,
    /// Rows published.
    pub emitted_per_second: f64,
    /// Where the backlog goes; `null`: there is none, or what came cannot be read.
    pub trend: Option<Trend>,
    /// Calls that ended.
    pub calls: u64,
    /// Those of them that did not return, or with a record that is to be tried again or was fatal.
    pub failed_calls: u64,
    /// Calls under way: those that run, and those that wait for their turn under the function's `concurrency` or for
    /// a guest thread (`waiting_ratio` says how much of their time that takes). So it may be above `concurrency`.
    pub running_calls: u64,
    /// Half of the calls took at most so long, within a quarter; `null`: none ended.
    pub call_p50_ms: Option<f64>,
    /// All but one of a hundred took at most so long.
    pub call_p99_ms: Option<f64>,
    /// Share of their time that the lanes of shards with records had a call, 0 to 1, over the last minute.
    pub busy_ratio: f64,
    /// Share of the time from when a call was wanted to its end that it waited for its turn, 0 to 1.
    pub waiting_ratio: f64,
    /// Most memory that an instance had.
    pub memory_bytes: u64,
    /// Most that one may have.
    pub memory_limit_bytes: u64,
}
