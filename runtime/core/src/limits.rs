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
/// Records that are looked through at once for those that are not done, behind one that waits.
pub const BACKLOG_CHUNK_RECORDS: usize = 1_024;
/// Of these at most so many may be on their way to or in a call when the others are let go of.
pub const BACKLOG_CHUNK_MOVING_RECORDS: usize = BACKLOG_CHUNK_RECORDS / 16;
/// Payload of parked records kept in memory per unit; beyond it they are re-read from the log.
pub const PARKED_BYTES_MAX: u64 = 8 << 20;
/// What a parked record takes in memory beside its key and payload, bytes, once it is kept apart from its
/// block.
pub const PARKED_RECORD_BYTES: u64 = 640;
/// Up to so many keys that wait it is seen at a glance of most others that they need not; of more it is
/// looked up for each record that is read.
pub const GLANCE_KEYS_MAX: usize = 64;
/// Largest record a function is given; a larger one is dead-lettered with metadata only.
pub const RECORD_BYTES_MAX: u64 = 16 << 20;
/// Largest output of one call.
pub const OUTPUT_BYTES_MAX: u64 = 16 << 20;
/// Largest commit: holds the largest input (as dead letters) and output.
pub const COMMIT_BYTES_MAX: u64 = 40 << 20;
/// Largest journal frame.
pub const FRAME_BYTES_MAX: u64 = 64 << 20;
/// Records of its first batch that a lane calls alone after unclean stops, at most: each costs two synced
/// commits.
pub const CAREFUL_RECORDS_MAX: u32 = 256;
/// Charged records of one unit whose last failure is kept, to be told.
pub const FAILURES_TOLD_MAX: usize = 1_024;
/// Words of a failure that are kept with a record that waits, or with a circuit that is open, bytes.
pub const BRIEF_CAUSE_BYTES_MAX: usize = 256;
/// Batches of one unit that failed as a whole and wait to be bisected, of each version that it calls; with
/// so many the lanes of that version start no other.
pub const SUSPECT_BATCHES_MAX: usize = 16;
/// Records that are retried in one call: as many are called one by one where such a call fails as a whole.
pub const RETRIES_TOGETHER_MAX: u32 = 32;
/// Records of one call that go along behind what is tried for the last time: as many are called again where such a
/// call fails as a whole, and as long do other keys that are due wait for it.
pub const RETRIES_FOLLOWED_MAX: u32 = 128;
/// Beats of two units, at which keys are tried again, are a multiple of this apart, ms: where waits are multiples of it
/// as well, what fails in a thousand shards makes fifty wake-ups a second at most, and shares their syncs. Within a
/// longer wait units stay spread.
pub const RETRY_GRAIN_MS: u64 = 20;
/// Commits of one slot accepted and not yet synced.
pub const COMMITS_IN_FLIGHT_MAX: u32 = 2;
/// Redriven letters that a unit has in memory: one runs, the others wait for their keys.
pub const REDRIVES_TAKEN_MAX: usize = 4;
/// Above this many hops a record is dead-lettered as `loop`.
pub const HOPS_MAX: u8 = 16;
/// A partition key, in characters.
pub const PARTITION_KEY_CHARS_MAX: usize = 256;
/// Largest record of an embedded stream unless the stream says otherwise.
pub const STREAM_RECORD_BYTES_DEFAULT: u64 = 1 << 20;
/// Least that a stream may be asked to take as one record (spec B12, `MaxRecordSizeInKiB`).
pub const STREAM_RECORD_BYTES_MIN: u64 = 1 << 20;
/// Most that a stream may be asked to take as one record.
pub const STREAM_RECORD_BYTES_MAX: u64 = 10 << 20;
/// A failure's words; longer ones are cut.
pub const FAILURE_MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Producers remembered per stream for idempotent puts.
pub const PRODUCERS_MAX: usize = 1_024;
/// Keys and payloads of one mapping's dead letters; at it, the lane that would add one waits
/// (commit and storage rules §7). Unless the server is told otherwise.
pub const DEAD_LETTER_STREAM_BYTES_MAX: u64 = 1 << 30;
/// Least and most that a server may be told: the least takes any one record.
pub const DEAD_LETTER_STREAM_BYTES_RANGE: (u64, u64) = (16 << 20, 1 << 40);
/// What a log keeps of a record beside its key and data, bytes: times, ends, hash key.
pub const STORED_RECORD_BYTES: u64 = 40;
/// Least that a stream's logs may be bounded to: any one commit fits.
pub const STREAM_QUOTA_BYTES_MIN: u64 = 64 << 20;
/// Refused results waiting in memory, bytes a node.
pub const REFUSED_BYTES_MAX: u64 = 256 << 20;
/// Time limit of a call, ms, unless the version says otherwise.
pub const TIMEOUT_MS_DEFAULT: u64 = 30_000;
/// Longest time limit of a call, ms.
pub const TIMEOUT_MS_MAX: u64 = 900_000;
/// Memory of an instance unless the version says otherwise.
pub const MEMORY_BYTES_DEFAULT: u64 = 128 << 20;
/// Least memory of an instance: less than this holds no Rust component with a batch.
pub const MEMORY_BYTES_MIN: u64 = 1 << 20;
/// Most memory of an instance.
pub const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Most calls at once of one function.
pub const CONCURRENCY_MAX: u32 = 10_000;
/// Longest backoff that may be set, ms.
pub const BACKOFF_MS_MAX: u64 = 86_400_000;
/// Longest record age that may be set, ms: a year, as the longest retention.
pub const RECORD_AGE_MS_MAX: u64 = RETENTION_MS_MAX;
/// Dead letters of one list; an export has no bound.
pub const DEAD_LETTERS_LISTED_MAX: usize = 10_000;
/// Dead letters that cannot be read and are told of by their ids; further ones are counted.
pub const DAMAGED_LETTERS_NAMED_MAX: usize = 100;
/// Codes by which the dead letters of a mapping are told of; those of further ones are counted together.
pub const DEAD_LETTER_CODES_MAX: usize = 100;
/// Longest destination of dead letters, bytes as it is written.
pub const DESTINATION_BYTES_MAX: usize = 2_048;
/// Shards of a stream unless said otherwise.
pub const STREAM_SHARDS_DEFAULT: u32 = 1;
/// Most shards of a stream.
pub const STREAM_SHARDS_MAX: u32 = 10_000;
/// Most shards of a stream, closed ones included until retention passes them.
pub const STREAM_SHARDS_LISTED_MAX: u32 = 40_000;
/// Retention unless said otherwise, ms.
pub const RETENTION_MS_DEFAULT: u64 = 24 * 3_600_000;
/// Shortest retention, ms; the Kinesis API's own shortest is a day.
pub const RETENTION_MS_MIN: u64 = 3_600_000;
/// Longest retention, ms: a year, as Kinesis has it.
pub const RETENTION_MS_MAX: u64 = 8_760 * 3_600_000;
/// Bytes of all configuration values and secrets of a version, names included.
pub const CONFIG_BYTES_MAX: usize = 256 << 10;
/// Versions of a function that are kept; the oldest that nothing needs goes first.
pub const VERSIONS_MAX: usize = 100;
/// Records read ahead of the lanes, in batches of all lanes: enough that a lane is fed while another
/// one is cut.
pub const READ_AHEAD_BATCHES: u64 = 4;
/// Records read ahead at least, so that small batches do not read one by one.
pub const READ_AHEAD_RECORDS_MIN: u64 = 1_024;
/// Bytes read ahead, in batches.
pub const READ_AHEAD_BYTE_BATCHES: u64 = 2;
/// First pause before a read that failed is made again, ms; it doubles with full jitter.
pub const READ_RETRY_MS: u64 = 50;
/// Longest pause before a read that failed is made again, ms.
pub const READ_RETRY_MS_MAX: u64 = 5_000;
/// First pause before a call that cost nobody an attempt is made again, ms; it doubles with full
/// jitter.
pub const UNCHARGED_RETRY_MS: u64 = 10;
/// Longest pause before a call that cost nobody an attempt is made again, ms.
pub const UNCHARGED_RETRY_MS_MAX: u64 = 1_000;
/// First pause before a refused commit is sent again, ms; it doubles with full jitter.
pub const RESEND_MS: u64 = 50;
/// Longest pause before a refused commit is sent again, ms.
pub const RESEND_MS_MAX: u64 = 2_000;
/// Keys tried last, of a unit or of all units of its mapping, by which a unit tells whether what its function needs is
/// sick.
pub const CIRCUIT_KEYS: u64 = 20;
/// Of them, those that must have failed by name, each for the first time: few poison keys are not enough.
pub const CIRCUIT_SICK_KEYS: usize = 16;
/// How long such a failure tells of an outage, ms. Longer than an outage takes to be seen where a new key
/// comes twice in a minute; shorter than what lies between two uploads of bad records.
pub const CIRCUIT_WITNESS_MS: u64 = 600_000;
/// Versions of a function by which the keys of a whole mapping are remembered so.
pub const CIRCUIT_VERSIONS_MAX: usize = 4;
/// Calls that ended last by which it does.
pub const CIRCUIT_CALLS: u32 = 25;
/// Of them, those that must have failed.
pub const CIRCUIT_SICK_CALLS: u32 = 20;
/// First pause between the calls of an open circuit, ms; it doubles.
pub const CIRCUIT_PROBE_MS: u64 = 500;
/// Longest pause between those of what failed before, ms.
pub const CIRCUIT_PROBE_MS_MAX: u64 = 30_000;
/// Longest pause between those of records that were not tried yet, ms: a good one waits behind others.
pub const CIRCUIT_UNTRIED_MS_MAX: u64 = 5_000;
/// Probes that fail until the pause is at its longest.
pub const CIRCUIT_PROBES_TO_MAX: u32 = 6;
/// Probes of what failed before that must be well, one after the other, to close a circuit that recovers.
pub const CIRCUIT_TRIED_WELL: u32 = 4;
/// Probes behind the longest pause that a record has before one costs it its last attempt while a circuit recovers,
/// at least; as many as it has attempts, where these are more.
pub const CIRCUIT_LONG_PROBES_MIN: u32 = 3;
/// Calls of the lanes that must be sick, one after the other, for a circuit that recovers to hold calls again.
pub const CIRCUIT_LANES_SICK: u32 = 4;
/// Keys that the lanes tried while a circuit recovers by which it is judged: of so many at most.
pub const CIRCUIT_RECOVERY_KEYS: usize = 20;
/// Of them, those that must be well to close it, or sick for it to hold calls again.
pub const CIRCUIT_RECOVERY_VERDICT: usize = 16;
/// How long a circuit recovers before others that are well close it, ms: those that failed may need what they do not.
pub const CIRCUIT_RECOVERY_MS: u64 = 600_000;
/// Elements that an empty buffer keeps room for: idle units are many, and must be small.
pub const IDLE_CAPACITY_MAX: usize = 1_024;
/// Problems of an input's types that are told together: each means reading it once more.
pub const MISFITS_MAX: usize = 100;
/// Least time between two commits that settle nothing but records a filter let fall, ms (commit and storage
/// rules §2).
pub const FILTERED_COMMIT_MS: u64 = 1_000;
/// Patterns of one mapping's filter; Lambda has 5, and 10 on request.
pub const FILTER_PATTERNS_MAX: usize = 20;
/// Longest pattern of a filter, bytes; Lambda's is 4096 characters.
pub const FILTER_PATTERN_BYTES_MAX: usize = 16 << 10;
/// Fields of all rules of one filter, after `$or` is multiplied out: what judging one record may take.
pub const FILTER_FIELDS_MAX: usize = 8_192;
/// How deep JSON may be nested that a filter reads; deeper is not JSON to it.
pub const JSON_DEPTH_MAX: u32 = 128;
/// Longest tumbling window, ms (event source mapping rules §11: 900 s).
pub const TUMBLING_WINDOW_MS_MAX: u32 = 900_000;
/// Groups of keys with windows of their own, unless the mapping says otherwise.
pub const KEY_GROUPS_DEFAULT: u32 = 64;
/// Most groups of keys: each may hold a state of [`WINDOW_STATE_BYTES_MAX`].
pub const KEY_GROUPS_MAX: u32 = 4_096;
/// How long behind the end of a window a quiet shard may still bring records of it, ms (event source mapping
/// rules §11).
pub const WINDOW_IDLE_MS: u64 = 120_000;
/// Length of the window of a call by hand, ms.
pub const INVOKE_WINDOW_MS: u32 = 60_000;
/// State of a window above which it is ended early, bytes (event source mapping rules §11: 1 MB).
pub const WINDOW_STATE_BYTES_MAX: u64 = 1 << 20;
/// Largest state that a call may leave at all, bytes: what one batch adds to one that was within
/// [`WINDOW_STATE_BYTES_MAX`].
pub const WINDOW_STATE_SET_BYTES_MAX: u64 = 4 << 20;

