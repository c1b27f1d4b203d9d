//! Plain ingest: lines in, one acknowledgement a line out, as soon as it is acknowledged.
//!
//! The status of an answer is sent with the first acknowledgement: a body whose length was told is refused
//! with an error's status as long as nothing of it was taken. A body of unknown length may be a producer
//! that waits for the answer before it sends, so that answer begins at once.
//!
//! One append of a put is under way at a time, so that lines keep their order whatever happens; what
//! arrives meanwhile makes the next append, so that a busy put pays one sync for thousands of lines.

mod append;
pub(crate) mod buffers;
mod key;
mod lines;

use std::sync::Arc;

use fnctl_core::{
    error_code::ErrorCode,
    id::{StreamId, StreamName},
};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::{sync::oneshot, time::timeout};

pub use self::key::key_at;
use self::{
    append::{Done, acknowledgements, append, busy},
    buffers::Share,
    key::KeyRule,
    lines::{LineError, Lines},
};
use crate::{
    api::{Answer, Asked, NDJSON, error::ApiError, with_type},
    http::{Chunks, body::let_out, streamed},
    limits,
    node::HostNode,
};

/// `POST /v1/streams/{name}/records`.
pub(super) async fn put(node: &Arc<HostNode>, name: &str, asked: Asked) -> Answer {
    let query = asked.query(&["key_field", "key", "require_key"])?;
    let stream = node.stream_name(name)?;
    if let Some(why) = node.store().read_only() {
        return Err(ApiError::reads_alone(why, &node.place().data_dir));
    }
    // Who puts means a stream that is to be; who reads or deletes has more likely misspelt it.
    let found = node
        .stream(&stream)
        .map_err(|error| error.fix(format!("fnctl streams create {stream}")))?;
    let record_bytes_max = usize::try_from(found.options.record_bytes_max).unwrap_or(usize::MAX);
    let rule = KeyRule::new(
        query.text("key"),
        query.text("key_field"),
        query.switch("require_key")?,
    )?;
    let number = |name: &str| -> Result<Option<u64>, ApiError> {
        let Some(text) = asked.header(name)? else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| *number > 0);
        let refused = || {
            ApiError::new(
                ErrorCode::Usage,
                format!("header `{name}` is `{text}`: a number from 1 is expected"),
            )
        };
        number.map(Some).ok_or_else(refused)
    };
    let first_line = number("x-fnctl-first-line")?.unwrap_or(1);
    let first_sequence = number("x-fnctl-first-sequence")?.unwrap_or(first_line);
    let producer = match asked.header("x-fnctl-producer")? {
        None => None,
        Some(id) if !id.is_empty() && id.len() <= limits::PRODUCER_BYTES_MAX => Some(Arc::from(id)),
        Some(_) => {
            let most = limits::PRODUCER_BYTES_MAX;
            let words = format!("header `x-fnctl-producer` is not 1 to {most} characters long");
            return Err(ApiError::new(ErrorCode::Usage, words));
        }
    };
    let (chunks, body) = streamed();
    let (begins, began) = oneshot::channel();
    let has_length = asked.body.size_hint().exact().is_some();
    let put = Put {
        node: Arc::clone(node),
        stream,
        producer,
        sequence: first_sequence,
        lines: Lines::new(first_line, rule, record_bytes_max),
        chunks,
        share: Share::new(Arc::clone(node.put_buffers())),
        begins: has_length.then_some(begins),
    };
    tokio::spawn(put.run(asked.body));
    if has_length && let Ok(error) = began.await {
        return Err(error);
    }
    Ok(with_type(body, NDJSON))
}

struct Put {
    node: Arc<HostNode>,
    stream: StreamName,
    producer: Option<Arc<str>>,
    /// The producer's sequence of the next record.
    sequence: u64,
    lines: Lines,
    chunks: Chunks,
    share: Share,
    /// While nothing was acknowledged and the status is not sent: takes the error that ends the put.
    /// Dropped, it lets the answer begin.
    begins: Option<oneshot::Sender<ApiError>>,
}

/// Why a put ends early.
enum End {
    /// With an error for the client.
    Error(ApiError),
    /// The client is gone.
    Gone,
}

impl Put {
    async fn run(mut self, mut body: Incoming) {
        let Err(End::Error(error)) = self.serve(&mut body).await else {
            return;
        };
        // A client that is gone misses nothing.
        match self.begins.take() {
            Some(begins) => drop(begins.send(error)),
            None => drop(self.chunks.send(error.into_line().into()).await),
        }
        self.share.set(0, 0);
        let_out(&mut body).await;
    }

