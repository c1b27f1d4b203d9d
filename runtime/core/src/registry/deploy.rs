//! Judges a deploy: layers over what is live become a version, mappings and streams
//! (command line and SDK §1, §3, §5).

mod mappings;
mod notes;
mod version;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Applied, Deploy, Deployed, Evaluated, Note, Refusal, Registry, Tails, change::Changes, cycle,
    draft::Draft,
};
use crate::{
    error_code::Problem,
    function::Function,
    id::{FunctionId, FunctionVersion, MappingId, OutputName, StreamName, Timestamp},
    mapping::{Mapping, MappingState, OutputBinding},
    shard::Stream,
    spec::{
        StreamSpec,
        resolve::{self, Problems, StreamSettings},
    },
};

/// The output that every component has.
pub(super) const DEFAULT_OUTPUT: &str = "default";

/// What is gathered while a deploy is judged.
struct Work<'a> {
    registry: &'a Registry,
    deploy: &'a Deploy,
    now: Timestamp,
    draft: Draft<'a>,
    problems: Problems,
    changes: Changes,
    created_streams: Vec<Arc<Stream>>,
    created_mappings: Vec<MappingId>,
}

pub(super) use version::forget_oldest;

pub(super) fn evaluate(
    registry: &Registry,
    deploy: &Deploy,
    tails: &impl Tails,
    now: Timestamp,
) -> Result<Evaluated, Refusal> {
    let existing = registry.function_by_name(&deploy.function);
    if existing.is_none() && deploy.component.is_none() {
        return Err(Refusal::NoSuchFunction(deploy.function.clone()));
    }
    let mut work = Work {
        registry,
        deploy,
        now,
        draft: Draft::new(registry),
        problems: Problems::default(),
        changes: Changes::default(),
        created_streams: Vec::new(),
        created_mappings: Vec::new(),
    };
    let planned = version::plan(&mut work, existing);
    let targets = mappings::targets(&mut work, existing);
    mappings::check_known(&work, existing, &targets)?;
    let layers = mappings::settle(&mut work, existing, &targets);
    let streams = stream_settings(&mut work);
    let wish = version::wish(&mut work, existing, &planned);
    if !work.problems.0.is_empty() {
        return Err(Refusal::Invalid {
            problems: work.problems.0,
        });
    }
    for layer in &layers {
        for output in &layer.named_outputs {
            let canary = existing.and_then(|function| function.canary_version());
            let is_canarys = canary.is_some_and(|canary| canary.outputs.contains(output));
            if !planned.outputs().contains(output) && !is_canarys {
                return Err(Refusal::NoSuchOutput {
                    output: output.clone(),
                    declared: planned.outputs().to_vec(),
                });
            }
        }
    }

    let (function, previous) = version::commit(&mut work, existing, planned, wish);
    create_streams(&mut work, function.id, &layers, &streams);
    let prefix = mappings::prefix(&work, existing, &layers);
    let mut notes = notes::gather(&work, existing, &layers, &prefix);
    for layer in &layers {
        mappings::commit(&mut work, layer, &prefix(&layer.stream), function.id, tails)?;
    }
    // Where the versions called stay the same, what is called goes on.
    let is_new_version = existing.is_none_or(|existing| {
        (existing.live, existing.canary()) != (function.live, function.canary())
    });
    let canary = function.canary().filter(|_| work.deploy.canary.is_some());
    let version = canary.map_or(function.live, |canary| canary.version);
    let after = finish_mappings(&mut work, &function, is_new_version, &layers)?;
    check_cycles(&work, &layers, &after)?;
    notes.extend(notes::without_windows(&function, &after, &prefix));
    notes.extend(notes::of_canary(&work, existing, &function));
    notes.extend(notes::states_of_both(&work, &function, &after, &prefix));
    if is_new_version {
        let before = existing.map(|function| function.live);
        notes.extend(notes::states_left_unread(
            &function,
            (before, version),
            &after,
            &prefix,
        ));
    }

    let changed = !work.draft.is_empty();
    let deployed = Deployed {
        previous_version: previous,
        changed,
        changes: work.changes.0,
        notes,
        version,
        mappings: after,
        created_mappings: work.created_mappings,
        created_streams: work.created_streams,
        same_bytes_as: (previous != Some(function.live))
            .then(|| same_bytes(&function))
            .flatten(),
        function,
    };
    let applied = Applied::Deployed(Box::new(deployed));
    Ok(if changed {
        work.draft.done(applied)
    } else {
        Evaluated::unchanged(applied)
    })
}

/// The latest older version with the live one's bytes, unless it is the one just replaced.
fn same_bytes(function: &Function) -> Option<(FunctionVersion, Option<Timestamp>)> {
    let live = function.live_version();
    let same = function.versions.values().rev().find(|version| {
        version.number != live.number && version.settings.digest == live.settings.digest
    })?;
    (function.live_before.last() != Some(&same.number))
        .then(|| (same.number, function.rolled_back.get(&same.number).copied()))
}

/// How the streams are made that the request names; those that exist are checked all the same.
fn stream_settings(work: &mut Work<'_>) -> BTreeMap<StreamName, StreamSettings> {
    let mut settings = BTreeMap::new();
    for (name, spec) in &work.deploy.streams {
        let path = format!("streams.{name}");
        let layer = work.deploy.new_streams.clone().overlay(spec.clone());
        let resolved = resolve::stream(&layer, &path, &mut work.problems);
        match StreamName::parse(name) {
            Ok(name) => {
                settings.insert(name, resolved);
            }
            Err(error) => work.problems.push(path, error.to_string()),
        }
    }
    if work.deploy.new_streams != StreamSpec::default() {
        resolve::stream(&work.deploy.new_streams, "new_streams", &mut work.problems);
    }
    settings
}

