//! One append of a put, and what its lines are told.

use std::{fmt::Write as _, sync::Arc};

use fnctl_core::{
    admission::Busy,
    error_code::ErrorCode,
    id::{ShardNumber, StreamName, Timestamp},
    spec::size::ByteSize,
    view::{AppendRefusal, ProducerSequence},
};
use fnctl_store::{AppendError, AppendTarget, Appended};
use fnctl_streams::sequence;
use tokio::time::timeout;

use crate::{
    api::{
        error::ApiError,
        put::lines::{self, Batch},
    },
    limits,
    node::HostNode,
};

/// What became of one append.
pub(super) struct Done {
    batch: BatchLines,
    /// The first so many lines were there already.
    duplicates: usize,
    /// Where the others went.
    pub(super) appended: Option<Appended>,
    /// Why the put ends here.
    pub(super) error: Option<ApiError>,
}

impl Done {
    /// Records of the append.
    pub(super) fn len(&self) -> usize {
        self.batch.lines.len()
    }
}

/// A batch without its records.
struct BatchLines {
    /// Line numbers, and whether the line had no readable key.
    lines: Vec<(u64, bool)>,
}

/// Appends a batch; what a producer repeats is cut off and told so.
pub(super) async fn append(
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
        let target = AppendTarget::from(stream.clone());
        let room = timeout(
            limits::PUT_ROOM_WAIT,
            node.store().room_for(&target, &records),
        );
        let result = match room.await {
            Ok(Ok(room)) => node.store().append_in(room, target, records, claim).await,
            Ok(Err(stopped)) => Err(AppendError::Stopped(stopped)),
            Err(_) => {
                node.store().gave_up();
                Err(AppendError::Busy(Busy::Node))
            }
        };
        match result {
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
            Err(error) => done.error = Some(append_error(&error, &node, &stream, &done.batch)),
        }
        return done;
    }
}

/// Too much is under way.
pub(super) fn busy() -> ApiError {
    ApiError::new(ErrorCode::Throttled, "too many puts are under way")
        .because("what producers may hold in memory is bounded, and shared between streams")
        .fix("send it again later, from this line on")
}

fn append_error(
    error: &AppendError,
    node: &HostNode,
    stream: &StreamName,
    batch: &BatchLines,
) -> ApiError {
    let line = batch.lines.first().map_or(0, |(line, _)| *line);
    let at = |code, words: String| ApiError::new(code, words).at(format!("line {line}"));
    match error {
        AppendError::Refused(AppendRefusal::NoSuchStream) => {
            at(ErrorCode::NoSuchStream, format!("no stream `{stream}`"))
                .fix(format!("fnctl streams create {stream}"))
        }
        AppendError::Busy(_) => busy().at(format!("line {line}")),
        AppendError::DiskFull => {
            let (free, needed) = node.store().room_of_puts();
            at(ErrorCode::DiskFull, "no room for new records".to_owned())
                .because(format!(
                    "{} are free on the disk of the data directory, and puts are taken from {} on; what is there goes on being processed",
                    ByteSize::from_bytes(free >> 20 << 20),
                    ByteSize::from_bytes(needed.div_ceil(1 << 20) << 20)
                ))
                .fix("free space, or shorten the retention of a stream")
        }
        AppendError::OverQuota(over) => at(ErrorCode::StreamFull, over.to_string())
            .because("the stream is at its quota: nothing more is taken before something of it goes")
            .fix(format!(
                "raise the quota: fnctl streams update {stream} --quota SIZE; or let its oldest records go: --retention-bytes SIZE"
            )),
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

/// The lines of the answer; `shards` with the times they were made, which sequence numbers hold.
pub(super) fn acknowledgements(done: &Done, shards: &[(ShardNumber, Timestamp)]) -> String {
    let mut text = String::with_capacity(done.batch.lines.len() * 130);
    let keyless = |is: bool| if is { ",\"without_key\":true" } else { "" };
    let mut write = |arguments: std::fmt::Arguments<'_>| {
        text.write_fmt(arguments)
            .expect("writing to memory does not fail");
    };
    for (line, is_keyless) in done.batch.lines.iter().take(done.duplicates) {
        write(format_args!(
            "{{\"line\":{line},\"duplicate\":true{}}}\n",
            keyless(*is_keyless)
        ));
    }
    let Some(appended) = &done.appended else {
        return text;
    };
    let lines = done.batch.lines.iter().skip(done.duplicates);
    for ((line, is_keyless), (shard, ordinal)) in lines.zip(&appended.rows) {
        let created = shards
            .iter()
            .find(|(number, _)| number == shard)
            .map(|(_, at)| *at);
        let number = sequence::encode(
            created.unwrap_or_default(),
            *shard,
            *ordinal,
            appended.arrival,
        );
        write(format_args!(
            "{{\"line\":{line},\"shard_id\":\"shardId-{:012}\",\"sequence_number\":\"{number}\"{}}}\n",
            shard.0,
            keyless(*is_keyless)
        ));
    }
    text
}
