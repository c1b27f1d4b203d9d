//! Addresses of the API, percent-encoded.

use crate::error::CliError;

/// The server's address without its last slash. `host:port` means http; a host alone is taken for a slip.
///
/// # Errors
/// It is no such address.
pub(super) fn server(text: &str) -> Result<String, CliError> {
    let (scheme, rest, needs_port) = match text.split_once("://") {
        None => ("http", text, true),
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest, false),
        Some(_) => return Err(wrong(text)),
    };
    let rest = rest.trim_end_matches('/');
    let is_address = !rest.is_empty()
        && rest
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    // The colons of an IPv6 address lie in brackets.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let is_host = !host.is_empty() && (host.starts_with('[') || !host.contains(':'));
    let is_port = port.map_or(!needs_port, |port| {
        port.parse().is_ok_and(|port: u16| port > 0)
    });
    if is_address && is_host && is_port {
        Ok(format!("{scheme}://{rest}"))
    } else {
        Err(wrong(text))
    }
}

fn wrong(text: &str) -> CliError {
    CliError::usage(format!("`{text}` is not the address of a server"))
        .at("--server, or FNCTL_SERVER")
        .because("it is written http://HOST:PORT or https://HOST:PORT, without a path")
        .fix(format!("--server {}", crate::limits::SERVER_DEFAULT))
}

/// `/v1/streams/a%2Fb?from=latest`.
pub(super) fn path(segments: &[&str], query: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for segment in segments {
        text.push('/');
        encode(segment, &mut text);
    }
    for (index, (name, value)) in query.iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        encode(name, &mut text);
        text.push('=');
        encode(value, &mut text);
    }
    text
}

fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            to.push(char::from(byte));
        } else {
            to.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plain_is_percent_encoded() {
        assert_eq!(
            path(
                &["v1", "mappings", "enrich/signups"],
                &[("from", "2026-03-01T12:00:00+01:00"), ("k", "é &")]
            ),
            "/v1/mappings/enrich%2Fsignups?from=2026-03-01T12%3A00%3A00%2B01%3A00&k=%C3%A9%20%26"
        );
    }

    #[test]
    fn servers_are_addresses_of_http_or_https() {
        for (text, address) in [
            ("http://127.0.0.1:4700", "http://127.0.0.1:4700"),
            ("http://127.0.0.1:4700/", "http://127.0.0.1:4700"),
            ("localhost:4700", "http://localhost:4700"),
            ("http://[::1]:4700", "http://[::1]:4700"),
            ("http://[::1]", "http://[::1]"),
            ("http://fnctl", "http://fnctl"),
            ("https://fnctl:4700/", "https://fnctl:4700"),
        ] {
            assert_eq!(server(text).unwrap(), address);
        }
        for text in [
            "",
            "http://",
            "ftp://x",
            "https://",
            "http://a b",
            "http://x/v1",
            "http://u@x",
            "nonsense",
            "::1",
            ":4700",
            "http://:4700",
            "http://x:",
            "http://x:0",
            "http://x:99999",
            "http://x:y",
            "localhost:4700:4701",
        ] {
            assert!(server(text).is_err(), "{text}");
        }
    }
}
