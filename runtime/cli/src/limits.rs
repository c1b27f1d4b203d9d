//! Bounds of the command line.

use std::time::Duration;

/// Longest wait for a connection to the server.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the answer to what only reads to begin: a server has it at once, but where it looks through all
/// dead letters of a mapping.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// From then on a person at a terminal is told that an answer is waited for.
pub(crate) const ANSWER_NOTED_AFTER: Duration = Duration::from_secs(10);
/// Largest answer that is read whole.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Largest line of a streamed answer: a record in base64 with its envelope.
pub(crate) const LINE_BYTES_MAX: usize = 32 << 20;
/// Bytes of lines sent and not yet acknowledged: kept, because throttled ones are sent again.
pub(crate) const UNACKNOWLEDGED_BYTES_MAX: usize = 16 << 20;
/// Lines sent and not yet acknowledged.
pub(crate) const UNACKNOWLEDGED_LINES_MAX: usize = 50_000;
/// Chunks of a body waiting for the connection.
pub(crate) const BODY_CHUNKS_MAX: usize = 4;
/// Bytes of lines gathered into one chunk.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;
/// First pause after a throttled put; it doubles.
pub(crate) const THROTTLE_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause after a throttled put.
pub(crate) const THROTTLE_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Largest file that `invoke` sends in one call.
pub(crate) const INVOKE_BYTES_MAX: u64 = 12 << 20;
/// Largest secret read from a file.
pub(crate) const SECRET_BYTES_MAX: u64 = 64 << 10;
/// Files are watched this long for more changes before a rebuild starts.
pub(crate) const WATCH_SETTLE: Duration = Duration::from_millis(50);
/// How long a server that is told to end while it starts may take to close what it has opened; beyond it, it ends all
/// the same.
pub(crate) const START_ENDS_WITHIN: Duration = Duration::from_secs(10);
/// `--wait` without a time.
pub(crate) const WAIT_DEFAULT: &str = "60s";
/// The server's address unless said otherwise.
pub(crate) const SERVER_DEFAULT: &str = "http://127.0.0.1:4700";
/// Happenings of `dev` waiting to be printed.
pub(crate) const EVENTS_MAX: usize = 1_024;
/// Largest capture that is read: its payloads, and its components in base64.
pub(crate) const CAPTURE_BYTES_MAX: u64 = 512 << 20;
/// Names are completed only if the server answers within this: somebody waits at the prompt.
pub(crate) const COMPLETION_TIMEOUT: Duration = Duration::from_millis(500);
