//! A pattern's text as values with the byte at which each stands.

use super::json::{Malformed, Scanner, Start};
use super::number::Number;

/// A value of a pattern.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its first byte.
    pub(super) at: usize,
    pub(super) value: Value,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Array(Vec<Node>),
    /// In the order written; a key that stands twice is there twice.
    Object(Vec<Member>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) node: Node,
}

impl Value {
    /// What it is, in words.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "`null`",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// Reads a pattern's text.
///
/// # Errors
/// Where it is not JSON.
pub(super) fn read(text: &str) -> Result<Node, Malformed> {
    let mut scanner = Scanner::new(text);
    let node = value(&mut scanner, 0)?;
    scanner.end()?;
    Ok(node)
}

fn value(scanner: &mut Scanner<'_>, depth: u32) -> Result<Node, Malformed> {
    scanner.peek();
    let at = scanner.at();
    let mut buffer = String::new();
    let value = match scanner.start()? {
        Start::Null => Value::Null,
        Start::Bool(bool) => Value::Bool(bool),
        Start::Text(raw) => Value::Text(raw.decoded(&mut buffer).to_owned()),
        Start::Number(text) => {
            let number = Number::read(text);
            if !number.is_finite() {
                let why = "a number beyond what a double can hold";
                return Err(Malformed { at, why });
            }
            Value::Number(number)
        }
        Start::Array => {
            let depth = scanner.deeper(depth)?;
            let mut items = Vec::new();
            while scanner.item(items.is_empty())? {
                items.push(value(scanner, depth)?);
            }
            Value::Array(items)
        }
        Start::Object => {
            let depth = scanner.deeper(depth)?;
            let mut members = Vec::new();
            loop {
                let is_first = members.is_empty();
                let Some(key) = scanner.key(is_first)? else {
                    break;
                };
                let key = key.decoded(&mut buffer).to_owned();
                let node = value(scanner, depth)?;
                members.push(Member { key, node });
            }
            Value::Object(members)
        }
    };
    Ok(Node { at, value })
}
