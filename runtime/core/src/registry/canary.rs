//! Canaries begin with a deploy; here they change, become live, and go. Each is one change of the function,
//! and fences the units of its mappings, as a deploy does: what runs drains, and nothing is called twice or
//! passed over.

use std::sync::Arc;

use super::{Applied, Evaluated, Refusal, Registry, deploy, draft::Draft};
use crate::{
    canary::{Canary, Permille, Switch, SwitchKind, Tripped},
    function::Function,
    id::{FunctionId, FunctionName, FunctionVersion, Timestamp},
    mapping::MappingState,
    spec::{
        canary::{CanarySettings, CanarySpec},
        resolve::Problems,
    },
};

/// Puts a canary in its place, or gives the present one other settings.
pub(super) fn begin(
    function: &mut Function,
    version: FunctionVersion,
    settings: CanarySettings,
    now: Timestamp,
) {
    let before = function.rollout.canary;
    let same = before.filter(|canary| canary.version == version);
    if same.is_none() {
        end(
            function,
            SwitchKind::Dropped,
            &format!("version {version} took its place"),
            now,
        );
    }
    let canary = Canary {
        version,
        weight: settings.weight,
        since: same.map_or(now, |canary| canary.since),
        guard: settings.guard,
    };
    if same == Some(canary) {
        return;
    }
    function.rolled_back.remove(&version);
    function.rollout.canary = Some(canary);
    let kind = match same {
        Some(_) => SwitchKind::Changed,
        None => SwitchKind::Begun,
    };
    note(function, kind, version, "", now);
}

/// Ends a canary that does not become live; whether there was one.
pub(super) fn end(
    function: &mut Function,
    kind: SwitchKind,
    why: &str,
    now: Timestamp,
) -> Option<Canary> {
    let canary = function.rollout.canary.take()?;
    function.rolled_back.insert(canary.version, now);
    note(function, kind, canary.version, why, now);
    Some(canary)
}

fn note(
    function: &mut Function,
    kind: SwitchKind,
    canary: FunctionVersion,
    why: &str,
    now: Timestamp,
) {
    let switch = Switch {
        at: now,
        kind,
        canary,
        weight: function.canary().map(|canary| canary.weight),
        live: function.live,
        why: why.to_owned(),
    };
    function.rollout.note(switch);
}

/// Why a canary of this weight may not have that one; `None`: it may. A key that met the newer version would
/// meet the older one again, and be tried by the newer one once more when the weight goes up: who wants that
/// takes the canary back first.
pub(super) fn is_less(
    function: &FunctionName,
    before: Permille,
    weight: Permille,
) -> Option<String> {
    (weight < before).then(|| {
        format!(
            "{weight} is less than the {before} it has, and no key goes back to the version before while there \
             is a canary: fnctl rollback {function} takes all of them back"
        )
    })
}

impl Registry {
    /// Makes a canary live, or gives it other settings; never less weight.
    pub(super) fn promote(
        &self,
        name: &FunctionName,
        wish: Option<&CanarySpec>,
        now: Timestamp,
    ) -> Result<Evaluated, Refusal> {
        let function = self.find_function(name)?;
        let canary = *function.canary().ok_or_else(|| Refusal::NoCanary {
            function: name.clone(),
            version: function.live,
        })?;
        let mut changed = Function::clone(function);
        if let Some(wish) = wish {
            let mut problems = Problems::default();
            let Some(settings) = wish.resolve(&canary.guard, &mut problems) else {
                return Err(Refusal::Invalid {
                    problems: problems.0,
                });
            };
            if let Some(words) = is_less(name, canary.weight, settings.weight) {
                problems.push("canary", words);
                return Err(Refusal::Invalid {
                    problems: problems.0,
                });
            }
            begin(&mut changed, canary.version, settings, now);
            if changed == **function {
                let applied = Applied::Function(Arc::clone(function));
                return Ok(Evaluated::unchanged(applied));
            }
            let is_resuming = false;
            let (draft, function) = self.switched(changed, is_resuming, now)?;
            return Ok(draft.done(Applied::Function(function)));
        }
        let previous = changed.live;
        changed.rollout.canary = None;
        changed.live_before.push(previous);
        changed.live = canary.version;
        changed.live_since = now;
        note(&mut changed, SwitchKind::Promoted, canary.version, "", now);
        deploy::forget_oldest(&mut changed);
        let (draft, function) = self.switched(changed, true, now)?;
        Ok(draft.done(Applied::Promoted { function, previous }))
    }

    /// Takes back the canary that a guard gave up; another one, or none, stays as it is.
    pub(super) fn guard_tripped(
        &self,
        id: FunctionId,
        version: FunctionVersion,
        tripped: &Tripped,
        now: Timestamp,
    ) -> Result<Evaluated, Refusal> {
        let function = self.function(id).ok_or(Refusal::NoSuchFunctionId(id))?;
        let is_it = |canary: &&Canary| canary.version == version;
        if function.canary().filter(is_it).is_none() {
            let function = Arc::clone(function);
            return Ok(Evaluated::unchanged(Applied::Function(function)));
        }
        self.take_back(function, SwitchKind::RolledBack, &tripped.words, now)
    }

    /// Takes a canary back: the live version has all keys again.
    pub(super) fn take_back(
        &self,
        function: &Arc<Function>,
        kind: SwitchKind,
        why: &str,
        now: Timestamp,
    ) -> Result<Evaluated, Refusal> {
        let mut changed = Function::clone(function);
        let dropped = end(&mut changed, kind, why, now).map(|canary| canary.version);
        let previous = function.live;
        // What stopped a mapping is the live version's `fatal`: the canary's took the canary back.
        let is_resuming = kind == SwitchKind::Dropped;
        let (draft, function) = self.switched(changed, is_resuming, now)?;
        Ok(draft.done(Applied::RolledBack {
            function,
            previous,
            dropped,
        }))
    }

    /// A function as it becomes, its mappings fenced: nothing calls what it was any more. One that failed calls
    /// nothing, so no output of it has to be bound.
    pub(super) fn switched(
        &self,
        changed: Function,
        is_resuming: bool,
        now: Timestamp,
    ) -> Result<(Draft<'_>, Arc<Function>), Refusal> {
        let changed = Arc::new(changed);
        let mut draft = Draft::new(self);
        draft.put_function(&changed);
        let version = changed.live_version();
        let mappings = self.mappings_of_function(changed.id);
        for mapping in mappings.filter(|mapping| mapping.state != MappingState::Failed) {
            deploy::check_bound(
                &self.address(mapping),
                &mapping.outputs,
                &version.outputs,
                version.number,
            )?;
            draft.fence(mapping);
            if is_resuming {
                deploy::resume_stopped(&mut draft, mapping, now);
            }
        }
        Ok((draft, changed))
    }
}
