//! What a request is before its members matter: method, content type, operation
//! (Kinesis reference B2 steps 2 to 6).

use hyper::{HeaderMap, Method, StatusCode, header};
use serde_json::{Map, Value};

use crate::{
    api::{Named, Operation},
    limits::JSON_DEPTH_MAX,
    protocol::{
        error::{ApiError, ErrorCode},
        reply::{CBOR, JSON, PLAIN_JSON, Reply},
    },
};

const TARGET_PREFIX: &str = "Kinesis_20131202";
const NO_OPERATION: &str = "Unable to determine service/operation name to be authorized";

/// What kind of body a request says it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Cbor,
    PlainJson,
    Other,
}

/// The request's own words about itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    is_post: bool,
    format: Format,
    /// Service and operation as named.
    target: Option<(&'a str, &'a str)>,
}

impl<'a> Envelope<'a> {
    pub(crate) fn new(method: &Method, headers: &'a HeaderMap) -> Self {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or("")
        };
        let content_type = text(header::CONTENT_TYPE.as_str());
        let essence = content_type.split(';').next().unwrap_or("").trim();
        let format = match essence {
            JSON => Format::Json,
            CBOR => Format::Cbor,
            PLAIN_JSON => Format::PlainJson,
            _ => Format::Other,
        };
        let target = text("x-amz-target")
            .split_once('.')
            .map(|(service, rest)| (service, rest.split('.').next().unwrap_or("")));
        Self {
            is_post: method == Method::POST,
            format,
            target: target.filter(|(service, name)| !service.is_empty() && !name.is_empty()),
        }
    }

    /// The operation, if everything about the request but its body is as a client of ours sends it.
    pub(crate) fn plain_operation(&self) -> Option<Operation> {
        match self.named() {
            Named::Served(operation) if self.is_post && self.format == Format::Json => {
                Some(operation)
            }
            _ => None,
        }
    }

    fn named(&self) -> Named {
        match self.target {
            Some((TARGET_PREFIX, name)) => Named::of(name),
            _ => Named::Unknown,
        }
    }

    /// The operation and its members; or the answer, where the request is at fault.
    pub(crate) fn open(&self, body: &[u8]) -> Result<(Operation, Map<String, Value>), Reply> {
        if !self.is_post {
            return Err(forbidden());
        }
        if body.is_empty() {
            let code = match self.named() {
                Named::Unknown => ErrorCode::UnknownOperation,
                Named::Served(_) | Named::NotYet => ErrorCode::Serialization,
            };
            let error = ApiError::bare(code);
            return Err(match self.format {
                Format::Json => Reply::json_error(&error),
                _ => Reply::cbor_error(&error),
            });
        }
        match self.format {
            Format::Json => {}
            Format::Cbor => return Err(cbor_not_yet()),
            Format::PlainJson => return Err(plain_json(parse(body).is_some())),
            Format::Other if self.target.is_some() => return Err(unknown_operation_xml()),
            Format::Other => return Err(forbidden()),
        }
        let Some(members) = parse(body) else {
            return Err(Reply::json_error(&ApiError::bare(ErrorCode::Serialization)));
        };
        match self.named() {
            Named::Served(operation) => Ok((operation, members)),
            Named::NotYet => {
                let name = self.target.map_or("", |(_, name)| name);
                let message = format!("{name} is not there yet in fnctl.");
                Err(Reply::json_error(&ApiError::new(
                    ErrorCode::UnknownOperation,
                    message,
                )))
            }
            Named::Unknown => Err(Reply::json_error(&ApiError::bare(
                ErrorCode::UnknownOperation,
            ))),
        }
    }
}

/// Reads a JSON object that is not nested too deeply.
fn parse(body: &[u8]) -> Option<Map<String, Value>> {
    if depth(body) > JSON_DEPTH_MAX {
        return None;
    }
    serde_json::from_slice(body).ok()
}

/// How deeply a text nests, if it is JSON.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut at = 0;
    while let Some(found) = memchr::memchr3(b'"', b'{', b'[', body.get(at..).unwrap_or(&[])) {
        let closed = body[at..at + found]
            .iter()
            .filter(|b| matches!(b, b'}' | b']'))
            .count();
        depth = depth.saturating_sub(closed);
        at += found + 1;
        if body[at - 1] == b'"' {
            at = end_of_string(body, at);
        } else {
            depth += 1;
            deepest = deepest.max(depth);
        }
    }
    deepest
}

/// Where the text goes on behind a string whose content begins at `at`.
fn end_of_string(body: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'"', b'\\', body.get(at..).unwrap_or(&[])) {
        at += found + 1;
        if body[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    body.len()
}

fn forbidden() -> Reply {
    let name = ErrorCode::AccessDenied.name();
    Reply {
        status: StatusCode::FORBIDDEN,
        content_type: None,
        body: format!("<{name}>\n  <Message>{NO_OPERATION}</Message>\n</{name}>\n").into(),
        error: Some(name),
    }
}

fn unknown_operation_xml() -> Reply {
    let name = ErrorCode::UnknownOperation.name();
    Reply {
        status: StatusCode::NOT_FOUND,
        content_type: None,
        body: format!("<{name}/>\n").into(),
        error: Some(name),
    }
}

fn cbor_not_yet() -> Reply {
    let message = "CBOR is not there yet in fnctl: let the client speak JSON (environment \
                   CBOR_ENABLED=false or AWS_CBOR_DISABLE=1, property aws.cborEnabled=false).";
    Reply::cbor_error(&ApiError::new(ErrorCode::UnknownOperation, message))
}

/// The older protocol's wrapper.
fn plain_json(is_object: bool) -> Reply {
    let (status, code) = if is_object {
        (StatusCode::NOT_FOUND, ErrorCode::UnknownOperation)
    } else {
        (StatusCode::BAD_REQUEST, ErrorCode::Serialization)
    };
    let name = code.name();
    Reply {
        status,
        content_type: Some(PLAIN_JSON),
        body: format!(
            r#"{{"Output":{{"__type":"com.amazon.coral.service#{name}"}},"Version":"1.0"}}"#
        )
        .into(),
        error: Some(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        for (text, expected) in [
            ("", 0),
            ("1", 0),
            ("{}", 1),
            (r#"{"a":[{}]}"#, 3),
            (r#"[[],[[]]]"#, 3),
            (r#"["[[[[", "\"[[[", "\\"]"#, 1),
            (r#"{"a":"[\\\"[["}"#, 1),
            (r#"["[[["#, 1),
            (r#"["\"#, 1),
        ] {
            assert_eq!(depth(text.as_bytes()), expected, "{text}");
        }
        assert!(
            parse(format!("{{\"a\":{}{}}}", "[".repeat(31), "]".repeat(31)).as_bytes()).is_some()
        );
        assert!(
            parse(format!("{{\"a\":{}{}}}", "[".repeat(32), "]".repeat(32)).as_bytes()).is_none()
        );
    }

    #[test]
    fn only_an_object_parses() {
        for (text, is_object) in [
            ("{}", true),
            ("[]", false),
            ("1", false),
            ("null", false),
            ("{", false),
            ("", false),
        ] {
            assert_eq!(parse(text.as_bytes()).is_some(), is_object, "{text}");
        }
    }
}
