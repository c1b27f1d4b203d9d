//! What a deployment waits for: its version on every shard, and what became of the first records.

use std::time::Duration;

use fnctl_core::{
    function::Function,
    id::{FunctionId, UnitId},
    mapping::MappingState,
    view::UnitTurn,
};
use tokio::{
    select,
    time::{Instant, sleep, timeout},
};

use super::HostNode;
use crate::{
    limits,
    supervisor::{CallOutcome, UnitStatus},
};

/// How a wait for the first records ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WaitEnd {
    /// Every shard with data has a good outcome.
    Good,
    /// One of them has a bad one: which mapping, and what.
    Bad(String),
    /// There is no telling: why.
    Open(String),
}

/// Whether there is an answer yet.
enum Look<T> {
    Waiting,
    Found(T),
}

impl HostNode {
    /// Waits until the live version runs on every shard that should run it, at most a moment; how many
    /// of how many do.
    pub(crate) async fn live(&self, function: &Function) -> (usize, usize) {
        let count = || {
            let units = self.running_units(function.id);
            let is_live = |unit: &&UnitId| {
                let status = self.supervisor.statuses().of(**unit);
                status.is_some_and(|status| status.runs(function))
            };
            (units.iter().filter(is_live).count(), units.len())
        };
        let look = || match count() {
            (live, of) if live == of => Look::Found(()),
            _ => Look::Waiting,
        };
        // Time passing is an answer too: how many are live is said.
        let _ = self.look_until(limits::LIVE_WAIT, look).await;
        count()
    }

    /// Waits until every shard with data has an outcome on the live version, or one of them a bad one.
    ///
    /// A `fatal` takes the mapping's workers, and what they told, away: it is read off the catalogue. A
    /// deployment resumes what was stopped before, so whatever is stopped now was stopped by it. Of a
    /// version that was live already the last outcome counts, of another the first.
    pub(crate) async fn outcomes(
        &self,
        function: &Function,
        is_new: bool,
        wait: Duration,
    ) -> WaitEnd {
        let began = Instant::now();
        let mut with_data = self.running_units(function.id);
        with_data.retain(|unit| self.pending_of(*unit) > 0);
        let done_before: Vec<u64> = with_data.iter().map(|unit| self.done_of(*unit)).collect();
        let look = || {
            if let Some(end) = self.overtaken(function) {
                return Look::Found(end);
            }
            let statuses = self.supervisor.statuses();
            let mut is_waiting = false;
            // A shard whose records were fewer than a look took counts as well, if it fails.
            for unit in self.running_units(function.id) {
                let Some(UnitStatus::Running {
                    first_outcome,
                    last_outcome,
                    standing,
                    ..
                }) = statuses.of(unit).filter(|status| status.runs(function))
                else {
                    is_waiting |= with_data.contains(&unit);
                    continue;
                };
                let outcome = if is_new { first_outcome } else { last_outcome };
                if let Some(CallOutcome::Bad(words)) = outcome {
                    return Look::Found(WaitEnd::Bad(format!(
                        "{}: {words}",
                        self.address_of(unit)
                    )));
                }
                if let Some(at) = with_data.iter().position(|known| *known == unit) {
                    // A call that went well is no outcome while its commit is refused.
                    let is_settled = self.done_of(unit) > done_before[at]
                        || self.pending_of(unit) == 0
                        || began.elapsed() >= limits::COMMIT_WAIT;
                    is_waiting |= outcome.is_none() || standing.blocked.is_some() || !is_settled;
                }
            }
            let is_running = |unit: &UnitId| {
                self.unit_state(*unit)
                    .is_some_and(|state| state == MappingState::Running)
            };
            if let Some(unit) = with_data.iter().find(|unit| !is_running(unit)) {
                let words = match self.unit_state(*unit) {
                    Some(MappingState::Paused) => "was paused",
                    _ => "went",
                };
                let words = format!(
                    "{} {words} before it had an outcome",
                    self.address_of(*unit)
                );
                return Look::Found(WaitEnd::Open(words));
            }
            if is_waiting {
                Look::Waiting
            } else {
                Look::Found(WaitEnd::Good)
            }
        };
        let found = self.look_until(wait, look).await;
        found.unwrap_or_else(|| {
            let words = "not every shard with data has an outcome yet";
            WaitEnd::Open(words.to_owned())
        })
    }

    /// Looks again whenever a worker or the catalogue changed, and for commits now and then; `None`: not
    /// in time.
    async fn look_until<T>(&self, wait: Duration, look: impl Fn() -> Look<T>) -> Option<T> {
        let mut workers = self.supervisor.statuses().watch();
        let mut catalogue = self.store.registry_changed();
        let looking = async {
            loop {
                if let Look::Found(found) = look() {
                    return Some(found);
                }
                let changed = select! {
                    changed = workers.changed() => changed,
                    changed = catalogue.changed() => changed,
                    () = sleep(limits::LOOK_AGAIN) => Ok(()),
                };
                if changed.is_err() {
                    return None;
                }
            }
        };
        timeout(wait, looking).await.ok().flatten()
    }

    /// What has ended the wait from outside: a `fatal`, another version, a deletion.
    fn overtaken(&self, function: &Function) -> Option<WaitEnd> {
        self.view(|view| {
            let registry = view.registry();
            let Some(now) = registry.function(function.id) else {
                return Some(WaitEnd::Open(
                    "the function was deleted meanwhile".to_owned(),
                ));
            };
            if now.live != function.live {
                let words = format!("version {} is live meanwhile", now.live);
                return Some(WaitEnd::Open(words));
            }
            let mut mappings = registry.mappings_of_function(function.id);
            mappings.find_map(|mapping| match &mapping.state {
                MappingState::Stopped { code, message } => {
                    let address = registry.address(mapping);
                    Some(WaitEnd::Bad(format!("{address}: {code}: {message}")))
                }
                _ => None,
            })
        })
    }

    fn pending_of(&self, unit: UnitId) -> u64 {
        self.view(|view| view.pending(unit)).unwrap_or_default()
    }

    /// Records that a unit is done with or was charged for, ever.
    fn done_of(&self, unit: UnitId) -> u64 {
        let totals = self.view(|view| view.unit(unit).map(|unit| unit.totals));
        totals.map_or(0, |totals| {
            totals.processed + totals.failed + totals.dead_lettered
        })
    }

    fn unit_state(&self, unit: UnitId) -> Option<MappingState> {
        self.view(|view| {
            let mapping = view.registry().mapping(unit.mapping);
            mapping.map(|mapping| mapping.state.clone())
        })
    }

    fn address_of(&self, unit: UnitId) -> String {
        self.view(|view| {
            let registry = view.registry();
            let mapping = registry.mapping(unit.mapping);
            mapping.map_or_else(
                || unit.mapping.to_string(),
                |mapping| registry.address(mapping),
            )
        })
    }

    fn running_units(&self, function: FunctionId) -> Vec<UnitId> {
        self.view(|view| {
            let mappings = view.registry().mappings_of_function(function);
            mappings
                .filter(|mapping| mapping.state == MappingState::Running)
                .flat_map(|mapping| view.turns(mapping))
                .filter(|(_, turn)| *turn == UnitTurn::Due)
                .map(|(unit, _)| unit)
                .collect()
        })
    }
}
