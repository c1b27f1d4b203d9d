//! Keeps web pages away from a server without tokens: a loopback listener answers only requests
//! addressed to loopback, and none that a page of another origin makes (DNS rebinding, cross-site
//! posts).

use std::net::IpAddr;

use hyper::{HeaderMap, Uri, header};

/// Whether a loopback listener answers a request with this address and these headers.
pub(crate) fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    let host = match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => match headers.get(header::HOST) {
            Some(value) => match value.to_str() {
                Ok(host) => Some(host),
                Err(_) => return false,
            },
            None => None,
        },
    };
    if !host.is_none_or(names_loopback) {
        return false;
    }
    match headers.get(header::ORIGIN).map(|origin| origin.to_str()) {
        None => true,
        Some(Ok(origin)) => origin
            .split_once("://")
            .is_some_and(|(_, authority)| names_loopback(authority)),
        Some(Err(_)) => false,
    }
}

/// Whether `host[:port]` can only mean this machine.
fn names_loopback(authority: &str) -> bool {
    let host = if let Some(rest) = authority.strip_prefix('[') {
        rest.split_once(']').map_or(rest, |(host, _)| host)
    } else {
        authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host)
    };
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.is_loopback();
    }
    let host = host.to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn answers(host: Option<&str>, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(header::HOST, HeaderValue::from_str(host).expect("a header"));
        }
        if let Some(origin) = origin {
            headers.insert(
                header::ORIGIN,
                HeaderValue::from_str(origin).expect("a header"),
            );
        }
        is_local(&Uri::from_static("/v1/streams"), &headers)
    }

    #[test]
    fn only_loopback_names_and_origins_are_answered() {
        for host in [
            "127.0.0.1:4700",
            "localhost",
            "LOCALHOST:1",
            "[::1]:4700",
            "a.localhost:1",
        ] {
            assert!(answers(Some(host), None), "{host}");
        }
        for host in [
            "evil.example",
            "192.168.1.1:4700",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
        ] {
            assert!(!answers(Some(host), None), "{host}");
        }
        assert!(answers(None, None), "HTTP/1.0 needs no Host");
        assert!(answers(
            Some("localhost:4700"),
            Some("http://localhost:4700")
        ));
        assert!(!answers(
            Some("localhost:4700"),
            Some("https://evil.example")
        ));
        assert!(!answers(Some("localhost:4700"), Some("null")));
    }

    #[test]
    fn the_authority_of_http_2_counts_as_the_host() {
        let headers = HeaderMap::new();
        assert!(is_local(
            &Uri::from_static("http://127.0.0.1:4700/x"),
            &headers
        ));
        assert!(!is_local(
            &Uri::from_static("http://evil.example/x"),
            &headers
        ));
    }
}
