//! Another version beside the live one, on the same records: nothing is emitted, charged or settled.
//!
//! Both versions are called here with the same batches, outputs captured. What the mapping itself emitted is
//! not read back: a row in an output stream names its source, not its mapping or version, and is gone with
//! retention or where an output is bound to `none`. Calls are made one at a time, in places of their own, and a
//! pause as long as each call follows it: the shadow takes at most half of one guest thread.

mod side;
mod windows;

use std::{collections::BTreeMap, sync::Arc, task::Poll};

use fnctl_core::{
    error_code::ErrorCode,
    filter::FilterVerdict,
    id::{Ordinal, ShardNumber, StreamId, Timestamp},
    limits::BATCH_BYTES_MAX,
    mapping::{Mapping, OnUnparsable},
    record::RecordBlock,
    shadow::ShadowWindows,
    status::{DataText, ShadowEnd, ShadowLine, ShadowRecord, ShadowSummary},
};
use fnctl_store::ReadError;
use fnctl_streams::sequence;
use tokio::sync::watch;

pub(crate) use self::{side::Side, windows::begin};
use crate::{
    api::error::ApiError,
    http::Chunks,
    node::HostNode,
    shard_worker::{Judge, Run},
    source, text,
};

/// Records of one shard that both versions are given in one call.
struct Picked {
    runs: Vec<Run>,
    place: Place,
}

/// A shard.
#[derive(Clone, Copy)]
struct Place {
    stream: StreamId,
    shard: ShardNumber,
    shard_created_at: Timestamp,
}

impl Picked {
    fn len(&self) -> usize {
        self.runs.iter().map(Run::len).sum()
    }
}

/// Where a shard is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Everything up to here was read.
    pub(crate) after: Ordinal,
    /// Where it ends; `None`: never.
    pub(crate) until: Option<Ordinal>,
}

/// Why it ends before its end.
enum Ended {
    /// Who listened has gone, or the server stops.
    Quietly,
    /// This is the last line.
    With(ApiError),
}

/// Two versions of a mapping's function, and where they stand.
pub(crate) struct Shadow {
    pub(crate) node: Arc<HostNode>,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) live: Side,
    pub(crate) other: Side,
    /// The shards that are read.
    pub(crate) shards: BTreeMap<ShardNumber, Reading>,
    /// Their windows, where the mapping has some.
    pub(crate) windows: BTreeMap<ShardNumber, ShadowWindows>,
    /// Whether shards that come from splits and merges are read as well, from their beginning.
    pub(crate) follows: bool,
    /// Records that are still to be compared.
    pub(crate) left: u64,
    pub(crate) summary: ShadowSummary,
    pub(crate) chunks: Chunks,
}

impl Shadow {
    /// Runs to its end, to the reader's, or to the server's.
    pub(crate) async fn run(mut self) {
        let chunks = self.chunks.clone();
        let mut drain = self.node.drain();
        let ended = tokio::select! {
            _ = drain.wait_for(|draining| *draining) => Err(Ended::Quietly),
            () = chunks.closed() => Err(Ended::Quietly),
            ended = self.compare() => ended,
        };
        let line = match ended {
            Ok(()) => line(&ShadowLine::End(self.summary)),
            Err(Ended::With(error)) => error.into_line(),
            Err(Ended::Quietly) => return,
        };
        // Nobody is left to be told when the reader has gone.
        drop(chunks.send(line.into()).await);
    }

