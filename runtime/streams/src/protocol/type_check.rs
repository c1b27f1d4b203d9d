//! Are the members of the types they must be? The first that is not answers, in Kinesis' words
//! (reference B4). Unknown members and nulls are as if absent.

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::protocol::{
    base64,
    error::{ApiError, ErrorCode},
    member::{Checked, Kind, Member},
};

const NUMBER: &str = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber";
const BOOLEAN: &str = "class java.lang.Boolean";
const STRING: &str = "class java.lang.String";
const START_OF_LIST: &str = "Start of list found where not expected";
const START_OF_STRUCTURE: &str = "Start of structure or map found where not expected.";

/// Checks the types of all members.
///
/// # Errors
/// The first member of a wrong type, in the order of `members`.
pub(crate) fn check_types(object: Checked<'_>, members: &[Member]) -> Result<(), ApiError> {
    for member in members {
        if let Some(value) = object.get(member.name) {
            check_type(value, &member.kind)?;
        }
    }
    Ok(())
}

fn check_type(value: &Value, kind: &Kind) -> Result<(), ApiError> {
    match kind {
        Kind::Boolean => match value {
            Value::Bool(_) => Ok(()),
            Value::String(text) => error(format!(
                "'{}' can not be converted to an Boolean",
                text.to_uppercase()
            )),
            _ => scalar(value, "an Boolean"),
        },
        Kind::Integer => match value {
            Value::Number(_) => Ok(()),
            _ => scalar(value, "an Integer"),
        },
        Kind::String => match value {
            Value::String(_) => Ok(()),
            _ => scalar(value, "an String"),
        },
        Kind::Blob => match value {
            Value::String(text) => base64::complaint(text).map_or(Ok(()), error),
            _ => scalar(value, "a Blob"),
        },
        Kind::Timestamp => match value {
            Value::Number(_) => Ok(()),
            _ => scalar(value, "milliseconds since epoch"),
        },
        Kind::Structure(members) => match value {
            Value::Object(object) => check_types(Checked(object), members),
            Value::Array(_) => error(START_OF_LIST),
            _ => error("Expected null"),
        },
        Kind::List { members, .. } => match value {
            Value::Array(elements) => elements
                .iter()
                .filter(|element| !element.is_null())
                .try_for_each(|element| check_type(element, &Kind::Structure(members))),
            Value::Object(_) => error(START_OF_STRUCTURE),
            _ => error("Expected list or null"),
        },
        Kind::Map => match value {
            Value::Object(object) => object
                .values()
                .filter(|value| !value.is_null())
                .try_for_each(|value| check_type(value, &Kind::String)),
            Value::Array(_) => error(START_OF_LIST),
            _ => error("Expected map or null"),
        },
    }
}

/// A value that is not the scalar it should be.
fn scalar(value: &Value, target: &str) -> Result<(), ApiError> {
    let class = match value {
        Value::Array(_) => return error(START_OF_LIST),
        Value::Object(_) => return error(START_OF_STRUCTURE),
        Value::Bool(_) => BOOLEAN,
        Value::Number(_) => NUMBER,
        Value::String(_) | Value::Null => STRING,
    };
    error(format!("{class} can not be converted to {target}"))
}

fn error(message: impl Into<std::borrow::Cow<'static, str>>) -> Result<(), ApiError> {
    Err(ApiError::new(ErrorCode::Serialization, message))
}
