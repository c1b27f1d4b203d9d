//! Paths and query strings, percent-decoded once, unknown parameters refused.

/// What is wrong with an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    /// A `%` without two hex digits, or bytes that are no UTF-8.
    #[error("`{0}` is not percent-encoded UTF-8")]
    Encoding(String),
    /// A parameter that the resource does not know.
    #[error("unknown parameter `{0}`")]
    Unknown(String),
    /// A parameter given twice.
    #[error("parameter `{0}` is given twice")]
    Twice(String),
    /// A value that cannot be read.
    #[error("parameter `{name}` is `{value}`: {reason}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: String,
        /// Why it cannot be read.
        reason: String,
    },
}

/// The segments of a path, decoded; `/v1/a%2Fb` is `["v1", "a/b"]`.
///
/// # Errors
/// A segment that is not percent-encoded UTF-8.
pub(crate) fn segments(path: &str) -> Result<Vec<String>, AddressError> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| decode(segment, false))
        .collect()
}

fn decode(text: &str, plus_is_space: bool) -> Result<String, AddressError> {
    let bad = || AddressError::Encoding(text.to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
                let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                    return Err(bad());
                };
                bytes.push(u8::try_from(high * 16 + low).expect("two hex digits are a byte"));
            }
            b'+' if plus_is_space => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query string; `known` are the parameters that the resource has.
    ///
    /// # Errors
    /// Unknown, repeated or badly encoded parameters.
    pub(crate) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, AddressError> {
        let mut all: Vec<(String, String)> = Vec::new();
        for pair in query
            .unwrap_or("")
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, true)?;
            if !known.contains(&name.as_str()) {
                return Err(AddressError::Unknown(name));
            }
            if all.iter().any(|(before, _)| *before == name) {
                return Err(AddressError::Twice(name));
            }
            all.push((name, decode(value, true)?));
        }
        Ok(Self(all))
    }

    /// A parameter as it was given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// A switch: `?force`, `?force=true`, `?force=false`.
    ///
    /// # Errors
    /// Another value.
    pub(crate) fn switch(&self, name: &'static str) -> Result<bool, AddressError> {
        match self.text(name) {
            None | Some("false" | "off" | "0") => Ok(false),
            Some("" | "true" | "on" | "1") => Ok(true),
            Some(value) => Err(AddressError::Value {
                name,
                value: value.to_owned(),
                reason: "write true or false".to_owned(),
            }),
        }
    }

    /// A whole number, at least 0.
    ///
    /// # Errors
    /// Anything else.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u64>, AddressError> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        value.parse().map(Some).map_err(|_| AddressError::Value {
            name,
            value: value.to_owned(),
            reason: format!("a whole number from 0 to {} is expected", u64::MAX),
        })
    }

    /// How many at most, a whole number, at least 0.
    ///
    /// # Errors
    /// Anything else.
    pub(crate) fn count(&self, name: &'static str) -> Result<Option<usize>, AddressError> {
        let number = self.number(name)?;
        // More than memory can hold is all there are.
        Ok(number.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_after_the_cut() {
        assert_eq!(
            segments("/v1/mappings/a%2Fb"),
            Ok(vec!["v1".into(), "mappings".into(), "a/b".into()])
        );
        assert!(segments("/v1/%zz").is_err());
        assert!(segments("/v1/%ff").is_err());
        assert!(segments("/v1/%f").is_err());
    }

    #[test]
    fn parameters_are_known_single_and_readable() {
        let query = Query::parse(
            Some("from=latest&count=3&follow"),
            &["from", "count", "follow"],
        );
        let query = query.expect("a good query");
        assert_eq!(query.text("from"), Some("latest"));
        assert_eq!(query.number("count"), Ok(Some(3)));
        assert_eq!(query.switch("follow"), Ok(true));
        assert_eq!(query.switch("force"), Ok(false));
        assert!(matches!(
            Query::parse(Some("x=1"), &["y"]),
            Err(AddressError::Unknown(_))
        ));
        assert!(matches!(
            Query::parse(Some("y=1&y=2"), &["y"]),
            Err(AddressError::Twice(_))
        ));
        let query = Query::parse(Some("count=many&force=perhaps"), &["count", "force"]);
        let query = query.expect("readable");
        let words = query.number("count").expect_err("no number").to_string();
        assert_eq!(
            words,
            "parameter `count` is `many`: a whole number from 0 to 18446744073709551615 is expected"
        );
        assert!(query.switch("force").is_err());
    }
}
