//! Every bound of the storage, in one place (commit and storage rules §4–7).

use std::time::Duration;

use fnctl_core::limits::FRAME_BYTES_MAX;

/// A journal file is allocated at this size and rolled when full.
pub const JOURNAL_FILE_BYTES: u64 = 64 << 20;
/// A frame that has gathered this much takes no further entry; the next ones wait for the next frame.
pub const FRAME_GATHER_BYTES: usize = 8 << 20;
/// Attempts of failed calls, for which nobody waits, gather so long for a frame that is written for something
/// else. They are to be written within 100 ms, behind a frame that is under way.
pub const CHARGES_LINGER: Duration = Duration::from_millis(50);
/// … or until a frame has this many entries,
pub const CHARGES_LINGER_ENTRIES: usize = 64;
/// … or this many bytes.
pub const CHARGES_LINGER_BYTES: usize = 256 << 10;
/// A shard's gathered records become a segment frame at this size.
pub const SEGMENT_FRAME_BYTES: usize = 64 << 10;
/// A shard's frames are written as soon as this many have gathered, at a cut, or when memory is short:
/// until then its records are served from memory, and a write costs the same however long it is.
pub const SEGMENT_FRAMES_GATHERED: usize = 8;
/// Frames of a shard written at once end with the one that reaches this.
pub const SEGMENT_WRITE_BYTES: usize = 768 << 10;
/// Most bytes handed to the system in one call. Larger ones make ext4 take page-cache folios that a
/// virtual machine's balloon has given back to the host: measured 1.7 ns a byte instead of 0.3.
pub const WRITE_BYTES: usize = 64 << 10;
/// Logs are written past the page cache in whole blocks of this size, which suits every disk.
pub const DIRECT_BLOCK_BYTES: usize = 4 << 10;
/// … and at most this many bytes at once.
pub const DIRECT_WRITE_BYTES: usize = 1 << 20;
/// A shorter write to a file that is not synced at once goes through the page cache: asking the disk costs
/// more than the copy. A node of a thousand shards has that many of them at every cut.
pub const DIRECT_WRITE_BYTES_MIN: usize = 64 << 10;
/// A segment rolls at this size.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// A segment of a stream with a bound rolls at an eighth of it, and not below this.
pub const BOUNDED_SEGMENT_BYTES_MIN: u64 = 1 << 20;
/// A file of dead letters of which none is open any more goes from this size on; a smaller one stays
/// and shows what became of them until it is full.
pub const CLOSED_LETTERS_BYTES_MAX: u64 = 4 << 20;
/// A segment of smaller size rolls at this age, ms.
pub const SEGMENT_AGE_MS: u64 = 24 * 60 * 60 * 1000;
/// One entry of a segment's sparse index covers at least this many bytes.
pub const SEGMENT_INDEX_BYTES: u64 = 64 << 10;
/// A dirty store is cut this often, ms.
pub const CUT_INTERVAL_MS: u64 = 2_000;
/// … but this often while more than [`CUT_SYNC_FILES_MAX`] shards would be written with less than a frame
/// each: what a start has to redo is little, and what it would cost to write them is not.
pub const CUT_SPARSE_INTERVAL_MS: u64 = 16_000;
/// … or at this many bytes applied and not yet cut.
pub const CUT_DIRTY_BYTES: u64 = 32 << 20;
/// … or at this many bytes of journal since the last cut.
pub const CUT_JOURNAL_BYTES: u64 = 128 << 20;
/// A snapshot is due when the journal since the last one passes this, or four times the view.
pub const SNAPSHOT_JOURNAL_BYTES: u64 = 256 << 20;
/// … this many times the size of the view.
pub const SNAPSHOT_VIEW_FACTOR: u64 = 4;
/// Bytes of one frame of a snapshot.
pub const SNAPSHOT_FRAME_BYTES: usize = 1 << 20;
/// Snapshots kept.
pub const SNAPSHOTS_KEPT: usize = 2;
/// A larger value is stored in the image in chunks of this size (sled's blob files are never synced).
pub const IMAGE_VALUE_BYTES_MAX: usize = 3 << 10;
/// An image that takes this many times the room of its values is made anew at a start …
pub const IMAGE_BLOAT_FACTOR: u64 = 4;
/// … unless it is small anyway.
pub const IMAGE_BYTES_SMALL: u64 = 16 << 20;
/// The image engine's own cache.
pub const IMAGE_CACHE_BYTES: u64 = 16 << 20;
/// Published records kept in memory, node-wide; what is not applied yet stays beyond it.
pub const TAIL_BYTES_MAX: u64 = 64 << 20;
/// Published and not yet taken by the applier: from this on it is woken, fewer wait up to a second.
pub const APPLIER_WAKE_BYTES: u64 = 1 << 20;
/// Journaled and not yet applied; beyond it nothing more is accepted until the applier has caught up.
pub const UNAPPLIED_BYTES_MAX: u64 = 256 << 20;
/// Bytes of puts under way; what is above, or above a stream's share of it, is refused.
pub const APPENDS_BYTES_MAX: u64 = 128 << 20;
/// Puts under way.
pub const APPENDS_MAX: u64 = 16_384;
/// A file deleted when a start finds no room to create its own.
pub const BALLAST_BYTES: u64 = 64 << 20;
/// Free space is looked at again after this many accepted bytes.
pub const SPACE_SAMPLE_BYTES: u64 = 4 << 20;
/// Free space is looked at again after this long, ms.
pub const SPACE_SAMPLE_MS: u64 = 250;
/// Retention is computed again after this long, ms.
pub const RETENTION_INTERVAL_MS: u64 = 1_000;
/// Segments unlinked before the applier turns to what was published meanwhile.
pub const UNLINKS_PER_TURN: usize = 4;
/// How far the retention clock may advance over a stop, ms.
pub const RETENTION_STOP_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// Sealed segments whose file and index stay open for readers.
pub const OPEN_SEGMENTS_MAX: usize = 128;
/// Most bytes read from a segment at once, unless one frame is larger.
pub const READ_BYTES_MAX: usize = 256 << 10;
/// Pieces of so many bytes that are kept for the next reads of segments: 4 MiB in all.
pub const READ_BUFFERS_MAX: usize = 16;
/// One read of a file that is read from front to back: journal and snapshots at a start, everything by
/// the doctor.
pub const SCAN_READ_BYTES: usize = 4 << 20;
/// Largest component.
pub const COMPONENT_BYTES_MAX: u64 = 64 << 20;
/// With more dirty segments than this a cut syncs the whole file system once.
pub const CUT_SYNC_FILES_MAX: usize = 64;
/// Sync times kept for the statistics.
pub const SYNC_SAMPLES: usize = 1_024;

