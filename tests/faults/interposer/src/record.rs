//! What is written down of each call, in the order in which the calls happened.

/// What happened. The numbers are those of [`Record::op`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Op {
    /// The program was loaded.
    Started = 1,
    /// `first` was opened as handle `id`; `a` are the flags of `open`.
    Open = 2,
    /// `data` was written through `id` at `a`.
    Write = 3,
    /// `id` has the length `a` now.
    Truncate = 4,
    /// Room was reserved in `id` up to `a`, which is its least length now.
    Allocate = 5,
    /// A sync of `id` begins; `a` is its number.
    SyncBegins = 6,
    /// The sync `a` of `id` has returned.
    SyncDone = 7,
    /// The sync `a` of `id` has failed.
    SyncFailed = 8,
    /// A sync of everything begins; `a` is its number.
    SyncAllBegins = 9,
    /// The sync `a` of everything has returned.
    SyncAllDone = 10,
    /// `first` was renamed to `second`.
    Rename = 11,
    /// `first` was removed.
    Unlink = 12,
    /// The directory `first` was removed.
    RemoveDir = 13,
    /// The directory `first` was made.
    MakeDir = 14,
    /// `second` is another name of `first`.
    Link = 15,
    /// A call failed on purpose: system call `a`, error `b` (0: it was cut short), on path `first`.
    Fault = 16,
    /// The program was killed at its call number `a`.
    Killed = 17,
    /// The program changed files in a way that is not understood: `first` says how.
    NotUnderstood = 18,
}

impl Op {
    const ALL: [Self; 18] = [
        Self::Started,
        Self::Open,
        Self::Write,
        Self::Truncate,
        Self::Allocate,
        Self::SyncBegins,
        Self::SyncDone,
        Self::SyncFailed,
        Self::SyncAllBegins,
        Self::SyncAllDone,
        Self::Rename,
        Self::Unlink,
        Self::RemoveDir,
        Self::MakeDir,
        Self::Link,
        Self::Fault,
        Self::Killed,
        Self::NotUnderstood,
    ];
}

/// Bytes of a record in front of its two paths and its data: six little-endian numbers, `op` and `id`
/// of four bytes, `a` and `b` of eight, the lengths of both paths of two, the length of the data of four.
pub const HEADER_BYTES: usize = 32;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What happened.
    pub op: Op,
    /// The handle it happened through.
    pub id: u32,
    /// See [`Op`].
    pub a: u64,
    /// See [`Op`].
    pub b: u64,
    /// A path below the watched directory; empty: itself.
    pub first: &'a [u8],
    /// Another one.
    pub second: &'a [u8],
    /// What was written.
    pub data: &'a [u8],
}

/// The head of a record, for who writes one.
#[must_use]
pub fn head(
    op: Op,
    id: u32,
    a: u64,
    b: u64,
    first: usize,
    second: usize,
    data: usize,
) -> [u8; HEADER_BYTES] {
    let mut head = [0; HEADER_BYTES];
    head[0..4].copy_from_slice(&(op as u32).to_le_bytes());
    head[4..8].copy_from_slice(&id.to_le_bytes());
    head[8..16].copy_from_slice(&a.to_le_bytes());
    head[16..24].copy_from_slice(&b.to_le_bytes());
    head[24..26].copy_from_slice(&(first as u16).to_le_bytes());
    head[26..28].copy_from_slice(&(second as u16).to_le_bytes());
    head[28..32].copy_from_slice(&(data as u32).to_le_bytes());
    head
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The first record of `bytes`, and what is behind it; `None` at the end, a record that the end of the
/// program has torn included.
#[must_use]
pub fn next(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let op = number(&head[0..4]);
    let op = Op::ALL.into_iter().find(|known| *known as u64 == op)?;
    let (first, rest) = rest.split_at_checked(number(&head[24..26]) as usize)?;
    let (second, rest) = rest.split_at_checked(number(&head[26..28]) as usize)?;
    let (data, rest) = rest.split_at_checked(number(&head[28..32]) as usize)?;
    let record = Record {
        op,
        id: number(&head[4..8]) as u32,
        a: number(&head[8..16]),
        b: number(&head[16..24]),
        first,
        second,
        data,
    };
    Some((record, rest))
}
