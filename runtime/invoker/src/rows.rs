//! Rows of one call: checked as they come, resolved when `handle` returned.
//!
//! Nothing of a guest is trusted: every source, end, null and key is looked at. What a row's shape
//! violates is refused and becomes the call's error; what a row's content violates fails its record.

use fnctl_core::{
    invoker::{CallContext, CallFacts},
    limits::{OUTPUT_BYTES_MAX, PARTITION_KEY_CHARS_MAX, STREAM_RECORD_BYTES_DEFAULT},
    outcome::{Rows, WHOLE_CALL},
    record::{ByteColumn, ColumnError, Records},
};

use crate::{limits::OUTPUT_ROWS_MAX, stop::OutputOverflow};

/// A column where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnView<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) ends: &'a [u32],
    pub(crate) nulls: &'a [u32],
}

/// Rows where they lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowsView<'a> {
    pub(crate) sources: &'a [u32],
    pub(crate) keys: Option<ColumnView<'a>>,
    pub(crate) data: ColumnView<'a>,
}

/// Why a row cannot be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowFault {
    /// Its key is not 1 to 256 characters of UTF-8.
    BadKey,
    /// Its body is larger than a record of its output's stream may be.
    TooLarge {
        /// What the stream takes, bytes.
        most: u64,
    },
}

/// The outputs that a mapping binds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outputs<'a> {
    /// How many.
    pub(crate) count: usize,
    /// Largest body of each; of those that are not named the usual limit.
    pub(crate) row_bytes_max: &'a [u64],
}

impl<'a> Outputs<'a> {
    /// Those of a call.
    pub(crate) fn of(context: &'a CallContext) -> Self {
        Self {
            count: context.outputs.len(),
            row_bytes_max: &context.row_bytes_max,
        }
    }

    fn row_bytes_max(self, output: u16) -> u64 {
        let most = self.row_bytes_max.get(usize::from(output));
        most.copied().unwrap_or(STREAM_RECORD_BYTES_DEFAULT)
    }
}

/// A row that cannot be published, and the record it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FaultyRow {
    pub(crate) source: u32,
    pub(crate) fault: RowFault,
    /// Bytes of the key or of the body.
    pub(crate) bytes: usize,
}

/// What a call emitted so far.
#[derive(Debug, Default)]
pub(crate) struct Emitted {
    outputs: Vec<Buffer>,
    bytes: u64,
    rows: usize,
    own_keys: u32,
    /// Rows that fail their record.
    pub(crate) faults: Vec<FaultyRow>,
    /// The first refusal: the call is then the function's error.
    pub(crate) refusal: Option<String>,
}

/// Rows of one output.
#[derive(Debug, Default)]
struct Buffer {
    sources: Vec<u32>,
    keys: Column,
    data: Column,
}

#[derive(Debug, Default)]
struct Column {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    nulls: Vec<u32>,
}

impl<'a> ColumnView<'a> {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn value(&self, index: usize) -> &'a [u8] {
        let start = if index == 0 {
            0
        } else {
            self.ends[index - 1] as usize
        };
        &self.bytes[start..self.ends[index] as usize]
    }

    /// Checks what the wire contract says of a column.
    fn check(&self, name: &str) -> Result<(), String> {
        let error = 'check: {
            let mut last = 0;
            for (index, &end) in self.ends.iter().enumerate() {
                if end < last {
                    break 'check ColumnError::EndsDecrease { index }.to_string();
                }
                last = end;
            }
            if last as usize != self.bytes.len() {
                let uncovered = ColumnError::Uncovered {
                    covered: last as usize,
                    length: self.bytes.len(),
                };
                break 'check uncovered.to_string();
            }
            let mut before = None;
            for &index in self.nulls {
                if index as usize >= self.len() || before.is_some_and(|before| before >= index) {
                    break 'check ColumnError::BadNull { index }.to_string();
                }
                if !self.value(index as usize).is_empty() {
                    break 'check format!("value {index} is null and has bytes");
                }
                before = Some(index);
            }
            return Ok(());
        };
        Err(format!("{name}: {error}"))
    }
}

impl Column {
    fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.end();
    }

    fn end(&mut self) {
        self.ends
            .push(u32::try_from(self.bytes.len()).expect("a call's rows stay below 4 GiB"));
    }

    fn append(&mut self, column: ColumnView<'_>) {
        let base = u32::try_from(self.bytes.len()).expect("a call's rows stay below 4 GiB");
        let first = u32::try_from(self.ends.len()).expect("a call's rows are bounded");
        self.bytes.extend_from_slice(column.bytes);
        self.ends.extend(column.ends.iter().map(|end| base + end));
        self.nulls
            .extend(column.nulls.iter().map(|index| first + index));
    }

    fn finish(self) -> ByteColumn {
        ByteColumn {
            bytes: self.bytes.into(),
            ends: self.ends,
            nulls: self.nulls,
        }
    }
}

