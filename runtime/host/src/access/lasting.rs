//! Answers that last, such as a tail: they end when the token that let them in is gone, and say so where they are
//! lines.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::{api::error::ApiError, http::Body};

/// What ends it, as its reader is told.
type Gone = Pin<Box<dyn Future<Output = ApiError> + Send>>;

/// A body that ends early once something has happened.
pub(crate) struct Lasting {
    body: Body,
    gone: Gone,
    has_lines: bool,
    is_over: bool,
}

impl Lasting {
    /// A body that lasts until `gone` ends. One of lines, each chunk of which is whole, has what `gone` says as its last:
    /// an end without it is that of a server that stops.
    pub(crate) fn new(body: Body, has_lines: bool, gone: Gone) -> Self {
        Self {
            body,
            gone,
            has_lines,
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
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(why) = self.gone.as_mut().poll(cx) {
            self.is_over = true;
            let last = || Ok(Frame::data(Bytes::from(why.into_line())));
            return Poll::Ready(self.has_lines.then(last));
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
