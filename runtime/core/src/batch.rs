//! Decides when waiting records make a batch, and which of them.

use std::collections::VecDeque;

use crate::{id::Timestamp, limits, mapping::MappingSettings};

/// When a batch closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// At this many records.
    pub records_max: u32,
    /// Before it would pass this many bytes of keys and payloads; one larger record goes alone.
    pub bytes_max: u64,
    /// This long after its first record was buffered, ms.
    pub window_ms: u64,
}

impl BatchLimits {
    /// The limits of a mapping, within the bounds of the protocol.
    #[must_use]
    pub fn of(settings: &MappingSettings) -> Self {
        Self {
            records_max: settings.batch_size.clamp(1, limits::BATCH_RECORDS_MAX),
            bytes_max: settings.batch_bytes.clamp(1, limits::BATCH_BYTES_MAX),
            window_ms: settings.batch_window_ms.min(limits::BATCH_WINDOW_MS_MAX),
        }
    }
}

/// Why a batch was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushReason {
    /// It had all the records it may have.
    Count,
    /// One more record might have passed its bytes.
    Bytes,
    /// Its window had passed, or it was called early to make room.
    Window,
}

impl FlushReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Count, Self::Bytes, Self::Window];

    /// The word for it, a label of metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Window => "window",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Waiting<T> {
    item: T,
    bytes: u32,
    since: Timestamp,
}

/// Buffers the records of one lane and cuts them into batches by count, bytes or window.
#[derive(Clone, Debug)]
pub struct Batcher<T> {
    limits: BatchLimits,
    waiting: VecDeque<Waiting<T>>,
    bytes: u64,
}

impl<T: Copy> Batcher<T> {
    /// An empty one.
    #[must_use]
    pub const fn new(limits: BatchLimits) -> Self {
        Self {
            limits,
            waiting: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Number of records waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes waiting.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Buffers a record at the end.
    pub fn push(&mut self, item: T, bytes: u32, now: Timestamp) {
        self.bytes += u64::from(bytes);
        self.waiting.push_back(Waiting {
            item,
            bytes,
            since: now,
        });
    }

    /// Puts a record that has waited long enough in front of all.
    pub fn push_front(&mut self, item: T, bytes: u32) {
        self.bytes += u64::from(bytes);
        self.waiting.push_front(Waiting {
            item,
            bytes,
            since: Timestamp(0),
        });
    }

    /// Whether a batch is closed: full by count or bytes, or its window has passed.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.waiting.len() >= self.limits.records_max as usize
            || self.bytes >= self.limits.bytes_max
            || self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// When the window of the first waiting record passes.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let first = self.waiting.front()?;
        Some(first.since.plus_ms(self.limits.window_ms))
    }

    /// Takes one batch from the front, whether due or not, appending to `batch`: at least one record
    /// when any waits, further ones while they fit and are of the `sort` of the first. Answers what
    /// closed it; `None`: nothing waited.
    pub fn take<S: PartialEq>(
        &mut self,
        batch: &mut Vec<T>,
        sort: impl Fn(T) -> S,
    ) -> Option<FlushReason> {
        let first = sort(self.waiting.front()?.item);
        let is_heavy = self.bytes >= self.limits.bytes_max;
        let mut bytes = 0;
        let mut records = 0;
        while let Some(&waiting) = self.waiting.front() {
            let next = bytes + u64::from(waiting.bytes);
            let fits = records < self.limits.records_max && next <= self.limits.bytes_max;
            if records > 0 && !(fits && sort(waiting.item) == first) {
                break;
            }
            bytes = next;
            records += 1;
            batch.push(waiting.item);
            self.waiting.pop_front();
        }
        self.bytes -= bytes;
        if self.waiting.is_empty() && self.waiting.capacity() > limits::IDLE_CAPACITY_MAX {
            self.waiting.shrink_to(limits::IDLE_CAPACITY_MAX);
        }
        Some(match records >= self.limits.records_max {
            true => FlushReason::Count,
            false if is_heavy => FlushReason::Bytes,
            false => FlushReason::Window,
        })
    }

    /// The waiting records, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = T> {
        self.waiting.iter().map(|waiting| waiting.item)
    }

    /// Takes out every record that `is_wanted`, appending to `taken` in order.
    pub fn extract(&mut self, is_wanted: impl Fn(T) -> bool, taken: &mut Vec<T>) {
        let bytes = &mut self.bytes;
        self.waiting.retain(|waiting| {
            let is_taken = is_wanted(waiting.item);
            if is_taken {
                *bytes -= u64::from(waiting.bytes);
                taken.push(waiting.item);
            }
            !is_taken
        });
    }

    /// The clock went back to `now`: a window is measured from then at the latest.
    pub fn clock_went_back(&mut self, now: Timestamp) {
        for waiting in &mut self.waiting {
            waiting.since = waiting.since.min(now);
        }
    }
}

#[cfg(test)]
mod tests;
