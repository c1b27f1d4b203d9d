//! Rows and where they wait: in arenas, one per output, that cross to the host as they lie.

use serde::Serialize;

use crate::{
    Context, Error, Record, Result, append::append, call::NO_RECORD, json, limits::KEPT_BYTES_MAX,
};

#[cfg(test)]
mod tests;

/// Source of a row that belongs to no record.
pub(crate) const WHOLE_CALL: u32 = u32::MAX;

/// A named output. Declare it with [`output!`](crate::output), so that deploy can check that it is
/// bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Output {
    name: &'static str,
}

impl Output {
    /// The output every function has.
    pub const DEFAULT: Self = Self { name: "default" };

    /// What `output!` expands to.
    #[doc(hidden)]
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self { name }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// Declares a named output and is its [`Output`]: `const REJECTED: Output = output!("rejected");`
///
/// The name is 1 to 64 of a-z, 0-9, `_` and `-`, starting with a letter; another one does not
/// compile. It becomes a line of the component's custom section `fnctl:outputs`.
#[macro_export]
macro_rules! output {
    ($name:literal) => {{
        const NAME: &str = $name;
        const _: () = assert!(
            $crate::__private::is_output_name(NAME),
            "an output's name is 1 to 64 of a-z, 0-9, `_` and `-`, starting with a letter"
        );
        #[cfg(target_os = "wasi")]
        #[allow(unsafe_code, reason = "names the section that deploy reads")]
        const _: () = {
            const LINE: &[u8] = ::core::concat!($name, "\n").as_bytes();
            #[used]
            #[unsafe(link_section = "fnctl:outputs")]
            static DECLARED: [u8; LINE.len()] = *LINE.first_chunk().unwrap();
        };
        $crate::Output::named(NAME)
    }};
}

/// The rule for an output's name.
#[doc(hidden)]
#[must_use]
pub const fn is_output_name(name: &str) -> bool {
    let name = name.as_bytes();
    if name.is_empty() || name.len() > 64 || !name[0].is_ascii_lowercase() {
        return false;
    }
    let mut at = 0;
    while at < name.len() {
        let sign = name[at];
        if !(sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == b'_' || sign == b'-') {
            return false;
        }
        at += 1;
    }
    true
}

/// A row in the making: where it goes and under which key. It is emitted by [`json`](Self::json),
/// [`bytes`](Self::bytes) or [`write`](Self::write).
#[must_use = "a row is emitted by `json`, `bytes` or `write`"]
pub struct Row<'c> {
    cx: &'c mut Context,
    output: Output,
    key: Option<&'c [u8]>,
    source: u32,
}

impl<'c> Row<'c> {
    pub(crate) fn new(cx: &'c mut Context, source: u32) -> Self {
        Self {
            cx,
            output: Output::DEFAULT,
            key: None,
            source,
        }
    }

    /// Sends the row to another output than the default one.
    #[inline]
    pub fn to(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// Puts the row under another key than its record's: 1 to 256 characters of UTF-8, or the host
    /// fails the record with `skip`, code `bad-key`.
    #[inline]
    pub fn key(mut self, key: &'c (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.key = Some(key.as_ref());
        self
    }

    /// Makes `record` the source of the row, in the batch form: the row goes under its key, and is
    /// dropped when it fails. Without this a row there belongs to the whole call: it goes under a key of
    /// its own, and is dropped when any record asks for a retry.
    #[inline]
    pub fn of(mut self, record: Record<'_>) -> Self {
        self.source = record.index();
        self
    }

    /// Emits the row with `value` as JSON, written straight into the output's memory.
    ///
    /// # Errors
    /// `retry`, code `not-json`: JSON cannot say this value, such as a map whose keys are lists. No row
    /// is emitted.
    #[inline]
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        self.write(|body| json::write(body, value).map_err(|error| Error::retry("not-json", error)))
    }

    /// Emits the row with these bytes.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    #[inline]
    pub fn bytes(self, body: &[u8]) -> Result<()> {
        self.write(|row| {
            append(row, body);
            Ok(())
        })
    }

    /// Emits the row with what `fill` appends, straight into the output's memory. What stands there
    /// already are other rows.
    ///
    /// # Errors
    /// Those of `fill`: no row is emitted then. And `fatal`, when so much was emitted that it had to
    /// cross to the host and the host refused it (code `unbound-output` or `emit-refused`).
    ///
    /// # Panics
    /// If `fill` takes away what it did not append.
    #[inline]
    pub fn write(self, fill: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        let Self {
            cx,
            output,
            key,
            source,
        } = self;
        let pending = cx.pending(output);
        let start = pending.data.bytes.len();
        let filled = fill(&mut pending.data.bytes);
        assert!(
            pending.data.bytes.len() >= start,
            "a row's writer may only append"
        );
        if let Err(error) = filled {
            pending.data.bytes.truncate(start);
            return Err(error);
        }
        pending.push(source, key);
        #[cfg(target_os = "wasi")]
        if pending.byte_len() >= crate::limits::PENDING_BYTES_MAX {
            crate::host::emit(pending)?;
        }
        Ok(())
    }
}

