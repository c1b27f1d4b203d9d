//! A log in memory, for tests of everything above it.

use std::sync::{Arc, Mutex};

use fnctl_core::{
    id::{Ordinal, ShardNumber, StreamId, StreamName, Timestamp},
    record::{ColumnBuilder, NewRecords, RecordBlock, Records},
    shard::{Ack, HashKeyRange, Reshard, ReshardError, Shard, Stream, StreamOptions},
};

use super::{AppendError, Appended, CommandError, Log, ReadError, Tail};
use crate::service::tests::TestClock;

const DAY_MS: u64 = 86_400_000;

#[derive(Clone)]
pub(crate) struct MemoryLog(Arc<Mutex<State>>, Arc<TestClock>);

#[derive(Default)]
struct State {
    streams: Vec<(Arc<Stream>, Vec<ShardState>)>,
    last_id: u64,
    is_full: bool,
}

#[derive(Clone, Default)]
struct ShardState {
    /// Ordinals 1, 2, 3 …, also those that the horizon has passed.
    rows: Vec<Row>,
    horizon: u64,
}

#[derive(Clone)]
struct Row {
    key: Vec<u8>,
    data: Vec<u8>,
    hash_key: u128,
    arrival: Timestamp,
}

impl MemoryLog {
    pub(crate) fn new(clock: Arc<TestClock>) -> Self {
        Self(Arc::default(), clock)
    }

    /// Refuses appends for want of space from now on.
    pub(crate) fn fill(&self) {
        self.0.lock().unwrap().is_full = true;
    }

    /// Makes the oldest ordinal shown `horizon`.
    pub(crate) fn trim(&self, name: &str, shard: usize, horizon: u64) {
        self.alter(name, |_, shards| shards[shard].horizon = horizon);
    }

    /// Hides a stream as the dead-letter streams are.
    pub(crate) fn make_internal(&self, name: &str) {
        self.alter(name, |stream, _| stream.is_internal = true);
    }

    /// Closes shard 0 and opens two children of it.
    pub(crate) fn split(&self, name: &str) {
        let shard = ShardNumber(0);
        let how = Reshard::Split { shard, at: None };
        self.change_shards(name, &how).unwrap();
    }

    /// Forgets the first shards, as retention does.
    pub(crate) fn forget(&self, name: &str, count: usize) {
        self.alter(name, |stream, _| drop(stream.shards.drain(..count)));
    }

    fn change_shards(&self, name: &str, how: &Reshard) -> Result<(), ReshardError> {
        let now = self.1.time();
        self.alter(name, |stream, shards| {
            *stream = stream.reshard(how, now)?;
            let last = stream.shards.last().unwrap().number.0 as usize;
            let state = ShardState {
                rows: Vec::new(),
                horizon: 1,
            };
            shards.resize(last + 1, state);
            Ok(())
        })
    }

    fn alter<T>(
        &self,
        name: &str,
        change: impl FnOnce(&mut Stream, &mut Vec<ShardState>) -> T,
    ) -> T {
        let mut state = self.0.lock().unwrap();
        let (stream, shards) = state
            .streams
            .iter_mut()
            .find(|(stream, _)| stream.name.as_str() == name)
            .unwrap();
        let mut altered = Stream::clone(stream);
        let done = change(&mut altered, shards);
        *stream = Arc::new(altered);
        done
    }

    fn shard<T>(
        &self,
        id: StreamId,
        shard: ShardNumber,
        look: impl FnOnce(&Stream, &ShardState) -> T,
    ) -> Option<T> {
        let state = self.0.lock().unwrap();
        let (stream, shards) = state.streams.iter().find(|(stream, _)| stream.id == id)?;
        Some(look(stream, shards.get(shard.0 as usize)?))
    }
}

impl State {
    fn position(&self, name: &StreamName) -> Option<usize> {
        self.streams
            .iter()
            .position(|(stream, _)| stream.name == *name)
    }
}

impl Log for MemoryLog {
    fn stream(&self, name: &StreamName) -> Option<Arc<Stream>> {
        let state = self.0.lock().unwrap();
        state
            .position(name)
            .map(|index| Arc::clone(&state.streams[index].0))
    }

    fn stream_by_id(&self, id: StreamId) -> Option<Arc<Stream>> {
        let state = self.0.lock().unwrap();
        let found = state.streams.iter().find(|(stream, _)| stream.id == id);
        found.map(|(stream, _)| Arc::clone(stream))
    }

    fn streams(&self) -> Vec<Arc<Stream>> {
        let state = self.0.lock().unwrap();
        let mut streams: Vec<_> = state
            .streams
            .iter()
            .map(|(stream, _)| Arc::clone(stream))
            .collect();
        streams.sort_by(|a, b| a.name.cmp(&b.name));
        streams
    }

