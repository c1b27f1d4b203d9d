//! Request bodies that must keep coming: whoever holds room in memory for a body may not hold it by
//! sending nothing, or next to nothing.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{http::body::BodyError, limits};

/// A body within [`limits::BODY_IDLE_TIMEOUT`] of silence and [`limits::PUT_BODY_RATE_MIN`]. Its time
/// runs from when it is first asked for.
#[derive(Debug)]
pub(crate) struct Paced {
    body: Incoming,
    received: u64,
    /// When the first piece was asked for, and when the next one must be there.
    since: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Paced {
    pub(crate) const fn new(body: Incoming) -> Self {
        Self {
            body,
            received: 0,
            since: None,
        }
    }

    /// The body behind what was read of it.
    pub(crate) fn into_inner(self) -> Incoming {
        self.body
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let now = Instant::now();
        let (started, silence) = this.since.get_or_insert_with(|| {
            let silence = sleep_until(now + limits::BODY_IDLE_TIMEOUT);
            (now, Box::pin(silence))
        });
        let frame = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Pending => {
                return silence
                    .as_mut()
                    .poll(cx)
                    .map(|()| Some(Err(BodyError::TooSlow)));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => {
                return Poll::Ready(Some(Err(BodyError::Broken(error.to_string()))));
            }
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        this.received += frame.data_ref().map_or(0, |data| data.len() as u64);
        let allowed =
            limits::BODY_IDLE_TIMEOUT.as_secs() + this.received / limits::PUT_BODY_RATE_MIN;
        if now.duration_since(*started).as_secs() > allowed {
            return Poll::Ready(Some(Err(BodyError::TooSlow)));
        }
        silence.as_mut().reset(now + limits::BODY_IDLE_TIMEOUT);
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
