//! What a deploy leaves as it is, although the request names it otherwise or, being the whole truth, does
//! not name it any more. Mappings are deleted and streams changed by nobody but who asks for just that
//! (command line and SDK §3); here it is said what stands, and how to change it.

use std::{collections::BTreeSet, sync::Arc};

use super::{Note, Work, mappings, mappings::Layer};
use crate::{
    function::Function,
    id::{FunctionVersion, StreamName},
    mapping::{Mapping, MappingState},
    shard::{Ack, Stream},
    spec::{
        Setting, StartingPosition, StreamSpec,
        duration::Duration,
        setting::{Count, SettingValue},
        size::ByteSize,
    },
};

/// Everything to be said, mappings first.
pub(super) fn gather(
    work: &Work<'_>,
    existing: Option<&Arc<Function>>,
    layers: &[Layer],
    prefix: impl Fn(&StreamName) -> String,
) -> Vec<Note> {
    let mut notes = Vec::new();
    let function = &work.deploy.function;
    if work.deploy.is_manifest {
        let left_out = mappings::live(work, existing)
            .into_iter()
            .filter(|stream| layers.iter().all(|layer| layer.stream != *stream));
        notes.extend(left_out.map(|stream| Note {
            path: format!("mapping[{stream}]"),
            message: format!(
                "`{function}/{stream}` is in the manifest no more, and goes on as it is"
            ),
            fix: format!("fnctl mappings delete {function}/{stream}"),
        }));
    }
    for layer in layers.iter().filter(|layer| layer.is_position_unused()) {
        // A manifest goes on naming where its mapping once started: only what differs from the default
        // may be a wish.
        if !work.deploy.is_manifest || layer.position != StartingPosition::default() {
            let mapping = format!("{function}/{}", layer.stream);
            notes.push(Note::position_is_used_once(
                &prefix(&layer.stream),
                &mapping,
            ));
        }
    }
    streams(work, layers, &mut notes);
    notes
}

/// Mappings that can still go on.
fn alive(mappings: &[Arc<Mapping>]) -> impl Iterator<Item = &Arc<Mapping>> {
    let is_alive = |mapping: &&Arc<Mapping>| mapping.state != MappingState::Failed;
    mappings.iter().filter(is_alive)
}

/// Mappings without windows of a function that asks for them: one made of `#[stream_fn(window)]` would
/// stop them. Not refused, because a function may ask and do without.
pub(super) fn without_windows(
    function: &Function,
    mappings: &[Arc<Mapping>],
    prefix: impl Fn(&StreamName) -> String,
) -> Vec<Note> {
    if !function.live_version().reads_states() {
        return Vec::new();
    }
    let without = alive(mappings).filter(|mapping| !mapping.settings.has_windows());
    let note = |mapping: &Arc<Mapping>| {
        let address = format!("{}/{}", function.name, mapping.stream_name);
        Note {
            path: format!("{}.tumbling_window", prefix(&mapping.stream_name)),
            message: format!(
                "`{}` asks for tumbling windows, and `{address}` has none",
                function.name
            ),
            fix: format!("fnctl mappings update {address} --tumbling-window 60s"),
        }
    };
    without.map(note).collect()
}

/// A canary that goes on beside what was deployed, or that this deploy ended.
pub(super) fn of_canary(
    work: &Work<'_>,
    before: Option<&Arc<Function>>,
    function: &Function,
) -> Option<Note> {
    let canary = before?.canary()?;
    let (name, version, weight) = (&function.name, canary.version, canary.weight);
    let (message, fix) = match function.canary() {
        Some(now) if now.version == version => {
            if work.deploy.canary.is_some() {
                return None;
            }
            let words = format!("version {version} goes on as the canary, with {weight}");
            (
                words,
                format!("fnctl promote {name} · fnctl rollback {name}"),
            )
        }
        _ if function.live == version => return None,
        _ => (
            format!("version {version} was the canary, with {weight}, and is one no more"),
            format!("fnctl rollback {name} --to {version}        (to make it live)"),
        ),
    };
    Some(Note {
        path: "canary".to_owned(),
        message,
        fix,
    })
}

/// Mappings with windows of a function whose new version knows no states, where the one before it did: what
/// open windows have counted so far is read by nobody, and becomes dead letters when they end. Not refused,
/// because a function may give windows up; a rollback in front of their end reads the states again.
pub(super) fn states_left_unread(
    function: &Function,
    (before, version): (Option<FunctionVersion>, FunctionVersion),
    mappings: &[Arc<Mapping>],
    prefix: impl Fn(&StreamName) -> String,
) -> Vec<Note> {
    let version_of = |number| function.versions.get(&number);
    let asks_in = |number| version_of(number).is_some_and(|of| of.reads_states());
    if asks_in(version) || !before.is_some_and(asks_in) {
        return Vec::new();
    }
    let with = alive(mappings).filter(|mapping| mapping.settings.has_windows());
    let note = |mapping: &Arc<Mapping>| {
        let name = &function.name;
        let address = format!("{name}/{}", mapping.stream_name);
        Note {
            path: format!("{}.tumbling_window", prefix(&mapping.stream_name)),
            message: format!(
                "version {version} of `{name}` reads no states: what windows of `{address}` that are open have \
                 counted becomes dead letters when they end"
            ),
            fix: format!("fnctl rollback {name}, before they end"),
        }
    };
    with.map(note).collect()
}

