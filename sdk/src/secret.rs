//! A secret that does not slip into a log.

use std::fmt;

/// The value of a secret. Owned, and asked for in each call, because it may rotate; `Debug` does not
/// show it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Secret {
    bytes: Vec<u8>,
}

impl Secret {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// The value itself. Where this stands, it may leak: keep it short.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}
