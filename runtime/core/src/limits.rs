//! Every bound of the decisions, in one place (commit and storage rules §4, design §2).

/// Most records of one batch.
pub const BATCH_RECORDS_MAX: u32 = 10_000;
/// Records of a batch unless the mapping says otherwise.
pub const BATCH_RECORDS_DEFAULT: u32 = 100;
/// Most bytes (keys and data) of one batch; one larger record goes alone.
pub const BATCH_BYTES_MAX: u64 = 12 << 20;
/// Bytes of a batch unless the mapping says otherwise.
pub const BATCH_BYTES_DEFAULT: u64 = 6 << 20;
/// Longest batch window, ms.
pub const BATCH_WINDOW_MS_MAX: u64 = 300_000;
/// Most lanes of one shard.
pub const PARALLELIZATION_FACTOR_MAX: u16 = 256;
/// Attempts of a record unless the mapping says otherwise.
pub const ATTEMPTS_DEFAULT: u32 = 5;
/// First backoff, ms, unless the mapping says otherwise.
pub const BACKOFF_INITIAL_MS_DEFAULT: u64 = 100;
/// Longest backoff, ms, unless the mapping says otherwise.
pub const BACKOFF_MAX_MS_DEFAULT: u64 = 60_000;
/// Records of one unit between its low watermark and its read position.
pub const UNSETTLED_RECORDS_MAX: u64 = 262_144;
/// Payload of parked records kept in memory per unit; beyond it they are re-read from the log.
pub const PARKED_BYTES_MAX: u64 = 8 << 20;
/// Largest record a function is given; a larger one is dead-lettered with metadata only.
pub const RECORD_BYTES_MAX: u64 = 16 << 20;
/// Largest output of one call.
pub const OUTPUT_BYTES_MAX: u64 = 16 << 20;
/// Largest commit: holds the largest input (as dead letters) and output.
pub const COMMIT_BYTES_MAX: u64 = 40 << 20;
/// Largest journal frame.
pub const FRAME_BYTES_MAX: u64 = 64 << 20;
/// Commits of one slot accepted and not yet synced.
pub const COMMITS_IN_FLIGHT_MAX: u32 = 2;
/// Above this many hops a record is dead-lettered as `loop`.
pub const HOPS_MAX: u8 = 16;
/// A partition key, in characters.
pub const PARTITION_KEY_CHARS_MAX: usize = 256;
/// Largest record of an embedded stream unless the stream says otherwise.
pub const STREAM_RECORD_BYTES_DEFAULT: u64 = 1 << 20;
/// A failure's words; longer ones are cut.
pub const FAILURE_MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Producers remembered per stream for idempotent puts.
pub const PRODUCERS_MAX: usize = 1_024;
/// Keys and payloads of one mapping's dead letters; at it, the lane that would add one waits
/// (commit and storage rules §7).
pub const DEAD_LETTER_STREAM_BYTES_MAX: u64 = 1 << 30;
/// Refused results waiting in memory, bytes a node.
pub const REFUSED_BYTES_MAX: u64 = 256 << 20;

const _: () = assert!(COMMIT_BYTES_MAX >= RECORD_BYTES_MAX + OUTPUT_BYTES_MAX);
const _: () = assert!(RECORD_BYTES_MAX >= BATCH_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX > COMMIT_BYTES_MAX);
