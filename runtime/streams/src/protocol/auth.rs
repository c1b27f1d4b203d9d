//! Is the request signed, by its shape? Without credentials to verify signatures with any key and region is
//! taken, but a request must carry what a signed one carries, so that a client that forgot to sign learns
//! it here and not in production (Kinesis reference B2 steps 7 to 9, B17 mode `off`). With them, [`verify`]
//! asks the rest (mode `static keys`).

mod canonical;
pub(crate) mod verify;

use hyper::{HeaderMap, Uri, header};

use crate::protocol::error::{ApiError, ErrorCode};

const HEADER_PARTS: [&str; 3] = ["Credential", "Signature", "SignedHeaders"];
const QUERY_PARTS: [&str; 5] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
    "X-Amz-Date",
];
/// Longest region that is taken over into ARNs.
const REGION_CHARS_MAX: usize = 64;

/// The region that the request is signed for; `None` if its scope names no plausible one.
///
/// # Errors
/// No signature, two, or one that lacks a part.
pub(crate) fn check_signature(headers: &HeaderMap, uri: &Uri) -> Result<Option<String>, ApiError> {
    let header = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes());
    let query: Vec<(&str, &str)> = uri
        .query()
        .unwrap_or("")
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    let is_query_signed = query.iter().any(|(name, _)| *name == "X-Amz-Algorithm");
    match (header, is_query_signed) {
        (Some(_), true) => Err(ApiError::new(
            ErrorCode::InvalidSignature,
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
        )),
        (None, false) => Err(ApiError::new(
            ErrorCode::MissingAuthenticationToken,
            "Missing Authentication Token",
        )),
        (Some(header), false) => {
            let is_dated = headers.contains_key("x-amz-date") || headers.contains_key(header::DATE);
            check_header(&String::from_utf8_lossy(header), is_dated)
        }
        (None, true) => check_query(&query),
    }
}

fn check_header(header: &str, is_dated: bool) -> Result<Option<String>, ApiError> {
    let parts: Vec<(&str, &str)> = header
        .split([',', ' '])
        .skip(1)
        .filter_map(|part| part.trim().split_once('='))
        .collect();
    let part = |name| {
        parts
            .iter()
            .find(|(key, value)| *key == name && !value.is_empty())
    };
    let mut complaint = String::new();
    for name in HEADER_PARTS {
        if part(name).is_none() {
            complaint += &format!("Authorization header requires '{name}' parameter. ");
        }
    }
    if !is_dated {
        complaint += "Authorization header requires existence of either a 'X-Amz-Date' or a \
                      'Date' header. ";
    }
    if complaint.is_empty() {
        return Ok(part("Credential").and_then(|(_, scope)| region_of_credential(scope)));
    }
    // A token that was meant for the other listener is not said aloud: who asked may log what it is told.
    let shown = match header.split_once(' ') {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("bearer") => "Bearer ***",
        _ => header,
    };
    complaint += &format!("Authorization={shown}");
    Err(ApiError::new(ErrorCode::IncompleteSignature, complaint))
}

fn check_query(query: &[(&str, &str)]) -> Result<Option<String>, ApiError> {
    let part = |name| {
        query
            .iter()
            .find(|(key, value)| *key == name && !value.is_empty())
    };
    let mut complaint = String::new();
    for name in QUERY_PARTS {
        if part(name).is_none() {
            complaint += &format!("AWS query-string parameters must include '{name}'. ");
        }
    }
    if complaint.is_empty() {
        let scope = part("X-Amz-Credential").map(|(_, scope)| scope.replace("%2F", "/"));
        return Ok(scope.and_then(|scope| region_of_credential(&scope)));
    }
    complaint += "Re-examine the query-string parameters.";
    Err(ApiError::new(ErrorCode::IncompleteSignature, complaint))
}

/// `KEY/DATE/REGION/SERVICE/aws4_request`.
fn region_of_credential(credential: &str) -> Option<String> {
    region_of(credential.split_once('/')?.1)
}

/// `DATE/REGION/SERVICE/aws4_request`.
fn region_of(scope: &str) -> Option<String> {
    let region = scope.split('/').nth(1)?;
    let is_plausible = (1..=REGION_CHARS_MAX).contains(&region.len())
        && region
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_plausible.then(|| region.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIAL: &str = "Credential=AK/20150101/eu-west-1/kinesis/aws4_request";

    fn check(uri: &str, header_values: &[(&'static str, &str)]) -> Result<Option<String>, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in header_values {
            headers.insert(*name, value.parse().unwrap());
        }
        check_signature(&headers, &uri.parse().unwrap())
            .map_err(|error| format!("{}: {}", error.code.name(), error.message.unwrap()))
    }

    #[test]
    fn a_signature_must_have_its_parts() {
        let whole = format!("AWS4-HMAC-SHA256 {CREDENTIAL}, SignedHeaders=host, Signature=ab");
        let query = "/?X-Amz-Algorithm=a&X-Amz-Signature=b&X-Amz-SignedHeaders=c&X-Amz-Date=d";
        let query_whole = format!("{query}&X-Amz-Credential=AK%2F20150101%2Feu-west-1%2Fk%2Fa");
        let date = ("x-amz-date", "now");
        for (uri, headers, expected) in [
            ("/", vec![], Err("MissingAuthenticationTokenException: Missing Authentication Token".into())),
            (
                query,
                vec![("authorization", "a")],
                Err("InvalidSignatureException: Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.".into()),
            ),
            (
                "/",
                vec![("authorization", "X")],
                Err("IncompleteSignatureException: Authorization header requires 'Credential' parameter. \
                     Authorization header requires 'Signature' parameter. \
                     Authorization header requires 'SignedHeaders' parameter. \
                     Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. \
                     Authorization=X".into()),
            ),
            (
                "/",
                vec![("authorization", "bearer fnctl_secret"), date],
                Err("IncompleteSignatureException: Authorization header requires 'Credential' parameter. \
                     Authorization header requires 'Signature' parameter. \
                     Authorization header requires 'SignedHeaders' parameter. \
                     Authorization=Bearer ***".into()),
            ),
            (
                "/",
                vec![("authorization", "X Signature=b,SignedHeaders=c,Credential="), date],
                Err("IncompleteSignatureException: Authorization header requires 'Credential' parameter. \
                     Authorization=X Signature=b,SignedHeaders=c,Credential=".into()),
            ),
            (
                query,
                vec![],
                Err("IncompleteSignatureException: AWS query-string parameters must include 'X-Amz-Credential'. \
                     Re-examine the query-string parameters.".into()),
            ),
            ("/", vec![("authorization", &whole), date], Ok(Some("eu-west-1".into()))),
            ("/", vec![("authorization", &whole), ("date", "now")], Ok(Some("eu-west-1".into()))),
            ("/", vec![("authorization", "X Credential=a, Signature=b, SignedHeaders=c"), date], Ok(None)),
            (&query_whole, vec![], Ok(Some("eu-west-1".into()))),
        ] {
            assert_eq!(check(uri, &headers), expected, "{uri} {headers:?}");
        }
    }
}