    fn tail(&self, stream: StreamId, shard: ShardNumber) -> Option<Tail> {
        self.shard(stream, shard, |stream, state| Tail {
            horizon: Ordinal(state.horizon),
            next: Ordinal(state.rows.len() as u64 + 1),
            last_arrival: state
                .rows
                .last()
                .map_or(stream.shard(shard).unwrap().created_at, |row| row.arrival),
        })
    }

    async fn append(
        &self,
        name: &StreamName,
        records: NewRecords,
    ) -> Result<Appended, AppendError> {
        let mut state = self.0.lock().unwrap();
        if state.is_full {
            return Err(AppendError::DiskFull);
        }
        let index = state.position(name).ok_or(AppendError::NoSuchStream)?;
        let arrival = self.1.time();
        let (stream, shards) = &mut state.streams[index];
        let rows = (0..records.len())
            .map(|row| {
                let hash_key = records.hash_keys[row];
                let number = stream.route(hash_key).unwrap();
                let shard = &mut shards[number.0 as usize];
                shard.rows.push(Row {
                    key: records.keys.get(row).to_vec(),
                    data: records.data.get(row).to_vec(),
                    hash_key,
                    arrival,
                });
                (number, Ordinal(shard.rows.len() as u64))
            })
            .collect();
        Ok(Appended {
            stream: stream.id,
            arrival,
            rows,
        })
    }

    async fn read(
        &self,
        stream: StreamId,
        shard: ShardNumber,
        after: Ordinal,
        records_max: usize,
        _bytes_max: usize,
    ) -> Result<Vec<Arc<RecordBlock>>, ReadError> {
        // Blocks of at most three, cut at multiples of three: readers must skip and stop inside one.
        let first_block = after.0 / 3;
        let blocks = self.shard(stream, shard, |_, state| {
            let blocks = state.rows.chunks(3).enumerate().skip(first_block as usize);
            blocks
                .take(records_max.div_ceil(3) + 1)
                .map(|(index, rows)| {
                    let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
                    for row in rows {
                        keys.push(&row.key);
                        data.push(&row.data);
                    }
                    Arc::new(RecordBlock {
                        stream,
                        shard,
                        first: Ordinal(index as u64 * 3 + 1),
                        records: Records {
                            keys: keys.finish(),
                            data: data.finish(),
                            arrival_ms: rows.iter().map(|row| row.arrival.0).collect(),
                        },
                        hash_keys: rows.iter().map(|row| row.hash_key).collect(),
                        hops: Vec::new(),
                        origins: Vec::new(),
                    })
                })
                .collect()
        });
        blocks.ok_or(ReadError::NoSuchShard)
    }

    async fn find_time(
        &self,
        stream: StreamId,
        shard: ShardNumber,
        time: Timestamp,
    ) -> Result<Ordinal, ReadError> {
        let found = self.shard(stream, shard, |_, state| {
            let index = state.rows.iter().position(|row| row.arrival >= time);
            let ordinal = index.unwrap_or(state.rows.len()) as u64 + 1;
            Ordinal(ordinal.max(state.horizon))
        });
        found.ok_or(ReadError::NoSuchShard)
    }

    async fn create_stream(
        &self,
        name: &StreamName,
        shards: u32,
        options: StreamOptions,
    ) -> Result<(), CommandError> {
        let mut state = self.0.lock().unwrap();
        if state.position(name).is_some() {
            return Err(CommandError::Exists);
        }
        state.last_id += 1;
        let now = self.1.time();
        let stream = Stream {
            id: StreamId(state.last_id),
            name: name.clone(),
            shards: (0..shards)
                .zip(HashKeyRange::initial(shards))
                .map(|(number, range)| Shard {
                    number: ShardNumber(number),
                    range,
                    created_at: now,
                    parents: Vec::new(),
                    is_closed: false,
                })
                .collect(),
            retention_ms: DAY_MS,
            ack: Ack::Synced,
            created_at: now,
            is_internal: false,
            options,
        };
        let states = vec![
            ShardState {
                rows: Vec::new(),
                horizon: 1
            };
            shards as usize
        ];
        state.streams.push((Arc::new(stream), states));
        Ok(())
    }

    async fn delete_stream(&self, name: &StreamName) -> Result<(), CommandError> {
        let mut state = self.0.lock().unwrap();
        let index = state.position(name).ok_or(CommandError::NoSuchStream)?;
        drop(state.streams.remove(index));
        Ok(())
    }

    async fn set_retention(
        &self,
        name: &StreamName,
        retention_ms: u64,
    ) -> Result<(), CommandError> {
        self.alter(name.as_str(), |stream, _| {
            stream.retention_ms = retention_ms
        });
        Ok(())
    }

    async fn reshard(&self, name: &StreamName, how: Reshard) -> Result<(), CommandError> {
        self.change_shards(name.as_str(), &how)
            .map_err(CommandError::Reshard)
    }
}
