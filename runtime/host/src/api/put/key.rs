//! Which partition key a line gets.

use std::fmt;

use fnctl_core::{error_code::ErrorCode, limits::PARTITION_KEY_CHARS_MAX};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};

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

/// The key at `path` in a line: text as it is, a number as JSON writes it.
///
/// # Errors
/// Why there is none.
pub(super) fn find(line: &[u8], path: &[String]) -> Result<String, &'static str> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let found = Path(path)
        .deserialize(&mut json)
        .map_err(|_| "it is not JSON, or not an object")?;
    json.end().map_err(|_| "it is not one JSON value")?;
    match found {
        Found::Key(key) if is_key(&key) => Ok(key),
        Found::Key(_) => Err("the field is not 1 to 256 characters long"),
        Found::Nothing => Err("the field is missing"),
        Found::Other => Err("the field is neither text nor a number"),
    }
}

enum Found {
    Key(String),
    Nothing,
    Other,
}

/// Reads one field and skips everything else, so that no tree is built.
struct Path<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Path<'_> {
    type Value = Found;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Found, D::Error> {
        if self.0.is_empty() {
            return from.deserialize_any(self);
        }
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Path<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the key field")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let Some((name, rest)) = self.0.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Found::Other);
        };
        let mut found = Found::Nothing;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            // Of a name given twice the last counts, as with most readers of JSON.
            if key == name.as_str() {
                let value = map.next_value::<serde_json::Value>()?;
                found = Path(rest).deserialize(value).unwrap_or(Found::Other);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut all: A) -> Result<Found, A::Error> {
        while all.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        Ok(Found::Key(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Found, E> {
        Ok(Found::Key(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Found, E> {
        Ok(Found::Key(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Found, E> {
        let number = serde_json::Number::from_f64(number);
        Ok(number.map_or(Found::Other, |number| Found::Key(number.to_string())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(line: &str, field: &str) -> Option<String> {
        let path: Vec<String> = field.split('.').map(str::to_owned).collect();
        find(line.as_bytes(), &path).ok()
    }

    #[test]
    fn text_and_numbers_are_keys() {
        for (line, field, expected) in [
            (r#"{"a":"x"}"#, "a", Some("x")),
            (r#"{"b":[{}],"a":17,"c":null}"#, "a", Some("17")),
            (r#"{"a":-3}"#, "a", Some("-3")),
            (r#"{"a":1.50}"#, "a", Some("1.5")),
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
