//! Keeps web pages away from listeners: no page of another origin is answered, and, where nobody is asked who they
//! are, no request that names another machine (DNS rebinding).
//!
//! A page cannot hide what its browser tells of it: `Host`, `Origin` and `Sec-Fetch-Site` are names that scripts
//! may not set.

use std::{net::IpAddr, sync::Arc};

use fnctl_core::error_code::ErrorCode;
use hyper::{
    HeaderMap, Method, Request, Uri,
    header::{self, HeaderValue},
};

use crate::api::error::ApiError;

/// Which pages a service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Those of its own origin, though it serves none: a proxy before it may.
    Own,
    /// Those of the names of its listener, whatever their port; any, where each request is signed.
    Known,
}

/// Whom a listener answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Door {
    /// Of loopback: names of other machines are refused whoever asks.
    is_loopback: bool,
    is_tls: bool,
    /// What this machine is called, besides its addresses.
    names: Arc<[String]>,
}

impl Door {
    /// That of a listener, which is called `names` by its clients.
    pub(crate) fn new(is_loopback: bool, is_tls: bool, names: &[String]) -> Self {
        let names = names.iter().map(|name| plain(name)).collect();
        Self {
            is_loopback,
            is_tls,
            names,
        }
    }

    /// Lets a request in, or says why not. `is_open`: nobody is asked who they are.
    ///
    /// # Errors
    /// It names another machine, or a page of another origin made it.
    pub(crate) fn admit<B>(
        &self,
        request: &Request<B>,
        is_open: bool,
        pages: Pages,
    ) -> Result<(), ApiError> {
        let (uri, headers) = (request.uri(), request.headers());
        let host = host(uri, headers)?;
        let is_barred = is_open || self.is_loopback;
        if let Some(host) = host.filter(|host| is_barred && !self.knows(host)) {
            return Err(not_ours(host, is_open));
        }
        let is_refused = match pages {
            Pages::Own => !is_probe(request) && !self.is_of_own_origin(headers, host),
            Pages::Known => is_barred && !self.is_of_known_origin(headers),
        };
        match is_refused {
            true => Err(foreign_page()),
            false => Ok(()),
        }
    }

    /// Whether `host[:port]` is what this machine is called. An address is nobody's to give another meaning; on
    /// loopback that of another machine says that somebody was sent here.
    fn knows(&self, authority: &str) -> bool {
        let (host, _) = split(authority);
        if let Ok(address) = host.parse::<IpAddr>() {
            return !self.is_loopback || address.is_loopback() || self.is_named(host);
        }
        let host = plain(host);
        host == "localhost" || host.ends_with(".localhost") || self.is_named(&host)
    }

    fn is_named(&self, host: &str) -> bool {
        self.names.iter().any(|name| name == host)
    }

    /// Whether no header says that a page of another origin asks.
    fn is_of_own_origin(&self, headers: &HeaderMap, host: Option<&str>) -> bool {
        let is_own = |origin: &HeaderValue| {
            let origin = origin.to_str().ok().and_then(|text| text.split_once("://"));
            let (Some((scheme, authority)), Some(host)) = (origin, host) else {
                // `null`: a page that hides where it is from.
                return false;
            };
            let default = match scheme {
                // A proxy may end TLS before a plain listener; nobody takes it off.
                "https" => 443,
                "http" if !self.is_tls => 80,
                _ => return false,
            };
            let of = |authority: &str| {
                let (host, port) = split(authority);
                let port = port.map_or(Some(default), |port| port.parse().ok());
                port.map(|port: u16| (plain(host), port))
            };
            of(authority).is_some_and(|own| of(host) == Some(own))
        };
        let is_own_site = |site: &HeaderValue| *site == "same-origin" || *site == "none";
        headers.get_all(header::ORIGIN).iter().all(is_own)
            && headers.get_all("sec-fetch-site").iter().all(is_own_site)
    }

    /// Whether a page that asks is of this machine.
    fn is_of_known_origin(&self, headers: &HeaderMap) -> bool {
        let is_known = |origin: &HeaderValue| {
            let origin = origin.to_str().ok().and_then(|text| text.split_once("://"));
            origin.is_some_and(|(_, authority)| self.knows(authority))
        };
        headers.get_all(header::ORIGIN).iter().all(is_known)
    }
}

/// What clients call this machine: what was said, and what the system says.
pub(crate) fn names(said: &[String]) -> Vec<String> {
    let mut names = said.to_vec();
    let system = rustix::system::uname();
    if let Ok(name) = system.nodename().to_str() {
        names.push(name.to_owned());
    }
    names
}

/// `host[:port]` that a request is for; none in HTTP/1.0.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Option<&'a str>, ApiError> {
    if let Some(authority) = uri.authority() {
        return Ok(Some(authority.as_str()));
    }
    let host = headers.get(header::HOST);
    let host = host.map(|host| host.to_str()).transpose();
    host.map_err(|_| not_ours("what is no text", false))
}

/// Host and port of an authority; an address of IPv6 without its brackets.
fn split(authority: &str) -> (&str, Option<&str>) {
    // Who a browser says it is there is nobody's host.
    let authority = authority.rsplit_once('@').map_or(authority, |(_, at)| at);
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, rest.strip_prefix(':'));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    }
}

/// A name as it is compared.
fn plain(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// What tells nothing but numbers, changes nothing, and is asked by whatever watches.
fn is_probe<B>(request: &Request<B>) -> bool {
    let is_reading = [Method::GET, Method::HEAD].contains(request.method());
    is_reading && ["/healthz", "/readyz", "/metrics"].contains(&request.uri().path())
}

fn not_ours(host: &str, is_open: bool) -> ApiError {
    let words = format!("the request was made to `{host}`, which is no name of this server");
    let why = match is_open {
        true => {
            "nobody is asked here who they are, and a web page can give this address a name of its own"
        }
        false => {
            "a web page can give an address of this machine's own a name, and one that comes through a proxy is \
                  to be told to the server"
        }
    };
    ApiError::new(ErrorCode::OriginRefused, words)
        .because(why)
        .fix("use the address, such as http://127.0.0.1:PORT; or start the server with --host-name NAME")
}

fn foreign_page() -> ApiError {
    let words = "a web page of another origin made the request";
    ApiError::new(ErrorCode::OriginRefused, words)
        .because("its `Origin` or `Sec-Fetch-Site` says so; pages from elsewhere may change nothing here, and start nothing")
        .fix("use a client that is no browser")
}

#[cfg(test)]
mod tests;
