//! Where dead letters are copied to, besides being kept: a relay reads the mapping's dead-letter stream
//! and brings each letter there at least once, with its id (Lambda's on-failure destinations).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use crate::{
    id::{NameError, Ordinal, StreamName},
    limits,
};

/// A destination. What is no name of a stream is checked as far as that goes without trying it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A stream of this node: a record a letter, under the record's key.
    Stream(StreamName),
    /// A URL that takes a POST a letter: `http://…` or `https://…`, without credentials.
    Http(Arc<str>),
    /// A file of this machine, a line a letter: an absolute path that ends in `.ndjson`, `.jsonl` or
    /// `.json`.
    File(Arc<str>),
}

/// A mapping's relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Where letters go.
    pub to: Destination,
    /// The last letter that was there when the destination was named: those after it are brought.
    pub after: Ordinal,
}

/// Why a text is no destination, in words that follow it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// It has none of the forms.
    #[error("is not a destination: `dlq`, `stream:NAME`, `https://HOST/…` or `file:PATH`")]
    Unknown,
    /// The stream's name is none.
    #[error("names no stream: {0}")]
    Stream(#[from] NameError),
    /// The stream is the audit.
    #[error("is the server's own stream: nobody else writes to it")]
    Audit,
    /// The URL has no host.
    #[error("has no host")]
    NoHost,
    /// The URL holds a user or a password, which everybody who reads the settings would see.
    #[error("holds credentials, which everybody who reads the settings would see")]
    Credentials,
    /// The URL holds what no URL may: blanks, control characters, letters beyond ASCII, a fragment.
    #[error(
        "is not a URL: blanks, control characters, `#` and letters beyond ASCII must be escaped"
    )]
    BadUrl,
    /// The URL's host is an address that nothing is sent to.
    #[error("is link-local, multicast or nobody's address: nothing is sent there")]
    NobodysAddress,
    /// The URL's port is none.
    #[error("has a port that is none: 1 to 65535")]
    BadPort,
    /// The path is relative or leaves its folder.
    #[error("is not an absolute path without `..`: the server's folder is not the caller's")]
    BadPath,
    /// The file has another ending. Lines of letters hold what producers put: they must never become a
    /// file that something runs or trusts.
    #[error("does not end in `.ndjson`, `.jsonl` or `.json`: nothing else is written")]
    BadEnding,
    /// It is too long.
    #[error("is longer than {} bytes", limits::DESTINATION_BYTES_MAX)]
    TooLong,
}

impl Destination {
    /// Reads `stream:NAME`, `http://…`, `https://…` or `file:PATH`.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        if text.len() > limits::DESTINATION_BYTES_MAX {
            return Err(DestinationError::TooLong);
        }
        if let Some(name) = text.strip_prefix("stream:") {
            return Ok(Self::Stream(StreamName::parse(name)?));
        }
        if let Some(path) = text.strip_prefix("file:") {
            return file(path);
        }
        match text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
        {
            Some(rest) => url(text, rest),
            None => Err(DestinationError::Unknown),
        }
    }

    /// Checks what is asked of a destination that is newly named, and was not of earlier ones: that its
    /// address, if it is written out, is one that letters are sent to, its port one, and its stream not the audit.
    /// Whether a file is the server's own its host says.
    ///
    /// # Errors
    /// It is not ([`may_be_sent_to`]).
    pub fn check_new(&self) -> Result<(), DestinationError> {
        let url = match self {
            Self::Http(url) => url,
            Self::Stream(name) if name.is_audit() => return Err(DestinationError::Audit),
            Self::Stream(_) | Self::File(_) => return Ok(()),
        };
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (host, port) = match authority.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((v6, port))) if v6.parse::<Ipv6Addr>().is_ok() => (v6, port),
            Some(_) => return Err(DestinationError::BadUrl),
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let is_port = |port: &str| {
            let is_digits = port.bytes().all(|byte| byte.is_ascii_digit());
            is_digits && port.parse().is_ok_and(|port: u16| port > 0)
        };
        match port.strip_prefix(':') {
            Some(port) if is_port(port) => {}
            Some(_) => return Err(DestinationError::BadPort),
            None if port.is_empty() => {}
            None => return Err(DestinationError::BadUrl),
        }
        match host.parse().ok().is_none_or(may_be_sent_to) {
            true => Ok(()),
            false => Err(DestinationError::NobodysAddress),
        }
    }

    /// The stream, if it is one.
    #[must_use]
    pub const fn stream(&self) -> Option<&StreamName> {
        match self {
            Self::Stream(name) => Some(name),
            Self::Http(_) | Self::File(_) => None,
        }
    }
}

