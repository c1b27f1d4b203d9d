//! What a destination is given of a dead letter.

use bytes::Bytes;
use fnctl_core::{id::MappingId, status::RelayedLetter as Line};

use crate::node::dead_letters::{StoredLetter, shown};

/// A letter as it is brought: one line of JSON, and what names it.
#[derive(Clone, Debug)]
pub(super) struct RelayedLetter {
    /// `<mapping id>/<letter id>`: the same however often it is brought, and no other letter's.
    pub(super) id: String,
    /// The record's partition key.
    pub(super) key: Bytes,
    /// The record's hash key.
    pub(super) hash_key: u128,
    /// The JSON, without a line break.
    pub(super) json: Bytes,
}

impl RelayedLetter {
    pub(super) fn of(mapping: MappingId, name: &str, found: &StoredLetter) -> Self {
        let line = Line {
            mapping_id: mapping.to_string(),
            mapping: name.to_owned(),
            letter: shown(found),
        };
        let json = serde_json::to_vec(&line).expect("a dead letter is always JSON");
        Self {
            id: format!("{mapping}/{}", found.id),
            key: found.letter.key.clone(),
            hash_key: found.letter.hash_key,
            json: json.into(),
        }
    }
}
