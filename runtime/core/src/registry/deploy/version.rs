//! The function's part of a deploy: what the next version is made of, and whether there is one.

use std::{collections::BTreeMap, sync::Arc};

use super::{Changes, Work};
use crate::{
    canary::{Canary, Guard, Rollout, SwitchKind},
    function::{Function, Isolation, SecretValue, Version, VersionSettings},
    id::{FunctionVersion, OutputName},
    limits,
    registry::{ComponentFacts, canary, change::ChangeValue},
    spec::{
        canary::CanarySettings,
        duration::Duration,
        resolve::{self, FunctionSettings},
        size::ByteSize,
    },
};

/// What a version would be made of.
pub(super) struct Planned {
    settings: VersionSettings,
    facts: ComponentFacts,
    concurrency: Option<u32>,
}

impl Planned {
    pub(super) fn outputs(&self) -> &[OutputName] {
        &self.facts.outputs
    }
}

pub(super) fn plan(work: &mut Work<'_>, existing: Option<&Arc<Function>>) -> Planned {
    let deploy = work.deploy;
    let live = existing.map(|function| function.live_version());
    let kept = live.filter(|_| !deploy.is_manifest);
    let base = match (existing, kept) {
        (Some(function), Some(live)) => FunctionSettings {
            memory_bytes: live.settings.memory_bytes,
            timeout_ms: live.settings.timeout_ms,
            isolation: live.settings.isolation,
            concurrency: function.concurrency,
            config: live.settings.config.clone(),
        },
        _ => FunctionSettings::default(),
    };
    let mut secrets = kept
        .map(|live| live.settings.secrets.clone())
        .unwrap_or_default();
    secrets.extend(deploy.secrets.clone());
    for name in &deploy.unset {
        let known = base.config.contains_key(name)
            || secrets.contains_key(name)
            || deploy.spec.config.contains_key(name);
        if !known {
            work.problems.push(
                "unset",
                format!("there is no configuration value or secret `{name}`"),
            );
        }
    }
    secrets.retain(|name, _| !deploy.unset.contains(name));
    let bytes: usize = secrets
        .iter()
        .map(|(name, value)| name.len() + value.0.len())
        .sum();
    if bytes > limits::CONFIG_BYTES_MAX {
        let max = limits::CONFIG_BYTES_MAX;
        work.problems.push(
            "function.secrets",
            format!("{bytes} bytes in all are above {max}"),
        );
    }
    let resolved = resolve::function(&base, &deploy.spec, &deploy.unset, &mut work.problems);
    for name in resolved
        .config
        .keys()
        .filter(|name| secrets.contains_key(*name))
    {
        work.problems.push(
            format!("function.config.{name}"),
            "is a secret as well: one of the two must go",
        );
    }
    let facts = deploy.component.clone().unwrap_or_else(|| {
        let live = live.expect("without a component the function exists: asked before");
        ComponentFacts {
            digest: Arc::clone(&live.settings.digest),
            bytes: live.component_bytes,
            outputs: live.outputs.clone(),
            uses: live.uses.clone(),
        }
    });
    Planned {
        settings: VersionSettings {
            digest: Arc::clone(&facts.digest),
            config: resolved.config,
            secrets,
            memory_bytes: resolved.memory_bytes,
            timeout_ms: resolved.timeout_ms,
            isolation: resolved.isolation,
        },
        facts,
        concurrency: resolved.concurrency,
    }
}

/// The canary that is asked for; its problems are collected. One is the next version beside the one that is
/// live: without that, or without a difference, there is nothing to try.
pub(super) fn wish(
    work: &mut Work<'_>,
    existing: Option<&Arc<Function>>,
    planned: &Planned,
) -> Option<CanarySettings> {
    let spec = work.deploy.canary.as_ref()?;
    let name = &work.deploy.function;
    let Some(existing) = existing else {
        let words = format!(
            "`{name}` has no live version that a canary could stand beside: deploy it without first"
        );
        work.problems.push("canary", words);
        return None;
    };
    let live = existing.live_version();
    if live.settings == planned.settings {
        let words = format!(
            "version {}, which is live, is the same: there is nothing to try",
            live.number
        );
        work.problems.push("canary", words);
    }
    let tried = existing
        .canary_version()
        .filter(|version| version.settings == planned.settings);
    // What the canary was asked for before holds for itself alone.
    let guard = match (tried, existing.canary()) {
        (Some(_), Some(canary)) => canary.guard,
        _ => Guard::default(),
    };
    let settings = spec.resolve(&guard, &mut work.problems)?;
    let before = tried.and(existing.canary());
    let less = before.and_then(|canary| canary::is_less(name, canary.weight, settings.weight));
    if let Some(words) = less {
        work.problems.push("canary", words);
        return None;
    }
    Some(settings)
}

