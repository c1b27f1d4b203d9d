//! An answer with an object a line, read as it comes.

use bytes::{Buf, Bytes, BytesMut};
use fnctl_core::error_code::{ErrorBody, ErrorCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{error::CliError, limits};

/// Lines of an answer.
pub(crate) struct Lines {
    body: Incoming,
    server: String,
    buffer: BytesMut,
    searched: usize,
    has_ended: bool,
}

impl Lines {
    pub(super) fn new(body: Incoming, server: String) -> Self {
        Self {
            body,
            server,
            buffer: BytesMut::new(),
            searched: 0,
            has_ended: false,
        }
    }

    /// The next line without its end; `None` after the last. May be taken back and asked again.
    ///
    /// # Errors
    /// The one the server ends with, or the connection broke.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, CliError> {
        loop {
            if let Some(line) = self.buffered() {
                if line.starts_with(b"{\"error\":{")
                    && let Ok(body) = serde_json::from_slice::<ErrorBody>(&line)
                {
                    return Err(body.error.into());
                }
                return Ok(Some(line));
            }
            if self.has_ended {
                return Ok(None);
            }
            match self.body.frame().await {
                None => self.has_ended = true,
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                    if self.buffer.len() > limits::LINE_BYTES_MAX {
                        return Err(CliError::new(
                            ErrorCode::AnswerUnreadable,
                            "a line of the answer is too long",
                        )
                        .because(format!(
                            "it is above {} bytes: no fnctl server of this version writes such",
                            limits::LINE_BYTES_MAX
                        ))
                        .fix("fnctl doctor compares the versions"));
                    }
                }
                Some(Err(error)) => {
                    return Err(CliError::new(
                        ErrorCode::ServerUnreachable,
                        format!("the connection to {} broke", self.server),
                    )
                    .because(error.to_string())
                    .fix("fnctl doctor says whether it answers; then the same again"));
                }
            }
        }
    }

    /// Whether a line can be had without waiting.
    pub(crate) fn has_line(&self) -> bool {
        self.buffer
            .get(self.searched..)
            .is_some_and(|rest| rest.contains(&b'\n'))
    }

    fn buffered(&mut self) -> Option<Bytes> {
        loop {
            let rest = &self.buffer[self.searched..];
            let (end, skip) = match rest.iter().position(|byte| *byte == b'\n') {
                Some(at) => (self.searched + at, 1),
                None if self.has_ended && !self.buffer.is_empty() => (self.buffer.len(), 0),
                None => {
                    self.searched = self.buffer.len();
                    return None;
                }
            };
            let line = self.buffer.split_to(end).freeze();
            self.buffer.advance(skip);
            self.searched = 0;
            if !line.is_empty() {
                return Some(line);
            }
        }
    }
}
