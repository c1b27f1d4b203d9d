//! A put over one connection that writes while acknowledgements come back, until the server is gone.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use crate::ledger::{Ledger, data};

/// Lines sent and not acknowledged at most: enough to be in the middle of something at any moment.
const AHEAD: u64 = 40;
/// Lines of one write.
const TOGETHER: u64 = 5;

/// Puts records of a key into the stream `in`, at most `records` of them, and notes in the ledger what
/// was acknowledged. Returns when the connection ends, with the error that the server answered, if it
/// did; the ledger's run ends then, unless everything was acknowledged.
pub fn produce(api: &str, key: usize, ledger: &Ledger, records: u64) -> Option<String> {
    let (mut left, mut error) = (records, None);
    // A server that is killed before it is reached has taken nothing.
    let ended = run(api, key, ledger, &mut left, &mut error);
    if ended.is_err() || error.is_some() || left > 0 {
        ledger.stop();
    }
    error
}

fn run(
    api: &str,
    key: usize,
    ledger: &Ledger,
    left: &mut u64,
    error: &mut Option<String>,
) -> std::io::Result<()> {
    let host = api.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host)?;
    let answers = BufReader::new(stream.try_clone()?);
    let first = ledger.next(key) + 1;
    write!(
        stream,
        "POST /v1/streams/in/records?key=k{key} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\nx-fnctl-first-line: {first}\r\n\r\n"
    )?;
    let (mut unsent, mut unacknowledged, mut is_ended) = (*left, 0, false);
    for line in answers.lines() {
        while unacknowledged < AHEAD && unsent > 0 {
            let count = TOGETHER.min(unsent);
            let lines: String = (0..count)
                .map(|_| data(key, ledger.send(key)) + "\n")
                .collect();
            write!(stream, "{:x}\r\n{lines}\r\n", lines.len())?;
            (unsent, unacknowledged) = (unsent - count, unacknowledged + count);
        }
        if unsent == 0 && !is_ended {
            write!(stream, "0\r\n\r\n")?;
            is_ended = true;
        }
        // Heads, chunk sizes and acknowledgements come as lines; only the last are JSON. The very last
        // one may be torn by the end of the server: then it was not heard.
        let line = line?;
        if let Some(number) = line
            .strip_prefix("{\"line\":")
            .filter(|_| line.ends_with('}'))
        {
            let digits = number.split(',').next().unwrap_or_default();
            let number: u64 = digits.parse().expect("a line number");
            ledger.acknowledge(key, number - 1);
            (unacknowledged, *left) = (unacknowledged - 1, *left - 1);
        } else if line.starts_with("{\"error\"") {
            *error = Some(line);
            return Ok(());
        }
    }
    Ok(())
}
