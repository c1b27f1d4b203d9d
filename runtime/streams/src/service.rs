//! One HTTP request in, one response out.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, atomic::AtomicU64},
};

use bytes::Bytes;
use fnctl_core::{access::Scope, admission::InFlight, clock::Clock};
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::Body,
    header::{self, HeaderValue},
};

use crate::{
    api::{self, Call, Operation},
    body::{Bodies, BodyError},
    credentials::{Credential, Credentials},
    limits::{BODY_BYTES_MAX, CORS_MAX_AGE_S, STREAM_SHARDS_MAX},
    log::Log,
    protocol::{
        auth::{self, verify::Pending},
        envelope::Envelope,
        error::{ApiError, ErrorCode},
        member::Checked,
        reply::Reply,
    },
    request_id::RequestIds,
    seal::Seal,
};

/// Headers that a browser's script may read.
const EXPOSED: &str =
    "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date";

/// The code of a body that is too large, and what its words are written in.
const TOO_LARGE: &str = "RequestEntityTooLargeException";
const JSON: &str = "application/x-amz-json-1.1";

/// Settings of the API.
#[derive(Clone)]
pub struct Options {
    /// Authenticates iterators and list tokens. Kept over restarts, it keeps them good.
    pub secret: [u8; 32],
    /// The account that ARNs and errors name, 12 digits.
    pub account: String,
    /// The region that ARNs name when a request is signed for none.
    pub region: String,
    /// Open shards of all streams together.
    pub shard_limit: u32,
    /// Keys that signatures are verified with; `None`: any signature is taken.
    pub credentials: Option<Arc<Credentials>>,
}

/// Who asked, as an extension of an answer: the key's profile, and what was asked where it changes something.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The profile of the key that signed; `None` where signatures are not verified.
    pub name: Option<Arc<str>>,
    /// The operation, where it changes something but records, and was not refused for the key's scope.
    pub changes: Option<&'static str>,
    /// The stream it was meant for, as the request names it.
    pub stream: Option<String>,
    /// The operation, where it was refused because the key's scope is too narrow.
    pub refused: Option<&'static str>,
}

/// That a request was refused because nobody known signed it, as an extension of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned;

impl Options {
    /// The usual settings: account `000000000000`, region `us-east-1`.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self {
            secret,
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            shard_limit: STREAM_SHARDS_MAX,
            credentials: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("account", &self.account)
            .field("region", &self.region)
            .field("shard_limit", &self.shard_limit)
            .finish_non_exhaustive()
    }
}

/// The Kinesis API over a log. A handle: cloned per connection.
pub struct Kinesis<L>(Arc<Inner<L>>);

impl<L> Clone for Kinesis<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<L> {
    log: L,
    clock: Arc<dyn Clock>,
    options: Options,
    /// Those of the options, until others take their place.
    credentials: RwLock<Option<Arc<Credentials>>>,
    seal: Seal,
    nonce: AtomicU64,
    request_ids: RequestIds,
    bodies: Bodies,
}

impl<L: Log> Kinesis<L> {
    /// The API over `log`.
    #[must_use]
    pub fn new(log: L, clock: Arc<dyn Clock>, options: Options) -> Self {
        Self(Arc::new(Inner {
            seal: Seal::new(&options.secret),
            request_ids: RequestIds::new(&options.secret, clock.now(), clock.boot_ms()),
            nonce: AtomicU64::new(0),
            bodies: Bodies::new(),
            credentials: RwLock::new(options.credentials.clone()),
            log,
            clock,
            options,
        }))
    }

    /// Verifies signatures with these keys from the next request on. Where none were verified it stays so: what is
    /// open is closed by a start alone, which says so. Whether they are others than before.
    pub fn replace_credentials(&self, keys: Arc<Credentials>) -> bool {
        let known = self.0.credentials.write();
        match known.unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(known) => std::mem::replace(known, Arc::clone(&keys)) != keys,
            None => false,
        }
    }

    /// Whether signatures are verified.
    #[must_use]
    pub fn verifies(&self) -> bool {
        self.0.credentials().is_some()
    }

    /// Request bodies of which a part is still to come.
    #[must_use]
    pub fn receiving(&self) -> InFlight {
        self.0.bodies.receiving()
    }

    /// Bytes of request bodies that are being read or worked on.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.0.bodies.bytes()
    }

    /// Answers one request of either HTTP version. The body is read here, at most
    /// [`BODY_BYTES_MAX`](crate::limits::BODY_BYTES_MAX); time limits are the listener's.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send,
    {
        let inner = &*self.0;
        let (parts, body) = request.into_parts();
        let is_cross_origin = parts.headers.contains_key(header::ORIGIN);
        if is_cross_origin && parts.method == Method::OPTIONS {
            return inner.preflight(&parts.headers);
        }
        // A request is judged by one set of keys, from its first byte to its last.
        let credentials = inner.credentials();
        let pending = match inner.claimed(credentials.as_deref(), &parts.uri, &parts.headers) {
            Ok(pending) => pending,
            Err(error) => {
                // Its body stays unread.
                let mut response = inner.response(Reply::json_error(&error), is_cross_origin);
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
                response.extensions_mut().insert(Unsigned);
                return response;
            }
        };
        let body = match inner.bodies.collect(body).await {
            Ok(body) => body,
            Err(BodyError::TooLarge) => return too_large(),
            Err(BodyError::Broken) => return closing(StatusCode::BAD_REQUEST),
        };
        let Some(pending) = pending else {
            let region = auth::check_signature(&parts.headers, &parts.uri);
            let (reply, asker) = inner
                .reply(&parts.method, &parts.headers, &body, &region, None)
                .await;
            let mut response = inner.response(reply, is_cross_origin);
            response.extensions_mut().insert(asker);
            return response;
        };
        match pending.verify(&parts.method, &parts.uri, &parts.headers, &body) {
            Ok((credential, region)) => {
                let (reply, asker) = inner
                    .reply(
                        &parts.method,
                        &parts.headers,
                        &body,
                        &Ok(region),
                        Some(credential),
                    )
                    .await;
                let mut response = inner.response(reply, is_cross_origin);
                response.extensions_mut().insert(asker);
                response
            }
            Err(error) => {
                let mut response = inner.response(Reply::json_error(&error), is_cross_origin);
                response.extensions_mut().insert(Unsigned);
                response
            }
        }
    }
}