const _: () = assert!(FRAME_GATHER_BYTES as u64 + FRAME_BYTES_MAX <= u32::MAX as u64);
const _: () = assert!(APPENDS_BYTES_MAX < UNAPPLIED_BYTES_MAX);
/// A step of the wall clock beyond this, against the boot clock, is a leap, ms.
pub const CLOCK_LEAP_MS: u64 = 60 * 60 * 1000;
/// A leap is taken over after this long, ms.
pub const CLOCK_LEAP_HELD_MS: u64 = 10 * 60 * 1000;
/// Records gathered for segments beyond this are written whatever their shards have. They are the newest
/// ones, which the tail keeps in memory anyway.
pub const GATHERED_BYTES_MAX: usize = 48 << 20;
const _: () = assert!((GATHERED_BYTES_MAX as u64) < TAIL_BYTES_MAX);
/// A larger block is cut into frames of about this size.
pub const SEGMENT_FRAME_BYTES_MAX: usize = 256 << 10;
/// From this many unclean stops on, none of them ten minutes after the last, the node is careful.
pub const UNCLEAN_STOPS_CAREFUL: u32 = 2;
/// After this long without an unclean stop they are forgotten, ms.
pub const QUIET_MS: u64 = 10 * 60 * 1000;
/// Bytes a second that the scrub reads unless told otherwise.
pub const SCRUB_BYTES_PER_SECOND: u64 = 8 << 20;
/// Least and most that it may be told.
pub const SCRUB_BYTES_PER_SECOND_MIN: u64 = 64 << 10;
/// See [`SCRUB_BYTES_PER_SECOND_MIN`].
pub const SCRUB_BYTES_PER_SECOND_MAX: u64 = 1 << 30;
/// From the start of one pass of the scrub to the next unless told otherwise.
pub const SCRUB_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);
/// Least and most that it may be told.
pub const SCRUB_PERIOD_MIN: Duration = Duration::from_secs(1);
/// See [`SCRUB_PERIOD_MIN`].
pub const SCRUB_PERIOD_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The first pass begins this long after a start, or after a period if that is shorter.
pub const SCRUB_FIRST_AFTER: Duration = Duration::from_secs(60);
/// One read of the scrub: small, so that a sync seldom waits behind one.
pub const SCRUB_READ_BYTES: usize = 256 << 10;
/// Copies of the image that must all fail before it counts as damaged.
pub const SCRUB_IMAGE_TRIES: u32 = 3;
/// Damaged places that are kept one by one; more are counted.
pub const SCRUB_FINDINGS_MAX: usize = 1_000;
/// The server's secret in a data directory: its name, and its length. What it is for is the server's.
pub const SECRET_FILE: &str = "secret";
/// See [`SECRET_FILE`].
pub const SECRET_BYTES: usize = 32;
/// The server's access tokens in a data directory: the name of their file. What it says is the server's.
pub const ACCESS_FILE: &str = "access.json";
/// Largest such file that is read, bytes: twice what the most tokens take.
pub const ACCESS_BYTES_MAX: usize = 256 << 10;
/// The server's redrives that are under way, in a data directory: the name of their file. What it says is the
/// server's.
pub const REDRIVES_FILE: &str = "redrives.json";
/// Largest such file, bytes: twice what the largest request for a redrive has.
pub const REDRIVES_BYTES_MAX: usize = 4 << 20;
/// The directory of the certificate and key that the server made for itself.
pub const TLS_DIRECTORY: &str = "tls";
/// Findings of an examination that are told one by one; more are counted.
pub const DOCTOR_FINDINGS_MAX: usize = 1_000;
