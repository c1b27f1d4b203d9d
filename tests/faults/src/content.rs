//! What a file holds, and what became of it page by page.

use std::{collections::BTreeMap, sync::Arc};

use crate::random::Random;

/// Bytes that reach a disk together, unless a sector is torn.
pub const PAGE_BYTES: usize = 4096;
/// Bytes that a disk writes as one.
const SECTOR_BYTES: usize = 512;

type Page = [u8; PAGE_BYTES];

/// The bytes of a file; pages of zeros need no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Length, bytes.
    pub length: u64,
    pages: BTreeMap<u64, Arc<Page>>,
}

/// A change of a file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Bytes at an offset.
    Write(u64, Vec<u8>),
    /// A new length.
    Truncate(u64),
    /// At least this length.
    Allocate(u64),
}

impl Content {
    /// These bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut content = Self {
            length: bytes.len() as u64,
            pages: BTreeMap::new(),
        };
        for (number, bytes) in (0..).zip(bytes.chunks(PAGE_BYTES)) {
            if bytes.iter().any(|byte| *byte != 0) {
                content.page(number)[..bytes.len()].copy_from_slice(bytes);
            }
        }
        content
    }

    fn page(&mut self, number: u64) -> &mut Page {
        let zeros = || Arc::new([0; PAGE_BYTES]);
        Arc::make_mut(self.pages.entry(number).or_insert_with(zeros))
    }

    /// Pages that are not all zeros, with their offsets.
    pub fn pages(&self) -> impl Iterator<Item = (u64, &Page)> {
        let bytes = PAGE_BYTES as u64;
        self.pages.iter().map(move |(n, page)| (n * bytes, &**page))
    }

    /// Does a change, on the pages that `is_on` picks.
    pub fn apply(&mut self, change: &Change, is_on: impl Fn(u64) -> bool) {
        match change {
            Change::Write(offset, data) => {
                let mut done = 0;
                while done < data.len() {
                    let at = offset + done as u64;
                    let (number, from) =
                        (at / PAGE_BYTES as u64, (at % PAGE_BYTES as u64) as usize);
                    let bytes = (PAGE_BYTES - from).min(data.len() - done);
                    if is_on(number) {
                        self.page(number)[from..from + bytes]
                            .copy_from_slice(&data[done..done + bytes]);
                    }
                    done += bytes;
                }
                self.length = self.length.max(offset + data.len() as u64);
            }
            Change::Truncate(length) => self.cut(*length, is_on),
            Change::Allocate(length) => self.length = self.length.max(*length),
        }
    }

    fn cut(&mut self, length: u64, is_on: impl Fn(u64) -> bool) {
        let (last, from) = (
            length / PAGE_BYTES as u64,
            (length % PAGE_BYTES as u64) as usize,
        );
        self.pages
            .retain(|number, _| *number <= last || !is_on(*number));
        if self.pages.contains_key(&last) && is_on(last) {
            self.page(last)[from..].fill(0);
        }
        self.length = length;
    }
}

impl Change {
    /// A write as one of each page; none of any other change.
    #[must_use]
    pub fn by_page(&self) -> Vec<Self> {
        let Self::Write(offset, data) = self else {
            return Vec::new();
        };
        let page = PAGE_BYTES as u64;
        let piece = |number: u64| {
            let from = (number * page).max(*offset);
            let to = ((number + 1) * page).min(offset + data.len() as u64);
            let bytes = &data[(from - offset) as usize..(to - offset) as usize];
            Self::Write(from, bytes.to_vec())
        };
        self.pages().map(piece).collect()
    }

    /// The pages it touches.
    pub fn pages(&self) -> std::ops::Range<u64> {
        let page = PAGE_BYTES as u64;
        match self {
            Self::Write(_, data) if data.is_empty() => 0..0,
            Self::Write(offset, data) => offset / page..(offset + data.len() as u64).div_ceil(page),
            Self::Truncate(_) | Self::Allocate(_) => 0..0,
        }
    }
}

/// What a disk kept of changes that were not synced: of each page some version, now and then a mix of
/// sectors of it and of the synced one; of the length some version.
#[must_use]
pub fn torn(synced: &Content, changes: &[Change], random: &mut Random) -> Content {
    let mut kept = synced.clone();
    let mut touched: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (at, change) in changes.iter().enumerate() {
        for page in change.pages() {
            touched.entry(page).or_default().push(at);
        }
    }
    for (number, by) in touched {
        let version = match random.below(3) {
            0 => continue,
            1 => changes.len(),
            _ => by[random.below(by.len() as u64) as usize] + 1,
        };
        let mut page = synced.clone();
        page.pages.retain(|n, _| *n == number);
        for change in &changes[..version] {
            page.apply(change, |n| n == number);
        }
        let version = *page.page(number);
        let is_torn = random.percent(25);
        let into = kept.page(number);
        for at in (0..PAGE_BYTES).step_by(SECTOR_BYTES) {
            if !is_torn || random.percent(50) {
                into[at..at + SECTOR_BYTES].copy_from_slice(&version[at..at + SECTOR_BYTES]);
            }
        }
    }
    let mut sizes = Content {
        length: synced.length,
        pages: BTreeMap::new(),
    };
    for change in &changes[..random.below(changes.len() as u64 + 1) as usize] {
        sizes.apply(change, |_| false);
    }
    let length = sizes.length;
    kept.cut(length, |_| true);
    kept
}
