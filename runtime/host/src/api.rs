//! The control API: one file per resource, one error object, unknown fields and parameters refused.

mod artifacts;
mod backup;
mod capture;
mod dead_letters;
mod deploy;
pub(crate) mod error;
mod functions;
mod health;
mod invoke;
mod json;
mod later;
mod logs;
mod mappings;
mod parked;
pub(crate) mod put;
mod reshard;
mod retries;
mod seek;
mod shadow;
mod streams;
mod tail;

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use fnctl_core::error_code::ErrorCode;
use hyper::{
    Method, Request, Response,
    body::{Body as _, Incoming},
    header::{self, HeaderValue},
};

use self::error::ApiError;
pub use self::put::key_at;
use crate::{
    http::{
        Body, body,
        listener::{PeerAddress, Serve},
        path,
    },
    node::HostNode,
};

/// What a resource answers.
type Answer = Result<Response<Body>, ApiError>;

/// Serves the control API.
#[derive(Clone)]
pub(crate) struct Api {
    node: Arc<HostNode>,
}

impl Api {
    /// Over a node.
    pub(crate) const fn new(node: Arc<HostNode>) -> Self {
        Self { node }
    }
}

impl Serve for Api {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        route(&self.node, request)
            .await
            .unwrap_or_else(ApiError::into_response)
    }
}

/// A request whose address was read.
struct Asked {
    method: Method,
    query: Option<String>,
    headers: hyper::HeaderMap,
    /// Who asks.
    peer: Option<SocketAddr>,
    body: Incoming,
}

impl Asked {
    /// Who asks, for logs.
    fn who(&self) -> String {
        let unknown = || "unknown".to_owned();
        self.peer.map_or_else(unknown, |peer| peer.to_string())
    }

    /// The parameters, of which only `known` are allowed.
    fn query(&self, known: &[&str]) -> Result<path::Query, ApiError> {
        Ok(path::Query::parse(self.query.as_deref(), known)?)
    }

    /// A header as text.
    fn header(&self, name: &str) -> Result<Option<&str>, ApiError> {
        let unreadable =
            |_| ApiError::new(ErrorCode::Usage, format!("header `{name}` is not text"));
        self.headers
            .get(name)
            .map(|value| value.to_str().map_err(unreadable))
            .transpose()
    }

    /// The body, whole.
    async fn bytes(self, limit: usize) -> Result<Bytes, ApiError> {
        Ok(body::read_whole(self.body, limit).await?)
    }

    /// Refuses a body where none is read: what it says would be passed over in silence.
    fn no_body(&self) -> Result<(), ApiError> {
        if self.body.is_end_stream() {
            return Ok(());
        }
        let words = format!("{} takes no body here", self.method);
        let fix = "send none: what there is to say goes into the address, as ?name=value";
        Err(ApiError::new(ErrorCode::BodyUnreadable, words).fix(fix))
    }

    /// Refuses a body that is packed: it would be taken for what it is not.
    fn plain(&self) -> Result<(), ApiError> {
        let name = header::CONTENT_ENCODING.as_str();
        let encoding = self.header(name)?.unwrap_or("identity").trim();
        if encoding.eq_ignore_ascii_case("identity") {
            return Ok(());
        }
        let words = format!("a body in {name} `{encoding}` is not unpacked");
        let fix = format!("send it as it is, without the header `{name}`");
        Err(ApiError::new(ErrorCode::BodyUnreadable, words).fix(fix))
    }
}

async fn route(node: &Arc<HostNode>, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let segments = path::segments(parts.uri.path())?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let asked = Asked {
        method: parts.method,
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        peer: parts.extensions.get::<PeerAddress>().map(|peer| peer.0),
        body,
    };
    asked.plain()?;
    let method = asked.method.clone();
    match segments.as_slice() {
        ["healthz"] => health::alive(only(&method, &[Method::GET, Method::HEAD])?),
        ["readyz"] => health::ready(node, only(&method, &[Method::GET, Method::HEAD])?),
        ["metrics"] => health::metrics(node, only(&method, &[Method::GET])?).await,
        ["v1", rest @ ..] => v1(node, rest, asked).await,
        _ => Err(no_route(parts.uri.path())),
    }
    .map_err(|error| {
        if error.is(ErrorCode::NoSuchRoute) {
            no_route(parts.uri.path())
        } else {
            error
        }
    })
}

