//! Canaries as they run: their calls are counted as workers tell of them, a guard that is passed wakes the
//! task that takes the canary back, by the same way as a person would.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fnctl_core::{
    canary::{Canary, CanaryWatch, GuardReason, SwitchKind, Tripped},
    function::Function,
    id::{FunctionId, FunctionVersion, Timestamp},
    mapping::{Mapping, MappingState},
    outcome::Outcome,
    registry::{Applied, Command},
    status::CanaryStatus,
};
use tokio::{sync::Notify, time::sleep};
use tracing::{info, warn};

use crate::{limits, metrics::Metrics, node::HostNode};

/// The canary of a function whose calls a worker makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WatchedCanary {
    /// The function.
    pub(crate) function: FunctionId,
    /// Its live version.
    pub(crate) live: FunctionVersion,
    /// Its canary.
    pub(crate) canary: Canary,
}

/// The calls of one canary, and what its guard found.
#[derive(Debug)]
struct Watched {
    watch: CanaryWatch,
    tripped: Option<Tripped>,
}

/// The canaries of the node, as far as calls of theirs have ended.
#[derive(Debug, Default)]
pub(crate) struct Canaries {
    watched: Mutex<HashMap<FunctionId, Watched>>,
    tripped: Notify,
}

impl Canaries {
    /// A call of a function with a canary ended. One that was taken back, or that called a third version,
    /// says nothing.
    pub(crate) fn ended(
        &self,
        of: &WatchedCanary,
        version: FunctionVersion,
        outcome: &Outcome,
        now: Timestamp,
    ) {
        let is_compared = version == of.live || version == of.canary.version;
        if !is_compared || matches!(outcome, Outcome::Interrupted) {
            return;
        }
        let mut all = self.lock();
        let begin = || Watched {
            watch: CanaryWatch::new(of.canary.version),
            tripped: None,
        };
        let watched = all.entry(of.function).or_insert_with(begin);
        if watched.watch.version() < of.canary.version {
            *watched = begin();
        } else if watched.watch.version() > of.canary.version {
            // A worker that ends tells of a canary before this one.
            return;
        }
        let failed = outcome.is_failure();
        let tripped = watched.watch.ended(version, failed, &of.canary.guard, now);
        if tripped.is_some() {
            watched.tripped = tripped;
            self.tripped.notify_one();
        }
    }

    /// A function's canary, with its calls since the server started or it began; `None`: it has none.
    pub(crate) fn status(&self, function: &Function) -> Option<CanaryStatus> {
        let canary = function.canary()?;
        let all = self.lock();
        let watched = all.get(&function.id);
        let watched = watched.filter(|watched| watched.watch.version() == canary.version);
        let counts = watched.map(|watched| watched.watch.totals());
        Some(CanaryStatus::of(canary, counts.unwrap_or_default()))
    }

    fn found(&self, function: FunctionId, canary: FunctionVersion) -> Option<Tripped> {
        let all = self.lock();
        let watched = all.get(&function)?;
        watched
            .tripped
            .clone()
            .filter(|_| watched.watch.version() == canary)
    }