/// Mappings with windows of a function that gets a canary, where it and the live version read states: what
/// changes sides has the state that the other one left. Not refused, because most states keep their shape.
pub(super) fn states_of_both(
    work: &Work<'_>,
    function: &Function,
    mappings: &[Arc<Mapping>],
    prefix: impl Fn(&StreamName) -> String,
) -> Vec<Note> {
    let canary = function
        .canary_version()
        .filter(|version| version.reads_states());
    let is_asked = work.deploy.canary.is_some() && function.live_version().reads_states();
    let canary = canary.filter(|_| is_asked);
    let Some(canary) = canary else {
        return Vec::new();
    };
    let with = alive(mappings).filter(|mapping| mapping.settings.has_windows());
    let note = |mapping: &Arc<Mapping>| {
        let (name, live, canary) = (&function.name, function.live, canary.number);
        Note {
            path: format!("{}.tumbling_window", prefix(&mapping.stream_name)),
            message: format!(
                "open windows of `{name}/{}` that change sides, also when the canary goes, hand their state on: \
                 version {canary} is taken back if it cannot read those of {live}, and those of {canary} that {live} \
                 cannot read become dead letters",
                mapping.stream_name
            ),
            fix: format!(
                "fnctl rollback {name}, if either has fields that the other cannot do without"
            ),
        }
    };
    with.map(note).collect()
}

/// Streams that are there already, and are named otherwise than they are.
fn streams(work: &Work<'_>, layers: &[Layer], notes: &mut Vec<Note>) {
    let deploy = work.deploy;
    let named = deploy
        .streams
        .keys()
        .filter_map(|name| StreamName::parse(name).ok());
    let mut wanted: BTreeSet<StreamName> = named.collect();
    if deploy.new_streams != StreamSpec::default() {
        for layer in layers {
            wanted.insert(layer.stream.clone());
            wanted.extend(layer.written_streams().cloned());
        }
    }
    for name in wanted {
        let Some(stream) = work.registry.stream_by_name(&name) else {
            continue;
        };
        let named = deploy.streams.get(name.as_str()).cloned();
        let spec = deploy
            .new_streams
            .clone()
            .overlay(named.unwrap_or_default());
        differences(stream, &spec, notes);
    }
}

/// What is named otherwise than it is.
fn differences(stream: &Stream, spec: &StreamSpec, notes: &mut Vec<Note>) {
    let name = &stream.name;
    let anew = |what: &str| {
        format!(
            "leave {what} out; or delete the stream and its records, and deploy again: fnctl streams delete {name}"
        )
    };
    let mut note = |key: &str, stands: String, named: String, fix: String| {
        if stands != named {
            notes.push(Note {
                path: format!("streams.{name}.{key}"),
                message: format!("{named} is used when a stream is made: `{name}` has {stands}"),
                fix,
            });
        }
    };
    let update = |flag: &str| format!("fnctl streams update {name} {flag}");
    let shards = stream.open_shards().count();
    if let Some(Count(named)) = value(spec.shards.as_ref()) {
        note(
            "shards",
            shards.to_string(),
            named.to_string(),
            format!("fnctl streams resize {name} --shards {named}"),
        );
    }
    if let Some(named) = value(spec.retention.as_ref()) {
        let stands = Duration {
            ms: stream.retention_ms,
        };
        let fix = update(&format!("--retention {named}"));
        note("retention", stands.to_string(), named.to_string(), fix);
    }
    if let Some(named) = value(spec.ack.as_ref()) {
        note("ack", word(stream.ack), word(named), anew("`ack`"));
    }
    if let Some(named) = value(spec.max_record_size.as_ref()) {
        let stands = ByteSize {
            bytes: stream.options.record_bytes_max,
        };
        let fix = anew("`max_record_size`");
        note(
            "max_record_size",
            stands.to_string(),
            named.to_string(),
            fix,
        );
    }
    for (key, flag, named, stands) in [
        ("quota", "--quota", &spec.quota, stream.options.quota_bytes),
        (
            "retention_bytes",
            "--retention-bytes",
            &spec.retention_bytes,
            stream.options.retention_bytes,
        ),
    ] {
        if let Some(named) = value(named.as_ref()) {
            let stands = stands.map_or_else(
                || "no such bound".to_owned(),
                |bytes| ByteSize { bytes }.to_string(),
            );
            let fix = update(&format!("{flag} {named}"));
            note(key, stands, named.to_string(), fix);
        }
    }
}

fn value<T: SettingValue + Copy>(setting: Option<&Setting<T>>) -> Option<T> {
    match setting? {
        Setting::Value(value) => Some(*value),
        Setting::Default | Setting::Unfit(_) => None,
    }
}

fn word(ack: Ack) -> String {
    match ack {
        Ack::Synced => "synced",
        Ack::Written => "written",
    }
    .to_owned()
}