const _: () =
    assert!(COMMIT_BYTES_MAX >= RECORD_BYTES_MAX + OUTPUT_BYTES_MAX + WINDOW_STATE_SET_BYTES_MAX);
const _: () = assert!(RECORD_BYTES_MAX >= BATCH_BYTES_MAX);
const _: () = assert!(CIRCUIT_PROBE_MS << CIRCUIT_PROBES_TO_MAX >= CIRCUIT_PROBE_MS_MAX);
const _: () = assert!(CIRCUIT_UNTRIED_MS_MAX <= CIRCUIT_PROBE_MS_MAX);
// Of one count both cannot be reached.
const _: () = assert!(CIRCUIT_RECOVERY_KEYS < 2 * CIRCUIT_RECOVERY_VERDICT);
const _: () = assert!(CIRCUIT_CALLS <= u32::BITS && CIRCUIT_SICK_CALLS <= CIRCUIT_CALLS);
const _: () = assert!(FRAME_BYTES_MAX > COMMIT_BYTES_MAX);
const _: () = assert!(STREAM_SHARDS_LISTED_MAX >= 4 * STREAM_SHARDS_MAX);
const _: () = assert!(STREAM_QUOTA_BYTES_MIN > COMMIT_BYTES_MAX);
/// Share of a canary's calls that may fail unless the deploy says otherwise, thousandths.
pub const CANARY_ERRORS_PERMILLE_DEFAULT: u16 = 50;
/// Calls of a canary within the window before its failures are judged. Those of the live version are compared
/// with them from as many on.
pub const CANARY_CALLS_MIN: u64 = 20;
/// The sliding window in which a canary's calls are counted, ms.
pub const CANARY_WINDOW_MS: u64 = 300_000;
/// How far it reaches back while it has fewer calls than [`CANARY_CALLS_MIN`], ms.
pub const CANARY_WINDOW_MS_MAX: u64 = 3_600_000;
/// What that window moves on by, ms.
pub const CANARY_WINDOW_PIECE_MS: u64 = 5_000;
/// Shortest bound of the iterator age under a canary, ms.
pub const CANARY_AGE_MS_MIN: u64 = 1_000;
/// Switches of a function's canaries that are kept.
pub const CANARY_SWITCHES_MAX: usize = 10;

