//! Plain ingest: lines in, one acknowledgement a line out, as soon as it is acknowledged.
//!
//! One append of a put is under way at a time, so that lines keep their order whatever happens; what
//! arrives meanwhile makes the next append, so that a busy put pays one sync for thousands of lines.

mod key;
mod lines;

use std::{fmt::Write as _, sync::Arc};

use fnctl_core::{
    error_code::ErrorCode,
    id::{StreamId, StreamName},
    view::{AppendRefusal, ProducerSequence},
};
use fnctl_store::{AppendError, Appended};
use fnctl_streams::sequence;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use self::{
    key::KeyRule,
    lines::{Batch, LineError, Lines},
};
use crate::{
    api::{Answer, Asked, NDJSON, error::ApiError, with_type},
    http::{Chunks, streamed},
    limits,
    node::HostNode,
};

/// `POST /v1/streams/{name}/records`.
pub(super) fn put(node: &Arc<HostNode>, name: &str, asked: Asked) -> Answer {
    let query = asked.query(&["key_field", "key", "require_key"])?;
    let stream = node.stream_name(name)?;
    node.stream(&stream)?;
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
        let refused = || ApiError::new(ErrorCode::Usage, format!("header `{name}` is `{text}`: a number from 1 is expected"));
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
    let put = Put {
        node: Arc::clone(node),
        stream,
        producer,
        sequence: first_sequence,
        lines: Lines::new(first_line, rule),
        chunks,
    };
    tokio::spawn(put.run(asked.body));
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
}

/// Why a put ends early.
enum End {
    /// With an error for the client.
    Error(ApiError),
    /// The client is gone.
    Gone,
}

impl Put {
    async fn run(mut self, body: Incoming) {
        if let Err(End::Error(error)) = self.serve(body).await {
            // A client that is gone misses nothing.
            drop(self.chunks.send(error.into_line().into()).await);
        }
    }

