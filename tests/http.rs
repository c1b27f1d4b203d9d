//! Just enough HTTP/1.1 to be a rude client: one request a connection, bytes sent as they are given.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::Failure;

/// An HTTP answer, read to the end of its connection.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header lines, as sent.
    pub head: String,
    /// The body; chunks joined.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header; its name in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut its = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        its.next().map(|(_, value)| value.trim())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// `GET base + path`, where `base` is `http://host:port`.
///
/// # Errors
/// No connection, or no HTTP in the answer.
pub fn get(base: &str, path: &str) -> Result<Answer, Failure> {
    request(base, "GET", path, &[], b"")
}

/// A request with a body; `headers` are added to `host`, `content-length` and `connection: close`.
///
/// # Errors
/// No connection, or no HTTP in the answer.
pub fn request(
    base: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, Failure> {
    let host = base.trim_start_matches("http://");
    let failed = |e: std::io::Error| Failure::new(format!("{method} {base}{path}: {e}"));
    let mut stream = TcpStream::connect(host).map_err(failed)?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).map_err(failed)?;
    // A server that refuses a body early may close before all of it is sent: its answer still counts.
    let _sent = stream.write_all(body);
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    if bytes.is_empty() {
        read.map_err(failed)?;
    }
    parse(&bytes).ok_or_else(|| Failure::new(format!("{method} {base}{path}: no HTTP answer")))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let rest = &bytes[end + 4..];
    let is_chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if is_chunked {
        join_chunks(rest)
    } else {
        rest.to_vec()
    };
    Some(Answer { status, head, body })
}

fn join_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end])
            .ok()
            .and_then(|t| usize::from_str_radix(t, 16).ok());
        let Some(size) = size.filter(|&size| size > 0 && rest.len() >= end + 2 + size) else {
            break;
        };
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    body
}
