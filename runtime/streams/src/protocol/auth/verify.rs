//! Is the request signed by a key we know, now, for us? (AWS Signature Version 4; the words are those that
//! AWS answers.)
//!
//! What needs no body is asked first, so that a stranger's body is not read.

use fnctl_core::id::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::{HeaderMap, Method, Uri, header};
use sha2::Sha256;

use super::{canonical, region_of};
use crate::{
    credentials::{Credential, Credentials},
    limits::{CLOCK_SKEW_MS, PRESIGNED_SECONDS_MAX, SIGNED_HEADERS_MAX},
    protocol::error::{ApiError, ErrorCode},
};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
const SERVICE: &str = "kinesis";

/// What a request says of its signature.
struct Claim {
    key: String,
    /// `DATE/REGION/SERVICE/aws4_request`.
    scope: String,
    signed: String,
    signature: String,
    /// `YYYYMMDDTHHMMSSZ`.
    time: String,
    at: Timestamp,
    /// How long it is good, ms; 5 minutes either way where nothing is said.
    lasts_ms: Option<u64>,
}

/// A request whose signature is known to be by a known key, and is still to be verified.
pub(crate) struct Pending<'a> {
    claim: Claim,
    credential: &'a Credential,
    region: Option<String>,
}

impl<'a> Pending<'a> {
    /// Reads what a request says, and refuses what no body can mend. The shape of the signature is that
    /// which [`super::check_signature`] asks for.
    ///
    /// # Errors
    /// No such key, another service, a time that is not now, headers that had to be signed.
    pub(crate) fn new(
        credentials: &'a Credentials,
        uri: &Uri,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        let claim = Claim::read(uri, headers)?;
        let credential = credentials.get(&claim.key).ok_or_else(|| {
            ApiError::new(
                ErrorCode::UnrecognizedClient,
                "The security token included in the request is invalid.",
            )
        })?;
        claim.is_now(now)?;
        claim.covers(headers)?;
        let region = region_of(&claim.scope);
        Ok(Self {
            claim,
            credential,
            region,
        })
    }

    /// Verifies the signature; the key, and the region that it names.
    ///
    /// # Errors
    /// It is another one.
    pub(crate) fn verify(
        self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(&'a Credential, Option<String>), ApiError> {
        let claim = &self.claim;
        let signed: Vec<&str> = claim.signed.split(';').collect();
        let canonical = canonical::request(method, uri, headers, &signed, body);
        let given = digest_of(&claim.signature).unwrap_or_default();
        // Compared in constant time.
        let signing = signing(
            &self.credential.secret,
            &claim.scope,
            &claim.time,
            &canonical,
        );
        match signing.verify_slice(&given) {
            Ok(()) => Ok((self.credential, self.region)),
            Err(_) => Err(invalid(
                "The request signature we calculated does not match the signature you provided. Check \
                 your AWS Secret Access Key and signing method. Consult the service documentation for \
                 details.",
            )),
        }
    }
}

impl Claim {
    fn read(uri: &Uri, headers: &HeaderMap) -> Result<Self, ApiError> {
        let text = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or("").trim().to_owned()
        };
        let query = uri.query().unwrap_or("");
        let parameter = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let mut its = pairs.filter(|(key, _)| *key == name);
            let value = its.next().map_or(Vec::new(), |(_, v)| canonical::decode(v));
            String::from_utf8_lossy(&value).into_owned()
        };
        let authorization = text(header::AUTHORIZATION.as_str());
        let is_query = authorization.is_empty();
        let (algorithm, credential, signed, signature, time, lasts) = if is_query {
            (
                parameter("X-Amz-Algorithm"),
                parameter("X-Amz-Credential"),
                parameter("X-Amz-SignedHeaders"),
                parameter("X-Amz-Signature"),
                parameter("X-Amz-Date"),
                parameter("X-Amz-Expires"),
            )
        } else {
            let (algorithm, parts) = authorization
                .split_once(' ')
                .unwrap_or((&authorization, ""));
            let part = |name: &str| {
                let parts = parts
                    .split([',', ' '])
                    .filter_map(|part| part.split_once('='));
                let mut its = parts.filter(|(key, _)| key.trim() == name);
                its.next().map_or("", |(_, value)| value.trim()).to_owned()
            };
            let dated = text("x-amz-date");
            let time = if dated.is_empty() {
                basic_of_http(&text(header::DATE.as_str()))
            } else {
                dated
            };
            (
                algorithm.to_owned(),
                part("Credential"),
                part("SignedHeaders"),
                part("Signature"),
                time,
                String::new(),
            )
        };
        if algorithm != ALGORITHM {
            return Err(incomplete(format!(
                "Unsupported AWS 'algorithm': '{algorithm}'."
            )));
        }
        let at = parse_basic(&time).ok_or_else(|| {
            incomplete(format!(
                "Date must be in ISO-8601 'basic format'. Got '{time}'. See http://en.wikipedia.org/wiki/ISO_8601"
            ))
        })?;
        let lasts_ms = match lasts.as_str() {
            "" => None,
            text => {
                let seconds = text.parse().ok();
                let seconds = seconds.filter(|s| (1..=PRESIGNED_SECONDS_MAX).contains(s));
                let seconds = seconds.ok_or_else(|| {
                    incomplete(format!(
                        "X-Amz-Expires must be between 1 and {PRESIGNED_SECONDS_MAX} seconds, got '{text}'"
                    ))
                })?;
                Some(seconds * 1_000)
            }
        };
        let scope = Self::scope_of(&credential, &time)?;
        Ok(Self {
            key: scope.0,
            scope: scope.1,
            signed,
            signature,
            time,
            at,
            lasts_ms,
        })
    }

    /// Key id and scope of `KEY/DATE/REGION/SERVICE/aws4_request`.
    fn scope_of(credential: &str, time: &str) -> Result<(String, String), ApiError> {
        let parts: Vec<&str> = credential.split('/').collect();
        let [key, date, _, service, terminator] = parts[..] else {
            return Err(incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got '{credential}'"
            )));
        };
        if terminator != TERMINATOR {
            return Err(invalid(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'."
            )));
        }
        if service != SERVICE {
            return Err(invalid(format!(
                "Credential should be scoped to correct service: '{SERVICE}'."
            )));
        }
        if !time.starts_with(date) || date.len() != 8 {
            return Err(invalid(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
                 HTTP: '{date}' != '{}', from '{time}'.",
                time.get(..8).unwrap_or_default()
            )));
        }
        let scope = credential.split_once('/').map_or("", |(_, scope)| scope);
        Ok((key.to_owned(), scope.to_owned()))
    }

    /// Within five minutes either way, or within what a presigned request says.
    fn is_now(&self, now: Timestamp) -> Result<(), ApiError> {
        let (time, shown) = (&self.time, basic(now));
        let latest = self
            .at
            .0
            .saturating_add(self.lasts_ms.unwrap_or(CLOCK_SKEW_MS));
        if latest < now.0 {
            let (edge, said) = match self.lasts_ms {
                Some(ms) => (basic(Timestamp(now.0 - ms)), format!("{} sec.", ms / 1_000)),
                None => (basic(Timestamp(now.0 - CLOCK_SKEW_MS)), "5 min.".to_owned()),
            };
            return Err(invalid(format!(
                "Signature expired: {time} is now earlier than {edge} ({shown} - {said})"
            )));
        }
        if self.at.0 > now.0.saturating_add(CLOCK_SKEW_MS) {
            let edge = basic(Timestamp(now.0.saturating_add(CLOCK_SKEW_MS)));
            return Err(invalid(format!(
                "Signature not yet current: {time} is still later than {edge} ({shown} + 5 min.)"
            )));
        }
        Ok(())
    }

    /// Whether everything is signed that says what is asked, when, and of whom: else it could be changed on
    /// the way.
    fn covers(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let signed: Vec<&str> = self.signed.split(';').collect();
        if signed.len() > SIGNED_HEADERS_MAX {
            return Err(incomplete("There are too many signed headers.".to_owned()));
        }
        if !signed.contains(&header::HOST.as_str()) {
            return Err(invalid(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
            ));
        }
        let must = headers.keys().map(header::HeaderName::as_str);
        let unsigned: Vec<&str> = must
            .filter(|name| {
                matches!(
                    *name,
                    "x-amz-target" | "x-amz-date" | "x-amz-security-token"
                )
            })
            .filter(|name| !signed.contains(name))
            .collect();
        if unsigned.is_empty() {
            return Ok(());
        }
        Err(invalid(format!(
            "There were headers present in the request which were not signed: {}",
            unsigned.join(", ")
        )))
    }
}

