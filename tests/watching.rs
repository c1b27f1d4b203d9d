//! What readers at the tail of a stream have seen: none of it may ever be taken back.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    sync::Mutex,
};

use serde_json::Value;

use crate::text;

/// Shard and sequence number of a record, and its data.
type Records = BTreeMap<(String, String), String>;

/// What was seen of one stream, over all lives of its server.
#[derive(Debug)]
pub struct Seen {
    stream: String,
    records: Mutex<Records>,
}

impl Seen {
    /// Nothing yet.
    #[must_use]
    pub fn new(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            records: Mutex::default(),
        }
    }

    /// Reads the stream from its beginning and on and on, until the connection ends.
    ///
    /// # Panics
    /// A record is another one than was seen there before.
    pub fn watch(&self, api: &str) {
        // A server that is gone shows nothing more; a torn last line was not seen.
        let _ended = self.run(api);
    }

    fn run(&self, api: &str) -> std::io::Result<()> {
        let host = api.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host)?;
        let path = format!("/v1/streams/{}/records", self.stream);
        write!(
            stream,
            "GET {path}?from=trim-horizon&follow=true HTTP/1.1\r\nhost: {host}\r\n\r\n"
        )?;
        for line in BufReader::new(stream).lines() {
            let line = line?;
            if line.starts_with('{')
                && let Ok(record) = serde_json::from_str::<Value>(&line)
            {
                self.note(&record);
            }
        }
        Ok(())
    }

    fn note(&self, record: &Value) {
        let at = (text(record, "shard_id"), text(record, "sequence_number"));
        let data = text(record, "data");
        let mut records = self.records.lock().expect("no panic under this lock");
        let before = records.insert(at, data.clone());
        drop(records);
        assert!(
            before.as_ref().is_none_or(|before| *before == data),
            "{before:?} was seen where {data} is now"
        );
    }

    /// Holds the whole stream against what was seen of it; how many records that were.
    ///
    /// # Panics
    /// Something seen is not there.
    pub fn check(&self, content: &str) -> usize {
        let mut there = Records::new();
        for line in content.lines() {
            let record: Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            let at = (text(&record, "shard_id"), text(&record, "sequence_number"));
            there.insert(at, text(&record, "data"));
        }
        let seen = self.records.lock().expect("no panic under this lock");
        for (at, data) in &*seen {
            let now = there.get(at);
            assert!(
                now == Some(data),
                "{data} was seen in {} at {at:?}, now there is {now:?}",
                self.stream
            );
        }
        seen.len()
    }
}
