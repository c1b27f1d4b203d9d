//! Secrets of tokens: 256 random bits, shown once, kept as a digest.

use std::io;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use fnctl_core::access::SecretDigest;
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest as _, Sha256};

/// What every token begins with, so that scanners of repositories and logs know one.
const PREFIX: &str = "fnctl_";
const BYTES: usize = 32;

/// A new secret, as its holder sends it.
///
/// # Errors
/// The system has no random numbers.
pub(super) fn make() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    let mut filled = 0;
    while filled < BYTES {
        let rest = bytes.get_mut(filled..).unwrap_or_default();
        filled += getrandom(rest, GetRandomFlags::empty())?;
    }
    Ok(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
}

/// What is kept of a secret.
pub(super) fn digest(secret: &str) -> SecretDigest {
    SecretDigest(Sha256::digest(secret.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_plain_and_never_the_same() {
        let (a, b) = (make().expect("random"), make().expect("random"));
        assert_ne!(a, b);
        assert_eq!(a.len(), PREFIX.len() + 43);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        assert!(a.chars().all(is_plain), "{a}");
        assert!(digest(&a).is(&digest(&a)) && !digest(&a).is(&digest(&b)));
    }
}