fn invalid(words: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::new(ErrorCode::InvalidSignature, words)
}

fn incomplete(words: String) -> ApiError {
    ApiError::new(ErrorCode::IncompleteSignature, words)
}

/// The signature of a canonical request, before it is asked for.
fn signing(secret: &str, scope: &str, time: &str, canonical: &str) -> Hmac<Sha256> {
    let hashed = canonical::sha256(canonical.as_bytes());
    let text = format!("{ALGORITHM}\n{time}\n{scope}\n{hashed}");
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/') {
        key = mac(&key, part.as_bytes()).finalize().into_bytes().to_vec();
    }
    mac(&key, text.as_bytes())
}

fn mac(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.chain_update(text)
}

/// The bytes of 64 small hex digits.
fn digest_of(text: &str) -> Option<Vec<u8>> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 64 || !text.bytes().all(is_hex) {
        return None;
    }
    let pairs = (0..32).map(|index| text.get(2 * index..2 * index + 2));
    pairs
        .map(|pair| u8::from_str_radix(pair?, 16).ok())
        .collect()
}

/// `YYYYMMDDTHHMMSSZ`.
fn parse_basic(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let is_digit = |index: usize, byte: &u8| match index {
        8 => *byte == b'T',
        15 => *byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    if bytes.len() != 16 || !bytes.iter().enumerate().all(|(i, b)| is_digit(i, b)) {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    fnctl_core::rfc3339::parse(&format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(9, 11),
        part(11, 13),
        part(13, 15)
    ))
}

fn basic(time: Timestamp) -> String {
    let text = fnctl_core::rfc3339::format(time);
    let seconds = text.split(['.', 'Z']).next().unwrap_or_default();
    seconds.replace(['-', ':'], "") + "Z"
}

/// The time of a `Date` header, as the string to sign has it; what is no such time stays as it is.
fn basic_of_http(text: &str) -> String {
    let parsed = jiff::fmt::rfc2822::parse(text).ok();
    let ms = parsed.and_then(|time| u64::try_from(time.timestamp().as_millisecond()).ok());
    ms.map_or_else(|| text.to_owned(), |ms| basic(Timestamp(ms)))
}

#[cfg(test)]
mod tests;
