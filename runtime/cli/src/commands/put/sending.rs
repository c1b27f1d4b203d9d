//! What is on its way: lines without an acknowledgement, and the body that carries them.

use std::{collections::VecDeque, convert::Infallible};

use bytes::{Bytes, BytesMut};
use fnctl_core::error_code::ErrorCode;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::input::is_record;
use crate::{client::RequestBody, error::CliError, limits};

/// Lines that were sent, or will be, and are not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Pending {
    lines: VecDeque<Bytes>,
    bytes: usize,
    /// Number of the first of them, or of the next line.
    first_line: u64,
    /// Records in front of it, over the whole input.
    records: u64,
    acknowledged: u64,
}

impl Pending {
    /// Starts behind `records` records, at line `line`.
    pub(super) const fn start_at(&mut self, records: u64, line: u64) {
        self.records = records;
        self.first_line = line;
    }

    pub(super) fn push(&mut self, line: Bytes) {
        self.bytes += line.len();
        self.lines.push_back(line);
        self.pass_empty();
    }

    /// The server acknowledges line `number`: it and every empty line in front of it are done.
    ///
    /// # Errors
    /// Another line is next: what the server did is not known.
    pub(super) fn acknowledge(&mut self, number: u64) -> Result<(), CliError> {
        self.pass_empty();
        let Some(line) = self.lines.front().filter(|_| self.first_line == number) else {
            let expected = self.first_line;
            return Err(CliError::new(
                ErrorCode::Uncertain,
                format!("the server acknowledged line {number} where {expected} is next"),
            ));
        };
        self.bytes -= line.len();
        self.lines.pop_front();
        self.first_line += 1;
        self.records += 1;
        self.acknowledged += 1;
        self.pass_empty();
        Ok(())
    }

    /// Empty lines are never acknowledged: at the front they are done.
    fn pass_empty(&mut self) {
        while let Some(line) = self.lines.front().filter(|line| !is_record(line)) {
            self.bytes -= line.len();
            self.lines.pop_front();
            self.first_line += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.bytes < limits::UNACKNOWLEDGED_BYTES_MAX
            && self.lines.len() < limits::UNACKNOWLEDGED_LINES_MAX
    }

    /// Number of the first line without an acknowledgement.
    pub(super) const fn first_line(&self) -> u64 {
        self.first_line
    }

    /// The producer's sequence of that line: records are counted without gaps, from 1.
    pub(super) const fn first_sequence(&self) -> u64 {
        self.records + 1
    }

    /// Lines acknowledged by now.
    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    fn lines(&self) -> impl Iterator<Item = &Bytes> {
        self.lines.iter()
    }
}

/// The body of one request, written while its answer is read.
pub(super) struct Upload {
    chunks: Option<mpsc::Sender<Bytes>>,
    gathered: BytesMut,
}

impl Upload {
    /// An open body and its writer.
    pub(super) fn new() -> (Self, RequestBody) {
        let (chunks, mut receiver) = mpsc::channel::<Bytes>(limits::BODY_CHUNKS_MAX);
        let frames = futures_util::stream::poll_fn(move |cx| {
            receiver
                .poll_recv(cx)
                .map(|chunk| chunk.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk))))
        });
        let upload = Self {
            chunks: Some(chunks),
            gathered: BytesMut::new(),
        };
        (upload, StreamBody::new(frames).boxed_unsync())
    }

    /// Writes every pending line again.
    pub(super) fn again(&mut self, pending: &Pending) {
        for line in pending.lines() {
            self.gathered.extend_from_slice(line);
            self.gathered.extend_from_slice(b"\n");
        }
    }

    /// Writes a line and keeps it until it is acknowledged.
    pub(super) fn push(&mut self, pending: &mut Pending, line: Bytes) {
        self.gathered.extend_from_slice(&line);
        self.gathered.extend_from_slice(b"\n");
        pending.push(line);
    }

    /// Hands what is gathered to the connection, once it takes more. Nothing is lost when this is taken
    /// back.
    pub(super) async fn flush(&mut self) {
        let Some(chunks) = &self.chunks else {
            return std::future::pending().await;
        };
        if let Ok(permit) = chunks.reserve().await {
            permit.send(self.gathered.split().freeze());
            return;
        }
        // The request has ended: its answer says how.
        self.close();
    }

    /// Ends the body.
    pub(super) fn close(&mut self) {
        self.chunks = None;
        self.gathered.clear();
    }

    pub(super) const fn is_open(&self) -> bool {
        self.chunks.is_some()
    }

    pub(super) fn is_sent(&self) -> bool {
        self.gathered.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.gathered.len() < limits::CHUNK_BYTES
    }
}
