//! Puts a batch together from records that lie in several places, one copy in all.

use std::{hint::black_box, ops::Range};

use super::{ByteColumn, ColumnBuilder, Records};

impl Records {
    /// The records `range` of each part, one part after another. The arenas are copied, once.
    ///
    /// A lane of one-record frames comes through here record by record, so a frame that is taken whole
    /// is not asked where its values end, and what is scattered over memory is looked at in front of the
    /// copy: the loads of a plain loop overlap, where a copy waits for each record by itself.
    ///
    /// # Panics
    /// If a range lies outside its part, or the batch would pass 4 GiB.
    #[must_use]
    pub fn gather<'a>(parts: impl Iterator<Item = (&'a Self, Range<usize>)> + Clone) -> Self {
        let (mut count, mut key_bytes, mut data_bytes) = (0, 0, 0);
        let mut seen = 0;
        for (records, range) in parts.clone() {
            count += range.len();
            let (keys, data) = (span(&records.keys, &range), span(&records.data, &range));
            key_bytes += keys.len();
            data_bytes += data.len();
            if range.len() == 1 {
                seen ^= records.arrival_ms[range.start];
                seen ^= touch(&records.keys.bytes[keys]) ^ touch(&records.data.bytes[data]);
            }
        }
        // Nobody wants it: the loads are to be made.
        black_box(seen);
        let mut keys = ColumnBuilder::with_capacity(count, key_bytes);
        let mut data = ColumnBuilder::with_capacity(count, data_bytes);
        let mut arrival_ms = Vec::with_capacity(count);
        for (records, range) in parts {
            keys.append(&records.keys, &range);
            data.append(&records.data, &range);
            arrival_ms.extend_from_slice(&records.arrival_ms[range]);
        }
        Self {
            keys: keys.finish(),
            data: data.finish(),
            arrival_ms,
        }
    }
}

impl ColumnBuilder {
    /// Appends the values `range` of a column.
    ///
    /// # Panics
    /// If the range lies outside, or the arena would pass 4 GiB.
    #[inline]
    pub fn append(&mut self, column: &ByteColumn, range: &Range<usize>) {
        if column.nulls.is_empty() && column.len() == 1 && range.len() == 1 {
            self.push(&column.bytes);
            return;
        }
        let span = span(column, range);
        let base = u32::try_from(span.start).expect("an arena stays below 4 GiB");
        let shift = u32::try_from(self.bytes.len()).expect("an arena stays below 4 GiB");
        let first = self.ends.len();
        self.bytes.extend_from_slice(&column.bytes[span]);
        let grown = u32::try_from(self.bytes.len());
        assert!(grown.is_ok(), "an arena stays below 4 GiB");
        self.ends.extend(
            column.ends[range.clone()]
                .iter()
                .map(|end| end - base + shift),
        );
        for &null in &column.nulls {
            if range.contains(&(null as usize)) {
                let index = first + null as usize - range.start;
                self.nulls
                    .push(u32::try_from(index).expect("a column has u32 indices"));
            }
        }
    }
}

/// Loads the cache lines of a value.
#[inline]
fn touch(value: &[u8]) -> u64 {
    const LINE: usize = 64;
    value
        .iter()
        .step_by(LINE)
        .fold(0, |seen, &byte| seen ^ u64::from(byte))
}

/// Where the values `range` lie in the arena.
#[inline]
fn span(column: &ByteColumn, range: &Range<usize>) -> Range<usize> {
    if range.is_empty() {
        return 0..0;
    }
    if *range == (0..column.len()) {
        return 0..column.bytes.len();
    }
    column.range(range.start).start..column.range(range.end - 1).end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(values: &[Option<Vec<u8>>]) -> Records {
        let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
        for (index, value) in values.iter().enumerate() {
            keys.push(format!("k{index}").as_bytes());
            match value {
                Some(value) => data.push(value),
                None => data.push_null(),
            }
        }
        let arrival_ms = (0..values.len() as u64).collect();
        Records {
            keys: keys.finish(),
            data: data.finish(),
            arrival_ms,
        }
    }

    proptest! {
        #[test]
        fn a_gathered_batch_holds_the_values_picked_in_their_order(
            parts in prop::collection::vec(
                (prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..5)), 1..5), any::<(u8, u8)>()),
                0..6,
            ),
        ) {
            let parts: Vec<(Records, Range<usize>)> = parts
                .iter()
                .map(|(values, (start, length))| {
                    let start = usize::from(*start) % values.len();
                    let end = start + usize::from(*length) % (values.len() - start + 1);
                    (records(values), start..end)
                })
                .collect();
            let gathered = Records::gather(parts.iter().map(|(records, range)| (records, range.clone())));
            let picked: Vec<_> = parts.iter().flat_map(|(records, range)| range.clone().map(move |at| (records, at))).collect();
            prop_assert_eq!(gathered.len(), picked.len());
            prop_assert_eq!((gathered.keys.check(), gathered.data.check()), (Ok(()), Ok(())));
            for (index, (from, at)) in picked.into_iter().enumerate() {
                prop_assert_eq!(gathered.keys.get(index), from.keys.get(at));
                prop_assert_eq!(gathered.data.get(index), from.data.get(at));
                prop_assert_eq!(gathered.data.is_null(index), from.data.is_null(at));
                prop_assert_eq!(gathered.arrival_ms[index], from.arrival_ms[at]);
            }
        }
    }
}
