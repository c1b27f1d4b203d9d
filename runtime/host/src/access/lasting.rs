//! Answers that last, such as a tail: they end when the token that let them in is gone.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::http::Body;

/// A body that ends early once something has happened.
pub(crate) struct Lasting {
    body: Body,
    gone: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_over: bool,
}

impl Lasting {
    /// A body that lasts until `gone` ends.
    pub(crate) fn new(body: Body, gone: Pin<Box<dyn Future<Output = ()> + Send>>) -> Self {
        Self {
            body,
            gone,
            is_over: false,
        }
    }
}

impl HttpBody for Lasting {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // A future that has ended is not asked again.
        self.is_over = self.is_over || self.gone.as_mut().poll(cx).is_ready();
        if self.is_over {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Nothing is promised: it may end early.
        SizeHint::default()
    }
}