impl Emitted {
    /// Takes rows for output `output`, one of `outputs`. The outer error ends the call, the inner one is
    /// the guest's to read.
    pub(crate) fn emit(
        &mut self,
        output: u16,
        outputs: Outputs<'_>,
        records: &Records,
        facts: &dyn CallFacts,
        rows: RowsView<'_>,
    ) -> Result<Result<(), String>, OutputOverflow> {
        if let Err(refusal) = check_rows(output, outputs, records, rows) {
            return Ok(Err(self.refuse(refusal)));
        }
        let key_bytes = rows.keys.map_or(0, |keys| keys.bytes.len());
        self.charge(rows.sources.len(), rows.data.bytes.len() + key_bytes)?;
        let index = self.buffer(output);
        let most = outputs.row_bytes_max(output);
        for (row, &source) in rows.sources.iter().enumerate() {
            let key = rows.keys.and_then(|keys| {
                // `nulls` ascends, and is nearly always empty.
                let is_null =
                    !keys.nulls.is_empty() && keys.nulls.binary_search(&index_of(row)).is_ok();
                (!is_null).then(|| keys.value(row))
            });
            if let Some(key) = key {
                if !is_key(key) {
                    self.faults.push(FaultyRow {
                        source,
                        fault: RowFault::BadKey,
                        bytes: key.len(),
                    });
                }
                self.outputs[index].keys.push(key);
            } else {
                self.push_source_key(index, source, records, facts)?;
            }
            let size = rows.data.value(row).len();
            if size as u64 > most {
                self.faults.push(FaultyRow {
                    source,
                    fault: RowFault::TooLarge { most },
                    bytes: size,
                });
            }
        }
        let buffer = &mut self.outputs[index];
        buffer.sources.extend_from_slice(rows.sources);
        buffer.data.append(rows.data);
        Ok(Ok(()))
    }

    /// Takes whole input records for output `output`.
    pub(crate) fn forward(
        &mut self,
        output: u16,
        outputs: Outputs<'_>,
        records: &Records,
        facts: &dyn CallFacts,
        sources: &[u32],
    ) -> Result<Result<(), String>, OutputOverflow> {
        let refusal =
            check_output(output, outputs).and_then(|()| check_sources(sources, records, false));
        if let Err(refusal) = refusal {
            return Ok(Err(self.refuse(refusal)));
        }
        self.charge(sources.len(), 0)?;
        let index = self.buffer(output);
        let most = outputs.row_bytes_max(output);
        for &source in sources {
            let body = records.data.get(source as usize);
            self.charge(0, body.len())?;
            if body.len() as u64 > most {
                self.faults.push(FaultyRow {
                    source,
                    fault: RowFault::TooLarge { most },
                    bytes: body.len(),
                });
            }
            self.push_source_key(index, source, records, facts)?;
            let buffer = &mut self.outputs[index];
            if records.data.is_null(source as usize) {
                buffer.data.nulls.push(index_of(buffer.sources.len()));
            }
            buffer.data.push(body);
            buffer.sources.push(source);
        }
        Ok(Ok(()))
    }

    /// Remembers the first refusal and hands it on.
    pub(crate) fn refuse(&mut self, refusal: String) -> String {
        self.refusal.get_or_insert_with(|| refusal.clone());
        refusal
    }

    /// The rows, per output by ascending source and those of no record last; without those of a failed
    /// record (`failed`: ascending indices).
    pub(crate) fn finish(self, failed: &[u32]) -> Vec<Rows> {
        let is_failed = |source: u32| !failed.is_empty() && failed.binary_search(&source).is_ok();
        let outputs = self.outputs.into_iter().enumerate();
        let resolved = outputs.filter_map(|(number, buffer)| {
            let output = u16::try_from(number).expect("an output has a u16 number");
            let Buffer {
                sources,
                keys,
                data,
            } = buffer;
            let (keys, data) = (keys.finish(), data.finish());
            let rows = if sources.is_sorted() && !sources.iter().any(|&source| is_failed(source)) {
                Rows {
                    output,
                    sources,
                    keys,
                    data,
                }
            } else {
                let mut kept: Vec<u32> = (0..index_of(sources.len())).collect();
                kept.retain(|&row| !is_failed(sources[row as usize]));
                kept.sort_by_key(|&row| sources[row as usize]);
                let sources = kept.iter().map(|&row| sources[row as usize]).collect();
                Rows {
                    output,
                    sources,
                    keys: pick(&keys, &kept),
                    data: pick(&data, &kept),
                }
            };
            (!rows.sources.is_empty()).then_some(rows)
        });
        resolved.collect()
    }

