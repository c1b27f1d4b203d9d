//! Which put may begin while others are under way: bounded memory, shared fairly between streams.
//!
//! The threshold is dynamic: a stream may hold as much as it leaves free. One stream that floods the
//! node gets half of the room, two get a third each, n an n + 1st part, and as much again is always left
//! for those that have nothing under way. Nothing is set aside for streams that are silent, and no
//! queue is kept that one stream could fill.

/// What is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Bytes.
    pub bytes: u64,
    /// Puts.
    pub requests: u64,
}

impl InFlight {
    /// With one put more.
    #[must_use]
    pub const fn with(self, bytes: u64) -> Self {
        Self {
            bytes: self.bytes.saturating_add(bytes),
            requests: self.requests.saturating_add(1),
        }
    }

    /// With one put less.
    #[must_use]
    pub const fn without(self, bytes: u64) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(bytes),
            requests: self.requests.saturating_sub(1),
        }
    }

    const fn is_within(self, bound: Self) -> bool {
        self.bytes <= bound.bytes && self.requests <= bound.requests
    }
}

/// Why a put may not begin now; the same again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// The node has no room for it.
    #[error("too many puts are under way")]
    Node,
    /// Its stream has its share of the room.
    #[error("too many puts of this stream are under way")]
    Stream,
}

/// Judges a put of `bytes` into a stream that has `stream` under way, of `node` in all.
///
/// # Errors
/// Why it has to wait. A stream that has nothing under way waits for the node alone.
pub const fn admit(
    max: InFlight,
    node: InFlight,
    stream: InFlight,
    bytes: u64,
) -> Result<(), Busy> {
    let node = node.with(bytes);
    if !node.is_within(max) {
        return Err(Busy::Node);
    }
    let left = InFlight {
        bytes: max.bytes - node.bytes,
        requests: max.requests - node.requests,
    };
    if stream.requests == 0 || stream.with(bytes).is_within(left) {
        Ok(())
    } else {
        Err(Busy::Stream)
    }
}

#[cfg(test)]
mod tests;
