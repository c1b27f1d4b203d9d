//! A backup as one stream: a tar archive (ustar), the manifest last.

use std::{fmt::Write as _, mem};

use super::manifest;

/// Bytes of a block: headers and ends of files are whole blocks.
const BLOCK: usize = 512;
/// Name of the entry that says why the archive ends early.
pub const ERROR: &str = "ERROR";

/// The header in front of a file's bytes.
#[must_use]
pub(super) fn header(name: &str, bytes: u64) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    let mut put =
        |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    assert!(name.len() < 100, "our names are short");
    put(0, name);
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    let mut size = String::new();
    write!(size, "{bytes:011o}").expect("a string takes everything");
    assert!(size.len() == 11, "our files are below 8 GiB");
    put(124, &size);
    put(136, "00000000000");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    block[148..156].copy_from_slice(sum.as_bytes());
    block
}

/// What fills the last block of a file.
pub(super) fn padding(bytes: u64) -> Vec<u8> {
    vec![
        0;
        usize::try_from(bytes.next_multiple_of(BLOCK as u64) - bytes).expect("less than a block")
    ]
}

/// What ends an archive.
pub(super) fn end() -> Vec<u8> {
    vec![0; 2 * BLOCK]
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is none of ours, or damaged.
    #[error("the archive is damaged: {0}")]
    Damaged(&'static str),
    /// The server gave up; its words.
    #[error("{0}")]
    GivenUp(String),
    /// What the receiver did with it failed.
    #[error(transparent)]
    Receiver(#[from] super::directory::DirectoryError),
}

/// Takes the files of an archive, one after the other.
pub trait Receive {
    /// A file begins.
    ///
    /// # Errors
    /// It cannot be taken.
    fn begin(&mut self, name: &str, bytes: u64) -> Result<(), super::directory::DirectoryError>;

    /// The next of its bytes.
    ///
    /// # Errors
    /// They cannot be taken.
    fn data(&mut self, bytes: &[u8]) -> Result<(), super::directory::DirectoryError>;

    /// It ended.
    ///
    /// # Errors
    /// It cannot be made durable.
    fn end(&mut self) -> Result<(), super::directory::DirectoryError>;
}

/// Reads an archive that comes in pieces of any size.
#[derive(Debug, Default)]
pub struct Reader {
    /// Bytes of a header or of the manifest, as far as they came.
    buffer: Vec<u8>,
    state: State,
    /// The manifest, once it came.
    manifest: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Header,
    /// Of a file: bytes left of it, and behind it.
    File(u64, usize),
    /// Of something kept whole: its name.
    Whole(String, u64, usize),
    Padding(usize),
    Ended,
}

/// Largest manifest that is taken: about a million files.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;

impl Reader {
    /// Takes the next piece.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        receive: &mut dyn Receive,
    ) -> Result<(), ArchiveError> {
        while !bytes.is_empty() {
            match mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Ok(()),
                State::Header => {
                    let taken = bytes.len().min(BLOCK - self.buffer.len());
                    self.buffer.extend_from_slice(&bytes[..taken]);
                    bytes = &bytes[taken..];
                    self.state = State::Header;
                    if self.buffer.len() == BLOCK {
                        let block = mem::take(&mut self.buffer);
                        self.header(&block, receive)?;
                    }
                }
                State::File(left, padding) => {
                    let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    receive.data(&bytes[..taken])?;
                    bytes = &bytes[taken..];
                    self.file(left - taken as u64, padding, receive)?;
                }
                State::Whole(name, left, padding) => {
                    let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.buffer.extend_from_slice(&bytes[..taken]);
                    bytes = &bytes[taken..];
                    self.whole(name, left - taken as u64, padding)?;
                }
                State::Padding(left) => {
                    let taken = bytes.len().min(left);
                    bytes = &bytes[taken..];
                    self.padding(left - taken);
                }
            }
        }
        Ok(())
    }

    /// The manifest, after the last piece.
    ///
    /// # Errors
    /// The archive ends before it.
    pub fn finish(self) -> Result<Vec<u8>, ArchiveError> {
        self.manifest
            .ok_or(ArchiveError::Damaged("it ends before its manifest"))
    }

    fn header(&mut self, block: &[u8], receive: &mut dyn Receive) -> Result<(), ArchiveError> {
        if block.iter().all(|&byte| byte == 0) {
            self.state = State::Ended;
            return Ok(());
        }
        let (name, bytes) = parse(block).ok_or(ArchiveError::Damaged("a header cannot be read"))?;
        let padding = padding(bytes).len();
        if name == manifest::FILE || name == ERROR {
            if bytes > MANIFEST_BYTES_MAX {
                return Err(ArchiveError::Damaged("its manifest is too large"));
            }
            return self.whole(name.to_owned(), bytes, padding);
        }
        if !manifest::is_target(manifest::target_of(name)) {
            return Err(ArchiveError::Damaged(
                "it holds a file that is none of ours",
            ));
        }
        receive.begin(name, bytes)?;
        self.file(bytes, padding, receive)
    }

    fn file(
        &mut self,
        left: u64,
        padding: usize,
        receive: &mut dyn Receive,
    ) -> Result<(), ArchiveError> {
        if left > 0 {
            self.state = State::File(left, padding);
            return Ok(());
        }
        receive.end()?;
        self.padding(padding);
        Ok(())
    }

    fn whole(&mut self, name: String, left: u64, padding: usize) -> Result<(), ArchiveError> {
        if left > 0 {
            self.state = State::Whole(name, left, padding);
            return Ok(());
        }
        let bytes = mem::take(&mut self.buffer);
        if name == ERROR {
            let words = String::from_utf8_lossy(&bytes).into_owned();
            return Err(ArchiveError::GivenUp(words));
        }
        self.manifest = Some(bytes);
        self.padding(padding);
        Ok(())
    }

    fn padding(&mut self, left: usize) {
        self.state = if left > 0 {
            State::Padding(left)
        } else {
            State::Header
        };
    }
}

fn parse(block: &[u8]) -> Option<(&str, u64)> {
    let text = |from: usize, to: usize| {
        let field = block.get(from..to)?;
        let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
        std::str::from_utf8(&field[..end]).ok()
    };
    let octal = |text: &str| u64::from_str_radix(text.trim(), 8).ok();
    let expected = octal(text(148, 156)?)?;
    let sum: u64 = (0..)
        .zip(block)
        .map(|(at, &byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                u64::from(byte)
            }
        })
        .sum();
    (sum == expected).then_some((text(0, 100)?, octal(text(124, 136)?)?))
}
