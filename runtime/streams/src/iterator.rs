//! Shard iterators: where a reader stands, as an opaque token that lives five minutes
//! (Kinesis reference B9).

#[cfg(test)]
mod tests;

use fnctl_core::id::{Ordinal, ShardNumber, StreamId, StreamName, Timestamp};

use crate::{
    limits::ITERATOR_LIFE_MS,
    seal::{Fields, OVERHEAD_BYTES, Seal, TokenKind},
};

/// A place in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardIterator {
    /// The stream's name, to say which one is gone.
    pub(crate) name: StreamName,
    /// The stream: a recreated one is another.
    pub(crate) stream: StreamId,
    pub(crate) shard: ShardNumber,
    /// The next record read is the one after this.
    pub(crate) after: Ordinal,
    pub(crate) issued_at: Timestamp,
}

/// Why a token is no iterator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IteratorError {
    Invalid,
    Expired { issued_at: Timestamp },
}

impl ShardIterator {
    /// The token. `nonce` differs at every call, so that no two tokens are the same.
    pub(crate) fn seal(&self, seal: &Seal, nonce: u64) -> String {
        let name = self.name.as_str();
        let mut payload = Vec::with_capacity(48 + name.len());
        payload.extend_from_slice(&self.issued_at.0.to_be_bytes());
        payload.extend_from_slice(&nonce.to_be_bytes());
        payload.extend_from_slice(&self.stream.0.to_be_bytes());
        payload.extend_from_slice(&self.shard.0.to_be_bytes());
        payload.extend_from_slice(&self.after.0.to_be_bytes());
        payload.push(u8::try_from(name.len()).expect("a stream's name has at most 128 bytes"));
        payload.extend_from_slice(name.as_bytes());
        debug_assert!(payload.len() + OVERHEAD_BYTES <= token_bytes(name.len()));
        seal.seal(TokenKind::ShardIterator, &payload, token_bytes(name.len()))
    }

    /// Reads a token, which may stand in double quotes.
    pub(crate) fn open(seal: &Seal, token: &str, now: Timestamp) -> Result<Self, IteratorError> {
        let token = token
            .strip_prefix('"')
            .and_then(|token| token.strip_suffix('"'))
            .unwrap_or(token);
        let payload = seal
            .open(TokenKind::ShardIterator, token)
            .ok_or(IteratorError::Invalid)?;
        let iterator = Self::parse(&payload).ok_or(IteratorError::Invalid)?;
        // A clock set back makes a token young again, never invalid.
        if now.since_ms(iterator.issued_at) > ITERATOR_LIFE_MS {
            return Err(IteratorError::Expired {
                issued_at: iterator.issued_at,
            });
        }
        Ok(iterator)
    }

    fn parse(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        let issued_at = Timestamp(fields.u64()?);
        let _nonce = fields.u64()?;
        let stream = StreamId(fields.u64()?);
        let shard = ShardNumber(fields.u32()?);
        let after = Ordinal(fields.u64()?);
        let name = StreamName::parse(fields.text()?).ok()?;
        Some(Self {
            name,
            stream,
            shard,
            after,
            issued_at,
        })
    }
}

/// Length of a token before base64, which on Kinesis depends on the stream's name.
fn token_bytes(name_chars: usize) -> usize {
    152 + (name_chars + 2) / 16 * 16
}
