//! Lines of a body as they come, cut into batches of records.

use std::collections::VecDeque;

use bytes::{Buf, BytesMut};
use fnctl_core::record::{ColumnBuilder, NewRecords};

use crate::{
    api::put::key::{self, KeyRule},
    limits,
};

/// Why a line ends the put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineError {
    /// Longer than a record may be.
    TooLong {
        /// Its number.
        line: u64,
        /// Its bytes, with its key; `None`: its end has not come yet.
        bytes: Option<usize>,
        /// What a record of the stream may have.
        limit: usize,
    },
    /// Without a key, and keys are required.
    NoKey {
        /// Its number.
        line: u64,
        /// Why.
        why: &'static str,
    },
}

/// Records of one append, and the lines they came from.
#[derive(Debug, Default)]
pub(super) struct Batch {
    keys: ColumnBuilder,
    data: ColumnBuilder,
    hash_keys: Vec<u128>,
    lines: Vec<(u64, bool)>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= limits::PUT_APPEND_RECORDS_MAX
            || self.byte_len() >= limits::PUT_APPEND_BYTES_MAX
    }

    /// Bytes of keys and data.
    pub(super) fn byte_len(&self) -> usize {
        self.keys.byte_len() + self.data.byte_len()
    }

    /// The records, and line numbers with whether the line had no readable key.
    pub(super) fn into_parts(self) -> (NewRecords, Vec<(u64, bool)>) {
        let records = NewRecords {
            keys: self.keys.finish(),
            data: self.data.finish(),
            hash_keys: self.hash_keys,
            hops: Vec::new(),
            origins: Vec::new(),
        };
        (records, self.lines)
    }
}

/// The records from number `cut` on.
pub(super) fn after(records: NewRecords, cut: usize) -> NewRecords {
    let cut = cut.min(records.len());
    let rest = cut..records.len();
    NewRecords {
        keys: records.keys.slice(rest.clone()),
        data: records.data.slice(rest.clone()),
        hash_keys: records.hash_keys[rest].to_vec(),
        hops: Vec::new(),
        origins: Vec::new(),
    }
}

/// What came of the body and is not appended yet.
#[derive(Debug)]
pub(super) struct Lines {
    rule: KeyRule,
    /// Prefix of keys that lines get as their own; unique to this put.
    own: String,
    fixed_hash: u128,
    buffer: BytesMut,
    /// Ends of whole lines in `buffer`, relative to its front as it was when they were found.
    ends: VecDeque<usize>,
    /// Bytes taken from the front of `buffer` since.
    taken: usize,
    /// Where the search for the next line end goes on.
    searched: usize,
    next_line: u64,
    /// The stream's limit: bytes of data and partition key.
    record_bytes_max: usize,
    has_ended: bool,
    /// An error that comes after the batch in front of it.
    error: Option<LineError>,
}

impl Lines {
    /// Nothing has come yet; the first line has the number `first_line`, a record of the stream at most
    /// `record_bytes_max` bytes of data and given key.
    pub(super) fn new(first_line: u64, rule: KeyRule, record_bytes_max: usize) -> Self {
        let fixed_hash = match &rule {
            KeyRule::Fixed(key) => fnctl_streams::hash_key(key.as_bytes()),
            _ => 0,
        };
        Self {
            rule,
            own: uuid::Uuid::new_v4().simple().to_string(),
            fixed_hash,
            buffer: BytesMut::new(),
            ends: VecDeque::new(),
            taken: 0,
            searched: 0,
            next_line: first_line,
            record_bytes_max,
            has_ended: false,
            error: None,
        }
    }

    /// Takes what came.
    pub(super) fn push(&mut self, data: &[u8]) {
        if self.taken > 0 {
            self.buffer.advance(self.taken);
            self.ends.iter_mut().for_each(|end| *end -= self.taken);
            self.searched -= self.taken;
            self.taken = 0;
        }
        self.buffer.extend_from_slice(data);
        let mut from = self.searched;
        while let Some(at) = self.buffer[from..].iter().position(|byte| *byte == b'\n') {
            self.ends.push_back(from + at);
            from += at + 1;
        }
        self.searched = self.buffer.len();
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
    }

    /// Whether more should be read before what is here was appended.
    pub(super) fn has_room(&self) -> bool {
        self.bytes() < 2 * limits::PUT_APPEND_BYTES_MAX
    }

    /// Bytes that came and were not handed out.
    pub(super) fn bytes(&self) -> usize {
        self.buffer.len() - self.taken
    }

    /// All whole lines there are, up to the bounds of an append.
    ///
    /// # Errors
    /// The line that ends the put, once every line in front of it was handed out.
    pub(super) fn batch(&mut self) -> Result<Batch, LineError> {
        let mut batch = Batch::default();
        while self.error.is_none() && !batch.is_full() {
            let end = match self.ends.pop_front() {
                Some(end) => end,
                None if self.has_ended && self.taken < self.buffer.len() => self.buffer.len(),
                None => break,
            };
            let line = self.taken..end;
            self.taken = (end + 1).min(self.buffer.len());
            let number = self.next_line;
            self.next_line += 1;
            if let Err(error) = self.take(line, number, &mut batch) {
                self.error = Some(error);
            }
        }
        let rest = self.buffer.len() - self.taken;
        if self.ends.is_empty() && rest > self.record_bytes_max && self.error.is_none() {
            self.error = Some(LineError::TooLong {
                line: self.next_line,
                bytes: self.has_ended.then_some(rest),
                limit: self.record_bytes_max,
            });
        }
        match &self.error {
            Some(error) if batch.is_empty() => Err(error.clone()),
            _ => Ok(batch),
        }
    }

