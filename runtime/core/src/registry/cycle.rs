//! Whether records could run in a circle: streams are the nodes, mappings the edges.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    id::StreamName,
    mapping::{Mapping, MappingState, OutputBinding},
};

/// The shortest way from `mapping`'s outputs back to its own stream, that stream first and last.
pub(super) fn through<'a>(
    mapping: &Mapping,
    all: impl Iterator<Item = &'a Mapping>,
) -> Option<Vec<StreamName>> {
    let mut edges: BTreeMap<&StreamName, Vec<&StreamName>> = BTreeMap::new();
    for other in all.filter(|other| other.state != MappingState::Failed) {
        edges
            .entry(&other.stream_name)
            .or_default()
            .extend(targets(other));
    }
    let home = &mapping.stream_name;
    let mut seen = BTreeSet::new();
    let mut ways: Vec<Vec<&StreamName>> = targets(mapping)
        .into_iter()
        .map(|to| vec![home, to])
        .collect();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let at = *way.last().expect("a way starts with its first step");
            if at == home {
                return Some(way.into_iter().cloned().collect());
            }
            if seen.insert(at) {
                for &to in edges.get(at).into_iter().flatten() {
                    let mut way = way.clone();
                    way.push(to);
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    None
}

fn targets(mapping: &Mapping) -> Vec<&StreamName> {
    mapping
        .outputs
        .values()
        .filter_map(|binding| match binding {
            OutputBinding::Stream(name) => Some(name),
            OutputBinding::None => None,
        })
        .collect()
}