    async fn serve(&mut self, mut body: Incoming) -> Result<(), End> {
        let mut drain = self.node.drain();
        let mut has_ended = false;
        loop {
            // One append takes all there is; reading goes on while it is synced.
            let batch = self.lines.batch();
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Err(End::Error(line_error(&error))),
            };
            if batch.is_empty() {
                if has_ended {
                    return Ok(());
                }
                tokio::select! {
                    biased;
                    _ = drain.wait_for(|draining| *draining) => {
                        return Err(End::Error(ApiError::stopping("it is shutting down")));
                    }
                    ended = read(&mut body, &mut self.lines) => has_ended = ended?,
                }
                continue;
            }
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
                let reads = !has_ended && end.is_none() && self.lines.has_room();
                tokio::select! {
                    biased;
                    done = append.as_mut() => break done,
                    ended = read(&mut body, &mut self.lines), if reads => match ended {
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
        self.sequence += done.batch.lines.len() as u64;
        let text = self.node.view(|view| {
            let created = |stream: StreamId| {
                let stream = view.registry().stream(stream)?;
                Some(stream.shards.iter().map(|shard| (shard.number, shard.created_at)).collect())
            };
            let shards: Vec<_> = done
                .appended
                .as_ref()
                .and_then(|appended| created(appended.stream))
                .unwrap_or_default();
            acknowledgements(&done, &shards)
        });
        if !text.is_empty() && self.chunks.send(text.into()).await.is_err() {
            return Err(End::Gone);
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

/// What became of one append.
struct Done {
    batch: BatchLines,
    /// The first so many lines were there already.
    duplicates: usize,
    appended: Option<Appended>,
    error: Option<ApiError>,
}

/// A batch without its records.
struct BatchLines {
    /// Line numbers, and whether the line had no readable key.
    lines: Vec<(u64, bool)>,
}

async fn append(
    node: Arc<HostNode>,
    stream: StreamName,
    batch: Batch,
    producer: Option<Arc<str>>,
    first: u64,
) -> Done {
    let (mut records, lines) = batch.into_parts();
    let mut done = Done {
        batch: BatchLines { lines },
        duplicates: 0,
        appended: None,
        error: None,
    };
    let total = done.batch.lines.len();
    loop {
        let claim = producer.clone().map(|producer| ProducerSequence {
            producer,
            first: first + done.duplicates as u64,
        });
        // Kept only where a part may have to be sent again.
        let again = claim.is_some().then(|| records.clone());
        match node.store().append(stream.clone(), records, claim).await {
            Ok(appended) => done.appended = Some(appended),
            Err(AppendError::Refused(AppendRefusal::Duplicate { .. })) => done.duplicates = total,
            Err(AppendError::Refused(AppendRefusal::PartlyDuplicate { last })) => {
                let known = usize::try_from((last + 1).saturating_sub(first)).unwrap_or(total);
                let cut = known.saturating_sub(done.duplicates);
                done.duplicates = known;
                records = lines::after(again.unwrap_or_default(), cut);
                if records.is_empty() {
                    return done;
                }
                continue;
            }
            Err(error) => done.error = Some(append_error(&error, &stream, &done.batch)),
        }
        return done;
    }
}

fn append_error(error: &AppendError, stream: &StreamName, batch: &BatchLines) -> ApiError {
    let line = batch.lines.first().map_or(0, |(line, _)| *line);
    let at = |code, words: String| ApiError::new(code, words).at(format!("line {line}"));
    match error {
        AppendError::Refused(AppendRefusal::NoSuchStream) => at(ErrorCode::NoSuchStream, format!("no stream `{stream}`"))
            .fix(format!("fnctl streams create {stream}")),
        AppendError::DiskFull => at(ErrorCode::DiskFull, "no room for new records".to_owned())
            .because("the disk is at its reserve; what is there goes on being processed")
            .fix("free space, or shorten the retention of a stream"),
        AppendError::Refused(AppendRefusal::Gap { next }) => at(
            ErrorCode::ProducerGap,
            format!("this producer's next record has the sequence {next}"),
        )
        .because("records in front of this one were never accepted"),
        AppendError::TooLarge => at(ErrorCode::RecordTooLarge, error.to_string()),
        AppendError::Stopped(_) => at(ErrorCode::Uncertain, error.to_string())
            .because("whether the lines from here on were kept shows after the restart"),
        AppendError::Refused(_) => at(ErrorCode::Internal, error.to_string()),
    }
}

fn line_error(error: &LineError) -> ApiError {
    match error {
        LineError::TooLong { line, limit_bytes } => ApiError::new(
            ErrorCode::RecordTooLarge,
            format!("line {line} is longer than {limit_bytes} bytes"),
        )
        .at(format!("line {line}")),
        LineError::NoKey { line, why } => {
            ApiError::new(ErrorCode::KeyMissing, format!("line {line} has no readable key: {why}"))
                .at(format!("line {line}"))
                .fix("without --require-key such a line goes under a key of its own")
        }
    }
}

fn acknowledgements(
    done: &Done,
    shards: &[(fnctl_core::id::ShardNumber, fnctl_core::id::Timestamp)],
) -> String {
    let mut text = String::with_capacity(done.batch.lines.len() * 130);
    let keyless = |is: bool| if is { ",\"without_key\":true" } else { "" };
    let mut write = |arguments: std::fmt::Arguments<'_>| {
        text.write_fmt(arguments).expect("writing to memory does not fail");
    };
    for (line, is_keyless) in done.batch.lines.iter().take(done.duplicates) {
        write(format_args!("{{\"line\":{line},\"duplicate\":true{}}}\n", keyless(*is_keyless)));
    }
    let Some(appended) = &done.appended else {
        return text;
    };
    let lines = done.batch.lines.iter().skip(done.duplicates);
    for ((line, is_keyless), (shard, ordinal)) in lines.zip(&appended.rows) {
        let created = shards.iter().find(|(number, _)| number == shard).map(|(_, at)| *at);
        let number =
            sequence::encode(created.unwrap_or_default(), *shard, *ordinal, appended.arrival);
        write(format_args!(
            "{{\"line\":{line},\"shard_id\":\"shardId-{:012}\",\"sequence_number\":\"{number}\"{}}}\n",
            shard.0,
            keyless(*is_keyless)
        ));
    }
    text
}