    fn take(
        &self,
        line: std::ops::Range<usize>,
        number: u64,
        batch: &mut Batch,
    ) -> Result<(), LineError> {
        let line = &self.buffer[line];
        if line.is_empty() || line == b"\r" {
            return Ok(());
        }
        // Checked in front of the search for a key as well: what is too long is not read.
        self.fits(number, line.len())?;
        let own = || format!("{}-{number}", self.own);
        let (key, is_keyless) = match &self.rule {
            KeyRule::Fixed(key) => {
                self.fits(number, line.len() + key.len())?;
                batch.keys.push(key.as_bytes());
                batch.hash_keys.push(self.fixed_hash);
                batch.data.push(line);
                batch.lines.push((number, false));
                return Ok(());
            }
            KeyRule::Own => (own(), false),
            KeyRule::Field { path, is_required } => match key::find(line, path) {
                Ok(key) => {
                    self.fits(number, line.len() + key.len())?;
                    (key, false)
                }
                Err(why) if *is_required => return Err(LineError::NoKey { line: number, why }),
                Err(_) => (own(), true),
            },
        };
        batch
            .hash_keys
            .push(fnctl_streams::hash_key(key.as_bytes()));
        batch.keys.push(key.as_bytes());
        batch.data.push(line);
        batch.lines.push((number, is_keyless));
        Ok(())
    }

    /// Whether a record of so many bytes may be in the stream. A key that a line gets as its own is not
    /// counted: nobody gave it.
    fn fits(&self, line: u64, bytes: usize) -> Result<(), LineError> {
        if bytes > self.record_bytes_max {
            return Err(LineError::TooLong {
                line,
                bytes: Some(bytes),
                limit: self.record_bytes_max,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1 << 20;

    fn handed_out(lines: &mut Lines) -> Vec<(u64, String)> {
        let batch = lines.batch().expect("no error");
        let (records, numbers) = batch.into_parts();
        assert_eq!(records.len(), numbers.len());
        (0..records.len())
            .map(|i| {
                let data = String::from_utf8_lossy(records.data.get(i)).into_owned();
                (numbers[i].0, data)
            })
            .collect()
    }

    #[test]
    fn lines_come_out_whole_however_they_come_in() {
        let body = b"one\n\ntwo\r\n\r\nthree";
        for size in 1..body.len() {
            let mut lines = Lines::new(10, KeyRule::Own, MOST);
            let mut all = Vec::new();
            for piece in body.chunks(size) {
                lines.push(piece);
                all.extend(handed_out(&mut lines));
            }
            lines.end();
            all.extend(handed_out(&mut lines));
            let expected = [(10, "one"), (12, "two\r"), (14, "three")];
            assert_eq!(
                all,
                expected.map(|(n, s)| (n, s.to_owned())),
                "pieces of {size}"
            );
            assert!(handed_out(&mut lines).is_empty());
        }
    }

    #[test]
    fn an_error_comes_after_the_lines_in_front_of_it() {
        let rule = KeyRule::new(None, Some("k"), true).expect("a rule");
        let mut lines = Lines::new(1, rule, MOST);
        lines.push(b"{\"k\":1}\n{\"k\":2}\nnone\n{\"k\":3}\n");
        assert_eq!(handed_out(&mut lines).len(), 2);
        assert!(matches!(
            lines.batch(),
            Err(LineError::NoKey { line: 3, .. })
        ));
    }

    #[test]
    fn a_line_without_end_is_refused_when_it_is_too_long() {
        let mut lines = Lines::new(1, KeyRule::Own, MOST);
        lines.push(b"short\n");
        lines.push(&vec![b'x'; MOST + 1]);
        assert_eq!(handed_out(&mut lines).len(), 1);
        assert!(matches!(
            lines.batch(),
            Err(LineError::TooLong { line: 2, .. })
        ));
    }

    #[test]
    fn a_record_is_as_large_as_its_stream_takes_with_the_key_that_was_given() {
        for (rule, line, fits) in [
            (KeyRule::Own, "12345678", true),
            (KeyRule::Own, "123456789", false),
            (KeyRule::Fixed("k".into()), "1234567", true),
            (KeyRule::Fixed("k".into()), "12345678", false),
            (
                KeyRule::new(None, Some("k"), true).expect("a rule"),
                "{\"k\":1}",
                true,
            ),
            (
                KeyRule::new(None, Some("k"), true).expect("a rule"),
                "{\"k\":12}",
                false,
            ),
        ] {
            let mut lines = Lines::new(1, rule, 8);
            lines.push(line.as_bytes());
            lines.end();
            assert_eq!(
                lines.batch().is_ok_and(|batch| !batch.is_empty()),
                fits,
                "{line}"
            );
        }
    }

    #[test]
    fn keys_of_their_own_are_all_different() {
        let rule = KeyRule::new(None, Some("k"), false).expect("a rule");
        let mut lines = Lines::new(1, rule, MOST);
        lines.push(b"a\nb\n{\"k\":\"c\"}\n");
        let (records, numbers) = lines.batch().expect("no error").into_parts();
        assert_ne!(records.keys.get(0), records.keys.get(1));
        assert_eq!(records.keys.get(2), b"c");
        assert_eq!(numbers, [(1, true), (2, true), (3, false)]);
        assert_eq!(records.hash_keys[2], fnctl_streams::hash_key(b"c"));
    }
}