async fn v1(node: &Arc<HostNode>, segments: &[&str], asked: Asked) -> Answer {
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    const PATCH: Method = Method::PATCH;
    const DELETE: Method = Method::DELETE;
    let method = asked.method.clone();
    if let Some(refusal) = later::refused(segments) {
        return Err(refusal);
    }
    if [GET, DELETE, Method::HEAD].contains(&method) {
        asked.no_body()?;
    }
    match *segments {
        ["health"] => {
            asked.query(&[])?;
            health::ready(node, only(&method, &[GET, Method::HEAD])?)
        }
        ["version"] => {
            asked.query(&[])?;
            health::version(node, only(&method, &[GET])?)
        }
        ["artifacts"] => {
            only(&method, &[PUT])?;
            artifacts::upload(node, asked).await
        }
        ["backup"] => {
            only(&method, &[POST])?;
            backup::backup(node, asked).await
        }
        ["deploy"] => {
            only(&method, &[POST])?;
            deploy::deploy(node, asked).await
        }
        ["functions"] => {
            only(&method, &[GET])?;
            functions::list(node, &asked)
        }
        ["functions", name] => match *only(&method, &[GET, DELETE])? {
            GET => functions::describe(node, name, &asked),
            _ => functions::delete(node, name, &asked).await,
        },
        ["functions", name, "rollback"] => {
            only(&method, &[POST])?;
            functions::rollback(node, name, asked).await
        }
        ["functions", name, "promote"] => {
            only(&method, &[POST])?;
            functions::promote(node, name, asked).await
        }
        ["functions", name, "invoke"] => {
            only(&method, &[POST])?;
            invoke::invoke(node, name, asked).await
        }
        ["functions", name, "logs"] => {
            only(&method, &[GET])?;
            logs::logs(node, name, &asked)
        }
        ["streams"] => match *only(&method, &[GET, POST])? {
            GET => streams::list(node, &asked),
            _ => streams::create(node, asked).await,
        },
        ["streams", name] => match *only(&method, &[GET, PATCH, DELETE])? {
            GET => streams::describe(node, name, &asked).await,
            PATCH => streams::update(node, name, asked).await,
            _ => streams::delete(node, name, &asked).await,
        },
        ["streams", name, action @ ("split" | "merge" | "resize")] => {
            only(&method, &[POST])?;
            reshard::reshard(node, name, action, asked).await
        }
        ["streams", name, "records"] => match *only(&method, &[GET, POST])? {
            GET => tail::tail(node, name, &asked).await,
            _ => put::put(node, name, asked).await,
        },
        ["mappings"] => match *only(&method, &[GET, POST])? {
            GET => mappings::list(node, &asked).await,
            _ => mappings::create(node, asked).await,
        },
        ["mappings", address] => match *only(&method, &[GET, PATCH, DELETE])? {
            GET => mappings::describe(node, address, &asked).await,
            PATCH => mappings::update(node, address, asked).await,
            _ => mappings::delete(node, address, &asked).await,
        },
        ["mappings", address, action @ ("pause" | "resume")] => {
            only(&method, &[POST])?;
            mappings::set_state(node, address, action == "pause", asked).await
        }
        ["mappings", address, "capture"] => {
            only(&method, &[GET])?;
            capture::capture(node, address, &asked).await
        }
        ["mappings", address, "shadow"] => {
            only(&method, &[GET])?;
            shadow::shadow(node, address, &asked).await
        }
        ["mappings", address, "seek"] => {
            only(&method, &[POST])?;
            seek::seek(node, address, asked).await
        }
        ["mappings", address, "parked"] => {
            only(&method, &[GET])?;
            parked::list(node, address, &asked).await
        }
        ["mappings", address, "parked", "release"] => {
            only(&method, &[POST])?;
            parked::release(node, address, asked).await
        }
        ["mappings", address, "parked", "dead-letter"] => {
            only(&method, &[POST])?;
            parked::dead_letter(node, address, asked).await
        }
        ["mappings", address, "retries"] => {
            only(&method, &[GET])?;
            retries::follow(node, address, &asked)
        }
        ["mappings", address, "dead-letters"] => {
            only(&method, &[GET])?;
            dead_letters::list(node, address, &asked).await
        }
        ["mappings", address, "dead-letters", "export"] => {
            only(&method, &[GET])?;
            dead_letters::export(node, address, &asked)
        }
        ["mappings", address, "dead-letters", "purge"] => {
            only(&method, &[POST])?;
            dead_letters::purge(node, address, asked).await
        }
        ["mappings", address, "dead-letters", "redrive"] => {
            only(&method, &[POST])?;
            dead_letters::redrive(node, address, asked).await
        }
        ["mappings", address, "dead-letters", id] => {
            only(&method, &[GET])?;
            dead_letters::show(node, address, id, &asked).await
        }
        _ => Err(no_route("")),
    }
}

fn no_route(path: &str) -> ApiError {
    ApiError::new(
        ErrorCode::NoSuchRoute,
        format!("there is nothing at `{path}`"),
    )
}

/// The method, if it is one of these.
fn only<'a>(method: &'a Method, allowed: &[Method]) -> Result<&'a Method, ApiError> {
    if allowed.contains(method) {
        return Ok(method);
    }
    let allowed: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let words = format!("{method} is not possible here");
    let fix = format!("send it as {}", allowed.join(" or "));
    Err(ApiError::new(ErrorCode::MethodNotAllowed, words).fix(fix))
}

/// One value as JSON.
fn one(value: &impl serde::Serialize) -> Answer {
    let mut text = serde_json::to_vec(value).map_err(ApiError::internal)?;
    text.push(b'\n');
    Ok(with_type(crate::http::whole(text), "application/json"))
}

/// Many values as NDJSON.
fn many<T: serde::Serialize>(values: impl IntoIterator<Item = T>) -> Answer {
    let mut text = Vec::new();
    for value in values {
        serde_json::to_writer(&mut text, &value).map_err(ApiError::internal)?;
        text.push(b'\n');
    }
    Ok(with_type(crate::http::whole(text), NDJSON))
}

/// The type of answers with an object a line.
const NDJSON: &str = "application/x-ndjson";

fn with_type(body: Body, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