    async fn compare(&mut self) -> Result<(), Ended> {
        let mut registry = self.node.store().registry_changed();
        let (id, name) = self.node.view(|view| {
            let name = view.registry().address(&self.mapping);
            (self.mapping.id, name)
        });
        loop {
            registry.mark_unchanged();
            if self.node.view(|view| view.registry().mapping(id).is_none()) {
                let words = format!("mapping `{name}` was deleted: the comparison ends with it");
                let gone = ApiError::new(ErrorCode::NoSuchMapping, words);
                return Err(Ended::With(gone.at(name).fix("fnctl mappings list")));
            }
            self.find_children();
            let numbers: Vec<ShardNumber> = self.shards.keys().copied().collect();
            // Watched before it is read: what comes meanwhile wakes.
            let stream = self.mapping.stream;
            let watched = numbers
                .iter()
                .filter_map(|&n| self.node.store().watch(stream, n).ok());
            let mut tails: Vec<watch::Receiver<Ordinal>> = watched.collect();
            let mut has_read = false;
            for number in numbers {
                has_read |= self.next_of(number).await?;
                if self.left == 0 {
                    return Ok(());
                }
            }
            if has_read {
                continue;
            }
            self.close_quiet().await?;
            // Without a shard nothing can come any more: its stream is gone.
            if !self.follows || self.shards.is_empty() {
                return Ok(());
            }
            tokio::select! {
                changed = registry.changed() => changed.map_err(|_| Ended::Quietly)?,
                () = any(&mut tails) => {}
                () = self.quiet_in() => {}
            }
        }
    }

    /// Shards that were made by splits and merges since, where it follows.
    fn find_children(&mut self) {
        if !self.follows {
            return;
        }
        let stream = self.mapping.stream;
        let numbers: Vec<ShardNumber> = self.node.view(|view| {
            let stream = view.registry().stream(stream);
            stream.map_or_else(Vec::new, |s| {
                s.shards.iter().map(|shard| shard.number).collect()
            })
        });
        let newest = self.shards.keys().next_back().copied();
        for number in numbers
            .into_iter()
            .filter(|number| newest.is_none_or(|n| *number > n))
        {
            let reading = Reading {
                after: Ordinal(0),
                until: None,
            };
            self.shards.insert(number, reading);
            if self.mapping.settings.has_windows() {
                let windows = windows::windows(&self.mapping.settings, true);
                self.windows.insert(number, windows);
            }
        }
    }

    /// Compares the next records of a shard; whether there were some.
    async fn next_of(&mut self, number: ShardNumber) -> Result<bool, Ended> {
        let Some(reading) = self.shards.get(&number).copied() else {
            return Ok(false);
        };
        if reading.until.is_some_and(|until| reading.after >= until) {
            return Ok(false);
        }
        let stream = self.mapping.stream;
        let settings = &self.mapping.settings;
        let records = u64::from(settings.batch_size).min(self.left);
        let records = usize::try_from(records).unwrap_or(usize::MAX);
        let bytes =
            usize::try_from(settings.batch_bytes.min(BATCH_BYTES_MAX)).unwrap_or(usize::MAX);
        let store = self.node.store();
        let blocks = match source::read(store, stream, number, reading.after, records, bytes).await
        {
            Ok(blocks) => blocks,
            Err(ReadError::Trimmed { horizon }) => {
                let after = Ordinal(horizon.0.saturating_sub(1)).max(reading.after);
                self.shards.insert(number, Reading { after, ..reading });
                if let Some(windows) = self.windows.get_mut(&number) {
                    windows.missed_some();
                }
                return Ok(true);
            }
            Err(ReadError::NoSuchShard) => {
                self.shards.remove(&number);
                self.windows.remove(&number);
                return Ok(false);
            }
            Err(error) => {
                let error = ApiError::new(ErrorCode::Damaged, error.to_string());
                return Err(Ended::With(error.fix("--from a later time passes by it")));
            }
        };
        let Some(last) = blocks.iter().map(|block| block.last()).max() else {
            return Ok(false);
        };
        let last = reading.until.map_or(last, |until| last.min(until));
        let picked = self.pick(number, &blocks, reading.after, last);
        let after = last;
        self.shards.insert(number, Reading { after, ..reading });
        if self.windows.contains_key(&number) {
            if let Some(read) = windows::read_between(&blocks, reading.after, last) {
                let given = self.in_windows(number, picked, read).await?;
                self.left = self.left.saturating_sub(given);
            }
        } else if let Some(picked) = picked {
            self.left = self.left.saturating_sub(picked.len() as u64);
            self.both(&picked).await?;
        }
        self.tell(&ShadowLine::Progress(self.summary.clone()))
            .await?;
        Ok(true)
    }