fn create_streams(
    work: &mut Work<'_>,
    function: FunctionId,
    layers: &[mappings::Layer],
    settings: &BTreeMap<StreamName, StreamSettings>,
) {
    let mut unseen = Problems::default();
    let other = resolve::stream(&work.deploy.new_streams, "", &mut unseen);
    let mut wanted: BTreeSet<StreamName> = settings.keys().cloned().collect();
    for layer in layers {
        wanted.insert(layer.stream.clone());
        wanted.extend(layer.written_streams().cloned());
    }
    // Mappings that stay as they are write to streams that may have been deleted.
    let is_same = |mapping: &&Arc<Mapping>| {
        mapping.function == function
            && mapping.state != MappingState::Failed
            && layers
                .iter()
                .all(|layer| layer.stream != mapping.stream_name)
    };
    for mapping in work.draft.mappings().values().filter(is_same) {
        wanted.extend(mapping.written_streams().cloned());
    }
    for name in wanted {
        if work.draft.stream_by_name(&name).is_none() {
            let settings = settings.get(&name).unwrap_or(&other).clone();
            let stream = work.draft.create_stream(name, settings, false, work.now);
            work.created_streams.push(stream);
        }
    }
}

/// All mappings of the function as they will be: outputs bound, owners fenced where the version
/// changed, and those running again that a `fatal` had stopped.
fn finish_mappings(
    work: &mut Work<'_>,
    function: &Function,
    is_new_version: bool,
    layers: &[mappings::Layer],
) -> Result<Vec<Arc<Mapping>>, Refusal> {
    let versions = [Some(function.live_version()), function.canary_version()];
    let mine = |mapping: &&Arc<Mapping>| mapping.function == function.id;
    let before: Vec<Arc<Mapping>> = work
        .draft
        .mappings()
        .values()
        .filter(mine)
        .cloned()
        .collect();
    for mapping in before
        .iter()
        .filter(|mapping| mapping.state != MappingState::Failed)
    {
        let address = format!("{}/{}", function.name, mapping.stream_name);
        for version in versions.into_iter().flatten() {
            check_bound(&address, &mapping.outputs, &version.outputs, version.number)?;
        }
        if is_new_version {
            work.draft.fence(mapping);
        }
        // A change of a mapping alone is no deploy: what stopped it is still there.
        let is_deployed = |layer: &mappings::Layer| {
            layer.stream == mapping.stream_name && work.deploy.mapping_is.is_none()
        };
        if is_new_version || layers.iter().any(is_deployed) {
            resume_stopped(&mut work.draft, mapping, work.now);
        }
    }
    Ok(work
        .draft
        .mappings()
        .values()
        .filter(mine)
        .cloned()
        .collect())
}

/// Every declared output goes somewhere.
pub(super) fn check_bound(
    mapping: &str,
    bound: &BTreeMap<OutputName, OutputBinding>,
    declared: &[OutputName],
    version: FunctionVersion,
) -> Result<(), Refusal> {
    match declared.iter().find(|output| !bound.contains_key(output)) {
        None => Ok(()),
        Some(output) => Err(Refusal::OutputUnbound {
            mapping: mapping.to_owned(),
            output: output.clone(),
            version,
        }),
    }
}

/// A deploy ends what a `fatal` stopped, never a pause (command line and SDK §5).
pub(super) fn resume_stopped(draft: &mut Draft<'_>, mapping: &Arc<Mapping>, now: Timestamp) {
    if matches!(mapping.state, MappingState::Stopped { .. }) {
        let mut resumed = Mapping::clone(mapping);
        resumed.state = MappingState::Running;
        resumed.state_since = now;
        draft.put_mapping(&Arc::new(resumed));
    }
}

/// Only mappings whose way changed are asked: a loop that was allowed stays allowed.
fn check_cycles(
    work: &Work<'_>,
    layers: &[mappings::Layer],
    after: &[Arc<Mapping>],
) -> Result<(), Refusal> {
    let all = work.draft.mappings();
    for layer in layers.iter().filter(|layer| layer.is_rerouted) {
        let Some(mapping) = after.iter().find(|mapping| {
            mapping.stream_name == layer.stream && mapping.state != MappingState::Failed
        }) else {
            continue;
        };
        check_copies(mapping, all.values().map(AsRef::as_ref))?;
        if work.deploy.allow_loop {
            continue;
        }
        if let Some(path) = cycle::through(mapping, all.values().map(AsRef::as_ref)) {
            return Err(Refusal::Cycle {
                mapping: format!("{}/{}", work.deploy.function, mapping.stream_name),
                path,
            });
        }
    }
    Ok(())
}

/// A letter copied to where its own mapping reads would fail there, and grow, for ever: its hops end
/// with it, so nothing would stop that. No flag allows it.
fn check_copies<'a>(
    mapping: &Mapping,
    all: impl Iterator<Item = &'a Mapping>,
) -> Result<(), Refusal> {
    let copies = mapping.settings.on_failure.as_ref();
    match copies.and_then(|relay| relay.to.stream()) {
        Some(to) if cycle::leads(to, &mapping.stream_name, all) => Err(Refusal::Invalid {
            problems: vec![Problem::new(
                "on_failure",
                format!(
                    "dead letters in `{to}` would come back to `{}`, which this mapping reads",
                    mapping.stream_name
                ),
            )],
        }),
        _ => Ok(()),
    }
}
