//! The mappings' part of a deploy.

use std::{collections::BTreeMap, sync::Arc};

use super::{Changes, DEFAULT_OUTPUT, Refusal, Tails, Work};
use crate::{
    filter::Filter,
    function::Function,
    id::{FunctionId, Ordinal, OutputName, ShardNumber, StreamName},
    mapping::{
        Mapping, MappingSettings, MappingState, MaxAttempts, OutputBinding, written_streams,
    },
    registry::{MappingIs, address::dead_letter_stream, change::ChangeValue},
    shard::Stream,
    spec::{
        MappingSpec, StartingPosition,
        duration::Duration,
        mapping::OnFailure,
        resolve::{self, StreamSettings},
        size::ByteSize,
    },
};

/// A mapping that the deploy concerns, and its layer.
pub(super) struct Target {
    stream: StreamName,
    spec: MappingSpec,
    path: String,
}

/// A mapping as the deploy wants it.
pub(super) struct Layer {
    pub(super) stream: StreamName,
    pub(super) outputs: BTreeMap<OutputName, OutputBinding>,
    /// Those that the layer itself binds.
    pub(super) named_outputs: Vec<OutputName>,
    /// Whether its way through the streams is another than before.
    pub(super) is_rerouted: bool,
    pub(super) position: StartingPosition,
    is_position_named: bool,
    settings: MappingSettings,
    existing: Option<Arc<Mapping>>,
}

impl Layer {
    /// Whether it names where to start for a mapping that has started.
    pub(super) const fn is_position_unused(&self) -> bool {
        self.is_position_named && self.existing.is_some()
    }

    /// The streams that the mapping will write to.
    pub(super) fn written_streams(&self) -> impl Iterator<Item = &StreamName> {
        written_streams(&self.outputs, &self.settings)
    }
}

/// Which mappings the layers concern.
pub(super) fn targets(work: &mut Work<'_>, existing: Option<&Arc<Function>>) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for (index, spec) in work.deploy.mappings.iter().enumerate() {
        let path = format!("mapping[{index}]");
        let streams: Vec<StreamName> = if spec.stream.is_some() {
            resolve::source(spec, &path, &mut work.problems)
                .into_iter()
                .collect()
        } else {
            let live = live(work, existing);
            if live.is_empty() {
                work.problems.push(
                    format!("{path}.stream"),
                    "is missing, and the function has no mapping yet: which stream is read (--stream)",
                );
            }
            live
        };
        for stream in streams {
            match targets.iter_mut().find(|target| target.stream == stream) {
                Some(target) => target.spec = target.spec.clone().overlay(spec.clone()),
                None => targets.push(Target {
                    stream,
                    spec: spec.clone(),
                    path: path.clone(),
                }),
            }
        }
    }
    targets
}

/// Looks that the one mapping named is what the command takes it for.
pub(super) fn check_known(
    work: &Work<'_>,
    function: Option<&Arc<Function>>,
    targets: &[Target],
) -> Result<(), Refusal> {
    let (Some(known), [target]) = (work.deploy.mapping_is, targets) else {
        return Ok(());
    };
    match (known, mapping_of(work, function, &target.stream)) {
        (MappingIs::New, Some(mapping)) => Err(Refusal::MappingExists {
            mapping: work.registry.address(mapping),
            id: mapping.id,
        }),
        (MappingIs::There(id), found) if found.is_none_or(|mapping| mapping.id != id) => {
            let failed = work.registry.mapping(id);
            Err(failed.map_or(Refusal::NoSuchMapping(id), |mapping| {
                Refusal::MappingFailed(work.registry.address(mapping))
            }))
        }
        _ => Ok(()),
    }
}

/// The function's mapping of a stream.
fn mapping_of<'a>(
    work: &Work<'a>,
    function: Option<&Arc<Function>>,
    stream: &StreamName,
) -> Option<&'a Arc<Mapping>> {
    work.registry
        .mappings_of_function(function?.id)
        .find(|mapping| mapping.stream_name == *stream && mapping.state != MappingState::Failed)
}

/// The streams that the function reads.
pub(super) fn live(work: &Work<'_>, existing: Option<&Arc<Function>>) -> Vec<StreamName> {
    existing.map_or_else(Vec::new, |function| {
        work.registry
            .mappings_of_function(function.id)
            .filter(|mapping| mapping.state != MappingState::Failed)
            .map(|mapping| mapping.stream_name.clone())
            .collect()
    })
}

