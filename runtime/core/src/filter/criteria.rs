//! Patterns as AWS has them in files: wrapped in `{"Pattern": "…"}`, or in a `FilterCriteria`,
//! `{"Filters": [{"Pattern": "…"}, …]}`. As patterns both would be refused, so they are taken for what they
//! wrap (Lambda ESM specification §13).

use super::pattern::{self, Member, Value};
use crate::limits;

/// A pattern, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// In which of the texts, from 0.
    pub(super) text: usize,
    /// Where in that: `Filters[0].Pattern`; empty: it is the text.
    pub(super) within: String,
    pub(super) pattern: String,
}

/// The patterns of texts, in their order.
pub(super) fn unwrapped(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<Given> {
    let mut all = Vec::new();
    for (index, text) in texts.into_iter().enumerate() {
        let given = |(within, pattern)| Given {
            text: index,
            within,
            pattern,
        };
        match wrapped(text.as_ref()) {
            Some(inner) => all.extend(inner.into_iter().map(given)),
            None => all.push(given((String::new(), text.as_ref().to_owned()))),
        }
    }
    all
}

/// What a text wraps; `None`: it is a pattern itself, or nothing.
fn wrapped(text: &str) -> Option<Vec<(String, String)>> {
    // What is longer than all that it may wrap, each sign of it escaped, wraps something that is too long.
    let most = limits::FILTER_PATTERNS_MAX * limits::FILTER_PATTERN_BYTES_MAX * 6;
    if text.len() > most {
        return None;
    }
    let document = pattern::read(text).ok()?;
    if let Some(inner) = of_pattern(&document.value) {
        return Some(vec![("Pattern".to_owned(), inner)]);
    }
    let Value::Array(filters) = &only(&document.value, "Filters")?.node.value else {
        return None;
    };
    let inner = filters.iter().enumerate().map(|(index, filter)| {
        let inner = of_pattern(&filter.value)?;
        Some((format!("Filters[{index}].Pattern"), inner))
    });
    inner
        .collect::<Option<Vec<_>>>()
        .filter(|inner| !inner.is_empty())
}

/// The text in `{"Pattern": "…"}`.
fn of_pattern(value: &Value) -> Option<String> {
    match &only(value, "Pattern")?.node.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// The only key of an object, if it is this one.
fn only<'a>(value: &'a Value, key: &str) -> Option<&'a Member> {
    match value {
        Value::Object(members) => match &members[..] {
            [one] if one.key == key => Some(one),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(texts: &[&str]) -> Vec<(usize, String, String)> {
        let given = unwrapped(texts).into_iter();
        given
            .map(|one| (one.text, one.within, one.pattern))
            .collect()
    }

    fn one(text: usize, within: &str, pattern: &str) -> (usize, String, String) {
        (text, within.to_owned(), pattern.to_owned())
    }

    #[test]
    fn what_aws_wraps_is_taken_out() {
        let criteria =
            r#"{ "Filters": [{"Pattern": "{\"data\": {\"a\": [1]}}"}, {"Pattern": "{}"}] }"#;
        let plain = r#"{"data": {"a": [1]}}"#;
        assert_eq!(
            told(&[plain, criteria, r#"{"Pattern": "x"}"#]),
            [
                one(0, "", plain),
                one(1, "Filters[0].Pattern", plain),
                one(1, "Filters[1].Pattern", "{}"),
                one(2, "Pattern", "x"),
            ]
        );
    }

    #[test]
    fn nothing_else_is() {
        for text in [
            "",
            "[]",
            r#"{"Pattern": ["x"]}"#,
            r#"{"Pattern": {"data": {"a": [1]}}}"#,
            r#"{"Pattern": "x", "data": {"a": [1]}}"#,
            r#"{"Filters": []}"#,
            r#"{"Filters": ["x"]}"#,
            r#"{"Filters": "x"}"#,
            r#"{"Filters": [{"Pattern": "x"}, {"Pattern": 1}]}"#,
            r#"{"Filters": [{"Pattern": "x", "Name": "y"}]}"#,
            r#"{"Filters": [{"Pattern": "x"}], "data": {"a": [1]}}"#,
            r#"{"filters": [{"pattern": "x"}]}"#,
        ] {
            assert_eq!(told(&[text]), [one(0, "", text)], "{text}");
        }
    }
}
