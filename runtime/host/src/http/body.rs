//! Request bodies read whole, within size, silence and rate.

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use crate::limits;

/// Why a body could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// Larger than the resource takes.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The bound.
        limit_bytes: usize,
    },
    /// It stopped coming, or comes too slowly.
    #[error("the body came too slowly")]
    TooSlow,
    /// The peer broke off, or what it sent is no HTTP body.
    #[error("the body broke off: {0}")]
    Broken(String),
}

/// Room for bodies in memory, in KiB.
static ROOM: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(limits::BODY_KIB_AT_ONCE_MAX));

/// Reads on what nobody wants any more, for a moment: a peer that is still sending when the connection
/// is closed loses the answer that it was just sent.
pub(crate) async fn let_out(body: &mut Incoming) {
    let rest = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > limits::BODY_LET_OUT_BYTES_MAX {
                return;
            }
        }
    };
    // Time passing ends it as well.
    let _ = timeout(limits::BODY_LET_OUT_TIMEOUT, rest).await;
}

/// Reads a body of at most `limit_bytes`.
///
/// # Errors
/// It is too large, too slow or broken.
pub(crate) async fn read_whole(mut body: Incoming, limit_bytes: usize) -> Result<Bytes, BodyError> {
    let too_large = BodyError::TooLarge { limit_bytes };
    let hint = body.size_hint();
    if hint.lower() > limit_bytes as u64 {
        let_out(&mut body).await;
        return Err(too_large);
    }
    let expected = hint
        .exact()
        .map_or(limit_bytes, |n| usize::try_from(n).unwrap_or(limit_bytes));
    let kib = u32::try_from(expected.div_ceil(1 << 10)).unwrap_or(u32::MAX);
    let room = timeout(limits::BODY_IDLE_TIMEOUT, ROOM.acquire_many(kib)).await;
    let Ok(Ok(_room)) = room else {
        return Err(BodyError::TooSlow);
    };
    let started = Instant::now();
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    let mut received = 0_usize;
    loop {
        let frame = timeout(limits::BODY_IDLE_TIMEOUT, body.frame())
            .await
            .map_err(|_| BodyError::TooSlow)?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        received += data.len();
        if received > limit_bytes {
            let_out(&mut body).await;
            return Err(too_large);
        }
        let allowed = limits::BODY_IDLE_TIMEOUT.as_secs() + received as u64 / limits::BODY_RATE_MIN;
        if started.elapsed().as_secs() > allowed {
            return Err(BodyError::TooSlow);
        }
        // One chunk, the common case, is passed on as it came.
        match first.take() {
            None if all.is_empty() => first = Some(data),
            None => all.extend_from_slice(&data),
            Some(before) => {
                all.reserve(expected.min(limit_bytes).max(before.len() + data.len()));
                all.extend_from_slice(&before);
                all.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}
