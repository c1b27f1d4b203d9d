//! What a backup holds: one line a file, with its length and SHA-256, closed by a checksum of its own.
//!
//! ```text
//! fnctl backup, format 1
//! journal 9f2c41d0aa5511ee
//! next 4711
//! taken 1767225600000
//! file <sha256> <bytes> <identity> <path in the data directory>
//! damaged <path in the data directory>
//! end <sha256 of the lines above>
//! ```
//!
//! A file with an identity never changes under its name, so a later backup into the same directory
//! takes it over; one with `-` is of this backup alone and lies in `at-<next>/`.

use std::{fmt::Write as _, path::Path, sync::Arc};

use fnctl_core::id::{Lsn, Timestamp};

use crate::digest::Digester;

/// Name of the manifest in a backup.
pub const FILE: &str = "MANIFEST";
/// The layout of backups that this version writes and reads.
pub const FORMAT_VERSION: u32 = 1;

const PREFIX: &str = "fnctl backup, format ";

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where it lies in a data directory, `/` between names.
    pub target: String,
    /// Its length.
    pub bytes: u64,
    /// What its content is known by, if it never changes.
    pub identity: Option<String>,
    /// SHA-256 of its content, lower-case hex; empty until it was read.
    pub sha256: Arc<str>,
}

impl Item {
    pub(super) fn lasting(target: String, bytes: u64, identity: String) -> Self {
        Self {
            identity: Some(identity),
            ..Self::passing(target, bytes)
        }
    }

    pub(super) fn passing(target: String, bytes: u64) -> Self {
        Self {
            target,
            bytes,
            identity: None,
            sha256: "".into(),
        }
    }

    /// Whether both are the same file with the same content.
    pub(super) fn is_copy_of(&self, other: &Self) -> bool {
        self.identity.is_some()
            && self.identity == other.identity
            && self.target == other.target
            && self.bytes == other.bytes
    }

    /// Where it lies in a backup that ends at `next`.
    #[must_use]
    pub fn stored(&self, next: Lsn) -> String {
        match self.identity {
            Some(_) => self.target.clone(),
            None => format!("{}/{}", passing_directory(next), self.target),
        }
    }
}

/// The directory of files that belong to the backup at `next` alone.
pub(super) fn passing_directory(next: Lsn) -> String {
    format!("at-{next}")
}

/// Where a stored file lies in a data directory.
pub(super) fn target_of(stored: &str) -> &str {
    match stored.split_once('/') {
        Some((first, rest)) if first.starts_with("at-") => rest,
        _ => stored,
    }
}

/// Everything about a backup but its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Id of the journal it comes from.
    pub journal: u64,
    /// LSN after the last entry that it holds.
    pub next: Lsn,
    /// When it was taken.
    pub taken: Timestamp,
    /// Its files.
    pub items: Vec<Item>,
    /// Files of the source that were damaged or short, in the data directory.
    pub damaged: Vec<String>,
}

/// Why a manifest cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is damaged, or none.
    #[error("the manifest is damaged: {0}")]
    Damaged(&'static str),
    /// A newer version wrote it.
    #[error(
        "the backup was made by a newer version (format {0}), this one knows format {FORMAT_VERSION}"
    )]
    NewerVersion(u32),
}

impl Manifest {
    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.bytes).sum()
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!(
            "{PREFIX}{FORMAT_VERSION}\njournal {:016x}\nnext {}\ntaken {}\n",
            self.journal, self.next, self.taken
        );
        for item in &self.items {
            let identity = item.identity.as_deref().unwrap_or("-");
            writeln!(
                text,
                "file {} {} {identity} {}",
                item.sha256, item.bytes, item.target
            )
            .expect("a string takes everything");
        }
        for target in &self.damaged {
            writeln!(text, "damaged {target}").expect("a string takes everything");
        }
        let mut digester = Digester::default();
        digester.push(text.as_bytes());
        writeln!(text, "end {}", digester.finish()).expect("a string takes everything");
        text.into_bytes()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        use ManifestError::Damaged;
        let text = std::str::from_utf8(bytes).map_err(|_| Damaged("it is no text"))?;
        let first = text.lines().next().unwrap_or_default();
        match first.strip_prefix(PREFIX).map(str::parse::<u32>) {
            Some(Ok(FORMAT_VERSION)) => {}
            Some(Ok(newer)) if newer > FORMAT_VERSION => {
                return Err(ManifestError::NewerVersion(newer));
            }
            _ => return Err(Damaged("its first line is none of ours")),
        }
        let end = text.rfind("\nend ").ok_or(Damaged("it has no end"))? + 1;
        let (lines, last) = text.split_at(end);
        let mut digester = Digester::default();
        digester.push(lines.as_bytes());
        if last.trim_end() != format!("end {}", digester.finish()) {
            return Err(Damaged("its checksum is wrong"));
        }
        let mut manifest = Self {
            journal: 0,
            next: Lsn(0),
            taken: Timestamp(0),
            items: Vec::new(),
            damaged: Vec::new(),
        };
        for line in lines.lines().skip(1) {
            let (word, rest) = line
                .split_once(' ')
                .ok_or(Damaged("a line is none of ours"))?;
            let number = || rest.parse().map_err(|_| Damaged("a number cannot be read"));
            match word {
                "journal" => {
                    let id = u64::from_str_radix(rest, 16);
                    manifest.journal = id.map_err(|_| Damaged("a number cannot be read"))?;
                }
                "next" => manifest.next = Lsn(number()?),
                "taken" => manifest.taken = Timestamp(number()?),
                "damaged" => manifest.damaged.push(rest.to_owned()),
                "file" => manifest
                    .items
                    .push(item(rest).ok_or(Damaged("a file's line is wrong"))?),
                _ => return Err(Damaged("a line is none of ours")),
            }
        }
        Ok(manifest)
    }
}

fn item(line: &str) -> Option<Item> {
    let mut words = line.splitn(4, ' ');
    let (sha256, bytes) = (words.next()?, words.next()?.parse().ok()?);
    let (identity, target) = (words.next()?, words.next()?);
    is_target(target).then(|| Item {
        target: target.to_owned(),
        bytes,
        identity: (identity != "-").then(|| identity.to_owned()),
        sha256: sha256.into(),
    })
}

/// Whether a path is one that a data directory has: nothing may be written beside it.
pub(super) fn is_target(target: &str) -> bool {
    let first = target.split('/').next().unwrap_or_default();
    let is_plain = |name: &str| !name.is_empty() && name != "." && name != "..";
    matches!(first, "artifacts" | "journal" | "secret" | "streams")
        && target.split('/').all(is_plain)
        && Path::new(target).is_relative()
}
