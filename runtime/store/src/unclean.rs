//! Remembers unclean stops: after two of them in short order a record that kills the process may be at
//! work, and the node is careful until it has run for ten minutes (commit and storage rules §4).
//!
//! The memory is a file of a few bytes. It is written by a start that finds an unclean stop, before
//! anything is called, and goes when a life has lasted ten minutes by the boot clock: no clock that
//! jumps is asked, and what runs costs nothing. Without the file there was no stop.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use fnctl_core::{commit::AttemptMark, id::UnitId};
use tokio::sync::watch;

use crate::{
    disk::{self, Disk, parent},
    limits::{QUIET_MS, UNCLEAN_STOPS_CAREFUL},
};

const FILE: &str = "unclean-stops";
const PREFIX: &str = "fnctl unclean stops ";
/// No time at all.
const NEVER: u64 = u64::MAX;

/// Where the memory lies.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// How the last life ended, as a start knows it.
#[derive(Debug)]
pub(crate) struct UncleanStops {
    path: PathBuf,
    count: u32,
    /// Whether the node is careful.
    is_careful: watch::Sender<bool>,
    /// When it has been quiet long enough, by the boot clock.
    quiet_at: AtomicU64,
    /// The records that the last process died with.
    in_hand: Vec<(UnitId, AttemptMark)>,
}

impl UncleanStops {
    /// Counts the stop in front of this start, if it was unclean, durably. `in_hand` are the marks of
    /// the recovered view that are in hand.
    ///
    /// # Errors
    /// The disk failed. A full one fails nothing: the stop then counts for this life alone.
    pub(crate) fn found(
        disk: &dyn Disk,
        data: &Path,
        is_clean: bool,
        in_hand: Vec<(UnitId, AttemptMark)>,
        boot_ms: u64,
    ) -> io::Result<Self> {
        let path = path(data);
        let mut count = read(disk, &path)?;
        if !is_clean {
            count = count.saturating_add(1);
            let content = format!("{PREFIX}{count}\n");
            match disk::replace(disk, &path, content.as_bytes()) {
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    tracing::warn!(path = %path.display(), "no room to remember an unclean stop");
                }
                other => other?,
            }
        }
        let is_careful = count >= UNCLEAN_STOPS_CAREFUL;
        if !is_clean && !is_careful {
            tracing::warn!(
                unclean_stops = count,
                "the process before did not end in order: what it had acknowledged is there"
            );
        }
        if is_careful {
            tracing::warn!(
                unclean_stops = count,
                "the process died again and again: first batches and retries are called record by record \
                 until it has run for ten minutes"
            );
        }
        let quiet_at = if count > 0 { boot_ms + QUIET_MS } else { NEVER };
        Ok(Self {
            path,
            count,
            is_careful: watch::Sender::new(is_careful),
            quiet_at: AtomicU64::new(quiet_at),
            in_hand: if is_clean { Vec::new() } else { in_hand },
        })
    }

    /// Of a store that is read alone: nothing is called.
    pub(crate) fn none(data: &Path) -> Self {
        Self {
            path: path(data),
            count: 0,
            is_careful: watch::Sender::new(false),
            quiet_at: AtomicU64::new(NEVER),
            in_hand: Vec::new(),
        }
    }

    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn is_careful(&self) -> watch::Receiver<bool> {
        self.is_careful.subscribe()
    }

    /// The marks of a unit's records that the last process died with.
    pub(crate) fn in_hand(&self, unit: UnitId) -> Vec<AttemptMark> {
        let of_unit = self.in_hand.iter().filter(|(of, _)| *of == unit);
        of_unit.map(|(_, mark)| mark.clone()).collect()
    }

    /// Forgets the stops once the node has been quiet for long enough.
    pub(crate) fn pass(&self, disk: &dyn Disk, boot_ms: u64) {
        if boot_ms < self.quiet_at.load(Ordering::Relaxed) {
            return;
        }
        self.quiet_at.store(NEVER, Ordering::Relaxed);
        let forgotten = disk
            .remove(&self.path)
            .and_then(|()| disk.sync_dir(parent(&self.path)));
        match forgotten {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                // The next unclean stop counts as one more: careful too early, never too late.
                tracing::warn!(path = %self.path.display(), %error, "unclean stops could not be forgotten");
            }
            _ => {}
        }
        if self.is_careful.send_replace(false) {
            tracing::info!("ten quiet minutes have passed: records are called in batches again");
        }
    }
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<u32> {
    let content = match disk::read_all(disk, path) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&content);
    let count = text.trim_end().strip_prefix(PREFIX).map(str::parse);
    Ok(match count {
        Some(Ok(count)) => count,
        // It would not be there without a stop.
        _ => 1,
    })
}

#[cfg(test)]
mod tests;
