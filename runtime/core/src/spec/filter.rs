//! `filter` and `on_unparsable`: which records a mapping's function is given.

use std::fmt::Write as _;

use serde::{Serializer, ser::SerializeSeq};

use super::{
    setting::{SettingValue, Unfit},
    tree::Tree,
};
use crate::mapping::OnUnparsable;

/// Patterns as they are given: one, or a list; each as JSON text, or as the object itself; or as AWS wraps them. They are
/// judged where all of a mapping's settings are ([`super::resolve`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterSpec(pub Vec<String>);

impl SettingValue for FilterSpec {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        Ok(Self(vec![text.to_owned()]))
    }

    fn from_tree(tree: Tree) -> Result<Self, Unfit> {
        let items = match tree {
            Tree::List(items) => items,
            one => vec![one],
        };
        let patterns = items.into_iter().map(|item| match item {
            Tree::Text(text) => Ok(text),
            table @ Tree::Table(_) => {
                let mut text = String::new();
                write_json(&table, &mut text)?;
                Ok(text)
            }
            other => Err(Unfit::Unreadable(format!(
                "{} is no pattern: write an object, or its JSON as text",
                other.kind()
            ))),
        });
        patterns.collect::<Result<_, _>>().map(Self)
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut list = out.serialize_seq(Some(self.0.len()))?;
        for pattern in &self.0 {
            list.serialize_element(pattern)?;
        }
        list.end()
    }
}

impl SettingValue for OnUnparsable {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        let all = [Self::Drop, Self::Pass, Self::DeadLetter];
        let found = all.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| {
            Unfit::Unreadable(format!(
                "`{text}` is not a reaction: `drop`, `pass` or `dead-letter`"
            ))
        })
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.as_str())
    }
}

/// A tree as JSON; keys that stand twice do so there too.
fn write_json(tree: &Tree, out: &mut String) -> Result<(), Unfit> {
    match tree {
        Tree::Null | Tree::Gone => out.push_str("null"),
        Tree::Bool(bool) => push(out, bool),
        Tree::Integer(number) => push(out, number),
        Tree::Large(number) => push(out, number),
        Tree::Float(number) if number.is_finite() => push(out, number),
        Tree::Float(number) => {
            let words = format!("{number} is no number of JSON");
            return Err(Unfit::NotAllowed(words));
        }
        Tree::Text(text) => write_text(text, out),
        Tree::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_json(item, out)?;
            }
            out.push(']');
        }
        Tree::Table(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_text(key, out);
                out.push_str(": ");
                write_json(value, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn push(out: &mut String, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("a string takes everything");
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control < ' ' => {
                push(out, format_args!("\\u{:04x}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Setting;

    fn read(json: &str) -> Setting<FilterSpec> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn patterns_are_texts_or_objects_one_or_several() {
        let one = r#"{"data": {"a": [1, null, "x\"\n", true, 1.5]}}"#;
        let text = serde_json::to_string(one).unwrap();
        let expected = r#"{"data": {"a": [1, null, "x\"\u000a", true, 1.5]}}"#;
        for (given, patterns) in [
            (text.as_str(), &[one][..]),
            (one, &[expected]),
            (&format!("[{text}, {one}]"), &[one, expected]),
            ("[]", &[]),
        ] {
            let given = read(given);
            let patterns = patterns.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(given, Setting::Value(FilterSpec(patterns)));
        }
        assert_eq!(read("\"default\""), Setting::Default);
    }

    #[test]
    fn a_key_that_stands_twice_is_kept_twice() {
        let twice = r#"{"data": {"d": {"x": [1]}, "d": {"y": [2]}}}"#;
        assert_eq!(
            read(twice),
            Setting::Value(FilterSpec(vec![twice.to_owned()]))
        );
    }

    #[test]
    fn what_is_no_pattern_is_told_so() {
        for given in ["5", "true", "[5]", "[[]]", "null"] {
            assert!(matches!(read(given), Setting::Unfit(_)), "{given}");
        }
    }
}
