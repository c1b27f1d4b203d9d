//! A tree becomes a type. What does not fit is named by its place, with what was given and what is
//! allowed, and never by its value, which may be a secret. It is then taken out and the rest is read
//! again, so that all problems of an input come together (command line and SDK §4).

mod tree_reader;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::de::{self, DeserializeOwned, Expected, Unexpected};

use self::tree_reader::TreeReader;
use super::{nearest::nearest, tree::Tree};
use crate::{error_code::Problem, limits};

/// Reads a tree: the value, and everything in it that did not fit, in order. Without a value where
/// something is missing that nothing else can stand for, or after [`limits::MISFITS_MAX`] problems.
#[must_use]
pub fn read<T: DeserializeOwned>(mut tree: Tree) -> (Option<T>, Vec<Problem>) {
    let mut problems = Vec::new();
    // Each round takes something out, so that the rounds end.
    loop {
        match T::deserialize(TreeReader(&tree)) {
            Ok(value) => return (Some(value), problems),
            Err(misfit) => {
                let is_out = take_out(&mut tree, &misfit.path);
                let problem = Problem::from(misfit);
                // What was taken out is missing by that alone.
                if !problems
                    .iter()
                    .any(|told: &Problem| told.path == problem.path)
                {
                    problems.push(problem);
                }
                if !is_out || problems.len() == limits::MISFITS_MAX {
                    return (None, problems);
                }
            }
        }
    }
}

/// Why a part of a tree cannot be read, and where it stands.
#[derive(Debug)]
pub struct Misfit {
    path: Vec<Step>,
    /// Of what is missing there.
    missing: Option<&'static str>,
    words: String,
}

/// A step from a value into what it holds.
#[derive(Clone, Debug)]
enum Step {
    /// A table's value.
    Key(String),
    /// A list's.
    Item(usize),
}

impl Misfit {
    fn new(words: String) -> Self {
        Self {
            path: Vec::new(),
            missing: None,
            words,
        }
    }

    /// The same, seen from one step outside.
    fn under(mut self, step: Step) -> Self {
        self.path.insert(0, step);
        self
    }
}

impl From<Misfit> for Problem {
    fn from(misfit: Misfit) -> Self {
        Self::new(misfit.place(), misfit.words)
    }
}

impl Misfit {
    /// `mapping[0].outputs.default`.
    fn place(&self) -> String {
        let mut place = String::new();
        let missing = self.missing.map(|name| Step::Key(name.to_owned()));
        for step in self.path.iter().chain(&missing) {
            match step {
                Step::Item(index) => place.push_str(&format!("[{index}]")),
                Step::Key(key) if place.is_empty() => place.push_str(key),
                Step::Key(key) => {
                    place.push('.');
                    place.push_str(key);
                }
            }
        }
        place
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.words)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(words: T) -> Self {
        Self::new(words.to_string())
    }

    fn invalid_type(given: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let (given, expected) = (kind(&given), allowed(expected));
        Self::new(format!("{given} where {expected} is expected"))
    }

    fn invalid_value(given: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = allowed(expected);
        Self::new(match given {
            Unexpected::Signed(number) => {
                format!("{number} is out of range: {expected} is expected")
            }
            Unexpected::Unsigned(number) => {
                format!("{number} is out of range: {expected} is expected")
            }
            other => format!("{} where {expected} is expected", kind(&other)),
        })
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("is none of: {}", expected.join(", ")))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(match nearest(field, expected.iter().copied()) {
            Some(near) => format!("is not known; did you mean `{near}`?"),
            None if expected.is_empty() => "is not known".to_owned(),
            None => format!("is not known; known: {}", expected.join(", ")),
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            missing: Some(field),
            ..Self::new("is missing".to_owned())
        }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new("is given twice".to_owned()).under(Step::Key(field.to_owned()))
    }
}

/// What was given, without its value.
const fn kind(given: &Unexpected<'_>) -> &'static str {
    match given {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a number",
        Unexpected::Float(_) => "a number with a point",
        Unexpected::Char(_) | Unexpected::Str(_) => "text",
        Unexpected::Unit | Unexpected::Option => "`null`",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a table",
        _ => "something else",
    }
}

/// What is allowed, in words of ours for those of the types.
fn allowed(expected: &dyn Expected) -> String {
    let words = expected.to_string();
    match words.as_str() {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => "a whole number, at least 0,".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a string" | "a borrowed string" => "text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        _ => words,
    }
}

/// Takes out what stands at the path; `false`: it is the whole, or not there.
fn take_out(tree: &mut Tree, path: &[Step]) -> bool {
    let Some((last, above)) = path.split_last() else {
        return false;
    };
    let mut at = tree;
    for step in above {
        let inner = match (at, step) {
            (Tree::Table(entries), Step::Key(key)) => entries
                .iter_mut()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value),
            (Tree::List(items), Step::Item(index)) => items.get_mut(*index),
            _ => None,
        };
        let Some(inner) = inner else { return false };
        at = inner;
    }
    match (at, last) {
        (Tree::Table(entries), Step::Key(key)) => {
            let before = entries.len();
            entries.retain(|(name, _)| name != key);
            entries.len() < before
        }
        (Tree::List(items), Step::Item(index)) => items
            .get_mut(*index)
            .map(|item| *item = Tree::Gone)
            .is_some(),
        _ => false,
    }
}
