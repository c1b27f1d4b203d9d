//! The canonical request: what both sides of a signature hash (AWS Signature Version 4, "Create a canonical
//! request").

use std::fmt::Write as _;

use hyper::{HeaderMap, Method, Uri, header};
use sha2::{Digest as _, Sha256};

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to memory does not fail");
    }
    text
}

/// SHA-256 as lower-case hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The canonical request; `signed` are the signed headers as the signer lists them: in small letters and
/// ascending. A header that is listed and missing counts as empty, so its signature is another.
pub(super) fn request(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    signed: &[&str],
    body: &[u8],
) -> String {
    let mut text = format!(
        "{method}\n{}\n{}\n",
        path(uri.path()),
        query(uri.query().unwrap_or(""))
    );
    for name in signed {
        text.push_str(name);
        text.push(':');
        text.push_str(&value(name, uri, headers));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&signed.join(";"));
    text.push('\n');
    text.push_str(&sha256(body));
    text
}

/// All values of a header, each without outer blanks and with one blank for several; `host` of HTTP/2 is
/// the authority.
fn value(name: &str, uri: &Uri, headers: &HeaderMap) -> String {
    let mut values: Vec<String> = headers
        .get_all(name)
        .iter()
        .map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            words.join(" ")
        })
        .collect();
    if values.is_empty()
        && name == header::HOST.as_str()
        && let Some(authority) = uri.authority()
    {
        values.push(authority.to_string());
    }
    values.join(",")
}

/// The path without empty, `.` and `..` segments, each encoded once more than it was sent.
fn path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let mut text = String::new();
    for segment in &kept {
        text.push('/');
        encode(segment.as_bytes(), &mut text);
    }
    let is_folder = path.ends_with(['/']) || path.ends_with("/.") || path.ends_with("/..");
    if kept.is_empty() || is_folder {
        text.push('/');
    }
    text
}

/// The parameters but the signature, each encoded anew, ascending.
fn query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| (encoded_anew(name), encoded_anew(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

fn encoded_anew(text: &str) -> String {
    let mut encoded = String::new();
    encode(&decode(text), &mut encoded);
    encoded
}

/// Percent-decoded; what is no escape stays as it is.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let pair = (digit(bytes.get(at + 1)), digit(bytes.get(at + 2)));
        if let (b'%', (Some(high), Some(low))) = (byte, pair) {
            decoded.push(u8::try_from(high * 16 + low).expect("two hex digits are a byte"));
            at += 3;
        } else {
            decoded.push(*byte);
            at += 1;
        }
    }
    decoded
}

/// Everything but letters, digits, `-`, `.`, `_` and `~` as `%XX`.
fn encode(bytes: &[u8], to: &mut String) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            to.push(char::from(*byte));
        } else {
            write!(to, "%{byte:02X}").expect("writing to memory does not fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_parameters_have_one_spelling() {
        for (given, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/a/..", "/"),
            ("/a/../..", "/"),
            ("//example//", "/example/"),
            ("/./example", "/example"),
            ("/a%20b/", "/a%2520b/"),
            ("/-._~0aZ", "/-._~0aZ"),
        ] {
            assert_eq!(path(given), expected, "{given}");
        }
        for (given, expected) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=1&a=2"),
            ("a", "a="),
            ("a=%2f%20&X-Amz-Signature=x", "a=%2F%20"),
            ("a=b=c%", "a=b%3Dc%25"),
        ] {
            assert_eq!(query(given), expected, "{given}");
        }
    }
}
