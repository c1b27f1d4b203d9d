//! Whether records could run in a circle: streams are the nodes, mappings the edges.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    id::StreamName,
    mapping::{Mapping, MappingState},
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

/// Whether records put into `to` may come round to `home`.
pub(super) fn leads<'a>(
    to: &StreamName,
    home: &StreamName,
    all: impl Iterator<Item = &'a Mapping>,
) -> bool {
    let edges: Vec<&Mapping> = all
        .filter(|other| other.state != MappingState::Failed)
        .collect();
    let (mut seen, mut next) = (BTreeSet::from([to]), vec![to]);
    while let Some(at) = next.pop() {
        if at == home {
            return true;
        }
        let readers = edges.iter().filter(|mapping| mapping.stream_name == *at);
        for target in readers.flat_map(|mapping| targets(mapping)) {
            if seen.insert(target) {
                next.push(target);
            }
        }
    }
    false
}

fn targets(mapping: &Mapping) -> Vec<&StreamName> {
    mapping.written_streams().collect()
}
