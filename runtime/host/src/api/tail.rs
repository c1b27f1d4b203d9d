//! Records of a stream as they come: pushed, from every shard, each shard in its order.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use fnctl_core::{
    error_code::ErrorCode,
    id::{Ordinal, ShardNumber, StreamId, Timestamp},
    record::RecordBlock,
    rfc3339,
    spec::StartingPosition,
};
use fnctl_store::ReadError;
use fnctl_streams::sequence;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    api::{Answer, Asked, NDJSON, error::ApiError, with_type},
    http::{Chunks, streamed},
    limits,
    node::HostNode,
    source, text,
};

/// `GET /v1/streams/{name}/records`: until `count` records, `timeout_ms`, or, with `follow=false`,
/// the end as it was when it was asked.
pub(super) async fn tail(node: &Arc<HostNode>, name: &str, asked: &Asked) -> Answer {
    let query = asked.query(&["from", "count", "timeout_ms", "follow"])?;
    let stream = node.stream(&node.stream_name(name)?)?;
    let from = query.text("from").unwrap_or("latest");
    let from = StartingPosition::parse(from)
        .map_err(|why| ApiError::new(ErrorCode::PositionInvalid, why).at("from"))?;
    let count = query.value::<u64>("count")?.unwrap_or(u64::MAX);
    let wait = query.value::<u64>("timeout_ms")?.map(Duration::from_millis);
    let is_following = query.text("follow").is_none() || query.switch("follow")?;
    let mut readers = Vec::new();
    for shard in &stream.shards {
        let after = node.resolve(stream.id, shard.number, from).await?;
        let until = (!is_following).then(|| node.last(stream.id, shard.number));
        readers.push(Reader {
            node: Arc::clone(node),
            stream: stream.id,
            shard: shard.number,
            created_at: shard.created_at,
            after,
            until,
        });
    }
    let (chunks, body) = streamed();
    let deadline = wait.map(|wait| Instant::now() + wait);
    tokio::spawn(serve(Arc::clone(node), readers, count, deadline, chunks));
    Ok(with_type(body, NDJSON))
}

struct Reader {
    node: Arc<HostNode>,
    stream: StreamId,
    shard: ShardNumber,
    created_at: Timestamp,
    after: Ordinal,
    /// Where it ends; `None`: never.
    until: Option<Ordinal>,
}

type Found = Result<Vec<String>, ApiError>;

async fn serve(
    node: Arc<HostNode>,
    readers: Vec<Reader>,
    count: u64,
    deadline: Option<Instant>,
    chunks: Chunks,
) {
    let (found, mut lines) = mpsc::channel::<Found>(1);
    let mut tasks = tokio::task::JoinSet::new();
    for reader in readers {
        let found = found.clone();
        tasks.spawn(reader.run(found));
    }
    drop(found);
    let mut drain = node.drain();
    let mut left = usize::try_from(count).unwrap_or(usize::MAX);
    while left > 0 {
        let found = tokio::select! {
            biased;
            _ = drain.wait_for(|draining| *draining) => return,
            () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => return,
            // Who listens no more is noticed even while nothing comes.
            () = chunks.closed() => return,
            found = lines.recv() => found,
        };
        let chunk = match found {
            None => return,
            Some(Err(error)) => {
                drop(chunks.send(error.into_line().into()).await);
                return;
            }
            Some(Ok(mut lines)) => {
                lines.truncate(left);
                left -= lines.len();
                lines.concat()
            }
        };
        if chunks.send(chunk.into()).await.is_err() {
            return;
        }
    }
}

impl Reader {
    async fn run(mut self, found: mpsc::Sender<Found>) {
        let Ok(mut tail) = self.node.store().watch(self.stream, self.shard) else {
            return;
        };
        loop {
            if self.until.is_some_and(|until| self.after >= until) {
                return;
            }
            let (records, bytes) = (limits::TAIL_READ_RECORDS_MAX, limits::TAIL_READ_BYTES_MAX);
            let store = self.node.store();
            let read = source::read(store, self.stream, self.shard, self.after, records, bytes);
            let blocks = match read.await {
                Ok(blocks) => blocks,
                Err(ReadError::Trimmed { horizon }) => {
                    self.after = Ordinal(horizon.0.saturating_sub(1)).max(self.after);
                    continue;
                }
                Err(ReadError::NoSuchShard) => return,
                Err(error) => {
                    let error = ApiError::new(ErrorCode::Damaged, error.to_string());
                    drop(found.send(Err(error)).await);
                    return;
                }
            };
            let lines: Vec<String> = blocks.iter().flat_map(|block| self.lines(block)).collect();
            if lines.is_empty() {
                if tail.changed().await.is_err() {
                    return;
                }
                continue;
            }
            if found.send(Ok(lines)).await.is_err() {
                return;
            }
        }
    }

    fn lines(&mut self, block: &RecordBlock) -> Vec<String> {
        let mut lines = Vec::with_capacity(block.len());
        for index in 0..block.len() {
            let ordinal = block.ordinal(index);
            if ordinal <= self.after || self.until.is_some_and(|until| ordinal > until) {
                continue;
            }
            lines.push(self.line(block, index));
        }
        self.after = self.after.max(block.last());
        lines
    }

    fn line(&self, block: &RecordBlock, index: usize) -> String {
        let arrival = block.arrival(index);
        let number = sequence::encode(self.created_at, self.shard, block.ordinal(index), arrival);
        let data = block.records.data.get(index);
        let mut line = String::with_capacity(data.len() + 240);
        line.push_str("{\"partition_key\":");
        text::quote(
            &mut line,
            &String::from_utf8_lossy(block.records.keys.get(index)),
        );
        let arrival = rfc3339::format(arrival);
        let shard = self.shard.0;
        write!(
            line,
            ",\"sequence_number\":\"{number}\",\"shard_id\":\"shardId-{shard:012}\",\"arrival\":\"{arrival}\",\"data\":"
        )
        .expect("writing to memory does not fail");
        match std::str::from_utf8(data) {
            Ok(data) => {
                text::quote(&mut line, data);
                line.push_str(",\"encoding\":\"text\"}\n");
            }
            Err(_) => {
                text::quote(&mut line, &text::base64(data));
                line.push_str(",\"encoding\":\"base64\"}\n");
            }
        }
        line
    }
}
