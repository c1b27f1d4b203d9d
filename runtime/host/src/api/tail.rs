//! Records of a stream as they come: pushed, from every shard, each shard in its order. A shard with a
//! hole is shown up to it; the others go on.

mod family;
mod hole;

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
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use self::{
    family::{End, Family},
    hole::Hole,
};
use crate::{
    api::{Answer, Asked, NDJSON, error::ApiError, with_type},
    http::{Chunks, streamed},
    limits,
    node::HostNode,
    source, text,
};

/// `GET /v1/streams/{name}/records`: until `count` records, `timeout_ms`, or, with `follow=false`,
/// the end as it was when it was asked. Children of a shard are read when their parents were read to
/// their end, so that the order of each key holds over splits and merges. With `latency`, a record that a
/// function made says how long after its source it arrived.
pub(super) async fn tail(node: &Arc<HostNode>, name: &str, asked: &Asked) -> Answer {
    let query = asked.query(&["from", "count", "timeout_ms", "follow", "latency"])?;
    let stream = node.stream(&node.stream_name(name)?)?;
    let from = query.text("from").unwrap_or("latest");
    let from = StartingPosition::parse(from)
        .map_err(|why| ApiError::new(ErrorCode::PositionInvalid, why.words()).at("from"))?;
    let count = query.number("count")?.unwrap_or(u64::MAX);
    let wait = query.number("timeout_ms")?.map(Duration::from_millis);
    let is_following = query.text("follow").is_none() || query.switch("follow")?;
    let has_latency = query.switch("latency")?;
    let mut holes = Vec::new();
    let mut family = Family::new(Arc::clone(node), stream.id, is_following, has_latency);
    for shard in &stream.shards {
        let after = match node.resolve(stream.id, shard.number, from).await {
            Err(error) if error.is(ErrorCode::Damaged) && stream.shards.len() > 1 => {
                holes.push(Hole::unplaced(shard.number, error));
                family.pass_by(shard.number);
                continue;
            }
            after => after?,
        };
        let until = (!is_following).then(|| node.last(stream.id, shard.number));
        let parents = shard.parents.clone();
        let reader = Reader {
            node: Arc::clone(node),
            stream: stream.id,
            shard: shard.number,
            created_at: shard.created_at,
            after,
            until,
            has_latency,
        };
        family.add(reader, parents);
    }
    let (chunks, body) = streamed();
    let node = Arc::clone(node);
    let deadline = wait.map(|wait| Instant::now() + wait);
    tokio::spawn(async move {
        let told = Told { holes, chunks };
        serve(node, family, count, deadline, told).await;
    });
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
    /// Whether a row says how long after its source it arrived.
    has_latency: bool,
}

type Found = Result<Vec<String>, Hole>;

/// Where lines go, and what of the stream is not among them.
struct Told {
    /// Not told yet, then told.
    holes: Vec<Hole>,
    chunks: Chunks,
}

impl Told {
    /// Tells of a hole once. Answers whether to go on: that of the only shard ends the tail.
    async fn hole(&mut self, hole: Hole, is_alone: bool) -> bool {
        let goes_on = !is_alone && self.chunks.send(hole.line().into()).await.is_ok();
        self.holes.push(hole);
        goes_on
    }

    /// Every shard came to its end: what is missing is the answer's last word, so that nobody takes it for
    /// whole.
    async fn end(self) {
        let mut holes = self.holes.into_iter();
        if let Some(hole) = holes.next() {
            let more = holes.len();
            let line = hole.into_error(more).into_line();
            drop(self.chunks.send(line.into()).await);
        }
    }
}

async fn serve(
    node: Arc<HostNode>,
    mut family: Family,
    count: u64,
    deadline: Option<Instant>,
    mut told: Told,
) {
    let (found, mut lines) = mpsc::channel::<Found>(1);
    let mut tasks = JoinSet::new();
    for hole in std::mem::take(&mut told.holes) {
        if !told.hole(hole, family.is_alone()).await {
            return;
        }
    }
    family.start(&mut tasks, &found);
    let mut drain = node.drain();
    let mut left = usize::try_from(count).unwrap_or(usize::MAX);
    while left > 0 {
        let found = tokio::select! {
            biased;
            _ = drain.wait_for(|draining| *draining) => return,
            () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => return,
            // Who listens no more is noticed even while nothing comes.
            () = told.chunks.closed() => return,
            found = lines.recv() => found,
            ended = tasks.join_next() => {
                if let Some(Ok((shard, end))) = ended {
                    family.ended(shard, end);
                    family.start(&mut tasks, &found);
                }
                if !tasks.is_empty() {
                    continue;
                }
                // What the last one found before it ended.
                lines.try_recv().ok()
            }
        };
        let chunk = match found {
            None => return told.end().await,
            Some(Err(hole)) => {
                if told.hole(hole, family.is_alone()).await {
                    continue;
                }
                return told.end().await;
            }
            Some(Ok(mut lines)) => {
                lines.truncate(left);
                left -= lines.len();
                lines.concat()
            }
        };
        if told.chunks.send(chunk.into()).await.is_err() {
            return;
        }
    }
}

