//! The control API: one file per resource, one error object, unknown fields and parameters refused.

mod answer;
mod artifacts;
mod backup;
mod capture;
pub(crate) mod dead_letters;
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
mod tokens;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use fnctl_core::{access::Scope, error_code::ErrorCode};
use http_body_util::BodyExt;
use hyper::{
    Method, Request, Response,
    body::{Body as _, Incoming},
    header,
};

pub use self::put::key_at;
use self::{
    answer::{NDJSON, many, many_and, one, with_type},
    error::ApiError,
};
use crate::{
    access::{Access, Caller, Lasting},
    audit::{self, Act, Audit, Noting},
    http::{
        Body, body,
        listener::{PeerAddress, Serve},
        path,
    },
    limits,
    node::HostNode,
};

/// What a resource answers.
type Answer = Result<Response<Body>, ApiError>;

/// Serves the control API.
#[derive(Clone)]
pub(crate) struct Api {
    node: Arc<HostNode>,
    access: Arc<Access>,
    audit: Audit,
    /// Whether its listener asks for a token, where there are any.
    is_token_demanded: bool,
}

impl Api {
    /// Over a node, for whom `access` lets in.
    pub(crate) const fn new(
        node: Arc<HostNode>,
        access: Arc<Access>,
        audit: Audit,
        is_token_demanded: bool,
    ) -> Self {
        Self {
            node,
            access,
            audit,
            is_token_demanded,
        }
    }

    /// Answers who may ask.
    async fn admitted(&self, request: Request<Incoming>) -> Answer {
        let (parts, mut body) = request.into_parts();
        let segments = path::segments(parts.uri.path())?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let peer = parts.extensions.get::<PeerAddress>().map(|peer| peer.0);
        let is_reading = [Method::GET, Method::HEAD].contains(&parts.method);
        let needed = Scope::needed(is_reading, &segments);
        let caller = self.access.admit(
            self.is_token_demanded,
            needed,
            &parts.headers,
            peer.map(|peer| peer.ip()),
        );
        let caller = match caller {
            Ok(caller) => caller,
            Err(refused) => {
                let error = refused.error;
                self.node.metrics().access_refused(&error);
                if let Some(holder) = refused.holder {
                    let what = format!("{} {}", parts.method, parts.uri.path());
                    let act = Act::new(holder, peer, "api", &what);
                    let (code, status) = error.outcome();
                    self.audit.refused(act, status.as_u16(), Some(code)).await;
                }
                // Who is still sending reads the answer only when that is done.
                body::let_out(&mut body).await;
                return Err(error);
            }
        };
        let asked = Asked {
            method: parts.method,
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            peer,
            access: Arc::clone(&self.access),
            names: Arc::default(),
            body,
        };
        let path = parts.uri.path();
        let answer = if needed == Some(Scope::Admin) && !is_reading {
            let what = format!("{} {path}", asked.method);
            let act = Act::new(caller.who(peer), peer, "api", &what);
            let noting = self.audit.begin(act, self.is_audited());
            self.changing(path, &segments, asked, noting).await?
        } else {
            route(&self.node, path, &segments, asked).await?
        };
        match caller {
            // One that is not whole may last.
            Caller::Token { name, digest } if answer.body().size_hint().exact().is_none() => {
                let gone = Box::pin(Arc::clone(&self.access).gone(name, digest));
                let kind = answer.headers().get(header::CONTENT_TYPE);
                let has_lines = kind.is_some_and(|kind| kind == NDJSON);
                Ok(answer.map(|body| Lasting::new(body, has_lines, gone).boxed_unsync()))
            }
            Caller::Token { .. } | Caller::Unnamed => Ok(answer),
        }
    }

    /// Answers what changes something, and notes who did it and how it ended. The change that makes the
    /// first token is noted, too.
    async fn changing(
        &self,
        path: &str,
        segments: &[&str],
        asked: Asked,
        noting: Noting,
    ) -> Answer {
        let was_on = self.is_audited();
        let names = Arc::clone(&asked.names);
        let answer = route(&self.node, path, segments, asked).await;
        let (error, status) = match &answer {
            Ok(answer) => (None, answer.status()),
            Err(error) => {
                let (code, status) = error.outcome();
                (Some(code), status)
            }
        };
        let on = names.get().map(String::as_str);
        noting.logged(on, status.as_u16(), error.as_deref());
        if !was_on && !self.is_audited() {
            noting.dropped();
            return answer;
        }
        noting.ended(on, status.as_u16(), error).await;
        answer
    }

    /// Where nobody is asked who they are there is nobody to tell of.
    fn is_audited(&self) -> bool {
        self.is_token_demanded || self.access.is_guarded()
    }

    /// Of a server that serves reads alone it is no use to wait for its next start.
    fn told(&self, error: ApiError) -> ApiError {
        match self.node.store().read_only() {
            Some(why) if error.is(ErrorCode::Stopping) => {
                ApiError::reads_alone(why, &self.node.place().data_dir)
            }
            _ => error,
        }
    }
}

impl Serve for Api {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        self.admitted(request)
            .await
            .unwrap_or_else(|error| self.told(error).into_response())
    }

    fn is_open(&self) -> bool {
        !(self.is_token_demanded && self.access.is_guarded())
    }
}

/// A request whose address was read.
struct Asked {
    method: Method,
    query: Option<String>,
    headers: hyper::HeaderMap,
    /// Who asks.
    peer: Option<SocketAddr>,
    /// Who lets in, for those who change that.
    access: Arc<Access>,
    /// The names in the body, once it was read, for the audit.
    names: Arc<OnceLock<String>>,
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
        let body = body::read_whole(self.body, limit).await?;
        if body.len() <= limits::JSON_BODY_BYTES_MAX
            && let Some(names) = audit::names(&body)
        {
            // Set once: a body is read once.
            let _set = self.names.set(names);
        }
        Ok(body)
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

async fn route(node: &Arc<HostNode>, path: &str, segments: &[&str], asked: Asked) -> Answer {
    asked.plain()?;
    let method = asked.method.clone();
    match segments {
        ["healthz"] => health::alive(only(&method, &[Method::GET, Method::HEAD])?),
        ["readyz"] => health::ready(node, only(&method, &[Method::GET, Method::HEAD])?),
        ["metrics"] => health::metrics(node, only(&method, &[Method::GET])?).await,
        ["v1", rest @ ..] => v1(node, rest, asked).await,
        _ => Err(no_route(path)),
    }
    .map_err(|error| {
        if error.is(ErrorCode::NoSuchRoute) {
            no_route(path)
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
    if let ["streams", audit::STREAM, ..] = *segments
        && ![GET, Method::HEAD].contains(&method)
    {
        return Err(audit::refused());
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
        ["mappings", address, "dead-letters", "codes"] => {
            only(&method, &[GET])?;
            dead_letters::codes(node, address, &asked).await
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
        ["mappings", address, "dead-letters", "redrives"] => {
            only(&method, &[GET])?;
            dead_letters::under_way(node, address, &asked)
        }
        ["mappings", address, "dead-letters", "redrives", "cancel"] => {
            only(&method, &[POST])?;
            dead_letters::cancel(node, address, asked).await
        }
        ["mappings", address, "dead-letters", id] => {
            only(&method, &[GET])?;
            dead_letters::show(node, address, id, &asked).await
        }
        ["tokens"] => match *only(&method, &[GET, POST])? {
            GET => tokens::list(&asked),
            _ => tokens::create(asked).await,
        },
        ["tokens", name] => {
            only(&method, &[DELETE])?;
            tokens::revoke(name, &asked).await
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
