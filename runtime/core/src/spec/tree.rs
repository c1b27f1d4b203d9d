//! An input as it is written, before any type is asked of it: `fnctl.toml` and JSON bodies become the same
//! tree, from which [`super::reading`] takes what fits.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

/// How the TOML reader hands over a date: a table with this one key.
const TOML_DATE: &str = "$__toml_private_datetime";

/// A value as it is written.
#[derive(Clone, PartialEq)]
pub enum Tree {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A whole number above the largest [`Tree::Integer`].
    Large(u64),
    /// Any other number.
    Float(f64),
    /// Text; a date of TOML too.
    Text(String),
    /// Values in order.
    List(Vec<Tree>),
    /// Names and values as they are written, repeated ones too.
    Table(Vec<(String, Tree)>),
    /// Taken out of a list: what stands behind it keeps its number.
    Gone,
}

impl Tree {
    /// What sort of value it is, in words. Never the value: it may be a secret.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null | Self::Gone => "`null`",
            Self::Bool(_) => "true or false",
            Self::Integer(_) | Self::Large(_) => "a number",
            Self::Float(_) => "a number with a point",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Its kind alone: an input may hold secrets.
impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Tree, D::Error> {
        Tree::deserialize(from)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Integer(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Tree, E> {
        Ok(i64::try_from(number).map_or(Tree::Large(number), Tree::Integer))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut entries: Vec<(String, Tree)> = Vec::new();
        while let Some(entry) = from.next_entry()? {
            entries.push(entry);
        }
        Ok(match entries.pop() {
            Some((key, date)) if key == TOML_DATE && entries.is_empty() => date,
            last => {
                entries.extend(last);
                Tree::Table(entries)
            }
        })
    }
}