    fn buffer(&mut self, output: u16) -> usize {
        let index = usize::from(output);
        if self.outputs.len() <= index {
            self.outputs.resize_with(index + 1, Buffer::default);
        }
        index
    }

    fn charge(&mut self, rows: usize, bytes: usize) -> Result<(), OutputOverflow> {
        self.rows += rows;
        self.bytes += bytes as u64;
        if self.bytes > OUTPUT_BYTES_MAX || self.rows > OUTPUT_ROWS_MAX {
            Err(OutputOverflow)
        } else {
            Ok(())
        }
    }

    /// The key of a row that names none: its source's, or one of its own where there is no such key.
    fn push_source_key(
        &mut self,
        index: usize,
        source: u32,
        records: &Records,
        facts: &dyn CallFacts,
    ) -> Result<(), OutputOverflow> {
        if source != WHOLE_CALL && !records.keys.is_null(source as usize) {
            let key = records.keys.get(source as usize);
            self.charge(0, key.len())?;
            self.outputs[index].keys.push(key);
            return Ok(());
        }
        // Deterministic, so that a call that runs again names the same keys; spread over shards, because
        // rows without a key have no order among themselves.
        let of = if source == WHOLE_CALL {
            index_of(records.len()).checked_sub(1)
        } else {
            Some(source)
        };
        let record = of.map_or_else(|| "call".to_owned(), |index| facts.record_id(index));
        let key = if source == WHOLE_CALL {
            self.own_keys += 1;
            format!("{record}+{}", self.own_keys)
        } else {
            record
        };
        self.charge(0, key.len())?;
        self.outputs[index].keys.push(key.as_bytes());
        Ok(())
    }
}

fn check_rows(
    output: u16,
    outputs: Outputs<'_>,
    records: &Records,
    rows: RowsView<'_>,
) -> Result<(), String> {
    check_output(output, outputs)?;
    rows.data.check("data")?;
    let count = rows.sources.len();
    if rows.data.len() != count {
        return Err(format!("{} bodies for {count} sources", rows.data.len()));
    }
    if let Some(keys) = rows.keys {
        keys.check("keys")?;
        if keys.len() != count {
            return Err(format!("{} keys for {count} sources", keys.len()));
        }
    }
    check_sources(rows.sources, records, true)
}

fn check_output(output: u16, outputs: Outputs<'_>) -> Result<(), String> {
    if usize::from(output) < outputs.count {
        Ok(())
    } else {
        Err(format!(
            "there is no output {output}: the mapping binds {}",
            outputs.count
        ))
    }
}

fn check_sources(
    sources: &[u32],
    records: &Records,
    may_be_whole_call: bool,
) -> Result<(), String> {
    let count = index_of(records.len());
    let is_wrong =
        |&&source: &&u32| source >= count && !(may_be_whole_call && source == WHOLE_CALL);
    match sources.iter().find(is_wrong) {
        None => Ok(()),
        Some(source) => Err(format!("there is no record {source}: the call has {count}")),
    }
}

fn is_key(key: &[u8]) -> bool {
    // 256 characters are at most 1 024 bytes; a short ASCII key, the usual one, is seen at a glance.
    match key.len() {
        0 => false,
        1..=PARTITION_KEY_CHARS_MAX if key.is_ascii() => true,
        _ if key.len() > 4 * PARTITION_KEY_CHARS_MAX => false,
        _ => str::from_utf8(key).is_ok_and(|key| key.chars().count() <= PARTITION_KEY_CHARS_MAX),
    }
}

fn pick(column: &ByteColumn, rows: &[u32]) -> ByteColumn {
    let mut picked = Column::default();
    for &row in rows {
        if column.is_null(row as usize) {
            picked.nulls.push(index_of(picked.ends.len()));
        }
        picked.push(column.get(row as usize));
    }
    picked.finish()
}

fn index_of(index: usize) -> u32 {
    u32::try_from(index).expect("rows and records of a call are bounded far below 4 G")
}

#[cfg(test)]
mod tests;
