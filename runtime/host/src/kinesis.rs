//! The Kinesis API over the store, and its listener's service.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

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
    Asker, Credentials, CredentialsError, Kinesis, Unsigned,
    log::{AppendError, Appended, CommandError, Log, ReadError, Tail},
};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};

use crate::{
    access::{Caller, Failures},
    audit::{self, Act, Audit, Noting},
    http::{
        Body,
        body::let_out,
        listener::{PeerAddress, Serve},
        origin::Pages,
        paced::Paced,
        whole,
    },
    metrics::Metrics,
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
        let (Command::CreateStream { name, .. }
        | Command::DeleteStream { name, .. }
        | Command::SetRetention { name, .. }
        | Command::Reshard { name, .. }) = &command
        else {
            return Err(CommandError::Refused(
                "it is no command of this API".to_owned(),
            ));
        };
        if name.as_str() == audit::STREAM {
            let words =
                format!("stream {name} is the server's own: it can be read, and not changed");
            return Err(CommandError::Refused(words));
        }
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
        if name.as_str() == audit::STREAM {
            // Nobody but the server puts into it.
            return Err(AppendError::NoSuchStream);
        }
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

/// Why the keys that may sign cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KinesisCredentialsError {
    /// The file cannot be read.
    #[error("failed to read the Kinesis credentials `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It says something that cannot be used.
    #[error("`{}`, {error}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What.
        error: CredentialsError,
    },
}

/// Reads the keys that may sign requests.
pub(crate) fn credentials(path: &Path) -> Result<Arc<Credentials>, KinesisCredentialsError> {
    let text = std::fs::read_to_string(path).map_err(|source| KinesisCredentialsError::Io {
        path: path.to_owned(),
        source,
    })?;
    let read = Credentials::parse(&text).map_err(|error| KinesisCredentialsError::Unusable {
        path: path.to_owned(),
        error,
    });
    read.map(Arc::new)
}

/// Serves the Kinesis API.
#[derive(Clone)]
pub(crate) struct KinesisService {
    kinesis: Kinesis<StoreLog>,
    failures: Arc<Failures>,
    metrics: Arc<Metrics>,
    audit: Option<Audit>,
}

impl KinesisService {
    /// Over the API; refusals are counted by address, changes are noted where there is an audit.
    pub(crate) const fn new(
        kinesis: Kinesis<StoreLog>,
        failures: Arc<Failures>,
        metrics: Arc<Metrics>,
        audit: Option<Audit>,
    ) -> Self {
        Self {
            kinesis,
            failures,
            metrics,
            audit,
        }
    }
}

impl Serve for KinesisService {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<PeerAddress>().map(|peer| peer.0);
        let mut body = Paced::new(body);
        let noting = self.changing(&parts.headers, peer);
        let request = Request::from_parts(parts, &mut body);
        let response = self.kinesis.answer(request).await;
        if let Some(noting) = noting {
            note(noting, &response).await;
        }
        if response.headers().contains_key(header::CONNECTION) {
            // It was refused unread: who is still sending reads the answer only when that is done.
            let_out(&mut body.into_inner()).await;
        }
        let response = response.map(|body| body.boxed_unsync());
        if let Some(asker) = response.extensions().get::<Asker>()
            && let Some(operation) = asker.refused
        {
            let told = (response.status().as_u16(), error_of(&response));
            return match self.refused(asker, operation, peer, told).await {
                true => response,
                false => throttled("key", "what the scope of a key allows is"),
            };
        }
        if response.extensions().get::<Unsigned>().is_none() {
            return response;
        }
        if self.failures.allow(peer.map(|peer| peer.ip())) {
            self.metrics.signature_refused();
            return response;
        }
        self.metrics.signatures_throttled();
        throttled("address", "well signed ones are")
    }

    fn is_open(&self) -> bool {
        !self.kinesis.verifies()
    }

    fn pages(&self) -> Pages {
        // As Kinesis does, it answers scripts that sign.
        Pages::Known
    }
}

impl KinesisService {
    /// Counts and notes a request that the scope of its key does not include; whether it is told in full.
    async fn refused(
        &self,
        asker: &Asker,
        operation: &str,
        peer: Option<SocketAddr>,
        (status, error): (u16, Option<String>),
    ) -> bool {
        let who = format!("key:{}", asker.name.as_deref().unwrap_or_default());
        let may_be_told = self.failures.allow_holder(&who);
        match may_be_told {
            true => self.metrics.scope_refused(),
            false => self.metrics.signatures_throttled(),
        }
        if let Some(audit) = &self.audit {
            let mut act = Act::new(who, peer, "kinesis", operation);
            act.done_to(asker.stream.as_deref());
            audit.refused(act, status, error).await;
        }
        may_be_told
    }

    /// The change that a request asks for, if it asks for one.
    fn changing(&self, headers: &HeaderMap, peer: Option<SocketAddr>) -> Option<Noting> {
        let target = headers.get("x-amz-target")?.to_str().ok()?;
        let (_, operation) = target.split_once('.')?;
        let is_data = ["Put", "Get", "List", "Describe", "Subscribe"]
            .iter()
            .any(|verb| operation.starts_with(verb));
        let audit = self.audit.as_ref().filter(|_| !is_data)?;
        let who = Caller::Unnamed.who(peer);
        Some(audit.begin(Act::new(who, peer, "kinesis", operation), true))
    }
}

/// Notes how a change ended. What was refused unsigned is counted alone.
async fn note<B>(mut noting: Noting, response: &Response<B>) {
    let Some(asker) = response.extensions().get::<Asker>() else {
        return noting.dropped();
    };
    if asker.changes.is_none() {
        return noting.dropped();
    }
    if let Some(name) = &asker.name {
        noting.by(format!("key:{name}"));
    }
    let on = asker.stream.as_deref();
    let error = error_of(response);
    noting.ended(on, response.status().as_u16(), error).await;
}

fn error_of<B>(response: &Response<B>) -> Option<String> {
    let error = response.headers().get("x-amzn-errortype")?;
    error.to_str().ok().map(str::to_owned)
}

/// The brief answer to an address or key that is refused too often.
fn throttled(whose: &str, otherwise: &str) -> Response<Body> {
    const CODE: &str = "ThrottlingException";
    let body = format!(
        r#"{{"__type":"{CODE}","message":"Too many requests of this {whose} were refused; {otherwise} not slowed down."}}"#
    );
    let mut response = Response::new(whole(body));
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/x-amz-json-1.1");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert("x-amzn-errortype", HeaderValue::from_static(CODE));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("3"));
    response
}
