//! All problems of an input that can be seen without knowing what is live.

use std::collections::BTreeMap;

use super::{
    FunctionSettings, Problems, function, mapping, outputs, source, starting_position, stream,
};
use crate::{
    error_code::Problem,
    id::StreamName,
    limits,
    mapping::MappingSettings,
    spec::{FunctionSpec, Manifest, MappingSpec, Setting, StreamSpec, manifest::DevSpec},
};

/// All problems of a manifest that can be seen without a server.
#[must_use]
pub fn manifest(manifest: &Manifest) -> Vec<Problem> {
    let mut problems = Problems::default();
    problems.unknown("", &manifest.unknown.0, Manifest::KEYS, &[]);
    function(
        &FunctionSettings::default(),
        &manifest.function,
        &[],
        &mut problems,
    );
    let mut seen = Vec::new();
    for (index, spec) in manifest.mapping.iter().enumerate() {
        let path = format!("mapping[{index}]");
        mapping(&MappingSettings::default(), spec, &path, &mut problems);
        outputs(&BTreeMap::new(), spec, &path, &mut problems);
        starting_position(spec, &path, &mut problems);
        if spec.stream.is_none() {
            problems.push(format!("{path}.stream"), "is missing: which stream is read");
        } else if let Some(name) = source(spec, &path, &mut problems) {
            if seen.contains(&name) {
                problems.push(
                    format!("{path}.stream"),
                    format!("`{name}` has a mapping above already"),
                );
            }
            seen.push(name);
        }
    }
    for (name, spec) in &manifest.streams {
        if let Err(error) = StreamName::parse(name) {
            problems.push(format!("streams.{name}"), error.to_string());
        }
        stream(spec, &format!("streams.{name}"), &mut problems);
    }
    dev(&manifest.dev, &mut problems);
    problems.0
}

/// All problems of a deploy's layers that can be seen without knowing what is live.
#[must_use]
pub fn layers(
    spec: &FunctionSpec,
    mappings: &[MappingSpec],
    streams: &BTreeMap<String, StreamSpec>,
    new_streams: &StreamSpec,
) -> Vec<Problem> {
    let mut problems = Problems::default();
    function(&FunctionSettings::default(), spec, &[], &mut problems);
    for (index, spec) in mappings.iter().enumerate() {
        let path = format!("mapping[{index}]");
        // The widest live pair: what a layer does not name contradicts nothing here.
        let live = MappingSettings {
            backoff_initial_ms: 1,
            backoff_max_ms: limits::BACKOFF_MS_MAX,
            ..MappingSettings::default()
        };
        mapping(&live, spec, &path, &mut problems);
        outputs(&BTreeMap::new(), spec, &path, &mut problems);
        starting_position(spec, &path, &mut problems);
        source(spec, &path, &mut problems);
    }
    for (name, spec) in streams {
        stream(spec, &format!("streams.{name}"), &mut problems);
    }
    stream(new_streams, "new_streams", &mut problems);
    problems.0
}

fn dev(spec: &DevSpec, problems: &mut Problems) {
    problems.unknown("dev", &spec.unknown.0, DevSpec::KEYS, &[]);
    for (key, given) in [("seed", &spec.seed), ("key_field", &spec.key_field)] {
        if let Some(Setting::Unfit(why)) = given {
            problems.refuse(format!("dev.{key}"), why);
        }
    }
}