impl Reader {
    /// Sends what it reads until its shard has ended.
    async fn run(mut self, found: mpsc::Sender<Found>) -> (ShardNumber, End) {
        let end = self.read_on(&found).await;
        (self.shard, end)
    }

    async fn read_on(&mut self, found: &mpsc::Sender<Found>) -> End {
        let Ok(mut tail) = self.node.store().watch(self.stream, self.shard) else {
            return End::Whole;
        };
        loop {
            if self.until.is_some_and(|until| self.after >= until) {
                return End::Whole;
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
                Err(ReadError::NoSuchShard) => return End::Whole,
                Err(error) => {
                    drop(found.send(Err(self.hole(&error).await)).await);
                    return End::Broken;
                }
            };
            let mut lines = Vec::new();
            for block in &blocks {
                let latencies = self.latencies(block).await;
                lines.extend(self.lines(block, &latencies));
            }
            if lines.is_empty() {
                // A close wakes as a record does.
                if self.is_at_end() || tail.changed().await.is_err() {
                    return End::Whole;
                }
                continue;
            }
            if found.send(Ok(lines)).await.is_err() {
                return End::Broken;
            }
        }
    }

    /// Whether its shard takes no more records and all of them were read.
    fn is_at_end(&self) -> bool {
        self.node.view(|view| {
            let stream = view.registry().stream(self.stream);
            let shard = stream.and_then(|stream| stream.shard(self.shard));
            let last = view.tail(self.stream, self.shard).map(|tail| tail.last());
            shard.is_none_or(|shard| shard.is_closed) && last.is_none_or(|last| self.after >= last)
        })
    }

    /// How long after its source each record arrived, ms; empty where nobody asks.
    async fn latencies(&self, block: &RecordBlock) -> Vec<Option<u64>> {
        let mut latencies = Vec::new();
        if !self.has_latency {
            return latencies;
        }
        // Rows come in the order of their sources: most need no read of their own.
        let mut source: Option<Arc<RecordBlock>> = None;
        for (index, origin) in block.origins.iter().enumerate() {
            let holds = |read: &Arc<RecordBlock>| {
                (read.stream, read.shard) == (origin.stream, origin.shard)
                    && (read.first..=read.last()).contains(&origin.position)
            };
            if !source.as_ref().is_some_and(holds) {
                let after = Ordinal(origin.position.0.saturating_sub(1));
                let (records, bytes) = (limits::TAIL_READ_RECORDS_MAX, limits::TAIL_READ_BYTES_MAX);
                let store = self.node.store();
                let read =
                    source::read(store, origin.stream, origin.shard, after, records, bytes).await;
                // Retention may have taken it, or its stream is gone: then nobody knows.
                source = read.ok().and_then(|blocks| blocks.into_iter().find(&holds));
            }
            latencies.push(source.as_ref().map(|read| {
                let at = usize::try_from(origin.position.0 - read.first.0).unwrap_or_default();
                block.arrival(index).since_ms(read.arrival(at))
            }));
        }
        latencies
    }

    fn lines(&mut self, block: &RecordBlock, latencies: &[Option<u64>]) -> Vec<String> {
        let mut lines = Vec::with_capacity(block.len());
        for index in 0..block.len() {
            let ordinal = block.ordinal(index);
            if ordinal <= self.after || self.until.is_some_and(|until| ordinal > until) {
                continue;
            }
            let latency = latencies.get(index).copied().flatten();
            lines.push(self.line(block, index, latency));
        }
        self.after = self.after.max(block.last());
        lines
    }

    fn line(&self, block: &RecordBlock, index: usize, latency_ms: Option<u64>) -> String {
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
            ",\"sequence_number\":\"{number}\",\"shard_id\":\"shardId-{shard:012}\",\"arrival\":\"{arrival}\","
        )
        .expect("writing to memory does not fail");
        if let Some(ms) = latency_ms {
            write!(line, "\"latency_ms\":{ms},").expect("writing to memory does not fail");
        }
        line.push_str("\"data\":");
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
