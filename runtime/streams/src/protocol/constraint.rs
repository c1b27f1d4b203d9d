//! Do the members keep their constraints? All that do not answer together, in Kinesis' words
//! (reference B5).

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::{
    limits::CONSTRAINT_ERRORS_MAX,
    protocol::{
        base64,
        error::{ApiError, ErrorCode},
        member::{Checked, Kind, Member, Rule, STREAM_ARN, STREAM_NAME, floored},
    },
};

/// Checks the constraints of all members, whose types are checked.
///
/// # Errors
/// Every member that breaks one, at most [`CONSTRAINT_ERRORS_MAX`].
pub(crate) fn check_constraints(object: Checked<'_>, members: &[Member]) -> Result<(), ApiError> {
    let mut complaints = Complaints(Vec::new());
    complaints.members(object, members, "");
    let complaints = complaints.0;
    if complaints.is_empty() {
        return Ok(());
    }
    let plural = if complaints.len() > 1 { "s" } else { "" };
    let message = format!(
        "{} validation error{plural} detected: {}",
        complaints.len(),
        complaints.join("; ")
    );
    Err(ApiError::new(ErrorCode::Validation, message))
}

struct Complaints(Vec<String>);

impl Complaints {
    fn members(&mut self, object: Checked<'_>, members: &[Member], parent: &str) {
        for member in members {
            let is_named_otherwise =
                member.name == STREAM_NAME.name && object.get(STREAM_ARN.name).is_some();
            let value = object.get(member.name);
            if value.is_none() && is_named_otherwise {
                continue;
            }
            self.member(
                value,
                member,
                &format!("{parent}{}", lower_first(member.name)),
            );
        }
    }

    fn member(&mut self, value: Option<&Value>, member: &Member, path: &str) {
        for rule in member.rules {
            if self.0.len() >= CONSTRAINT_ERRORS_MAX {
                return;
            }
            if let Some(complaint) = broken(*rule, value, &member.kind) {
                let shown = value.map_or("null".to_owned(), |value| {
                    format!("'{}'", shown(value, &member.kind))
                });
                self.0.push(format!(
                    "Value {shown} at '{path}' failed to satisfy constraint: {complaint}"
                ));
            }
        }
        match (&member.kind, value) {
            (Kind::Structure(members), Some(Value::Object(object))) => {
                self.members(Checked(object), members, &format!("{path}."));
            }
            (Kind::List { members, .. }, Some(Value::Array(elements))) => {
                let objects = elements.iter().map(Value::as_object).enumerate();
                for (index, object) in objects {
                    let path = format!("{path}.{}.member", index + 1);
                    match object {
                        Some(object) => self.members(Checked(object), members, &format!("{path}.")),
                        // An answer has an entry for each: one that is no record cannot be left out.
                        None if self.0.len() < CONSTRAINT_ERRORS_MAX => self.0.push(format!(
                            "Value null at '{path}' failed to satisfy constraint: Member must not be null"
                        )),
                        None => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// What a rule says about a value that breaks it.
fn broken(rule: Rule, value: Option<&Value>, kind: &Kind) -> Option<String> {
    let Some(value) = value else {
        return matches!(rule, Rule::NotNull).then(|| "Member must not be null".to_owned());
    };
    let length = || length(value, kind);
    let number = || floored(value).unwrap_or(0);
    match rule {
        Rule::NotNull => None,
        Rule::LengthMin(min) => (length() < min)
            .then(|| format!("Member must have length greater than or equal to {min}")),
        Rule::LengthMax(max) => {
            (length() > max).then(|| format!("Member must have length less than or equal to {max}"))
        }
        Rule::ValueMin(min) => (number() < min)
            .then(|| format!("Member must have value greater than or equal to {min}")),
        Rule::ValueMax(max) => {
            (number() > max).then(|| format!("Member must have value less than or equal to {max}"))
        }
        Rule::Matches(pattern) => (!pattern.matches(value.as_str().unwrap_or(""))).then(|| {
            format!(
                "Member must satisfy regular expression pattern: {}",
                pattern.text()
            )
        }),
        Rule::OneOf(names) => (!names.contains(&value.as_str().unwrap_or("")))
            .then(|| format!("Member must satisfy enum value set: [{}]", names.join(", "))),
        Rule::KeyLengths(min, max) => {
            let mut keys = value
                .as_object()
                .into_iter()
                .flat_map(serde_json::Map::keys);
            let is_kept = keys.all(|key| (min..=max).contains(&key.chars().count()));
            (!is_kept).then(|| lengths("keys", min, max))
        }
        Rule::ValueLengths(min, max) => {
            let mut values = value
                .as_object()
                .into_iter()
                .flat_map(serde_json::Map::values);
            let is_kept = values.all(|value| {
                let length = value.as_str().map_or(0, |text| text.chars().count());
                (min..=max).contains(&length)
            });
            (!is_kept).then(|| lengths("value", min, max))
        }
    }
}

fn lengths(of: &str, min: usize, max: usize) -> String {
    format!(
        "Map {of} must satisfy constraint: [Member must have length less than or equal to {max}, \
         Member must have length greater than or equal to {min}]"
    )
}

fn length(value: &Value, kind: &Kind) -> usize {
    match value {
        Value::String(text) if matches!(kind, Kind::Blob) => {
            base64::decode(text).map_or(0, |bytes| bytes.len())
        }
        Value::String(text) => text.chars().count(),
        Value::Array(elements) => elements.len(),
        Value::Object(object) => object.len(),
        _ => 0,
    }
}

/// A value as Java prints it.
fn shown(value: &Value, kind: &Kind) -> String {
    match (value, kind) {
        (Value::String(_), Kind::Blob) => {
            let length = length(value, kind);
            format!("java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]")
        }
        (Value::String(text), _) => text.clone(),
        (Value::Number(_), Kind::Integer) => floored(value).unwrap_or(0).to_string(),
        (Value::Array(elements), Kind::List { element, .. }) => {
            format!("[{}]", vec![*element; elements.len()].join(", "))
        }
        (Value::Object(object), Kind::Map) => {
            let entries: Vec<_> = object
                .iter()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("null")))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        _ => value.to_string(),
    }
}

fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    match characters.next() {
        Some(first) => first.to_ascii_lowercase().to_string() + characters.as_str(),
        None => String::new(),
    }
}
