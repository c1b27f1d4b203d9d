//! A URL: a POST a letter, one after the other.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use fnctl_core::destination::may_be_sent_to;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connect, HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};
use tokio::time::timeout;
use tower_service::Service;

use super::{Delivered, Refused, RelayedLetter};
use crate::limits;

type Sender<C> = Client<C, Full<Bytes>>;
type Tcp = HttpConnector<Resolver>;

/// Brings letters to URLs; connections are kept between letters, and the certificates of this machine are
/// read once they are there.
#[derive(Debug)]
pub(super) struct HttpRelay {
    /// What names this server's data directory, and tells nothing else.
    server: Arc<str>,
    plain: OnceLock<Sender<Tcp>>,
    secured: OnceLock<Sender<HttpsConnector<Tcp>>>,
}

impl HttpRelay {
    /// For the letters of a data directory that is named so.
    pub(super) const fn new(server: Arc<str>) -> Self {
        Self {
            server,
            plain: OnceLock::new(),
            secured: OnceLock::new(),
        }
    }

    /// Posts letters to a URL: any answer but 2xx, and none in time, is a refusal.
    pub(super) async fn deliver(&self, url: &str, letters: &[RelayedLetter]) -> Delivered {
        for (index, letter) in letters.iter().enumerate() {
            if let Err(why) = self.post(url, letter).await {
                return (index, Some(Refused(format!("{url}: {why}"))));
            }
        }
        (letters.len(), None)
    }

    async fn post(&self, url: &str, letter: &RelayedLetter) -> Result<(), String> {
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("it is no URL: {error}"))?;
        if let Some(address) = literal(&uri) {
            allowed(address).map_err(|error| error.to_string())?;
        }
        let request = Request::post(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header(
                header::USER_AGENT,
                concat!("fnctl/", env!("CARGO_PKG_VERSION")),
            )
            // Two servers number their mappings alike, and may bring letters to one receiver.
            .header("idempotency-key", format!("{}/{}", self.server, letter.id))
            .header("fnctl-dead-letter", &letter.id)
            .body(Full::new(letter.json.clone()))
            .map_err(|error| error.to_string())?;
        let sent = match request.uri().scheme_str() {
            Some("https") => self.secured()?.request(request),
            _ => self.plain.get_or_init(|| client(tcp())).request(request),
        };
        let asked = async {
            let answer = sent.await.map_err(|error| causes(&error))?;
            let status = answer.status();
            // Read to its end, so that the connection serves the next letter.
            let body = Limited::new(answer.into_body(), limits::RELAY_ANSWER_BYTES_MAX);
            drop(body.collect().await);
            if status.is_success() {
                Ok(())
            } else {
                Err(format!("it answers {status}"))
            }
        };
        timeout(limits::RELAY_TIMEOUT, asked)
            .await
            .unwrap_or_else(|_| {
                Err(format!(
                    "no answer within {} s",
                    limits::RELAY_TIMEOUT.as_secs()
                ))
            })
    }
}

impl HttpRelay {
    /// The client of URLs that are secured. A machine without certificates may get some: it is asked again.
    fn secured(&self) -> Result<&Sender<HttpsConnector<Tcp>>, String> {
        if let Some(known) = self.secured.get() {
            return Ok(known);
        }
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| format!("this machine's certificates cannot be read: {error}"))?
            .https_only()
            .enable_http1()
            .wrap_connector(tcp());
        Ok(self.secured.get_or_init(|| client(connector)))
    }
}

fn tcp() -> Tcp {
    let mut tcp = HttpConnector::new_with_resolver(Resolver);
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(limits::RELAY_TIMEOUT));
    tcp
}

fn client<C: Connect + Clone>(connector: C) -> Sender<C> {
    Client::builder(TokioExecutor::new()).build(connector)
}

/// An error with what is behind it: hyper's own words say little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        words += ": ";
        words += &cause.to_string();
        next = cause.source();
    }
    words
}

fn literal(uri: &Uri) -> Option<IpAddr> {
    let host = uri.host()?;
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

/// Refuses addresses that nothing is sent to.
fn allowed(address: IpAddr) -> io::Result<()> {
    if may_be_sent_to(address) {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{address} is link-local, multicast or nobody's: nothing is sent there"
    )))
}

/// Resolves names, and keeps to addresses that are [`allowed`]: what was checked is what is connected to.
#[derive(Clone, Copy, Debug)]
struct Resolver;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            for address in &found {
                allowed(address.ip())?;
            }
            Ok(found.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_written_out_is_known() {
        let bracketed = Uri::from_static("http://[fe80::1]:80/x");
        assert_eq!(literal(&bracketed), Some("fe80::1".parse().unwrap()));
        assert_eq!(literal(&Uri::from_static("http://example.org/")), None);
        assert!(allowed("fe80::1".parse().unwrap()).is_err());
    }
}
