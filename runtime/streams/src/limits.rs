//! Every bound of the Kinesis API, in one place (Kinesis reference B12).

/// Largest request body, bytes: 10 MiB of data in base64, keys and JSON around it.
pub const BODY_BYTES_MAX: usize = 14 << 20;
/// A larger request body is a large one, bytes.
pub const SMALL_BODY_BYTES_MAX: usize = 256 << 10;
/// Small request bodies held at one time by all connections together, bytes; further ones wait unread.
/// They have room of their own, so that large ones that come slowly do not keep them out.
pub const SMALL_BODIES_BYTES_MAX: usize = 64 << 20;
/// Large request bodies held at one time by all connections together, bytes; further ones wait unread.
pub const BODIES_BYTES_MAX: usize = 192 << 20;
/// Buffers kept for the next bodies.
pub const SPARE_BUFFERS_MAX: usize = 16;
/// A larger buffer is not kept, bytes.
pub const SPARE_BUFFER_BYTES_MAX: usize = 512 << 10;
/// Depth of a request's JSON.
pub const JSON_DEPTH_MAX: usize = 32;
/// Constraint errors told in one answer.
pub const CONSTRAINT_ERRORS_MAX: usize = 10;
/// Records of one PutRecords.
pub const PUT_RECORDS_MAX: usize = 500;
/// Data and keys of one PutRecords, bytes.
pub const PUT_BYTES_MAX: usize = 10 << 20;
/// Data and key of one record of a stream that was made without a limit of its own, bytes.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Data of one record of any stream, bytes.
pub const DATA_BYTES_MAX: usize = 10 << 20;
/// Least that a stream may be given as the limit of its records, KiB.
pub const RECORD_KIB_MIN: i64 = 1_024;
/// Most that a stream may be given as the limit of its records, KiB.
pub const RECORD_KIB_MAX: i64 = 10_240;
/// Tags of one stream.
pub const TAGS_MAX: usize = 50;
/// Records of one GetRecords.
pub const GET_RECORDS_MAX: usize = 10_000;
/// Data and keys of one GetRecords, bytes; one larger record goes alone.
pub const GET_BYTES_MAX: usize = 10 << 20;
/// Shards of one DescribeStream.
pub const DESCRIBE_SHARDS_MAX: usize = 100;
/// Shards of one ListShards.
pub const LIST_SHARDS_MAX: usize = 1_000;
/// Streams of one ListStreams.
pub const LIST_STREAMS_MAX: usize = 100;
/// Shards of one stream.
pub const STREAM_SHARDS_MAX: u32 = 10_000;
/// Shards of a stream made without a count, as an on-demand stream starts.
pub const ON_DEMAND_SHARDS: u32 = 4;
/// Life of an iterator, ms.
pub const ITERATOR_LIFE_MS: u64 = 300_000;
/// Life of a list token, ms.
pub const LIST_TOKEN_LIFE_MS: u64 = 300_000;
/// Shortest retention, hours.
pub const RETENTION_HOURS_MIN: u64 = 24;
/// Longest retention, hours.
pub const RETENTION_HOURS_MAX: u64 = 8_760;
/// Browsers may remember a preflight answer this long, seconds.
pub const CORS_MAX_AGE_S: u32 = 172_800;

/// A signature is good so long before and after the time it names, ms.
pub const CLOCK_SKEW_MS: u64 = 300_000;
/// Longest life of a presigned request, seconds: a week.
pub const PRESIGNED_SECONDS_MAX: u64 = 604_800;
/// Headers that a signature covers.
pub const SIGNED_HEADERS_MAX: usize = 100;
/// Keys of one file of credentials.
pub const CREDENTIALS_MAX: usize = 1_000;
/// Longest id of a key.
pub const ACCESS_KEY_CHARS_MAX: usize = 128;
/// Shortest secret of a key: it can be tried without end by whoever sees one signed request.
pub const SECRET_KEY_CHARS_MIN: usize = 16;

const _: () = assert!(BODY_BYTES_MAX > PUT_BYTES_MAX / 3 * 4);
const _: () = assert!(BODIES_BYTES_MAX >= BODY_BYTES_MAX);
const _: () = assert!((RECORD_KIB_MAX as usize) << 10 <= GET_BYTES_MAX);
const _: () = assert!((RECORD_KIB_MAX as usize) << 10 <= PUT_BYTES_MAX);
