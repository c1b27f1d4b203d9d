//! One value of a layer: absent, reset to its default, given, or given and unreadable. Unreadable
//! values are kept with their reason, so that all problems of an input are reported together.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::tree::Tree;

/// What is given for one key. A key that is not named is `None` around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting<T> {
    /// The word `default`: back to the default.
    Default,
    /// A value.
    Value(T),
    /// Something else, and why it cannot be taken.
    Unfit(Unfit),
}

/// Why something given cannot be taken, in words that follow its name. Which of the three decides the
/// exit code (command line and SDK §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It cannot be read.
    Unreadable(String),
    /// It was read, and is not allowed: a range, a pattern.
    NotAllowed(String),
    /// It is specified, and this version does not have it yet.
    NotYet(String),
}

impl Unfit {
    /// The words.
    #[must_use]
    pub fn words(&self) -> &str {
        let (Self::Unreadable(words) | Self::NotAllowed(words) | Self::NotYet(words)) = self;
        words
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl std::error::Error for Unfit {}

/// A type that can be a setting.
pub trait SettingValue: Sized {
    /// Whether the word `default` resets it; `false` where any text is a value.
    const RESETS: bool = true;

    /// Reads text.
    ///
    /// # Errors
    /// Why not, in words that follow the key's name.
    fn from_text(text: &str) -> Result<Self, Unfit>;

    /// Reads a bare number.
    ///
    /// # Errors
    /// Why not.
    fn from_number(number: i64) -> Result<Self, Unfit> {
        Err(Unfit::Unreadable(format!(
            "{number} is a number, text is expected"
        )))
    }

    /// Reads a truth value.
    ///
    /// # Errors
    /// Why not.
    fn from_bool(value: bool) -> Result<Self, Unfit> {
        Err(Unfit::Unreadable(format!(
            "`{value}` is not a value for this"
        )))
    }

    /// Reads a list or a table.
    ///
    /// # Errors
    /// Why not.
    fn from_tree(tree: Tree) -> Result<Self, Unfit> {
        Err(Unfit::Unreadable(format!(
            "{} is not a value for this",
            tree.kind()
        )))
    }

    /// Writes the value as it is written in a manifest.
    ///
    /// # Errors
    /// The serializer's.
    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error>;
}

impl<T: SettingValue> Setting<T> {
    /// Reads a flag's text, where numbers are text as well.
    #[must_use]
    pub fn from_flag(text: &str) -> Self {
        if T::RESETS && text == "default" {
            return Self::Default;
        }
        let read = T::from_text(text).or_else(|why| match text.parse() {
            Ok(number) => T::from_number(number),
            Err(_) if is_whole(text) => Err(far_out(text)),
            Err(_) => Err(why),
        });
        read.map_or_else(Self::Unfit, Self::Value)
    }
}

impl<T: SettingValue> Serialize for Setting<T> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default => out.serialize_str("default"),
            Self::Value(value) => value.write(out),
            Self::Unfit(why) => Err(serde::ser::Error::custom(why)),
        }
    }
}

impl<'de, T: SettingValue> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SettingVisitor(std::marker::PhantomData))
    }
}

fn unreadable<T>(why: impl Into<String>) -> Setting<T> {
    Setting::Unfit(Unfit::Unreadable(why.into()))
}

/// Whether text is a whole number, however large.
fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn far_out(number: &str) -> Unfit {
    Unfit::NotAllowed(format!("{number} is far out of range"))
}

struct SettingVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: SettingValue> Visitor<'de> for SettingVisitor<T> {
    type Value = Setting<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a setting")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if T::RESETS && text == "default" {
            return Ok(Setting::Default);
        }
        Ok(T::from_text(text).map_or_else(Setting::Unfit, Setting::Value))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(T::from_number(number).map_or_else(Setting::Unfit, Setting::Value))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        let Ok(number) = i64::try_from(number) else {
            return Ok(Setting::Unfit(far_out(&number.to_string())));
        };
        self.visit_i64(number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(unreadable(format!("{number} is not a whole number")))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(T::from_bool(value).map_or_else(Setting::Unfit, Setting::Value))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(unreadable(
            "`null` is not a value; leave the key out, or write \"default\"",
        ))
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        self.visit_unit()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(T::from_tree(Tree::List(list)).map_or_else(Setting::Unfit, Setting::Value))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut table = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            table.push(entry);
        }
        Ok(T::from_tree(Tree::Table(table)).map_or_else(Setting::Unfit, Setting::Value))
    }
}

/// Any text: names, paths, commands, configuration values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(pub String);

impl SettingValue for Text {
    const RESETS: bool = false;

    fn from_text(text: &str) -> Result<Self, Unfit> {
        Ok(Self(text.to_owned()))
    }

    fn from_number(number: i64) -> Result<Self, Unfit> {
        Err(Unfit::Unreadable(format!(
            "{number} is a number, text is expected: write \"{number}\""
        )))
    }

    fn from_bool(value: bool) -> Result<Self, Unfit> {
        Err(Unfit::Unreadable(format!(
            "{value} is no text: write \"{value}\""
        )))
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.0)
    }
}

/// A switch: `true` and `false` in a manifest, `on` and `off` as a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch(pub bool);

impl SettingValue for Switch {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        match text.to_ascii_lowercase().as_str() {
            "on" | "true" => Ok(Self(true)),
            "off" | "false" => Ok(Self(false)),
            _ => Err(Unfit::Unreadable(format!("`{text}` is neither on nor off"))),
        }
    }

    fn from_bool(value: bool) -> Result<Self, Unfit> {
        Ok(Self(value))
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_bool(self.0)
    }
}

/// A count, at least 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u64);

impl SettingValue for Count {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        Err(Unfit::Unreadable(format!("`{text}` is not a number")))
    }

    fn from_number(number: i64) -> Result<Self, Unfit> {
        u64::try_from(number)
            .map(Self)
            .map_err(|_| Unfit::NotAllowed(format!("{number} is below 0")))
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(self.0)
    }
}

/// Keys that a table has and its struct has not: kept by name, so that [`super::resolve`] reports all of
/// them, with the nearest known name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownKeys(pub Vec<String>);

impl<'de> Deserialize<'de> for UnknownKeys {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let keys = BTreeMap::<String, IgnoredAny>::deserialize(from)?;
        Ok(Self(keys.into_keys().collect()))
    }
}

/// Adds `over` to `under`: what `over` does not name stays.
#[must_use]
pub fn over<T>(under: Option<Setting<T>>, over: Option<Setting<T>>) -> Option<Setting<T>> {
    over.or(under)
}
