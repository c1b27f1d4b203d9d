//! Canaries.

use serde::{Deserialize, Serialize};

use crate::{
    canary::{Canary, CanaryCounts, Switch, SwitchKind},
    function::Function,
    rfc3339,
    spec::duration::Duration,
};

/// A canary, and what became of its calls. What is counted starts anew with the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryStatus {
    /// The version.
    pub version: u64,
    /// How many of the keys meet it, `10%`.
    pub weight: String,
    /// Since when it is a canary, RFC 3339.
    pub since: String,
    /// Share of its calls that may fail, `5%`; `null`: any.
    pub rollback_errors: Option<String>,
    /// Iterator age that takes it back, `5m`; `null`: none.
    pub rollback_age: Option<String>,
    /// Its calls that ended.
    pub calls: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Calls of the live version meanwhile.
    pub live_calls: u64,
    /// Those of them that failed.
    pub live_failures: u64,
}

impl CanaryStatus {
    /// Of a canary and its calls.
    #[must_use]
    pub fn of(canary: &Canary, counts: CanaryCounts) -> Self {
        Self {
            version: canary.version.0,
            weight: canary.weight.to_string(),
            since: rfc3339::format(canary.since),
            rollback_errors: canary.guard.errors.map(|bound| bound.to_string()),
            rollback_age: canary
                .guard
                .age_ms
                .map(|ms| Duration::from_ms(ms).to_string()),
            calls: counts.canary.calls,
            failures: counts.canary.failures,
            live_calls: counts.live.calls,
            live_failures: counts.live.failures,
        }
    }
}

/// One switch between versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchLine {
    /// When, RFC 3339.
    pub at: String,
    /// `begun`, `changed`, `promoted`, `dropped`, `rolled-back`.
    pub kind: SwitchKind,
    /// The canary.
    pub canary: u64,
    /// Its weight from then on; `null`: it was a canary no more.
    pub weight: Option<String>,
    /// The live version from then on.
    pub live: u64,
    /// Why; empty where a person asked for just that.
    pub why: String,
}

impl SwitchLine {
    /// Of a switch.
    #[must_use]
    pub fn of(switch: &Switch) -> Self {
        Self {
            at: rfc3339::format(switch.at),
            kind: switch.kind,
            canary: switch.canary.0,
            weight: switch.weight.map(|weight| weight.to_string()),
            live: switch.live.0,
            why: switch.why.clone(),
        }
    }
}

/// Says that the guard took a canary back, until somebody does something about the function; `None`: it did
/// not.
#[must_use]
pub(super) fn rolled_back(function: &Function) -> Option<String> {
    let switch = function.rollout.rolled_back()?;
    Some(format!(
        "rolled back from canary version {}: {}",
        switch.canary, switch.why
    ))
}
