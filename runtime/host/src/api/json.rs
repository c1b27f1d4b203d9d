//! JSON bodies: bounded in nesting, read into a type that refuses what it does not know.

use fnctl_core::{
    error_code::{ErrorCode, ErrorObject},
    spec::{reading, tree::Tree},
};
use serde::de::DeserializeOwned;

use crate::{api::error::ApiError, limits};

/// Reads a body. An empty one is an empty object.
///
/// # Errors
/// Not JSON, nested too deeply, or not such a value: then all fields that do not fit are named.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = if body.trim_ascii().is_empty() {
        b"{}"
    } else {
        body
    };
    // An array would do for a struct as well, by the order of its fields.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(unreadable(
            "the body cannot be read: it is not an object".to_owned(),
        ));
    }
    if depth(body) > limits::JSON_DEPTH_MAX {
        let most = limits::JSON_DEPTH_MAX;
        return Err(unreadable(format!(
            "the body is nested deeper than {most} levels"
        )));
    }
    let tree: Tree = serde_json::from_slice(body)
        .map_err(|error| unreadable(format!("the body cannot be read: {error}")))?;
    match reading::read(tree) {
        (Some(value), problems) if problems.is_empty() => Ok(value),
        (_, problems) => {
            let code = ErrorCode::BodyUnreadable;
            Err(ErrorObject::of_problems(code, "the body", problems).into())
        }
    }
}

fn unreadable(words: String) -> ApiError {
    ApiError::new(ErrorCode::BodyUnreadable, words)
}

/// How deeply arrays and objects are nested, whatever else is wrong.
pub(crate) fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Small {
        to: Option<u64>,
    }

    #[test]
    fn bodies_are_read_strictly() {
        assert_eq!(read::<Small>(b"").expect("an empty body"), Small::default());
        assert_eq!(
            read::<Small>(b"{\"to\":3}").expect("a body"),
            Small { to: Some(3) }
        );
        for bad in [
            &b"{\"too\":3}"[..],
            b"{\"to\":\"x\"}",
            b"[]",
            b"{",
            b"\xff",
            b"{} {}",
        ] {
            assert!(read::<Small>(bad).is_err(), "{bad:?}");
        }
        let deep = "[".repeat(10_000);
        assert!(read::<serde_json::Value>(deep.as_bytes()).is_err());
    }

    #[test]
    fn a_wrong_type_is_named_by_its_field_and_never_by_a_type_of_ours() {
        let error = read::<Small>(b"{\"to\":\"secret\"}").expect_err("text is no number");
        let line = error.into_line();
        let message = "\"to: text where a whole number, at least 0, is expected\"";
        assert!(line.contains(message), "{line}");
        assert!(!line.contains("secret"), "{line}");
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(depth(br#"{"a":"[[[\"[[","b":[1]}"#), 2);
    }
}
