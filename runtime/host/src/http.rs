//! The edge: listeners, connections and bodies, with a bound on everything a stranger may hold.
//! Knows no resource of ours.

pub(crate) mod body;
pub(crate) mod listener;
pub(crate) mod origin;
pub(crate) mod paced;
pub(crate) mod path;

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use crate::limits;

/// What is answered: whole, or streamed as it becomes known.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A body that is known whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// Where the writer of a streamed answer puts its chunks. Sending waits for a slow reader; an error
/// says the reader is gone.
pub(crate) type Chunks = mpsc::Sender<Bytes>;

/// A body written while it is read.
pub(crate) fn streamed() -> (Chunks, Body) {
    let (chunks, mut receiver) = mpsc::channel::<Bytes>(limits::ANSWER_CHUNKS_MAX);
    let frames = futures_util::stream::poll_fn(move |cx| {
        receiver
            .poll_recv(cx)
            .map(|chunk| chunk.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk))))
    });
    (chunks, StreamBody::new(frames).boxed_unsync())
}
