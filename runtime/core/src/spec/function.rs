//! `[function]`: what a function and its next version are made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{
    duration::Duration,
    setting::{Count, Setting, SettingValue, Text, Unfit, UnknownKeys, over},
    size::ByteSize,
    tree::Tree,
};
use crate::function::Isolation;

/// Where a secret's value comes from: never the command line itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// A file, whole; relative to the manifest.
    File(String),
    /// A variable of the environment that deploys.
    Env(String),
}

/// Whatever else is written, in a key or a value, may be the secret itself: it is never said.
impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let given = Tree::deserialize(from)?;
        if let Tree::Table(entries) = &given
            && let [(place, Tree::Text(name))] = entries.as_slice()
        {
            match place.as_str() {
                "file" => return Ok(Self::File(name.clone())),
                "env" => return Ok(Self::Env(name.clone())),
                _ => {}
            }
        }
        Err(D::Error::custom(format_args!(
            "{} is no place of a secret, and its value does not belong here: write {{ file = \"PATH\" }} or {{ env = \"NAME\" }}",
            match given {
                Tree::Table(_) => "this table",
                other => other.kind(),
            }
        )))
    }
}

/// A layer of a function's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionSpec {
    /// Its name; else the package's, or the file's stem with `_` as `-`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Setting<Text>>,
    /// Path of the component, relative to the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<Setting<Text>>,
    /// Command that builds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Setting<Text>>,
    /// Paths whose change builds it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<Vec<String>>,
    /// Memory limit of an instance; 128MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Setting<ByteSize>>,
    /// Time limit of a call; 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Setting<Duration>>,
    /// Whether instances serve more than one call; `reuse`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Setting<Isolation>>,
    /// Calls at once over all mappings; as many as the pool holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Setting<Count>>,
    /// Plain configuration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, Setting<Text>>,
    /// Secrets, by where they come from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretSource>,
    /// Keys that are not known.
    #[serde(flatten, skip_serializing)]
    pub unknown: UnknownKeys,
}

impl FunctionSpec {
    /// The keys of the table.
    pub const KEYS: &[&str] = &[
        "name",
        "component",
        "build",
        "watch",
        "memory",
        "timeout",
        "isolation",
        "concurrency",
        "config",
        "secrets",
    ];

    /// This layer with another on top of it.
    #[must_use]
    pub fn overlay(mut self, top: Self) -> Self {
        self.config.extend(top.config);
        self.secrets.extend(top.secrets);
        self.unknown.0.extend(top.unknown.0);
        Self {
            name: over(self.name, top.name),
            component: over(self.component, top.component),
            build: over(self.build, top.build),
            watch: top.watch.or(self.watch),
            memory: over(self.memory, top.memory),
            timeout: over(self.timeout, top.timeout),
            isolation: over(self.isolation, top.isolation),
            concurrency: over(self.concurrency, top.concurrency),
            config: self.config,
            secrets: self.secrets,
            unknown: self.unknown,
        }
    }
}

impl SettingValue for Isolation {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        match text {
            "reuse" => Ok(Self::Reuse),
            "fresh" => Ok(Self::Fresh),
            _ => Err(Unfit::Unreadable(format!(
                "`{text}` is neither `reuse` nor `fresh`"
            ))),
        }
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(match self {
            Self::Reuse => "reuse",
            Self::Fresh => "fresh",
        })
    }
}
