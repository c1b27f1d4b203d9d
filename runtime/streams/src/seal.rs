//! Tokens that we hand out and get back: opaque base64 that nobody can make or alter but us.
//!
//! A token is eight bytes `00…01` as on Kinesis, a kind, a payload, padding, and an HMAC-SHA-256 of
//! all before it. Nothing in it is secret, so it is authenticated and not encrypted.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What every token begins with, as on Kinesis.
const HEADER: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];
const MAC_BYTES: usize = 32;
/// Bytes of a token that are not payload.
pub(crate) const OVERHEAD_BYTES: usize = HEADER.len() + 1 + MAC_BYTES;

/// What a token is good for; one kind is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    ShardIterator = 1,
    ListStreams = 2,
    ListShards = 3,
}

/// Seals and opens tokens.
#[derive(Clone)]
pub(crate) struct Seal {
    mac: Hmac<Sha256>,
}

impl Seal {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self {
            mac: Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"),
        }
    }

    /// A token around `payload`, `bytes_min` bytes long before base64 or longer.
    pub(crate) fn seal(&self, kind: TokenKind, payload: &[u8], bytes_min: usize) -> String {
        let length = (payload.len() + OVERHEAD_BYTES).max(bytes_min);
        let mut token = Vec::with_capacity(length);
        token.extend_from_slice(&HEADER);
        token.push(kind as u8);
        token.extend_from_slice(payload);
        token.resize(length - MAC_BYTES, 0);
        let mac = self.mac.clone().chain_update(&token).finalize();
        token.extend_from_slice(&mac.into_bytes());
        base64_simd::STANDARD.encode_to_string(&token)
    }

    /// The payload of a token of ours, with its padding; `None` for anything else.
    pub(crate) fn open(&self, kind: TokenKind, token: &str) -> Option<Vec<u8>> {
        let token = base64_simd::STANDARD.decode_to_vec(token).ok()?;
        let (body, mac) = token.split_at_checked(token.len().checked_sub(MAC_BYTES)?)?;
        self.mac.clone().chain_update(body).verify_slice(mac).ok()?;
        let payload = body.strip_prefix(&HEADER)?.strip_prefix(&[kind as u8])?;
        Some(payload.to_vec())
    }
}

/// Takes fields off a payload that was opened, front to back.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_be_bytes)
    }

    /// Text behind its length, a byte.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let [length] = self.bytes()?;
        let (text, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_only_whole_and_as_its_own_kind() {
        let seal = Seal::new(&[7; 32]);
        let token = seal.seal(TokenKind::ListStreams, b"payload", 0);
        assert_eq!(
            seal.open(TokenKind::ListStreams, &token).as_deref(),
            Some(&b"payload"[..])
        );
        assert_eq!(seal.open(TokenKind::ListShards, &token), None);
        assert_eq!(
            Seal::new(&[8; 32]).open(TokenKind::ListStreams, &token),
            None
        );
        let raw = base64_simd::STANDARD.decode_to_vec(&token).unwrap();
        for index in 0..raw.len() {
            let mut altered = raw.clone();
            altered[index] ^= 1;
            let altered = base64_simd::STANDARD.encode_to_string(&altered);
            assert_eq!(
                seal.open(TokenKind::ListStreams, &altered),
                None,
                "byte {index}"
            );
        }
        for text in ["", "AAAA", "not base64", "AAAAAAAAAAE="] {
            assert_eq!(seal.open(TokenKind::ListStreams, text), None, "{text}");
        }
    }
}
