//! Functions and their immutable versions, resolved: nothing optional left that is needed.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::canary::{Canary, Rollout};
use crate::id::{FunctionId, FunctionName, FunctionVersion, OutputName, Timestamp};

/// Whether instances serve more than one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Warm instances are used again, one call at a time.
    #[default]
    Reuse,
    /// Every attempt has a store of its own.
    Fresh,
}

/// A secret's value: never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(pub Arc<[u8]>);

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(redacted)")
    }
}

/// What a version is made of (command line and SDK §1): changing any of it makes the next version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionSettings {
    /// SHA-256 of the component, lower-case hex.
    pub digest: Arc<str>,
    /// Plain configuration.
    pub config: BTreeMap<String, String>,
    /// Secrets.
    pub secrets: BTreeMap<String, SecretValue>,
    /// Memory limit, bytes.
    pub memory_bytes: u64,
    /// Time limit of a call, ms.
    pub timeout_ms: u64,
    /// Instance life.
    pub isolation: Isolation,
}

/// A version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number.
    pub number: FunctionVersion,
    /// What it is made of.
    pub settings: VersionSettings,
    /// Size of the component, bytes.
    pub component_bytes: u64,
    /// Outputs that the component declares, `default` first, whether declared or not.
    pub outputs: Vec<OutputName>,
    /// What it imports beyond the baseline.
    pub uses: Vec<String>,
    /// When it was deployed.
    pub created_at: Timestamp,
}

/// The interface that a function with tumbling windows imports, as [`Version::uses`] names it.
pub const WINDOW_STATE: &str = "state";

impl Version {
    /// Whether it asks for the states of windows.
    #[must_use]
    pub fn reads_states(&self) -> bool {
        self.uses.iter().any(|used| used == WINDOW_STATE)
    }
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its id.
    pub id: FunctionId,
    /// Its name.
    pub name: FunctionName,
    /// Its versions by number.
    pub versions: BTreeMap<FunctionVersion, Arc<Version>>,
    /// The live one.
    pub live: FunctionVersion,
    /// Those that were live before, oldest first: where a rollback goes.
    pub live_before: Vec<FunctionVersion>,
    /// When a version was last left by a rollback.
    pub rolled_back: BTreeMap<FunctionVersion, Timestamp>,
    /// Since when the live one is.
    pub live_since: Timestamp,
    /// Calls at once over all mappings; `None`: as many as the pool holds.
    pub concurrency: Option<u32>,
    /// When it was first deployed.
    pub created_at: Timestamp,
    /// Its canary, and the last switches between versions.
    pub rollout: Rollout,
}

impl Function {
    /// Its canary.
    #[must_use]
    pub const fn canary(&self) -> Option<&Canary> {
        self.rollout.canary.as_ref()
    }

    /// Its canary's parts.
    #[must_use]
    pub fn canary_version(&self) -> Option<&Arc<Version>> {
        self.versions.get(&self.canary()?.version)
    }

    /// The version that a rollback makes live, where that could mend anything: not where the live one is the same but
    /// for more time or memory, which a rollback would take away again.
    #[must_use]
    pub fn worth_going_back_to(&self) -> Option<FunctionVersion> {
        let before = *self.live_before.last()?;
        let is_more_of_the_same = self.versions.get(&before).is_some_and(|before| {
            let (live, before) = (&self.live_version().settings, &before.settings);
            let same = VersionSettings {
                memory_bytes: live.memory_bytes,
                timeout_ms: live.timeout_ms,
                ..before.clone()
            };
            let has_less =
                live.timeout_ms < before.timeout_ms || live.memory_bytes < before.memory_bytes;
            *live == same && !has_less
        });
        (!is_more_of_the_same).then_some(before)
    }

    /// Whether records of its mappings meet this version.
    #[must_use]
    pub fn calls(&self, version: FunctionVersion) -> bool {
        let canary = self.canary();
        version == self.live || canary.is_some_and(|canary| canary.version == version)
    }

    /// The live version's parts.
    ///
    /// # Panics
    /// Never on a value the registry made: `live` is always one of `versions`.
    #[must_use]
    pub fn live_version(&self) -> &Arc<Version> {
        self.versions
            .get(&self.live)
            .expect("the registry keeps the live version")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u64, change: impl FnOnce(&mut VersionSettings)) -> Arc<Version> {
        let mut settings = VersionSettings {
            digest: "ab".into(),
            config: BTreeMap::new(),
            secrets: BTreeMap::new(),
            memory_bytes: 128 << 20,
            timeout_ms: 4_000,
            isolation: Isolation::Reuse,
        };
        change(&mut settings);
        Arc::new(Version {
            number: FunctionVersion(number),
            settings,
            component_bytes: 1,
            outputs: Vec::new(),
            uses: Vec::new(),
            created_at: Timestamp(0),
        })
    }

    #[test]
    fn going_back_to_less_time_or_memory_for_the_same_is_worth_nothing() {
        let worth = |change: fn(&mut VersionSettings)| {
            let versions = [version(1, |_| {}), version(2, change)];
            let function = Function {
                id: FunctionId(1),
                name: FunctionName::parse("enrich").expect("a name"),
                versions: versions.map(|of| (of.number, of)).into(),
                live: FunctionVersion(2),
                live_before: vec![FunctionVersion(1)],
                rolled_back: BTreeMap::new(),
                live_since: Timestamp(0),
                concurrency: None,
                created_at: Timestamp(0),
                rollout: Rollout::default(),
            };
            let first = Function {
                live: FunctionVersion(1),
                live_before: Vec::new(),
                ..function.clone()
            };
            assert_eq!(first.worth_going_back_to(), None);
            function.worth_going_back_to().is_some()
        };
        assert!(!worth(|of| of.timeout_ms = 8_000));
        assert!(!worth(|of| of.memory_bytes *= 2));
        assert!(worth(|of| of.timeout_ms = 3_999));
        assert!(worth(|of| {
            of.timeout_ms = 8_000;
            of.memory_bytes -= 1;
        }));
        assert!(worth(|of| of.digest = "cd".into()));
        assert!(worth(|of| {
            of.timeout_ms = 8_000;
            of.config.insert("told".to_owned(), "skip".to_owned());
        }));
        assert!(worth(|of| of.isolation = Isolation::Fresh));
    }
}
