//! What one value of a record is compared with.

use std::cmp::Ordering;

use super::{cidr::Cidr, number::Number, wildcard::Wildcard};

/// A value that holds no other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
}

/// One matcher of a field; those of a field are alternatives.
#[derive(Clone, Debug)]
pub(super) enum Matcher {
    Null,
    Bool(bool),
    Number(Number),
    Text(TextMatcher),
    /// All of these bounds.
    Range(Vec<(Comparison, Number)>),
    /// Any value that none of these matches.
    AnythingBut(Vec<Matcher>),
    /// Any value.
    Exists,
    Cidr(Cidr),
}

/// A matcher of texts.
#[derive(Clone, Debug)]
pub(super) enum TextMatcher {
    Equals(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
    /// In lower case.
    EqualsIgnoreCase(Box<str>),
    /// In lower case.
    PrefixIgnoreCase(Box<str>),
    /// In lower case.
    SuffixIgnoreCase(Box<str>),
    Wildcard(Wildcard),
}

/// How a number lies to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl Comparison {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "=" => Self::Equal,
            "<" => Self::Below,
            "<=" => Self::AtMost,
            ">" => Self::Above,
            ">=" => Self::AtLeast,
            _ => return None,
        })
    }

    pub(super) fn holds(self, number: Number, bound: Number) -> bool {
        let Some(ordering) = number.compare(bound) else {
            return false;
        };
        match self {
            Self::Equal => ordering == Ordering::Equal,
            Self::Below => ordering == Ordering::Less,
            Self::AtMost => ordering != Ordering::Greater,
            Self::Above => ordering == Ordering::Greater,
            Self::AtLeast => ordering != Ordering::Less,
        }
    }
}

impl Matcher {
    pub(super) fn matches(&self, value: Scalar<'_>) -> bool {
        match (self, value) {
            (Self::Exists, _) => true,
            (Self::AnythingBut(these), value) => !these.iter().any(|one| one.matches(value)),
            (Self::Text(matcher), Scalar::Text(text)) => matcher.matches(text),
            (Self::Cidr(range), Scalar::Text(text)) => range.matches(text),
            (Self::Number(number), Scalar::Number(value)) => number.equals(value),
            (Self::Range(bounds), Scalar::Number(value)) => bounds
                .iter()
                .all(|(comparison, bound)| comparison.holds(value, *bound)),
            (Self::Bool(one), Scalar::Bool(other)) => *one == other,
            (Self::Null, Scalar::Null) => true,
            _ => false,
        }
    }
}

impl TextMatcher {
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Equals(one) => **one == *text,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Suffix(suffix) => text.ends_with(&**suffix),
            Self::EqualsIgnoreCase(one) => lower(text).eq(one.chars()),
            Self::PrefixIgnoreCase(prefix) => {
                let mut chars = lower(text);
                prefix.chars().all(|char| chars.next() == Some(char))
            }
            Self::SuffixIgnoreCase(suffix) => {
                let mut chars = lower_from_end(text);
                suffix.chars().rev().all(|char| chars.next() == Some(char))
            }
            Self::Wildcard(wildcard) => wildcard.matches(text),
        }
    }
}

/// A pattern's text as texts without regard to case are compared: character by character.
pub(super) fn lowered(text: &str) -> Box<str> {
    lower(text).collect::<String>().into_boxed_str()
}

fn lower(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

fn lower_from_end(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .rev()
        .flat_map(|char| char.to_lowercase().rev())
}