// What is told of a mapping's last minutes, and judged by it.

/// Length of the pieces that the last minutes of a mapping are cut in, ms.
pub const RECENT_PIECE_MS: u64 = 10_000;
/// Pieces that are kept: five minutes.
pub const RECENT_PIECES: u64 = 30;
/// Versions of a function that are told apart there.
pub const RECENT_VERSIONS_MAX: usize = 4;
/// Codes of failures that are told apart in one piece, of one version.
pub const RECENT_CAUSES_MAX: usize = 8;
/// Share of the records that a version is given for the first time, per cent, from which on it is told to fail.
pub const SICK_PERCENT: u64 = 50;
/// The same, where the version before it did without such failures.
pub const SICK_PERCENT_SINCE_DEPLOY: u64 = 5;
/// Failures of records by name, or of whole calls, before that is told: one bad batch is none.
pub const SICK_EVIDENCE_MIN: u64 = 3;
/// Calls by which the version before is known to have done without.
pub const WELL_CALLS_MIN: u64 = 3;
/// How soon after a version became live it must have begun to fail to be told as its fault, ms.
pub const SICK_SINCE_DEPLOY_MS: u64 = 600_000;
/// A backlog that is gone so soon is told to be caught up with, whatever its lanes do, ms.
pub const CATCHING_UP_MS: u64 = 300_000;
/// Age of the oldest record from which on a mapping is told to be behind, ms, beyond what batches wait for.
pub const BEHIND_AGE_MS: u64 = 5_000;
/// How long a call must have run to be told to hold what is behind it, ms.
pub const STALL_MS: u64 = 5_000;
/// Times that it must have run for as long as calls that are well do.
pub const STALL_TIMES: u64 = 10;
/// How long after a call that was cut for its time what waited behind it is told to have waited for that, ms.
pub const STALL_GAP_MS: u64 = 10_000;
/// Least time limit that is offered for calls that hang, ms.
pub const STALL_TIMEOUT_MS_MIN: u64 = 5_000;
/// Times that calls of a canary take as long as those beside it to be told as what makes a mapping slow.
pub const SLOW_CANARY_TIMES: u64 = 10;
/// How long they take at least, ns.
pub const SLOW_CANARY_NS_MIN: u64 = 10_000_000;
/// How long one takes at least by which alone that is told, ns; else it is told by [`WELL_CALLS_MIN`].
pub const SLOW_CANARY_ALONE_NS_MIN: u64 = 1_000_000_000;
/// Times that a canary skips the share of its records that the version beside it skips, to be told for some of them.
pub const SKIPPING_CANARY_TIMES: u64 = 10;
/// The same, to be told for most of them.
pub const SKIPPING_CANARY_TIMES_MOST: u64 = 2;
/// Share of the records that ended, per cent, from which on those given up for their age are told of.
pub const AGED_PERCENT: u64 = 5;
/// How long after the last of them that is told as what holds the mapping, ms.
pub const AGED_FRESH_MS: u64 = 60_000;
/// Age of the oldest record from which on keys that wait for a retry are told to hold it, ms.
pub const PARKED_AGE_MS: u64 = 1_000;
/// Share of their time that the lanes have a call, per cent, from which on they are told to be busy.
pub const BUSY_PERCENT: u64 = 80;
/// The same, below which nothing that waits is told to wait for its turn.
pub const RESTING_PERCENT: u64 = 10;
/// How far back it is asked whether lanes are busy, ms.
pub const BUSY_OVER_MS: u64 = 60_000;
/// How far the wall clock may be from the times of records before that is told, ms.
pub const CLOCK_APART_MS: u64 = 5_000;
/// Calls that waited longer than they ran before the mapping is told to be throttled.
pub const THROTTLED_CALLS_MIN: u64 = 5;
/// How long they waited on average, ms: less goes with any call.
pub const THROTTLED_WAIT_MS_MIN: u64 = 10;
/// For how long a filter has let nothing through to be judged by that alone, ms.
pub const FILTERED_OVER_MS: u64 = 60_000;
/// Records that a filter should have let through, by what it let through before, before it is told that it
/// lets none through any more.
pub const FILTERED_EXPECTED_MIN: u64 = 10;
/// Commands that a diagnosis names at most.
pub const DIAGNOSIS_ACTIONS_MAX: usize = 4;

// What a function counts itself.

/// Series of one function, over all its versions and instances.
pub const FUNCTION_SERIES_MAX: usize = 100;
/// Labels of one of them, besides `function`.
pub const SERIES_LABELS_MAX: usize = 4;
/// Longest name of such a metric, and of a label, characters.
pub const SERIES_NAME_CHARS_MAX: usize = 64;
/// Longest value of a label, characters.
pub const SERIES_VALUE_CHARS_MAX: usize = 64;

/// Tokens of one data directory.
pub const TOKENS_MAX: usize = 256;