/// Whether letters are sent to an address. Not to one that stands for this machine's hypervisor or for
/// nobody: credentials are handed out there to whoever asks.
#[must_use]
pub const fn may_be_sent_to(address: IpAddr) -> bool {
    let v6 = match address {
        IpAddr::V4(v4) => return !is_nobodys(v4),
        IpAddr::V6(v6) => v6,
    };
    match v6.to_ipv4_mapped() {
        Some(v4) => !is_nobodys(v4),
        None => !(v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast()),
    }
}

const fn is_nobodys(v4: Ipv4Addr) -> bool {
    v4.is_link_local() || v4.is_unspecified() || v4.is_multicast()
}

fn url(text: &str, rest: &str) -> Result<Destination, DestinationError> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('#') {
        return Err(DestinationError::BadUrl);
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(DestinationError::Credentials);
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Err(DestinationError::NoHost);
    }
    Ok(Destination::Http(text.into()))
}

fn file(path: &str) -> Result<Destination, DestinationError> {
    let is_plain = !path.split('/').any(|part| part == "..") && !path.contains('\0');
    if !path.starts_with('/') || !is_plain {
        return Err(DestinationError::BadPath);
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_named = |ending: &str| name.len() > ending.len() && name.ends_with(ending);
    if ![".ndjson", ".jsonl", ".json"].into_iter().any(is_named) {
        return Err(DestinationError::BadEnding);
    }
    Ok(Destination::File(path.into()))
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(name) => write!(f, "stream:{name}"),
            Self::Http(url) => f.write_str(url),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_hand_out_credentials_are_refused_however_they_are_written() {
        for bad in [
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "[fe80::1]",
            "[::]",
            "[::ffff:169.254.169.254]",
        ] {
            for url in [format!("http://{bad}/x"), format!("https://{bad}:80?x")] {
                let named = Destination::parse(&url).unwrap();
                assert_eq!(named.check_new(), Err(DestinationError::NobodysAddress));
            }
        }
        for (bad, why) in [
            ("https://[::1]:99999/", DestinationError::BadPort),
            ("https://h:65536/x", DestinationError::BadPort),
            ("http://h:0", DestinationError::BadPort),
            ("http://h:", DestinationError::BadPort),
            ("http://h:+80/", DestinationError::BadPort),
            ("http://h:a?b", DestinationError::BadPort),
            ("http://[::1/", DestinationError::BadUrl),
            ("http://[h]/", DestinationError::BadUrl),
            ("http://[::1]80/", DestinationError::BadUrl),
        ] {
            let named = Destination::parse(bad).unwrap();
            assert_eq!(named.check_new(), Err(why), "{bad}");
        }
        let audit = Destination::parse("stream:fnctl.audit").unwrap();
        assert_eq!(audit.check_new(), Err(DestinationError::Audit));
        for good in [
            "http://127.0.0.1:8080/x",
            "http://10.0.0.7/",
            "https://[2001:db8::1]:443/",
            "http://[::1]",
            "https://hooks.example.org/x",
            "stream:failures",
        ] {
            assert_eq!(
                Destination::parse(good).unwrap().check_new(),
                Ok(()),
                "{good}"
            );
        }
    }

    #[test]
    fn a_destination_is_a_stream_a_url_or_a_file_of_lines() {
        for text in [
            "stream:failures",
            "http://127.0.0.1:8080",
            "https://example.org/hooks/1?team=a",
            "file:/var/lib/letters.ndjson",
            "file:/tmp/x.jsonl",
            "file:/tmp/x.json",
        ] {
            let read = Destination::parse(text).unwrap();
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn what_is_none_is_refused_with_its_reason() {
        use DestinationError::{BadEnding, BadPath, BadUrl, Credentials, NoHost, TooLong, Unknown};
        let long = format!("https://h/{}", "a".repeat(limits::DESTINATION_BYTES_MAX));
        for (text, why) in [
            ("", Unknown),
            ("ftp://h", Unknown),
            ("HTTPS://h", Unknown),
            ("failures", Unknown),
            ("https://", NoHost),
            ("https:///path", NoHost),
            ("http://:80/", NoHost),
            ("https://user:word@h/", Credentials),
            ("https://h/a b", BadUrl),
            ("https://h/#top", BadUrl),
            ("https://h/ü", BadUrl),
            ("file:letters.ndjson", BadPath),
            ("file:/a/../b.ndjson", BadPath),
            ("file:/root/.ssh/authorized_keys", BadEnding),
            ("file:/tmp/.json", BadEnding),
            (&long, TooLong),
        ] {
            assert_eq!(Destination::parse(text), Err(why), "{text}");
        }
        assert!(matches!(
            Destination::parse("stream:no spaces"),
            Err(DestinationError::Stream(_))
        ));
    }
}
