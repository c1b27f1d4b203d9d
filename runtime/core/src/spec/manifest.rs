//! `fnctl.toml` as a value: the whole truth about one function.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    FunctionSpec, MappingSpec, StreamSpec,
    setting::{Setting, Text, UnknownKeys},
};

/// A manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `[function]`.
    #[serde(default)]
    pub function: FunctionSpec,
    /// `[[mapping]]`, in order.
    #[serde(default)]
    pub mapping: Vec<MappingSpec>,
    /// `[streams.NAME]`.
    #[serde(default)]
    pub streams: BTreeMap<String, StreamSpec>,
    /// `[dev]`.
    #[serde(default)]
    pub dev: DevSpec,
    /// Tables that are not known.
    #[serde(flatten, skip_serializing)]
    pub unknown: UnknownKeys,
}

impl Manifest {
    /// The tables.
    pub const KEYS: &[&str] = &["function", "mapping", "streams", "dev"];
}

/// `[dev]`: what `fnctl dev` puts into the first mapping's stream, once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevSpec {
    /// File of records, one a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<Setting<Text>>,
    /// Field of each that is its partition key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_field: Option<Setting<Text>>,
    /// Keys that are not known.
    #[serde(flatten, skip_serializing)]
    pub unknown: UnknownKeys,
}

impl DevSpec {
    /// The keys of the table.
    pub const KEYS: &[&str] = &["seed", "key_field"];
}
