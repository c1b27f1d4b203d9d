//! What a deployment waits for: its version on every shard, and what became of the first records.

use std::time::Duration;

use fnctl_core::{
    function::Function,
    id::{FunctionId, UnitId},
    mapping::MappingState,
};
use tokio::{select, time::timeout};

use super::HostNode;
use crate::{
    limits,
    supervisor::{FirstOutcome, UnitStatus},
};

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
                matches!(
                    self.supervisor.statuses().of(**unit),
                    Some(UnitStatus::Running { version, .. }) if version == function.live
                )
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

    /// Waits until every shard with data has an outcome on the live version, or one of them a bad one;
    /// `None`: not in time.
    ///
    /// A `fatal` takes the mapping's workers, and what they told, away: it is read off the catalogue. A
    /// deployment resumes what was stopped before, so whatever is stopped now was stopped by it.
    pub(crate) async fn first_outcomes(
        &self,
        function: &Function,
        wait: Duration,
    ) -> Option<FirstOutcome> {
        let is_pending = |unit: &UnitId| {
            let pending = self.view(|view| view.pending(*unit));
            pending.is_some_and(|pending| pending > 0)
        };
        let mut with_data = self.running_units(function.id);
        with_data.retain(is_pending);
        let look = || {
            if let Some(words) = self.stopped(function.id) {
                return Look::Found(FirstOutcome::Bad(words));
            }
            let statuses = self.supervisor.statuses();
            let mut is_waiting = false;
            // A shard whose records were fewer than a look took counts as well, if it fails.
            for unit in self.running_units(function.id) {
                match statuses.of(unit) {
                    Some(UnitStatus::Running {
                        version,
                        first_outcome: Some(outcome),
                        ..
                    }) if version == function.live => {
                        if let FirstOutcome::Bad(_) = outcome {
                            return Look::Found(outcome);
                        }
                    }
                    _ => is_waiting |= with_data.contains(&unit),
                }
            }
            if is_waiting {
                Look::Waiting
            } else {
                Look::Found(FirstOutcome::Good)
            }
        };
        self.look_until(wait, look).await
    }

    /// Looks again whenever a worker or the catalogue changed; `None`: not in time.
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
                };
                if changed.is_err() {
                    return None;
                }
            }
        };
        timeout(wait, looking).await.ok().flatten()
    }

    /// Why a mapping of the function stopped, if one did.
    fn stopped(&self, function: FunctionId) -> Option<String> {
        self.view(|view| {
            let mut mappings = view.registry().mappings_of_function(function);
            mappings.find_map(|mapping| match &mapping.state {
                MappingState::Stopped { code, message } => Some(format!("{code}: {message}")),
                _ => None,
            })
        })
    }

    fn running_units(&self, function: FunctionId) -> Vec<UnitId> {
        self.view(|view| {
            let mappings = view.registry().mappings_of_function(function);
            mappings
                .filter(|mapping| mapping.state == MappingState::Running)
                .flat_map(|mapping| view.units_of(mapping.id).map(|(unit, _)| unit))
                .collect()
        })
    }
}