/// Applies each layer to what is live, or to the defaults.
pub(super) fn settle(
    work: &mut Work<'_>,
    function: Option<&Arc<Function>>,
    targets: &[Target],
) -> Vec<Layer> {
    let fallback = OutputName::parse(DEFAULT_OUTPUT).expect("`default` is an output's name");
    let mut layers = Vec::new();
    for target in targets {
        let existing = mapping_of(work, function, &target.stream);
        let (settings, outputs) = match existing.filter(|_| !work.deploy.is_manifest) {
            Some(mapping) => (mapping.settings.clone(), mapping.outputs.clone()),
            None => (MappingSettings::default(), BTreeMap::new()),
        };
        let (path, problems) = (&target.path, &mut work.problems);
        let settings = resolve::mapping(&settings, &target.spec, path, problems);
        if let Some(mapping) = existing {
            keep_groups(&mapping.settings, &settings, path, problems);
        }
        let position = resolve::starting_position(&target.spec, path, problems);
        if position
            .moment(work.now)
            .is_some_and(|moment| moment > work.now)
        {
            problems.push(
                format!("{path}.starting_position"),
                format!("{position} lies in the future"),
            );
        }
        let mut outputs = resolve::outputs(&outputs, &target.spec, path, problems);
        if !outputs.contains_key(&fallback) {
            match StreamName::parse(&format!("{}.out", work.deploy.function)) {
                Ok(name) => {
                    outputs.insert(fallback.clone(), OutputBinding::Stream(name));
                }
                Err(error) => problems.push(format!("{path}.outputs.default"), error.to_string()),
            }
        }
        layers.push(Layer {
            stream: target.stream.clone(),
            named_outputs: target
                .spec
                .outputs
                .keys()
                .filter_map(|name| OutputName::parse(name).ok())
                .filter(|name| *name != fallback && outputs.contains_key(name))
                .collect(),
            is_rerouted: existing.is_none_or(|mapping| {
                // Where the relay has come to is not part of the way.
                let to =
                    |settings: &MappingSettings| Some(settings.on_failure.as_ref()?.to.clone());
                mapping.outputs != outputs || to(&mapping.settings) != to(&settings)
            }),
            outputs,
            settings,
            existing: existing.cloned(),
            position,
            is_position_named: target.spec.starting_position.is_some(),
        });
    }
    layers
}

/// Refuses what would give keys other groups while windows are on: their states would meet the records of
/// other keys (commit and storage rules §8).
fn keep_groups(
    live: &MappingSettings,
    wanted: &MappingSettings,
    path: &str,
    problems: &mut resolve::Problems,
) {
    if !live.has_windows() || !wanted.has_windows() {
        return;
    }
    let fix = "first turn windows off (tumbling_window = \"0s\")";
    if live.ordering != wanted.ordering {
        let (from, to) = (live.ordering.as_str(), wanted.ordering.as_str());
        let words = format!("cannot go from {from} to {to} while windows are on: {fix}");
        problems.push(format!("{path}.ordering"), words);
    }
    if live.key_groups != wanted.key_groups {
        let (from, to) = (live.key_groups, wanted.key_groups);
        let words = format!("cannot go from {from} to {to} while windows are on: {fix}");
        problems.push(format!("{path}.key_groups"), words);
    }
}

/// How changes name the mapping of a stream: `mapping`, and `mapping[STREAM]` where the function will have
/// several.
pub(super) fn prefix(
    work: &Work<'_>,
    existing: Option<&Arc<Function>>,
    layers: &[Layer],
) -> impl Fn(&StreamName) -> String + use<> {
    let mut streams: Vec<StreamName> = live(work, existing);
    streams.extend(layers.iter().map(|layer| layer.stream.clone()));
    streams.sort_unstable();
    streams.dedup();
    let is_only_one = streams.len() < 2;
    move |stream| {
        if is_only_one {
            "mapping".to_owned()
        } else {
            format!("mapping[{stream}]")
        }
    }
}

/// Puts a mapping into the draft if it is new or changed.
pub(super) fn commit(
    work: &mut Work<'_>,
    layer: &Layer,
    prefix: &str,
    function: FunctionId,
    tails: &impl Tails,
) -> Result<(), Refusal> {
    let Some(existing) = &layer.existing else {
        return create(work, layer, function, tails);
    };
    note(&mut work.changes, prefix, existing, layer);
    let mut changed = Mapping::clone(existing);
    changed.settings = layer.settings.clone();
    if let Some(relay) = &mut changed.settings.on_failure {
        // What waits for a destination that is changed goes to the new one.
        relay.after = match &existing.settings.on_failure {
            Some(before) => before.after,
            None => tails.last(existing.dead_letters, ShardNumber(0)),
        };
    }
    changed.outputs = layer.outputs.clone();
    if changed != **existing {
        work.draft.fence(existing);
        work.draft.put_mapping(&Arc::new(changed));
    }
    Ok(())
}

fn create(
    work: &mut Work<'_>,
    layer: &Layer,
    function: FunctionId,
    tails: &impl Tails,
) -> Result<(), Refusal> {
    let stream = work
        .draft
        .stream_by_name(&layer.stream)
        .ok_or_else(|| Refusal::NoSuchStream(layer.stream.clone()))?;
    let id = work.draft.next_mapping();
    let letters =
        StreamName::parse(&dead_letter_stream(id)).expect("digits, letters, `.` and `-` alone");
    let letters = work
        .draft
        .create_stream(letters, StreamSettings::default(), true, work.now);
    let starting_after = stream
        .shards
        .iter()
        .map(|shard| {
            (
                shard.number,
                start(work, layer.position, &stream, shard.number, tails),
            )
        })
        .collect();
    let mapping = Mapping {
        id,
        function,
        stream: stream.id,
        stream_name: stream.name.clone(),
        dead_letters: letters.id,
        settings: layer.settings.clone(),
        outputs: layer.outputs.clone(),
        state: MappingState::Running,
        state_since: work.now,
        starting_after,
        created_at: work.now,
    };
    work.created_mappings.push(id);
    work.draft.put_mapping(&Arc::new(mapping));
    Ok(())
}

