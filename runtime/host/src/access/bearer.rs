//! The token of a request: `Authorization: Bearer T` (RFC 6750, section 2.1), and nowhere else: what is in
//! an address ends in logs.

use hyper::{HeaderMap, header};

/// What a request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presented<'a> {
    /// No `Authorization`.
    Nothing,
    /// A token.
    Token(&'a str),
    /// Something else, or more than one.
    Other,
}

/// Reads the headers.
pub(super) fn of(headers: &HeaderMap) -> Presented<'_> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else {
        return Presented::Nothing;
    };
    if all.next().is_some() {
        return Presented::Other;
    }
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        let token = token.trim();
        let is_one = !token.is_empty() && !token.contains(' ');
        (scheme.eq_ignore_ascii_case("bearer") && is_one).then_some(token)
    });
    token.map_or(Presented::Other, Presented::Token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bearer_token_is_taken_and_nothing_else() {
        for (values, expected) in [
            (&[][..], Presented::Nothing),
            (&["Bearer abc"], Presented::Token("abc")),
            (&["bearer   abc "], Presented::Token("abc")),
            (&["Bearer"], Presented::Other),
            (&["Bearer "], Presented::Other),
            (&["Bearer a b"], Presented::Other),
            (&["Basic abc"], Presented::Other),
            (&["Bearer a", "Bearer a"], Presented::Other),
            (&["Bearer \u{e9}"], Presented::Other),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = hyper::header::HeaderValue::from_bytes(value.as_bytes());
                headers.append(header::AUTHORIZATION, value.expect("a header"));
            }
            assert_eq!(of(&headers), expected, "{values:?}");
        }
    }
}
