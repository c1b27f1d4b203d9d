//! The same call without a host, for tests and for measuring a function natively.

use crate::{
    Batch, Context, Record, Result,
    batch::{Column, Columns},
    call::run_each,
};

/// Records as columns, owned.
#[derive(Default)]
pub struct NativeColumns {
    pub(crate) keys: Owned,
    pub(crate) data: Owned,
    pub(crate) arrival_ms: Vec<u64>,
}

#[derive(Default)]
pub(crate) struct Owned {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    nulls: Vec<u32>,
}

impl Owned {
    fn push(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.bytes.extend_from_slice(value),
            None => self.nulls.push(self.ends.len() as u32),
        }
        let end = u32::try_from(self.bytes.len()).expect("a test's records are below 4 GiB");
        self.ends.push(end);
    }

    fn column(&self) -> Column<'_> {
        Column {
            bytes: &self.bytes,
            ends: &self.ends,
            nulls: &self.nulls,
        }
    }
}

impl NativeColumns {
    /// Appends a record; one without data is a tombstone.
    pub fn push(&mut self, key: &[u8], data: Option<&[u8]>, arrival_ms: u64) {
        self.keys.push(Some(key));
        self.data.push(data);
        self.arrival_ms.push(arrival_ms);
    }

    pub(crate) fn columns(&self) -> Columns<'_> {
        Columns {
            keys: self.keys.column(),
            data: self.data.column(),
            arrival_ms: &self.arrival_ms,
        }
    }
}

/// Calls a function as the component's glue does, its memory kept from call to call.
pub struct NativeCall {
    cx: Context,
}

impl Default for NativeCall {
    fn default() -> Self {
        Self { cx: Context::new() }
    }
}

impl NativeCall {
    /// One call of a `#[stream_fn]`: the number of rows, their bytes, and the number of failures.
    pub fn each<F>(&mut self, records: &NativeColumns, function: F) -> (usize, usize, usize)
    where
        F: for<'r, 'c> Fn(Record<'r>, &'c mut Context) -> Result<()>,
    {
        self.cx.clear();
        let columns = records.columns();
        run_each(Batch::new(&columns), &mut self.cx, function);
        let failures = self.cx.settle().len();
        let count = |all: (usize, usize), one: &crate::emit::Pending| {
            (
                all.0 + one.sources.len() + one.forwards.len(),
                all.1 + one.data.bytes.len(),
            )
        };
        let (rows, bytes) = self.cx.outputs.iter().fold((0, 0), count);
        (rows, bytes, failures)
    }
}
