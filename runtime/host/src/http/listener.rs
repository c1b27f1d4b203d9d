//! One listener: HTTP/1.1 and prior-knowledge HTTP/2 on the same port, within the bounds of
//! `limits`.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fnctl_core::error_code::ErrorCode;
use hyper::{
    Method, Request, Response,
    body::{Body as _, Incoming},
    header::{self, HeaderValue},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tracing::{debug, warn};

use crate::{
    api::error::ApiError,
    http::{
        Body,
        origin::{self, Door, Pages},
        whole,
    },
    limits,
    tls::Shown,
};

/// Why a listener cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Anyone on the network could use it.
    #[error("{address} is not a loopback address, and the {what} there keeps nobody out: {}", missing.join(", "))]
    NotLoopback {
        /// Where.
        address: SocketAddr,
        /// `API` or `Kinesis API`.
        what: &'static str,
        /// What it lacks, in words.
        missing: Vec<&'static str>,
    },
    /// A token is asked for, and none was ever made.
    #[error("--require-token, and no token was made yet")]
    NoToken,
    /// Both listeners are given one address.
    #[error("both listeners are given `{address}`")]
    Same {
        /// Where.
        address: SocketAddr,
    },
    /// The system refuses it.
    #[error("failed to listen on {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A bound listener that does not serve yet.
pub(crate) struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    /// Speaks TLS, and nothing else.
    tls: Option<Shown>,
    /// What clients call this machine.
    names: Vec<String>,
}

/// Whose request it is, as an extension of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerAddress(pub(crate) SocketAddr);

/// What answers requests.
pub(crate) trait Serve: Clone + Send + Sync + 'static {
    /// Answers one request; never fails, because an error is an answer too.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;

    /// Whether nobody is asked who they are, now.
    fn is_open(&self) -> bool {
        true
    }

    /// Which web pages it answers.
    fn pages(&self) -> Pages {
        Pages::Own
    }
}

impl Listener {
    /// Binds `address`; whether it may be reached from elsewhere is the caller's to say.
    ///
    /// # Errors
    /// Not to be had.
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let bind = |source| ListenError::Bind { address, source };
        let tcp = TcpListener::bind(address).await.map_err(bind)?;
        let address = tcp.local_addr().map_err(bind)?;
        Ok(Self {
            tcp,
            address,
            tls: None,
            names: origin::names(&[]),
        })
    }

    /// With TLS on every connection, if there is any.
    #[must_use]
    pub(crate) fn secured(mut self, tls: Option<Shown>) -> Self {
        self.tls = tls;
        self
    }

    /// Called so by its clients, too.
    #[must_use]
    pub(crate) fn called(mut self, names: &[String]) -> Self {
        self.names.extend_from_slice(names);
        self
    }

    /// Where it listens, the port resolved.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `drain` turns true; then ends idle connections, lets running requests end, and
    /// returns when the last is gone. Dropping the future cuts what is left.
    pub(crate) async fn serve<S: Serve>(self, service: S, mut drain: watch::Receiver<bool>) {
        let room = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
        let peers = Peers::default();
        let is_loopback = self.address.ip().is_loopback();
        let door = Door::new(is_loopback, self.tls.is_some(), &self.names);
        let mut connections = JoinSet::new();
        loop {
            let stream = tokio::select! {
                biased;
                _ = drain.wait_for(|draining| *draining) => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                accepted = self.tcp.accept() => accepted,
            };
            let (stream, peer) = match stream {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, mostly: accepting again at once would spin.
                    warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(room) = Arc::clone(&room).try_acquire_owned() else {
                debug!(%peer, "too many connections, closing the new one");
                continue;
            };
            let Some(peer) = peers.enter(peer.ip()) else {
                debug!(%peer, "too many connections of one address, closing the new one");
                continue;
            };
            let service = service.clone();
            let drain = drain.clone();
            let tls = self.tls.clone();
            let door = door.clone();
            connections.spawn(async move {
                accepted(stream, tls, service, door, drain).await;
                drop((room, peer));
            });
        }
        drop(self.tcp);
        while connections.join_next().await.is_some() {}
    }
}

/// The first byte of what a TLS client says (RFC 8446, section 5.1: a record of a handshake).
const TLS_HANDSHAKE: u8 = 0x16;

/// Answers plain HTTP where TLS is spoken: that it is, and nothing else.
#[derive(Clone, Copy, Debug)]
struct SpeaksTls;