    fn retain(&self, is_kept: impl Fn(FunctionId, FunctionVersion) -> bool) {
        let mut all = self.lock();
        all.retain(|function, watched| is_kept(*function, watched.watch.version()));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FunctionId, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes back canaries whose guards are passed, until the server drains. It sleeps while nothing can be:
/// failures wake it, and an iterator age can pass no sooner than it takes to grow.
pub(crate) async fn run(node: Arc<HostNode>) {
    let mut changed = node.store().registry_changed();
    let mut drain = node.drain();
    loop {
        changed.mark_unchanged();
        let functions: Vec<(Arc<Function>, Canary)> = node.view(|view| {
            let functions = view.registry().functions();
            let with_canary = functions.filter_map(|f| Some((Arc::clone(f), *f.canary()?)));
            with_canary.collect()
        });
        node.canaries().retain(|id, version| {
            let is_it =
                |(f, canary): &(Arc<Function>, Canary)| f.id == id && canary.version == version;
            functions.iter().any(is_it)
        });
        let mut wait: Option<Duration> = None;
        for (function, canary) in functions {
            let again = look(&node, &function, &canary).await;
            wait = [wait, again].into_iter().flatten().min();
        }
        tokio::select! {
            _ = drain.wait_for(|draining| *draining) => return,
            result = changed.changed() => if result.is_err() { return },
            () = node.canaries().tripped.notified() => {}
            () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
    }
}

/// Looks at one canary; how long until it is worth looking again, if nothing happens.
async fn look(node: &HostNode, function: &Function, canary: &Canary) -> Option<Duration> {
    let found = node.canaries().found(function.id, canary.version);
    let judged = match found {
        Some(tripped) => Err(tripped),
        None => judge_ages(node, function, canary).await,
    };
    match judged {
        Ok(next) => Some(Duration::from_millis(next?).max(limits::CANARY_LOOK_MIN)),
        Err(tripped) => match take_back(node, function, canary, tripped).await {
            true => None,
            false => Some(limits::CANARY_RETRY),
        },
    }
}

/// Whether no mapping of the function is too far behind; when one may be, ms.
async fn judge_ages(
    node: &HostNode,
    function: &Function,
    canary: &Canary,
) -> Result<Option<u64>, Tripped> {
    if canary.guard.age_ms.is_none() {
        return Ok(None);
    }
    let mappings: Vec<(String, Arc<Mapping>)> = node.view(|view| {
        let registry = view.registry();
        let all = registry.mappings_of_function(function.id);
        // What a person paused, or a `fatal` stopped, waits for somebody else.
        let running = all.filter(|mapping| mapping.state == MappingState::Running);
        running
            .map(|mapping| (registry.address(mapping), Arc::clone(mapping)))
            .collect()
    });
    let mut next = canary.judge_age("", 0, node.now())?;
    for (address, mapping) in mappings {
        let age = node.iterator_age_ms(&mapping).await;
        let at = canary.judge_age(&address, age, node.now())?;
        next = next.into_iter().chain(at).min();
    }
    Ok(next)
}

/// Takes a canary back as a rollback does: what runs is drained first. Whether there is nothing left to do.
async fn take_back(
    node: &HostNode,
    function: &Function,
    canary: &Canary,
    tripped: Tripped,
) -> bool {
    let reason = tripped.reason;
    let hold = node.supervisor().hold(node.mappings_of(function.id)).await;
    let command = Command::GuardTripped {
        function: function.id,
        version: canary.version,
        tripped,
    };
    let applied = node.command(command).await;
    drop(hold);
    match applied {
        Ok(applied) => {
            if let Some(function) = taken_back(&applied) {
                rolled_back(node.metrics(), function, reason);
            }
            true
        }
        Err(error) => {
            let name = &function.name;
            let error = error.words();
            warn!(function = %name, canary = %canary.version, error, "a canary could not be taken back");
            false
        }
    }
}

/// The function whose canary a command has taken back.
fn taken_back(applied: &Applied) -> Option<&Function> {
    match applied {
        Applied::RolledBack {
            function,
            dropped: Some(_),
            ..
        } => Some(function),
        _ => None,
    }
}

/// A command of the supervisor was carried out: where it was to stop a mapping and has taken a canary back
/// instead, that is told.
pub(crate) fn told(metrics: &Metrics, applied: &Applied) {
    if let Some(function) = taken_back(applied) {
        rolled_back(metrics, function, GuardReason::Fatal);
    }
}

fn rolled_back(metrics: &Metrics, function: &Function, reason: GuardReason) {
    metrics.function(&function.name).canary_rolled_back(reason);
    if let Some(switch) = function.rollout.rolled_back() {
        warn!(
            function = %function.name,
            canary = %switch.canary,
            live = %switch.live,
            reason = reason.as_str(),
            why = switch.why,
            "a canary was taken back by its guard"
        );
    }
}

/// Logs what a person did to the versions of a function.
pub(crate) fn log_switches(before: Option<&Function>, after: &Function, who: &str) {
    let known = before.map_or(&[][..], |before| &before.rollout.switches);
    let name = &after.name;
    let ended = before.and_then(Function::canary);
    if let Some(ended) = ended.filter(|_| after.rollout.is_empty()) {
        let (canary, live) = (ended.version, after.live);
        info!(function = %name, %canary, %live, who, "a deploy took the place of a canary");
    }
    for switch in &after.rollout.switches {
        if known.contains(switch) {
            continue;
        }
        let was = ended.filter(|canary| canary.version == switch.canary);
        let weight = |weight: Option<fnctl_core::canary::Permille>| {
            weight.map_or_else(|| "none".to_owned(), |weight| weight.to_string())
        };
        info!(
            function = %name,
            canary = %switch.canary,
            live = %switch.live,
            from = weight(was.map(|canary| canary.weight)),
            to = weight(switch.weight),
            why = switch.why,
            who,
            "{}",
            match switch.kind {
                SwitchKind::Begun => "a canary has begun",
                SwitchKind::Changed => "a canary was changed",
                SwitchKind::Promoted => "a canary was made live",
                SwitchKind::Dropped | SwitchKind::RolledBack => "a canary was taken back",
            }
        );
    }
}

#[cfg(test)]
mod tests;
