//! Where a key stands in a manifest.

use toml::de::{DeTable, DeValue};

/// The line of an offset, from 1.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

/// The line of a key such as `mapping[0].batch_size`; of the longest part of the path that is there.
pub(super) fn line_of(text: &str, path: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut offset = None;
    for step in path.split('.') {
        let (name, index) = match step.split_once('[') {
            Some((name, rest)) => (name, rest.trim_end_matches(']').parse::<usize>().ok()),
            None => (step, None),
        };
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref().as_ref() == name)
        else {
            break;
        };
        offset = Some(key.span().start);
        let value = match (value.get_ref(), index) {
            (DeValue::Array(items), Some(index)) => {
                let Some(item) = items.get(index) else { break };
                offset = Some(item.span().start);
                item.get_ref()
            }
            (value, _) => value,
        };
        let DeValue::Table(inner) = value else { break };
        table = inner;
    }
    offset.map(|offset| line_at(text, offset))
}
