//! The Kinesis API over the store, and its listener's service.

use std::sync::Arc;

use fnctl_core::{
    id::{Ordinal, ShardNumber, StreamId, StreamName, Timestamp},
    record::{NewRecords, RecordBlock},
    registry::{Command, Refusal},
    shard::{Reshard, Stream, StreamOptions},
    spec::resolve::StreamSettings,
    view::AppendRefusal,
};
use fnctl_store::Store;
use fnctl_streams::{
    Kinesis,
    log::{AppendError, Appended, CommandError, Log, ReadError, Tail},
};
use http_body_util::BodyExt;
use hyper::{Request, Response, body::Incoming, header};

use crate::{
    http::{Body, body::let_out, listener::Serve, paced::Paced},
    source,
};

/// The store as the Kinesis API sees it.
#[derive(Clone, Debug)]
pub(crate) struct StoreLog(Store);

impl StoreLog {
    /// Over a store.
    pub(crate) const fn new(store: Store) -> Self {
        Self(store)
    }

    async fn command(&self, command: Command) -> Result<(), CommandError> {
        match self.0.command(command).await {
            Ok(_) => Ok(()),
            Err(fnctl_store::CommandError::Stopped(stopped)) => {
                Err(CommandError::Stopped(stopped.0))
            }
            Err(fnctl_store::CommandError::Refused(refusal)) => Err(match refusal {
                Refusal::StreamExists(_) => CommandError::Exists,
                Refusal::NoSuchStream(_) => CommandError::NoSuchStream,
                Refusal::Reshard { error, .. } => CommandError::Reshard(error),
                other => CommandError::Refused(other.to_string()),
            }),
        }
    }
}

fn read_error(error: fnctl_store::ReadError) -> ReadError {
    match error {
        fnctl_store::ReadError::NoSuchShard => ReadError::NoSuchShard,
        error => ReadError::Failed(error.to_string()),
    }
}

impl Log for StoreLog {
    fn stream(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.0
            .view(|view| view.registry().stream_by_name(name).cloned())
    }

    fn stream_by_id(&self, id: StreamId) -> Option<Arc<Stream>> {
        self.0.view(|view| view.registry().stream(id).cloned())
    }

    fn streams(&self) -> Vec<Arc<Stream>> {
        let mut all: Vec<_> = self
            .0
            .view(|view| view.registry().streams().cloned().collect());
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn tail(&self, stream: StreamId, shard: ShardNumber) -> Option<Tail> {
        self.0.view(|view| {
            let tail = view.tail(stream, shard)?;
            let created = view.registry().stream(stream)?.shard(shard)?.created_at;
            let is_empty = tail.next == Ordinal(1);
            Some(Tail {
                horizon: tail.horizon,
                next: tail.next,
                last_arrival: if is_empty { created } else { tail.last_arrival },
            })
        })
    }

    async fn append(
        &self,
        name: &StreamName,
        records: NewRecords,
    ) -> Result<Appended, AppendError> {
        match self.0.append(name.clone(), records, None).await {
            Ok(appended) => Ok(Appended {
                stream: appended.stream,
                arrival: appended.arrival,
                rows: appended.rows,
            }),
            Err(fnctl_store::AppendError::Refused(AppendRefusal::NoSuchStream)) => {
                Err(AppendError::NoSuchStream)
            }
            Err(fnctl_store::AppendError::DiskFull) => Err(AppendError::DiskFull),
            Err(fnctl_store::AppendError::Busy(_)) => Err(AppendError::Busy),
            Err(fnctl_store::AppendError::OverQuota(_)) => Err(AppendError::OverQuota),
            // The API bounds a request below an entry, and names no producer.
            Err(error) => Err(AppendError::Stopped(error.to_string())),
        }
    }

    async fn read(
        &self,
        stream: StreamId,
        shard: ShardNumber,
        after: Ordinal,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Arc<RecordBlock>>, ReadError> {
        let mut after = after;
        loop {
            match source::read(&self.0, stream, shard, after, records_max, bytes_max).await {
                // Retention went on since the caller looked: what is left starts at the horizon.
                Err(fnctl_store::ReadError::Trimmed { horizon }) if horizon > after.next() => {
                    after = Ordinal(horizon.0 - 1);
                }
                other => return other.map_err(read_error),
            }
        }
    }

    async fn find_time(
        &self,
        stream: StreamId,
        shard: ShardNumber,
        time: Timestamp,
    ) -> Result<Ordinal, ReadError> {
        let store = self.0.clone();
        let found = source::blocking(move || store.find_time(stream, shard, time)).await;
        let horizon = self
            .0
            .view(|view| view.tail(stream, shard).map(|tail| tail.horizon));
        found
            .map(|ordinal| ordinal.max(horizon.unwrap_or_default()))
            .map_err(read_error)
    }

    async fn create_stream(
        &self,
        name: &StreamName,
        shards: u32,
        options: StreamOptions,
    ) -> Result<(), CommandError> {
        let name = name.clone();
        let settings = StreamSettings {
            shards,
            options,
            ..StreamSettings::default()
        };
        self.command(Command::CreateStream { name, settings }).await
    }

    async fn delete_stream(&self, name: &StreamName) -> Result<(), CommandError> {
        let name = name.clone();
        self.command(Command::DeleteStream { name, force: true })
            .await
    }

    async fn set_retention(
        &self,
        name: &StreamName,
        retention_ms: u64,
    ) -> Result<(), CommandError> {
        let name = name.clone();
        self.command(Command::SetRetention { name, retention_ms })
            .await
    }

    async fn reshard(&self, name: &StreamName, how: Reshard) -> Result<(), CommandError> {
        let name = name.clone();
        self.command(Command::Reshard { name, how }).await
    }
}

/// Serves the Kinesis API.
#[derive(Clone)]
pub(crate) struct KinesisService(pub(crate) Kinesis<StoreLog>);

impl Serve for KinesisService {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let mut body = Paced::new(body);
        let request = Request::from_parts(parts, &mut body);
        let response = self.0.answer(request).await;
        if response.headers().contains_key(header::CONNECTION) {
            // It was refused unread: who is still sending reads the answer only when that is done.
            let_out(&mut body.into_inner()).await;
        }
        response.map(|body| body.boxed_unsync())
    }
}
