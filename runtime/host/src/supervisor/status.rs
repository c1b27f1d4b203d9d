//! What the supervisor's workers are doing, for whoever asks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use fnctl_core::{
    function::Function,
    id::{FunctionVersion, UnitId},
    outcome::Outcome,
};
use tokio::sync::watch;

use crate::{
    recent::Recents,
    retries::Retries,
    shard_worker::{Hole, Redrivers, Standing, Told},
};

/// What a call of a worker said about its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    /// It returned; single records may have failed.
    Good,
    /// It failed as a whole, or every failure was a `fatal`.
    Bad(String),
}

/// One unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UnitStatus {
    /// A worker runs it, on this version.
    Running {
        /// The version.
        version: FunctionVersion,
        /// How its first call ended.
        first_outcome: Option<CallOutcome>,
        /// How its last one did.
        last_outcome: Option<CallOutcome>,
        /// Where it stands.
        standing: Standing,
    },
    /// Its shard cannot be read any further, and what was read of it is settled.
    Damaged(Arc<Hole>),
    /// Its worker ended by a fault of ours and is started again after a pause.
    Faulted(String),
}

impl UnitStatus {
    /// Whether a worker runs what this function is.
    pub(crate) fn runs(&self, function: &Function) -> bool {
        matches!(self, Self::Running { version, .. } if function.calls(*version))
    }

    /// Why its shard cannot be read any further, whether what was read is settled yet or not.
    pub(crate) fn damage(&self) -> Option<&Arc<Hole>> {
        match self {
            Self::Running { standing, .. } => standing.hole.as_ref(),
            Self::Damaged(hole) => Some(hole),
            Self::Faulted(_) => None,
        }
    }
}

/// The status of all units that are, or should be, run.
#[derive(Debug)]
pub(crate) struct Statuses {
    units: Mutex<HashMap<UnitId, UnitStatus>>,
    retries: Arc<Retries>,
    recents: Recents,
    redrivers: Arc<Redrivers>,
    changed: watch::Sender<u64>,
}

impl Default for Statuses {
    fn default() -> Self {
        Self {
            units: Mutex::default(),
            retries: Arc::default(),
            recents: Recents::default(),
            redrivers: Arc::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Statuses {
    /// How dead letters reach workers.
    pub(crate) const fn redrivers(&self) -> &Arc<Redrivers> {
        &self.redrivers
    }

    /// One unit's; `None`: nobody runs it.
    pub(crate) fn of(&self, unit: UnitId) -> Option<UnitStatus> {
        self.lock().get(&unit).cloned()
    }

    /// Whether a worker runs the unit.
    pub(crate) fn is_owned(&self, unit: UnitId) -> bool {
        matches!(self.lock().get(&unit), Some(UnitStatus::Running { .. }))
    }

    /// Whether its worker ended by a fault of ours and is not started again yet.
    pub(crate) fn is_faulted(&self, unit: UnitId) -> bool {
        matches!(self.lock().get(&unit), Some(UnitStatus::Faulted(_)))
    }

    /// Retries as they happen.
    pub(crate) const fn retries(&self) -> &Arc<Retries> {
        &self.retries
    }

    /// The last minutes of mappings.
    pub(crate) const fn recents(&self) -> &Recents {
        &self.recents
    }

    /// Wakes when any status changed.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Sets a unit's, or takes it away.
    pub(super) fn set(&self, unit: UnitId, status: Option<UnitStatus>) {
        match status {
            Some(status) => drop(self.lock().insert(unit, status)),
            None => drop(self.lock().remove(&unit)),
        }
        self.changed.send_modify(|n| *n += 1);
    }

    fn outcome(&self, unit: UnitId, outcome: CallOutcome) {
        if let Some(UnitStatus::Running {
            first_outcome,
            last_outcome,
            ..
        }) = self.lock().get_mut(&unit)
        {
            first_outcome.get_or_insert_with(|| outcome.clone());
            *last_outcome = Some(outcome);
        }
        self.changed.send_modify(|n| *n += 1);
    }

    /// Where the unit's worker stands; `None`: nobody runs it.
    pub(crate) fn standing(&self, unit: UnitId) -> Option<Standing> {
        match self.lock().get(&unit)? {
            UnitStatus::Running { standing, .. } => Some(standing.clone()),
            UnitStatus::Damaged(_) | UnitStatus::Faulted(_) => None,
        }
    }

    fn stands(&self, unit: UnitId, now: &Standing) {
        if let Some(UnitStatus::Running { standing, .. }) = self.lock().get_mut(&unit) {
            standing.clone_from(now);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<UnitId, UnitStatus>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports where one worker stands and how its calls end; cheap as long as they end well.
#[derive(Clone, Debug)]
pub(crate) struct OutcomeReport {
    statuses: Arc<Statuses>,
    unit: UnitId,
    /// The last call told of went well.
    is_good: bool,
}

impl OutcomeReport {
    /// Of the worker of `unit`.
    pub(crate) const fn new(statuses: Arc<Statuses>, unit: UnitId) -> Self {
        Self {
            statuses,
            unit,
            is_good: false,
        }
    }

    /// Passes on what the worker tells.
    pub(crate) fn tell(&mut self, told: Told<'_>) {
        match told {
            Told::Outcome(outcome) => self.outcome(outcome),
            Told::Standing(standing) => self.statuses.stands(self.unit, standing),
        }
    }

    /// Tells how a call ended, if that is news.
    fn outcome(&mut self, outcome: &Outcome) {
        let told = match outcome {
            Outcome::Interrupted | Outcome::OutputTooLarge { .. } => return,
            Outcome::Returned { failures, .. } => match failures.first() {
                Some(one) if one.failure.kind != fnctl_core::outcome::FailureKind::Skip => {
                    CallOutcome::Bad(format!("{}: {}", one.failure.code, one.failure.message))
                }
                _ => CallOutcome::Good,
            },
            Outcome::Error(failure) => {
                CallOutcome::Bad(format!("{}: {}", failure.code, failure.message))
            }
            Outcome::Trap { message, .. } => CallOutcome::Bad(message.to_string()),
            Outcome::Timeout { after_ms } => {
                CallOutcome::Bad(format!("the call passed its time limit of {after_ms} ms"))
            }
            Outcome::OutOfMemory { limit_bytes } => CallOutcome::Bad(format!(
                "the call passed its memory limit of {limit_bytes} bytes"
            )),
        };
        let is_good = told == CallOutcome::Good;
        if !(self.is_good && is_good) {
            self.is_good = is_good;
            self.statuses.outcome(self.unit, told);
        }
    }
}
