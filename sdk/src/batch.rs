//! The records of one call, borrowed from the columns they crossed in.

use crate::{Context, Record, Result, call};

/// Values laid end to end, as `types.wit` has them.
#[derive(Clone, Copy, Default)]
pub(crate) struct Column<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) ends: &'a [u32],
    pub(crate) nulls: &'a [u32],
}

impl<'a> Column<'a> {
    /// Value `index`; a null is the empty slice.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> &'a [u8] {
        let index = index as usize;
        // First: what bounds it bounds the one before, which is then not asked again.
        let end = self.ends[index] as usize;
        let start = if index == 0 {
            0
        } else {
            self.ends[index - 1] as usize
        };
        &self.bytes[start..end]
    }

    #[inline]
    pub(crate) fn is_null(&self, index: u32) -> bool {
        !self.nulls.is_empty() && self.nulls.binary_search(&index).is_ok()
    }
}

/// One call's input.
#[derive(Clone, Copy, Default)]
pub(crate) struct Columns<'a> {
    pub(crate) keys: Column<'a>,
    pub(crate) data: Column<'a>,
    pub(crate) arrival_ms: &'a [u64],
}

/// The records of one call: one shard, in the order of the shard. Empty only when a window closes.
///
/// A cheap copy of a borrow: pass it about freely.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Batch<'a> {
    columns: &'a Columns<'a>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(columns: &'a Columns<'a>) -> Self {
        Self { columns }
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.data.ends.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.data.ends.is_empty()
    }

    /// The record at `index`, from 0.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<Record<'a>> {
        let is_here = (index as usize) < self.len();
        is_here.then(|| Record::new(self.columns, index))
    }

    /// The records, first to last. While one is in hand, a panic is charged to it and a log entry
    /// names it.
    #[must_use]
    pub fn iter(&self) -> Records<'a> {
        // A batch has u32 indices: its offsets are u32, and the host bounds it far below.
        Records {
            columns: self.columns,
            next: 0,
            end: self.len() as u32,
        }
    }

    /// Runs `function` for each record, as `#[stream_fn]` does: an error is that record's own and
    /// drops its rows, and rows go under the record's key. A `fatal` ends the loop.
    ///
    /// # Errors
    /// None: the records that failed are reported with the call's end.
    pub fn try_each<F>(&self, cx: &mut Context, function: F) -> Result<()>
    where
        F: for<'c> FnMut(Record<'a>, &'c mut Context) -> Result<()>,
    {
        call::run_each(*self, cx, function);
        Ok(())
    }
}

impl<'a> IntoIterator for Batch<'a> {
    type Item = Record<'a>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}

/// The records of a batch, one after another: see [`Batch::iter`].
pub struct Records<'a> {
    columns: &'a Columns<'a>,
    next: u32,
    end: u32,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        if self.next == self.end {
            call::take_in_hand(call::NO_RECORD);
            return None;
        }
        let index = self.next;
        self.next += 1;
        call::take_in_hand(index);
        Some(Record::new(self.columns, index))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.end - self.next) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Records<'_> {}

impl Drop for Records<'_> {
    fn drop(&mut self) {
        // A loop that is left early has no record in hand any more.
        call::take_in_hand(call::NO_RECORD);
    }
}