/// Values laid end to end, growing.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Vec<u32>,
    pub(crate) nulls: Vec<u32>,
}

impl Arena {
    /// Ends the value whose bytes were appended last.
    #[inline]
    fn end(&mut self) {
        let end = u32::try_from(self.bytes.len()).expect("rows cross long before they are 4 GiB");
        self.ends.push(end);
    }

    fn push_null(&mut self) {
        let index = u32::try_from(self.ends.len()).expect("rows cross long before they are 4 G");
        self.nulls.push(index);
        self.end();
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.nulls.clear();
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
    }

    fn value(&self, index: usize) -> std::ops::Range<usize> {
        let start = if index == 0 {
            0
        } else {
            self.ends[index - 1] as usize
        };
        start..self.ends[index] as usize
    }

    /// Keeps the values whose flag is set; an arena without values has nothing to keep.
    fn retain(&mut self, is_kept: &[bool]) {
        if self.ends.is_empty() {
            return;
        }
        let (mut rows, mut bytes, mut nulls) = (0, 0, Vec::new());
        for (index, _) in is_kept.iter().enumerate().filter(|(_, is_kept)| **is_kept) {
            let value = self.value(index);
            let length = value.len();
            self.bytes.copy_within(value, bytes);
            bytes += length;
            if self.nulls.binary_search(&(index as u32)).is_ok() {
                nulls.push(rows as u32);
            }
            // Never behind `index`, so no end is overwritten that is still to be read but the one just read.
            self.ends[rows] = bytes as u32;
            rows += 1;
        }
        self.bytes.truncate(bytes);
        self.ends.truncate(rows);
        self.nulls = nulls;
    }
}

/// What one call has emitted to one output and has not crossed to the host yet.
///
/// Forwarded records cross before rows. Both may name one record only if it was forwarded first:
/// see [`Pending::forward`].
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) output: Output,
    pub(crate) sources: Vec<u32>,
    pub(crate) data: Arena,
    /// Without values as long as every row goes under its record's key.
    pub(crate) keys: Arena,
    pub(crate) forwards: Vec<u32>,
    /// The highest record with a row here.
    source_max: Option<u32>,
}

impl Pending {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            output,
            sources: Vec::new(),
            data: Arena::default(),
            keys: Arena::default(),
            forwards: Vec::new(),
            source_max: None,
        }
    }

    /// Ends the row whose body was appended last.
    #[inline]
    fn push(&mut self, source: u32, key: Option<&[u8]>) {
        self.data.end();
        if key.is_some() || !self.keys.ends.is_empty() {
            self.push_key(key);
        }
        self.sources.push(source);
        if source != WHOLE_CALL {
            self.source_max = self.source_max.max(Some(source));
        }
    }

    fn push_key(&mut self, key: Option<&[u8]>) {
        while self.keys.ends.len() < self.sources.len() {
            self.keys.push_null();
        }
        match key {
            Some(key) => {
                append(&mut self.keys.bytes, key);
                self.keys.end();
            }
            None => self.keys.push_null(),
        }
    }

    /// Emits a record as it came. The host keeps the order of what one record emits, and forwarded
    /// records cross first: a record with a row here already goes as a row.
    pub(crate) fn forward(&mut self, record: Record<'_>) {
        let index = record.index();
        if self.source_max.is_none_or(|highest| index > highest) {
            self.forwards.push(index);
        } else if record.is_tombstone() {
            self.data.nulls.push(self.data.ends.len() as u32);
            self.push(index, None);
        } else {
            append(&mut self.data.bytes, record.data());
            self.push(index, None);
        }
    }

    #[cfg(target_os = "wasi")]
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.forwards.is_empty()
    }

    #[cfg(any(target_os = "wasi", test))]
    pub(crate) fn byte_len(&self) -> usize {
        self.data.bytes.len() + self.keys.bytes.len()
    }

    pub(crate) fn clear(&mut self) {
        self.sources.clear();
        self.data.clear();
        self.keys.clear();
        self.forwards.clear();
        self.source_max = None;
    }

    /// Drops what `failed` records emitted; they are ascending.
    pub(crate) fn drop_rows_of(&mut self, failed: &[u32]) {
        let is_kept = |source: &u32| failed.binary_search(source).is_err();
        self.forwards.retain(is_kept);
        let rows: Vec<bool> = self.sources.iter().map(is_kept).collect();
        if rows.iter().all(|is_kept| *is_kept) {
            return;
        }
        self.data.retain(&rows);
        self.keys.retain(&rows);
        self.sources.retain(is_kept);
    }
}

const _: () = assert!(WHOLE_CALL == NO_RECORD, "the wire has one word for both");