/// Puts the function into the draft if it changed; gives it and the version live before.
pub(super) fn commit(
    work: &mut Work<'_>,
    existing: Option<&Arc<Function>>,
    planned: Planned,
    canary: Option<CanarySettings>,
) -> (Arc<Function>, Option<FunctionVersion>) {
    let Some(existing) = existing else {
        let number = FunctionVersion(1);
        let function = Arc::new(Function {
            id: work.draft.next_function(),
            name: work.deploy.function.clone(),
            versions: BTreeMap::from([(number, version(work, number, &planned))]),
            live: number,
            live_before: Vec::new(),
            rolled_back: BTreeMap::new(),
            live_since: work.now,
            concurrency: planned.concurrency,
            created_at: work.now,
            rollout: Rollout::default(),
        });
        work.draft.put_function(&function);
        return (function, None);
    };
    let previous = existing.live;
    let mut changed = Function::clone(existing);
    let live = existing.live_version();
    note(&mut work.changes, &live.settings, &planned.settings);
    let limit = |value: Option<u32>| match value {
        None => ChangeValue::Text("default".to_owned()),
        Some(count) => ChangeValue::Number(count.into()),
    };
    work.changes.add(
        "function.concurrency",
        limit(existing.concurrency),
        limit(planned.concurrency),
    );
    changed.concurrency = planned.concurrency;
    if live.settings != planned.settings {
        // What is tried already becomes live, or goes on being tried, under its number.
        let tried = existing
            .canary_version()
            .filter(|version| version.settings == planned.settings);
        let number = match tried {
            Some(tried) => tried.number,
            None => {
                let newest = existing.versions.last_key_value();
                let (&last, _) = newest.expect("a function has a version");
                let number = last.next();
                let version = version(work, number, &planned);
                changed.versions.insert(number, version);
                number
            }
        };
        match canary {
            Some(settings) => canary::begin(&mut changed, number, settings, work.now),
            None => {
                // A canary that this ends is rolled back, unless it is what becomes live.
                if tried.is_none() {
                    canary::end(&mut changed, SwitchKind::Dropped, "", work.now);
                }
                changed.rollout = Rollout::default();
                changed.live_before.push(previous);
                changed.live = number;
                changed.live_since = work.now;
            }
        }
        note_canary(&mut work.changes, existing.canary(), changed.canary());
        forget_oldest(&mut changed);
    }
    if changed == **existing {
        return (Arc::clone(existing), Some(previous));
    }
    let changed = Arc::new(changed);
    work.draft.put_function(&changed);
    (changed, Some(previous))
}

fn version(work: &Work<'_>, number: FunctionVersion, planned: &Planned) -> Arc<Version> {
    Arc::new(Version {
        number,
        settings: planned.settings.clone(),
        component_bytes: planned.facts.bytes,
        outputs: planned.facts.outputs.clone(),
        uses: planned.facts.uses.clone(),
        created_at: work.now,
    })
}

/// Forgets versions above the bound that nothing calls, the oldest first.
pub(in crate::registry) fn forget_oldest(function: &mut Function) {
    while function.versions.len() > limits::VERSIONS_MAX {
        let mut numbers = function.versions.keys();
        let Some(&oldest) = numbers.find(|number| !function.calls(**number)) else {
            return;
        };
        function.versions.remove(&oldest);
        function.rolled_back.remove(&oldest);
        function.live_before.retain(|number| *number != oldest);
    }
    // A function that goes back and forth between a few versions must not grow for ever.
    let surplus = function
        .live_before
        .len()
        .saturating_sub(limits::VERSIONS_MAX);
    function.live_before.drain(..surplus);
}

/// How a canary came, went or changed.
fn note_canary(changes: &mut Changes, from: Option<&Canary>, to: Option<&Canary>) {
    let shown = |canary: Option<&Canary>| {
        canary.map_or(ChangeValue::Null, |canary| {
            ChangeValue::Text(format!("version {} {}", canary.version, canary.weight))
        })
    };
    changes.add("canary", shown(from), shown(to));
}

fn note(changes: &mut Changes, from: &VersionSettings, to: &VersionSettings) {
    changes.text("component", &short(&from.digest), &short(&to.digest));
    let size = |bytes| ByteSize { bytes }.to_string();
    changes.text(
        "function.memory",
        &size(from.memory_bytes),
        &size(to.memory_bytes),
    );
    let time = |ms| Duration { ms }.to_string();
    changes.text(
        "function.timeout",
        &time(from.timeout_ms),
        &time(to.timeout_ms),
    );
    let life = |isolation| match isolation {
        Isolation::Reuse => "reuse",
        Isolation::Fresh => "fresh",
    };
    changes.text(
        "function.isolation",
        life(from.isolation),
        life(to.isolation),
    );
    let value = |config: &BTreeMap<String, String>, name: &String| {
        config
            .get(name)
            .map_or(ChangeValue::Null, |text| ChangeValue::Text(text.clone()))
    };
    for name in union(&from.config, &to.config) {
        let (old, new) = (value(&from.config, name), value(&to.config, name));
        changes.add(&format!("config.{name}"), old, new);
    }
    for name in union(&from.secrets, &to.secrets) {
        let (old, new) = (from.secrets.get(name), to.secrets.get(name));
        if old != new {
            let shown = |value: Option<&SecretValue>, word: &str| {
                value.map_or(ChangeValue::Null, |_| ChangeValue::Text(word.to_owned()))
            };
            changes.add(
                &format!("secrets.{name}"),
                shown(old, "set"),
                shown(new, "set anew"),
            );
        }
    }
}

fn union<'a, V>(a: &'a BTreeMap<String, V>, b: &'a BTreeMap<String, V>) -> Vec<&'a String> {
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The first eight digits: enough to recognise a build.
fn short(digest: &str) -> String {
    format!("sha256:{}", digest.get(..8).unwrap_or(digest))
}