fn start(
    work: &Work<'_>,
    position: StartingPosition,
    stream: &Stream,
    shard: ShardNumber,
    tails: &impl Tails,
) -> Ordinal {
    let oldest = tails.before_horizon(stream.id, shard);
    match position {
        StartingPosition::TrimHorizon => oldest,
        StartingPosition::Latest => tails.last(stream.id, shard),
        // A shard born after the look-up starts at its beginning.
        StartingPosition::At(_) | StartingPosition::Ago(_) => work
            .deploy
            .found
            .iter()
            .find(|found| found.stream == stream.id && found.shard == shard)
            .map_or(oldest, |found| found.after.max(oldest)),
    }
}

/// The patterns, one behind the other.
fn filter(filter: Option<&Filter>) -> ChangeValue {
    filter.map_or(ChangeValue::Null, |filter| {
        let patterns: Vec<&str> = filter.patterns().collect();
        ChangeValue::Text(patterns.join(" or "))
    })
}

fn note(changes: &mut Changes, prefix: &str, from: &Mapping, to: &Layer) {
    let (old, new) = (&from.settings, &to.settings);
    let at = |key: &str| format!("{prefix}.{key}");
    let time = |ms| Duration { ms }.to_string();
    let size = |bytes| ByteSize { bytes }.to_string();
    let attempts = |attempts: MaxAttempts| match attempts {
        MaxAttempts::Count(count) => ChangeValue::Number(count.into()),
        MaxAttempts::Unlimited => ChangeValue::Text("unlimited".to_owned()),
    };
    changes.number(
        &at("batch_size"),
        old.batch_size.into(),
        new.batch_size.into(),
    );
    changes.text(
        &at("batch_window"),
        &time(old.batch_window_ms),
        &time(new.batch_window_ms),
    );
    changes.text(
        &at("batch_bytes"),
        &size(old.batch_bytes),
        &size(new.batch_bytes),
    );
    changes.number(
        &at("parallelization_factor"),
        old.parallelization_factor.into(),
        new.parallelization_factor.into(),
    );
    changes.add(
        &at("max_attempts"),
        attempts(old.max_attempts),
        attempts(new.max_attempts),
    );
    changes.text(
        &at("backoff_initial"),
        &time(old.backoff_initial_ms),
        &time(new.backoff_initial_ms),
    );
    changes.text(
        &at("backoff_max"),
        &time(old.backoff_max_ms),
        &time(new.backoff_max_ms),
    );
    let copied = |settings| OnFailure::of(settings).to_string();
    changes.text(&at("on_failure"), &copied(old), &copied(new));
    let bound = |ms: Option<u64>| ms.map_or(ChangeValue::Null, |ms| ChangeValue::Text(time(ms)));
    changes.add(
        &at("max_record_age"),
        bound(old.max_record_age_ms),
        bound(new.max_record_age_ms),
    );
    let switch = |is_on: bool| if is_on { "on" } else { "off" };
    changes.text(
        &at("bisect_on_error"),
        switch(old.bisect_on_error),
        switch(new.bisect_on_error),
    );
    changes.text(
        &at("circuit_breaker"),
        switch(old.circuit_breaker),
        switch(new.circuit_breaker),
    );
    changes.text(
        &at("ordering"),
        old.ordering.as_str(),
        new.ordering.as_str(),
    );
    changes.text(
        &at("partial_failures"),
        switch(old.partial_failures),
        switch(new.partial_failures),
    );
    changes.text(
        &at("on_fatal"),
        old.on_fatal.as_str(),
        new.on_fatal.as_str(),
    );
    changes.text(
        &at("on_failure_full"),
        old.on_failure_full.as_str(),
        new.on_failure_full.as_str(),
    );
    changes.add(
        &at("filter"),
        filter(old.filter.as_deref()),
        filter(new.filter.as_deref()),
    );
    changes.text(
        &at("on_unparsable"),
        old.on_unparsable.as_str(),
        new.on_unparsable.as_str(),
    );
    changes.text(
        &at("tumbling_window"),
        &time(old.tumbling_window_ms.into()),
        &time(new.tumbling_window_ms.into()),
    );
    changes.number(
        &at("key_groups"),
        old.key_groups.into(),
        new.key_groups.into(),
    );
    let bound = |outputs: &BTreeMap<OutputName, OutputBinding>, name: &OutputName| match outputs
        .get(name)
    {
        None => ChangeValue::Null,
        Some(OutputBinding::None) => ChangeValue::Text("none".to_owned()),
        Some(OutputBinding::Stream(stream)) => ChangeValue::Text(stream.to_string()),
    };
    let mut names: Vec<&OutputName> = from.outputs.keys().chain(to.outputs.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let path = at(&format!("outputs.{name}"));
        changes.add(&path, bound(&from.outputs, name), bound(&to.outputs, name));
    }
}