impl<L: Log> Inner<L> {
    fn credentials(&self) -> Option<Arc<Credentials>> {
        let credentials = self.credentials.read();
        credentials.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a request claims of its signature, where signatures are verified.
    fn claimed<'a>(
        &self,
        credentials: Option<&'a Credentials>,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Option<Pending<'a>>, ApiError> {
        let Some(credentials) = credentials else {
            return Ok(None);
        };
        auth::check_signature(headers, uri)?;
        Pending::new(credentials, uri, headers, self.clock.now()).map(Some)
    }

    async fn reply(
        &self,
        method: &Method,
        headers: &HeaderMap,
        body: &[u8],
        region: &Result<Option<String>, ApiError>,
        credential: Option<&Credential>,
    ) -> (Reply, Asker) {
        let mut asker = Asker {
            name: credential.map(|credential| Arc::clone(&credential.name)),
            changes: None,
            stream: None,
            refused: None,
        };
        let envelope = Envelope::new(method, headers);
        let refused = |operation: Operation| {
            credential.is_some_and(|credential| credential.scope < operation.scope())
        };
        if let Some(operation) = envelope.plain_operation()
            && operation == Operation::PutRecords
            && !refused(operation)
            && let Ok(region) = region
            && let Some(answer) = api::put_records_fast(&self.call(region.as_deref()), body).await
        {
            return (into_reply(answer), asker);
        }
        let (operation, members) = match envelope.open(body) {
            Ok(opened) => opened,
            Err(reply) => return (reply, asker),
        };
        let region = match region {
            Ok(region) => region,
            Err(error) => return (Reply::json_error(error), asker),
        };
        let is_refused = refused(operation);
        if operation.scope() == Scope::Admin || is_refused {
            let named = members
                .get("StreamName")
                .or_else(|| members.get("StreamARN"));
            asker.stream = named.and_then(|name| name.as_str()).map(str::to_owned);
        }
        if let Some(credential) = credential.filter(|_| is_refused) {
            asker.refused = Some(operation.name());
            let words = format!(
                "User: {} is not authorized to perform: kinesis:{} (its scope is {}, this needs {})",
                credential.name,
                operation.name(),
                credential.scope,
                operation.scope()
            );
            let error = ApiError::new(ErrorCode::AccessDenied, words);
            return (Reply::json_error(&error), asker);
        }
        asker.changes = (operation.scope() == Scope::Admin).then(|| operation.name());
        let call = self.call(region.as_deref());
        let answer = api::answer(&call, operation, Checked(&members)).await;
        (into_reply(answer), asker)
    }

    fn call<'a>(&'a self, region: Option<&'a str>) -> Call<'a, L> {
        Call {
            log: &self.log,
            options: &self.options,
            seal: &self.seal,
            nonce: &self.nonce,
            region: region.unwrap_or(&self.options.region),
            now: self.clock.now(),
        }
    }

    fn response(&self, reply: Reply, is_cross_origin: bool) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(reply.body));
        *response.status_mut() = reply.status;
        let (request_id, id_2) = self.request_ids.next();
        let headers = response.headers_mut();
        if let Some(content_type) = reply.content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        headers.insert("x-amzn-requestid", request_id);
        headers.insert("x-amz-id-2", id_2);
        if let Some(error) = reply.error {
            headers.insert("x-amzn-errortype", HeaderValue::from_static(error));
        }
        if is_cross_origin {
            allow_any_origin(headers);
            headers.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(EXPOSED),
            );
        }
        response
    }

    /// Answers a browser that asks whether it may call.
    fn preflight(&self, asked: &HeaderMap) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        let headers = response.headers_mut();
        headers.insert("x-amzn-requestid", self.request_ids.next().0);
        allow_any_origin(headers);
        for (ask, allow) in [
            (
                header::ACCESS_CONTROL_REQUEST_HEADERS,
                header::ACCESS_CONTROL_ALLOW_HEADERS,
            ),
            (
                header::ACCESS_CONTROL_REQUEST_METHOD,
                header::ACCESS_CONTROL_ALLOW_METHODS,
            ),
        ] {
            if let Some(value) = asked.get(ask) {
                headers.insert(allow, value.clone());
            }
        }
        headers.insert(
            header::ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from(CORS_MAX_AGE_S),
        );
        response
    }
}

fn into_reply(answer: Result<Vec<u8>, ApiError>) -> Reply {
    match answer {
        Ok(body) => Reply::success(body),
        Err(error) => Reply::json_error(&error),
    }
}

fn allow_any_origin(headers: &mut HeaderMap) {
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
}

/// The answer to a body that is not read whole, in the words that clients show.
fn too_large() -> Response<Full<Bytes>> {
    let mut response = closing(StatusCode::PAYLOAD_TOO_LARGE);
    *response.body_mut() = Full::from(format!(
        r#"{{"__type":"{TOO_LARGE}","message":"the body of a request has at most {BODY_BYTES_MAX} bytes"}}"#
    ));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert("x-amzn-errortype", HeaderValue::from_static(TOO_LARGE));
    response
}

/// An answer after which the connection ends, because the rest of the body is not read.
fn closing(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
pub(crate) mod tests;
