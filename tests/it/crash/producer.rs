//! A put over one connection that writes while acknowledgements come back, until the server is gone.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use super::ledger::{Ledger, data};

/// Lines sent and not acknowledged at most: enough to be in the middle of something at any moment.
const AHEAD: u64 = 40;
/// Lines of one write.
const TOGETHER: u64 = 5;

pub(super) fn produce(api: &str, key: usize, ledger: &Ledger) {
    // A server that is killed before it is reached has taken nothing.
    if run(api, key, ledger).is_err() {
        ledger.stop();
    }
}

fn run(api: &str, key: usize, ledger: &Ledger) -> std::io::Result<()> {
    let host = api.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host)?;
    let answers = BufReader::new(stream.try_clone()?);
    let first = ledger.next(key) + 1;
    write!(
        stream,
        "POST /v1/streams/in/records?key=k{key} HTTP/1.1\r\nhost: {host}\r\n\
         transfer-encoding: chunked\r\nx-fnctl-first-line: {first}\r\n\r\n"
    )?;
    let mut unacknowledged = 0;
    for line in answers.lines() {
        while unacknowledged < AHEAD {
            let lines: String = (0..TOGETHER)
                .map(|_| data(key, ledger.send(key)) + "\n")
                .collect();
            write!(stream, "{:x}\r\n{lines}\r\n", lines.len())?;
            unacknowledged += TOGETHER;
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
            unacknowledged -= 1;
        } else {
            assert!(!line.starts_with("{\"error\""), "{line}");
        }
    }
    Ok(())
}