impl Serve for SpeaksTls {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let host = request.headers().get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok());
        let host = host.filter(|host| host.bytes().all(|b| b.is_ascii_graphic()));
        let mut response = ApiError::new(
            ErrorCode::TlsUnusable,
            "this port speaks TLS, and the request came without",
        )
        .fix(format!("use https://{}", host.unwrap_or("HOST:PORT")))
        .into_response();
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        response
    }

    fn is_open(&self) -> bool {
        false
    }
}

/// Serves a connection as it comes from the system: behind its handshake where there is one.
async fn accepted<S: Serve>(
    stream: TcpStream,
    tls: Option<Shown>,
    service: S,
    door: Door,
    mut drain: watch::Receiver<bool>,
) {
    // Small answers must not wait for an acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "failed to set TCP_NODELAY");
    }
    let peer = stream.peer_addr().ok().map(PeerAddress);
    let Some(tls) = tls else {
        return connection(stream, peer, service, door, drain).await;
    };
    let shaking = async {
        let mut first = [0];
        let read = stream.peek(&mut first).await?;
        if read == 1 && first[0] != TLS_HANDSHAKE {
            return Ok(Err(stream));
        }
        tls.acceptor().accept(stream).await.map(Ok)
    };
    let shaken = tokio::select! {
        biased;
        _ = drain.wait_for(|draining| *draining) => return,
        shaken = timeout(limits::TLS_HANDSHAKE_TIMEOUT, shaking) => shaken,
    };
    match shaken {
        Ok(Ok(Ok(stream))) => connection(stream, peer, service, door, drain).await,
        // Whatever name it was asked by: the answer tells nobody anything.
        Ok(Ok(Err(plain))) => connection(plain, peer, SpeaksTls, Door::default(), drain).await,
        Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
        Err(_) => debug!("a TLS handshake took too long"),
    }
}

/// Serves one connection to its end.
async fn connection<S: Serve, C: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: C,
    peer: Option<PeerAddress>,
    service: S,
    door: Door,
    mut drain: watch::Receiver<bool>,
) {
    let first = Arc::new(Notify::new());
    let on_request = Arc::clone(&first);
    let service = service_fn(move |mut request: Request<Incoming>| {
        on_request.notify_one();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let service = service.clone();
        let admitted = door.admit(&request, service.is_open(), service.pages());
        async move {
            let is_head = request.method() == Method::HEAD;
            let answer = match admitted {
                Ok(()) => service.answer(request).await,
                Err(foreign) => foreign.into_response(),
            };
            Ok::<_, std::convert::Infallible>(match is_head {
                true => head_alone(answer),
                false => answer,
            })
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Hyper counts the pause between two requests in.
        .header_read_timeout(limits::KEEP_ALIVE)
        .max_headers(limits::HEADERS_MAX)
        .max_buf_size(limits::HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::H2_STREAMS_MAX)
        .max_header_list_size(limits::HEADER_BYTES_MAX as u32)
        .max_pending_accept_reset_streams(limits::H2_RESETS_MAX)
        .keep_alive_interval(limits::H2_PING_INTERVAL)
        .keep_alive_timeout(limits::H2_PING_TIMEOUT);
    let served = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    // The first head, and the part before HTTP/1 and HTTP/2 are told apart, which hyper leaves out.
    let silence = tokio::time::sleep(limits::HEADER_READ_TIMEOUT);
    tokio::pin!(silence);
    let mut has_spoken = false;
    let mut is_draining = false;
    loop {
        tokio::select! {
            biased;
            result = served.as_mut() => {
                if let Err(error) = result {
                    debug!(%error, "a connection ended");
                }
                return;
            }
            () = first.notified(), if !has_spoken => has_spoken = true,
            () = &mut silence, if !has_spoken => return,
            _ = drain.wait_for(|draining| *draining), if !is_draining => {
                is_draining = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The answer to HEAD: the headers, and nothing behind them (RFC 9110, section 9.3.2). HTTP/2 sends what it is given.
fn head_alone(mut answer: Response<Body>) -> Response<Body> {
    let length = answer.body().size_hint().exact();
    if let Some(length) = length {
        let headers = answer.headers_mut();
        headers
            .entry(header::CONTENT_LENGTH)
            .or_insert(HeaderValue::from(length));
    }
    answer.map(|_| whole(""))
}

/// Counts connections by remote address.
#[derive(Clone, Debug, Default)]
struct Peers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One counted connection.
#[derive(Debug)]
struct Peer {
    peers: Peers,
    address: IpAddr,
}

impl Peers {
    fn enter(&self, address: IpAddr) -> Option<Peer> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_insert(0);
        if *count >= limits::CONNECTIONS_PER_ADDRESS_MAX && !address.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Peer {
            peers: self.clone(),
            address,
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut counts = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests;
