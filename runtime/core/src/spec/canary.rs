//! What is asked for of a canary: by `fnctl deploy --canary` and `fnctl promote --canary`.
//!
//! No key of a manifest: a canary is a step of a deployment, not what the function should be in the end. A
//! manifest that held it would make a canary of every later deploy, and be refused at the first.

use serde::{Deserialize, Serialize};

use super::{
    Setting,
    duration::Duration,
    percent::{OrOff, Percent},
    resolve::Problems,
};
use crate::{
    canary::{Guard, Permille},
    limits,
};

/// A canary as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanarySpec {
    /// How many of the keys meet it; below 100%.
    pub weight: Setting<Percent>,
    /// Share of its calls that may fail before it is taken back, or `off`; 5%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_errors: Option<Setting<OrOff<Percent>>>,
    /// Iterator age that takes it back, or `off`; off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_age: Option<Setting<OrOff<Duration>>>,
}

/// The settings of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanarySettings {
    /// How many of the keys; never all.
    pub weight: Permille,
    /// When it is taken back by itself.
    pub guard: Guard,
}

impl CanarySpec {
    /// Settles what is asked for on top of the guard that is in force; all problems are collected, under the
    /// names of the flags.
    pub fn resolve(&self, guard: &Guard, problems: &mut Problems) -> Option<CanarySettings> {
        let before = problems.0.len();
        let weight = match &self.weight {
            Setting::Value(Percent(weight)) if weight.is_whole() => {
                problems.push("canary", "100% is no canary: all keys would meet it");
                None
            }
            Setting::Value(Percent(weight)) => Some(*weight),
            Setting::Default => {
                problems.push("canary", "has no default: name a share such as 10%");
                None
            }
            Setting::Unfit(why) => {
                problems.refuse("canary", why);
                None
            }
        };
        let mut guard = *guard;
        match &self.rollback_errors {
            None => {}
            Some(Setting::Value(OrOff(Some(Percent(bound))))) if bound.is_whole() => problems.push(
                "canary.rollback_errors",
                "more than 100% never fail: write off",
            ),
            Some(Setting::Value(OrOff(bound))) => guard.errors = bound.map(|bound| bound.0),
            Some(Setting::Default) => guard.errors = Guard::default().errors,
            Some(Setting::Unfit(why)) => problems.refuse("canary.rollback_errors", why),
        }
        match &self.rollback_age {
            None => {}
            Some(Setting::Value(OrOff(Some(age)))) if age.ms < limits::CANARY_AGE_MS_MIN => {
                let least = Duration::from_ms(limits::CANARY_AGE_MS_MIN);
                problems.push("canary.rollback_age", format!("{age} is below {least}"));
            }
            Some(Setting::Value(OrOff(age))) => guard.age_ms = age.map(|age| age.ms),
            Some(Setting::Default) => guard.age_ms = None,
            Some(Setting::Unfit(why)) => problems.refuse("canary.rollback_age", why),
        }
        let weight = weight.filter(|_| problems.0.len() == before)?;
        Some(CanarySettings { weight, guard })
    }
}
