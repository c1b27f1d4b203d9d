//! Which partition key a line gets.

use std::{borrow::Cow, fmt};

use fnctl_core::{error_code::ErrorCode, limits::PARTITION_KEY_CHARS_MAX};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::api::error::ApiError;

/// How keys are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyRule {
    /// Every line has this one.
    Fixed(String),
    /// A field of the line's JSON, by its path.
    Field {
        /// The names from the outside in.
        path: Vec<String>,
        /// Whether a line without it ends the put.
        is_required: bool,
    },
    /// Every line has a key of its own.
    Own,
}

impl KeyRule {
    /// The rule of a request.
    ///
    /// # Errors
    /// Contradicting parameters, or a key that is none.
    pub(super) fn new(
        key: Option<&str>,
        field: Option<&str>,
        is_required: bool,
    ) -> Result<Self, ApiError> {
        match (key, field) {
            (Some(_), Some(_)) => Err(ApiError::new(
                ErrorCode::Usage,
                "give `key` or `key_field`, not both",
            )),
            (Some(key), None) => {
                if is_key(key) {
                    return Ok(Self::Fixed(key.to_owned()));
                }
                let words =
                    format!("a partition key has 1 to {PARTITION_KEY_CHARS_MAX} characters");
                Err(ApiError::new(ErrorCode::KeyInvalid, words))
            }
            (None, Some(field)) => {
                let path: Vec<String> = field.split('.').map(str::to_owned).collect();
                if path.iter().any(String::is_empty) {
                    let words = format!("`{field}` is not a path of names such as user.id");
                    return Err(ApiError::new(ErrorCode::Usage, words));
                }
                Ok(Self::Field { path, is_required })
            }
            (None, None) if is_required => Err(ApiError::new(
                ErrorCode::Usage,
                "`require_key` needs `key_field`",
            )),
            (None, None) => Ok(Self::Own),
        }
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key.chars().take(PARTITION_KEY_CHARS_MAX + 1).count() <= PARTITION_KEY_CHARS_MAX
}

/// The partition key at a path of names such as `user.id` in a line of JSON, as a put finds it; `None`
/// where there is no readable one.
#[must_use]
pub fn key_at(line: &[u8], path: &str) -> Option<String> {
    let path: Vec<String> = path.split('.').map(str::to_owned).collect();
    find(line, &path).ok()
}

/// The key at `path` in a line: text as it is, a number as the record writes it (`1.50` stays `1.50`),
/// so that a record has one key whoever reads it.
///
/// # Errors
/// Why there is none.
pub(super) fn find(line: &[u8], path: &[String]) -> Result<String, &'static str> {
    let (first, rest) = path.split_first().ok_or("the field has no name")?;
    let mut json = serde_json::Deserializer::from_slice(line);
    let found = Field(first)
        .deserialize(&mut json)
        .map_err(|_| "it is not JSON, or not an object")?;
    json.end().map_err(|_| "it is not one JSON value")?;
    let mut value = found.ok_or("the field is missing")?.get();
    for name in rest {
        let mut json = serde_json::Deserializer::from_str(value);
        let found = Field(name).deserialize(&mut json);
        value = found
            .map_err(|_| "the path leads through something that is not an object")?
            .ok_or("the field is missing")?
            .get();
    }
    let key = match value.as_bytes().first() {
        Some(b'"') => serde_json::from_str(value).map_err(|_| "the field is no text")?,
        Some(b'-' | b'0'..=b'9') => value.to_owned(),
        _ => return Err("the field is neither text nor a number"),
    };
    if is_key(&key) {
        Ok(key)
    } else {
        Err("the field is not 1 to 256 characters long")
    }
}

/// The text of one field; everything else is skipped, so that no tree is built.
struct Field<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the key field")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            // Of a name given twice the last counts, as with most readers of JSON.
            if key == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(line: &str, field: &str) -> Option<String> {
        key_at(line.as_bytes(), field)
    }

    #[test]
    fn text_and_numbers_are_keys() {
        for (line, field, expected) in [
            (r#"{"a":"x"}"#, "a", Some("x")),
            (r#"{"b":[{}],"a":17,"c":null}"#, "a", Some("17")),
            (r#"{"a":-3}"#, "a", Some("-3")),
            (r#"{"a":1.50}"#, "a", Some("1.50")),
            (r#"{"a": 1E+2 }"#, "a", Some("1E+2")),
            (r#"{"a":-0}"#, "a", Some("-0")),
            (
                r#"{"a":12345678901234567890123}"#,
                "a",
                Some("12345678901234567890123"),
            ),
            (r#"{"a":{"b": 7}, "c":1}"#, "a.b", Some("7")),
            (r#"{"a":{"b":{"c":"deep"}}}"#, "a.b.c", Some("deep")),
            (r#"{"a":"Zo\u00eb"}"#, "a", Some("Zoë")),
            (r#"{"a\u0062":"escaped name"}"#, "ab", Some("escaped name")),
            (r#"{"a":1,"a":2}"#, "a", Some("2")),
            (r#"{"a":""}"#, "a", None),
            (r#"{"a":true}"#, "a", None),
            (r#"{"a":null}"#, "a", None),
            (r#"{"a":{}}"#, "a", None),
            (r#"{"a":["x"]}"#, "a", None),
            (r#"{"a":"x"}"#, "a.b", None),
            (r#"{"b":"x"}"#, "a", None),
            (r#"["a"]"#, "a", None),
            (r#"{"a":"x"} trailing"#, "a", None),
            (r#"{"a":"x""#, "a", None),
            ("not json", "a", None),
        ] {
            assert_eq!(key(line, field).as_deref(), expected, "{line} {field}");
        }
        let long = format!(r#"{{"a":"{}"}}"#, "é".repeat(257));
        assert_eq!(key(&long, "a"), None);
        let longest = format!(r#"{{"a":"{}"}}"#, "é".repeat(256));
        assert!(key(&longest, "a").is_some());
    }

    #[test]
    fn rules_contradict_in_words() {
        assert!(KeyRule::new(Some("k"), Some("f"), false).is_err());
        assert!(KeyRule::new(Some(""), None, false).is_err());
        assert!(KeyRule::new(None, Some("a..b"), false).is_err());
        assert!(KeyRule::new(None, None, true).is_err());
        assert_eq!(KeyRule::new(None, None, false).ok(), Some(KeyRule::Own));
    }
}
