//! The matchers of a field, read from its array (specification of filters, section 14).

use super::{
    Mistakes,
    cidr::Cidr,
    matcher::{Comparison, Matcher, TextMatcher, lowered},
    pattern::{Member, Node, Value},
    wildcard::Wildcard,
};
use crate::spec::nearest::nearest;

/// Every operator. A key of this name makes an `$or` an ordinary field.
pub(super) const OPERATORS: &[&str] = &[
    "prefix",
    "suffix",
    "equals-ignore-case",
    "anything-but",
    "numeric",
    "exists",
    "cidr",
    "wildcard",
];

/// What a field's array asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Alternatives {
    /// Matchers of a value; one is enough.
    pub(super) matchers: Vec<Matcher>,
    /// Whether it is enough that there is no value.
    pub(super) absent: bool,
}

/// Reads a field's array; `path` is told with what is wrong in it.
pub(super) fn read(items: &[Node], path: &str, mistakes: &mut Mistakes) -> Alternatives {
    let mut read = Alternatives::default();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        match &item.value {
            Value::Null => read.matchers.push(Matcher::Null),
            Value::Bool(bool) => read.matchers.push(Matcher::Bool(*bool)),
            Value::Number(number) => read.matchers.push(Matcher::Number(*number)),
            Value::Text(text) => read.matchers.push(equals(text)),
            Value::Array(_) => mistakes.add(
                path,
                item.at,
                "an array in the array of a field: write its values side by side",
            ),
            Value::Object(members) => match members.as_slice() {
                [] => mistakes.add(path, item.at, "an empty object: an operator is expected"),
                [one] if one.key == "exists" => exists(one, &path, &mut read, mistakes),
                [one] => {
                    let path = format!("{path}.{}", one.key);
                    read.matchers.extend(operator(one, &path, mistakes));
                }
                [_, second, ..] => mistakes.add(
                    format!("{path}.{}", second.key),
                    second.node.at,
                    "two operators in one object: write an object for each",
                ),
            },
        }
    }
    read
}

fn equals(text: &str) -> Matcher {
    Matcher::Text(TextMatcher::Equals(text.into()))
}

fn exists(member: &Member, path: &str, read: &mut Alternatives, mistakes: &mut Mistakes) {
    match member.node.value {
        Value::Bool(true) => read.matchers.push(Matcher::Exists),
        Value::Bool(false) => read.absent = true,
        ref other => mistakes.add(
            format!("{path}.exists"),
            member.node.at,
            format!("{} where true or false is expected", other.kind()),
        ),
    }
}

fn operator(member: &Member, path: &str, mistakes: &mut Mistakes) -> Option<Matcher> {
    let Member { key, node } = member;
    match key.as_str() {
        "prefix" | "suffix" => affix(key, node, path, mistakes).map(Matcher::Text),
        "equals-ignore-case" | "wildcard" => text_matcher(key, node, path, mistakes),
        "cidr" => {
            let text = text(node, path, mistakes)?;
            let range = Cidr::parse(text);
            if range.is_none() {
                let words = "not a range of addresses: write 10.0.0.0/8 or 2001:db8::/32";
                mistakes.add(path, node.at, words);
            }
            range.map(Matcher::Cidr)
        }
        "numeric" => numeric(node, path, mistakes),
        "anything-but" => anything_but(node, path, mistakes),
        other => {
            let near = nearest(other, OPERATORS.iter().copied());
            let hint = near.map_or_else(
                || format!("one of {}", OPERATORS.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            let words = format!("`{other}` is not an operator; {hint}");
            mistakes.add(path, node.at, words);
            None
        }
    }
}

fn text<'a>(node: &'a Node, path: &str, mistakes: &mut Mistakes) -> Option<&'a str> {
    if let Value::Text(text) = &node.value {
        return Some(text);
    }
    let words = format!("{} where text is expected", node.value.kind());
    mistakes.add(path, node.at, words);
    None
}