    async fn serve(&mut self, body: &mut Incoming) -> Result<(), End> {
        let mut drain = self.node.drain();
        let mut has_ended = false;
        loop {
            // One append takes all there is; reading goes on while it is synced.
            let batch = self.lines.batch();
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Err(End::Error(line_error(&error, &self.stream))),
            };
            if batch.is_empty() {
                if has_ended {
                    return Ok(());
                }
                self.share.set(0, self.lines.bytes());
                if !self.share.may_grow() {
                    self.node.store().gave_up();
                    return Err(End::Error(busy()));
                }
                tokio::select! {
                    biased;
                    _ = drain.wait_for(|draining| *draining) => {
                        return Err(End::Error(ApiError::stopping("it is shutting down")));
                    }
                    ended = read(body, &mut self.lines) => has_ended = ended?,
                }
                continue;
            }
            let under_way = batch.byte_len();
            let append = append(
                Arc::clone(&self.node),
                self.stream.clone(),
                batch,
                self.producer.clone(),
                self.sequence,
            );
            let mut append = std::pin::pin!(append);
            // A body that breaks off does not take back what is under way.
            let mut end = None;
            let done = loop {
                self.share.set(under_way, self.lines.bytes());
                let reads =
                    !has_ended && end.is_none() && self.lines.has_room() && self.share.may_grow();
                tokio::select! {
                    biased;
                    done = append.as_mut() => break done,
                    ended = read(body, &mut self.lines), if reads => match ended {
                        Ok(ended) => has_ended = ended,
                        Err(broken) => end = Some(broken),
                    },
                }
            };
            self.acknowledge(done).await?;
            if let Some(end) = end {
                return Err(end);
            }
        }
    }

    async fn acknowledge(&mut self, done: Done) -> Result<(), End> {
        self.sequence += done.len() as u64;
        let text = self.node.view(|view| {
            let created = |stream: StreamId| {
                let stream = view.registry().stream(stream)?;
                Some(
                    stream
                        .shards
                        .iter()
                        .map(|shard| (shard.number, shard.created_at))
                        .collect(),
                )
            };
            let shards: Vec<_> = done
                .appended
                .as_ref()
                .and_then(|appended| created(appended.stream))
                .unwrap_or_default();
            acknowledgements(&done, &shards)
        });
        if !text.is_empty() {
            self.begins = None;
            if self.chunks.send(text.into()).await.is_err() {
                return Err(End::Gone);
            }
        }
        match done.error {
            Some(error) => Err(End::Error(error)),
            None => Ok(()),
        }
    }
}

/// Reads what is there; says whether the body has ended.
async fn read(body: &mut Incoming, lines: &mut Lines) -> Result<bool, End> {
    let Ok(frame) = timeout(limits::PUT_IDLE_TIMEOUT, body.frame()).await else {
        let words = "the body was silent for too long";
        return Err(End::Error(ApiError::new(ErrorCode::BodyUnreadable, words)));
    };
    match frame {
        None => {
            lines.end();
            Ok(true)
        }
        Some(Ok(frame)) => {
            if let Ok(data) = frame.into_data() {
                lines.push(&data);
            }
            Ok(false)
        }
        Some(Err(_)) => Err(End::Gone),
    }
}

fn line_error(error: &LineError, stream: &StreamName) -> ApiError {
    match error {
        LineError::TooLong { line, bytes, limit } => {
            let size = match bytes {
                Some(bytes) => format!("{bytes} bytes"),
                None => format!("more than {limit} bytes"),
            };
            ApiError::new(
                ErrorCode::RecordTooLarge,
                format!("line {line} has {size}, and a record of `{stream}` at most {limit} (data and key)"),
            )
            .because("the limit is the stream's own, since it was made: 1 MiB unless it was asked for another")
            .at(format!("line {line}"))
            .fix("split it into records of their own, or put a reference to the data")
        }
        LineError::NoKey { line, why } => ApiError::new(
            ErrorCode::KeyMissing,
            format!("line {line} has no readable key: {why}"),
        )
        .at(format!("line {line}"))
        .because("keys are required (--require-key); else it would go under a key of its own")
        .fix("mend the line, or put without require_key"),
    }
}