    /// The records behind `after` up to `last` that the filter takes; `None`: there is none.
    fn pick(
        &mut self,
        shard: ShardNumber,
        blocks: &[Arc<RecordBlock>],
        after: Ordinal,
        last: Ordinal,
    ) -> Option<Picked> {
        let place = self.place_of(shard)?;
        let settings = &self.mapping.settings;
        let filter = settings.filter.clone();
        let mut judge = filter.map(|f| Judge::new(f, shard.shard_id(), place.shard_created_at));
        let passes_unparsable = settings.on_unparsable == OnUnparsable::Pass;
        let mut runs = Vec::new();
        for block in blocks {
            for index in 0..block.len() {
                let ordinal = block.ordinal(index);
                if ordinal <= after || ordinal > last {
                    continue;
                }
                let verdict = judge.as_mut().map(|judge| judge.verdict(block, index));
                match verdict {
                    None | Some(FilterVerdict::Match) => Run::add(&mut runs, block, index),
                    Some(FilterVerdict::Unparsable) if passes_unparsable => {
                        Run::add(&mut runs, block, index);
                    }
                    Some(_) => self.summary.filtered += 1,
                }
            }
        }
        (!runs.is_empty()).then_some(Picked { runs, place })
    }

    async fn both(&mut self, picked: &Picked) -> Result<(), Ended> {
        let live = self.live.ends(picked).await.map_err(Ended::With)?;
        let other = self.other.ends(picked).await.map_err(Ended::With)?;
        self.compare_records(picked, live, other).await
    }

    async fn compare_records(
        &mut self,
        picked: &Picked,
        live: Vec<ShadowEnd>,
        other: Vec<ShadowEnd>,
    ) -> Result<(), Ended> {
        for (index, (live, shadow)) in live.into_iter().zip(other).enumerate() {
            self.count(&live, &shadow);
            if live.is_like(&shadow) {
                continue;
            }
            let record = Run::nth(&picked.runs, index).expect("each record has an end");
            let key = DataText::of(record.key(), text::base64);
            let (number, at) = (picked.place.shard, record.arrival());
            let created_at = picked.place.shard_created_at;
            let sequence_number = sequence::encode(created_at, number, record.ordinal(), at);
            let record = ShadowRecord {
                shard_id: number.shard_id(),
                sequence_number,
                partition_key: key.data,
                key_encoding: key.encoding,
                live,
                shadow,
            };
            self.tell(&ShadowLine::Different(Box::new(record))).await?;
        }
        Ok(())
    }

    fn count(&mut self, live: &ShadowEnd, shadow: &ShadowEnd) {
        let summary = &mut self.summary;
        summary.records += 1;
        summary.live_failed += u64::from(live.failure.is_some());
        summary.shadow_failed += u64::from(shadow.failure.is_some());
        match live.is_like(shadow) {
            true => summary.same += 1,
            false => summary.different += 1,
        }
    }

    async fn tell(&self, value: &ShadowLine) -> Result<(), Ended> {
        let sent = self.chunks.send(line(value).into()).await;
        sent.map_err(|_| Ended::Quietly)
    }
}

fn line(value: &ShadowLine) -> String {
    let mut line = serde_json::to_string(value).expect("a comparison is always JSON");
    line.push('\n');
    line
}

/// Wakes when any of the shards has a new record, or is gone; never of none.
async fn any(tails: &mut [watch::Receiver<Ordinal>]) {
    let mut waits: Vec<_> = tails
        .iter_mut()
        .map(|tail| Box::pin(tail.changed()))
        .collect();
    std::future::poll_fn(|cx| {
        let is_ready = waits
            .iter_mut()
            .any(|wait| wait.as_mut().poll(cx).is_ready());
        if is_ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