fn text_matcher(key: &str, node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Matcher> {
    let text = text(node, path, mistakes)?;
    let matcher = match key {
        "prefix" => TextMatcher::Prefix(text.into()),
        "suffix" => TextMatcher::Suffix(text.into()),
        "equals-ignore-case" => TextMatcher::EqualsIgnoreCase(lowered(text)),
        _ => match Wildcard::parse(text) {
            Ok(wildcard) => TextMatcher::Wildcard(wildcard),
            Err(words) => {
                mistakes.add(path, node.at, words);
                return None;
            }
        },
    };
    Some(Matcher::Text(matcher))
}

/// `prefix` and `suffix`: a text, or one without regard to case.
fn affix(key: &str, node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<TextMatcher> {
    let text = match &node.value {
        Value::Text(text) if key == "prefix" => {
            return Some(TextMatcher::Prefix(text.as_str().into()));
        }
        Value::Text(text) => return Some(TextMatcher::Suffix(text.as_str().into())),
        Value::Object(members) => match members.as_slice() {
            [one] if one.key == "equals-ignore-case" => {
                let path = format!("{path}.equals-ignore-case");
                lowered(self::text(&one.node, &path, mistakes)?)
            }
            _ => {
                let words = "text, or an object of `equals-ignore-case` alone, is expected";
                mistakes.add(path, node.at, words);
                return None;
            }
        },
        other => {
            let words = format!("{} where text is expected", other.kind());
            mistakes.add(path, node.at, words);
            return None;
        }
    };
    Some(if key == "prefix" {
        TextMatcher::PrefixIgnoreCase(text)
    } else {
        TextMatcher::SuffixIgnoreCase(text)
    })
}

/// `anything-but`: a text, a number, a list of either sort, or an operator of texts with one or
/// several.
fn anything_but(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Matcher> {
    let these = match &node.value {
        Value::Text(text) => vec![equals(text)],
        Value::Number(number) => vec![Matcher::Number(*number)],
        Value::Array(items) => listed(items, node.at, path, mistakes)?,
        Value::Object(members) => match members.as_slice() {
            [one] => but_operator(one, path, mistakes)?,
            _ => {
                let words =
                    "one operator is expected: prefix, suffix, equals-ignore-case, wildcard";
                mistakes.add(path, node.at, words);
                return None;
            }
        },
        Value::Null | Value::Bool(_) => {
            let words = format!(
                "{} where text, a number, a list of either or an operator is expected",
                node.value.kind()
            );
            mistakes.add(path, node.at, words);
            return None;
        }
    };
    Some(Matcher::AnythingBut(these))
}

fn listed(items: &[Node], at: usize, path: &str, mistakes: &mut Mistakes) -> Option<Vec<Matcher>> {
    if items.is_empty() {
        mistakes.add(path, at, "an empty array: it would match every value");
        return None;
    }
    let mut these = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let first_is_text = matches!(items[0].value, Value::Text(_));
        match &item.value {
            Value::Text(text) if first_is_text => these.push(equals(text)),
            Value::Number(number) if !first_is_text => these.push(Matcher::Number(*number)),
            Value::Text(_) | Value::Number(_) => {
                let words = "texts and numbers in one list: write an `anything-but` for texts alone \
                    or for numbers alone";
                mistakes.add(format!("{path}[{index}]"), item.at, words);
                return None;
            }
            other => {
                let words = format!("{} where text or a number is expected", other.kind());
                mistakes.add(format!("{path}[{index}]"), item.at, words);
                return None;
            }
        }
    }
    Some(these)
}

fn but_operator(member: &Member, path: &str, mistakes: &mut Mistakes) -> Option<Vec<Matcher>> {
    let Member { key, node } = member;
    let path = format!("{path}.{key}");
    let known = ["prefix", "suffix", "equals-ignore-case", "wildcard"];
    if !known.contains(&key.as_str()) {
        let words = format!(
            "`{key}` does not go into `anything-but`: {}",
            known.join(", ")
        );
        mistakes.add(path, node.at, words);
        return None;
    }
    let one = |node: &Node, path: &str, mistakes: &mut Mistakes| match key.as_str() {
        "prefix" | "suffix" => affix(key, node, path, mistakes).map(Matcher::Text),
        _ => text_matcher(key, node, path, mistakes),
    };
    match &node.value {
        Value::Array(items) if items.is_empty() => {
            let words = "an empty array: it would match every value";
            mistakes.add(path, node.at, words);
            None
        }
        Value::Array(items) => {
            let each = items.iter().enumerate().map(|(index, item)| {
                let path = format!("{path}[{index}]");
                one(item, &path, mistakes)
            });
            // All of them are read, so that all mistakes are told.
            let read: Vec<_> = each.collect();
            read.into_iter().collect()
        }
        _ => Some(vec![one(node, &path, mistakes)?]),
    }
}

/// `numeric`: `["=", x]`, or one or two bounds, the lower one first.
fn numeric(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Matcher> {
    let mut refuse = |at: usize, words: &str| {
        mistakes.add(path, at, words.to_owned());
        None
    };
    let Value::Array(items) = &node.value else {
        return refuse(
            node.at,
            "an array such as [\">\", 0, \"<=\", 5] is expected",
        );
    };
    if items.is_empty() || items.len() % 2 == 1 || items.len() > 4 {
        return refuse(
            node.at,
            "one or two bounds are expected, each a comparison and a number",
        );
    }
    let mut bounds = Vec::new();
    for pair in items.chunks_exact(2) {
        let comparison = match &pair[0].value {
            Value::Text(text) => Comparison::parse(text),
            _ => None,
        };
        let Some(comparison) = comparison else {
            return refuse(
                pair[0].at,
                "a comparison is expected: \"=\", \"<\", \"<=\", \">\", \">=\"",
            );
        };
        let Value::Number(bound) = pair[1].value else {
            return refuse(pair[1].at, "a number is expected behind a comparison");
        };
        bounds.push((comparison, bound));
    }
    if let [(first, low), (second, high)] = bounds[..] {
        let is_lower = matches!(first, Comparison::Above | Comparison::AtLeast);
        let is_upper = matches!(second, Comparison::Below | Comparison::AtMost);
        if !is_lower || !is_upper {
            let words = "of two bounds the first is the lower one (\">\", \">=\"), the second the upper \
                one (\"<\", \"<=\")";
            return refuse(items[2].at, words);
        }
        if !Comparison::Below.holds(low, high) {
            return refuse(items[3].at, "the upper bound is not above the lower one");
        }
    }
    Some(Matcher::Range(bounds))
}
