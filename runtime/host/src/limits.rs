//! Every bound of the host, in one place.

use std::time::Duration;

pub use fnctl_core::limits::DEAD_LETTERS_LISTED_MAX;
pub use fnctl_store::limits::{
    REDRIVES_BYTES_MAX, SCRUB_BYTES_PER_SECOND_MAX, SCRUB_BYTES_PER_SECOND_MIN, SCRUB_PERIOD_MAX,
    SCRUB_PERIOD_MIN,
};

// The edge: what a stranger on the network may hold.

/// A new connection must have sent its first request's head within this.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an HTTP/1 connection is kept between requests; a later head must be there by then too.
pub const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Longest silence inside a request body.
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the rest of a body is still read once its request was refused, and how much of it.
pub const BODY_LET_OUT_TIMEOUT: Duration = Duration::from_secs(2);
/// See [`BODY_LET_OUT_TIMEOUT`].
pub const BODY_LET_OUT_BYTES_MAX: usize = 128 << 20;
/// Longest silence inside a streaming put: a producer may wait for its own source.
pub const PUT_IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// Header fields of a request.
pub const HEADERS_MAX: usize = 100;
/// Bytes of a request's head.
pub const HEADER_BYTES_MAX: usize = 32 << 10;
/// Interval of HTTP/2 pings on a silent connection.
pub const H2_PING_INTERVAL: Duration = Duration::from_secs(60);
/// An HTTP/2 ping must be answered within this.
pub const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests at once on one HTTP/2 connection.
pub const H2_STREAMS_MAX: u32 = 100;
/// Resets a peer may send before the connection is closed (rapid reset).
pub const H2_RESETS_MAX: usize = 20;
/// Connections of one listener.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Connections of one remote address; loopback is not counted, all of this machine shares it.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 256;
/// Body of a control request.
pub const JSON_BODY_BYTES_MAX: usize = 2 << 20;
/// Nesting of a JSON body.
pub const JSON_DEPTH_MAX: usize = 32;
/// Body of an `invoke`: what one batch may hold, as JSON.
pub const INVOKE_BODY_BYTES_MAX: usize = 24 << 20;
/// A component.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// KiB of bodies being read whole, all connections together; more wait.
pub const BODY_KIB_AT_ONCE_MAX: usize = 256 << 10;
/// Slowest a body may come, bytes a second, after [`BODY_IDLE_TIMEOUT`] to get going.
pub const BODY_RATE_MIN: u64 = 1 << 10;
/// As [`BODY_RATE_MIN`], of the Kinesis API: its bodies hold room that other producers wait for.
pub const PUT_BODY_RATE_MIN: u64 = 16 << 10;

/// A TLS handshake must be done within this; it takes a place among the connections.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Refusals of one address that are told in full at once; further ones are answered briefly, 429.
pub const REFUSALS_SAVED_MAX: u32 = 20;
/// One more is told in full after this.
pub const REFUSAL_EVERY: Duration = Duration::from_secs(3);
/// Addresses whose refusals are counted one by one; more share one count.
pub const REFUSED_ADDRESSES_MAX: usize = 4_096;
/// Longest life of a token, ms: ten years.
pub const TOKEN_LIFE_MS_MAX: u64 = 3_650 * 24 * 60 * 60 * 1_000;
/// Shortest secret of the token that a file gives, characters: nobody guesses 32 of base64 or hex.
pub const TOKEN_SECRET_CHARS_MIN: usize = 32;
/// Longest secret of the token that a file gives, characters.
pub const TOKEN_SECRET_CHARS_MAX: usize = 512;

/// An answer that lasts looks so often whether its token has expired, whatever the wall clock did.
pub const TOKEN_LOOK_AGAIN: Duration = Duration::from_secs(60);

// Files that others renew.

/// How often files with certificates, keys and tokens are looked at: nobody tells of a file that was replaced under
/// a link.
pub const RELOAD_LOOK: Duration = Duration::from_secs(10);
/// What has changed is read again after this, and taken when it is the same: until then it may be half written.
pub const RELOAD_SETTLE: Duration = Duration::from_secs(1);
/// For how long a certificate is good that the server makes for itself, ms: ten years.
pub const CERTIFICATE_LIFE_MS: u64 = 3_650 * 24 * 60 * 60 * 1_000;
/// So long before its end such a certificate is made anew, at a start or when it is asked for, ms.
pub const CERTIFICATE_RENEWED_BEFORE_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// So long before its end a certificate is warned of at a start, ms.
pub const CERTIFICATE_WARNED_BEFORE_MS: u64 = 14 * 24 * 60 * 60 * 1_000;

/// How long the audit is kept, ms: a year.
pub const AUDIT_RETENTION_MS: u64 = 365 * 24 * 60 * 60 * 1_000;
/// Bytes of it beyond which the oldest lines go: some 300 000 changes.
pub const AUDIT_BYTES: u64 = 64 << 20;
/// Most bytes of it, where a mapping that reads it is behind.
pub const AUDIT_QUOTA_BYTES: u64 = 128 << 20;
/// Longest path or name that a line of the audit tells, bytes; the rest is cut off.
pub const AUDIT_TEXT_BYTES: usize = 1 << 10;
/// A token or key that is refused for its scope has a line of the audit so often.
pub const AUDIT_REFUSAL_EVERY: Duration = Duration::from_secs(60);
/// Tokens and keys of which that is known at once; there are 256 tokens at most, and as many keys as people write.
pub const AUDIT_REFUSED_MAX: usize = 1_024;

// Puts and tails.

/// Records of one append made from the lines at hand.
pub const PUT_APPEND_RECORDS_MAX: usize = 10_000;
/// Bytes of one append made from the lines at hand.
pub const PUT_APPEND_BYTES_MAX: usize = 2 << 20;
/// Bytes that lines of all puts hold before they are appended; a put that would hold more waits for its
/// own append, and is refused when it has none under way.
pub const PUT_BUFFERS_BYTES_MAX: u64 = 128 << 20;
/// Bytes of it that every put may hold whatever the others do.
pub const PUT_BUFFER_BYTES_OWN: u64 = 64 << 10;
/// How long lines wait for room among the puts under way before they are refused.
pub const PUT_ROOM_WAIT: Duration = Duration::from_secs(5);
/// A producer's id.
pub const PRODUCER_BYTES_MAX: usize = 128;
/// Chunks of an answer that wait for a slow reader.
pub const ANSWER_CHUNKS_MAX: usize = 16;
/// Records read at once for a tail.
pub const TAIL_READ_RECORDS_MAX: usize = 1_000;
/// Bytes read at once for a tail.
pub const TAIL_READ_BYTES_MAX: usize = 1 << 20;
/// Redrives under way at once, of all mappings: each is kept until it has ended.
pub const REDRIVES_MAX: usize = 100;
/// Letters of one redrive that are with workers at once.
pub const REDRIVES_AT_ONCE: usize = 8;
/// A redrive looks so often whether a worker has come, or its mapping gone.
pub const REDRIVE_RETRY: Duration = Duration::from_millis(100);
/// Damaged places side by side that are passed in search of what can be read behind them.
pub const HOLE_PARTS_MAX: usize = 64;
/// Dead letters that are looked up by their ids before something is done to them.
pub const DEAD_LETTERS_PAGE_MAX: usize = 256;

// Workers.

/// Records a worker asks the store for at once.
pub const FETCH_RECORDS_MAX: u32 = 20_000;
/// Bytes a worker asks the store for at once.
pub const FETCH_BYTES_MAX: u64 = 16 << 20;
/// How long a running call may still take to commit when its worker is paused, swapped or moved.
pub const SWAP_GRACE: Duration = Duration::from_millis(600);
/// How long a worker's log counts dead letters before it tells of the first again, ms.
pub const LETTERS_TOLD_MS: u64 = 60_000;
/// How long everything may take to drain at shutdown.
pub const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Of it: how long a running call may take.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(7);
/// Of it: what the store keeps to write what was taken and make its last cut.
pub const STORE_END: Duration = Duration::from_secs(1);
/// What a worker gets beyond its grace before it is cut off.
pub const CUT_MARGIN: Duration = Duration::from_millis(300);
/// Directives waiting for one worker.
pub const DIRECTIVES_MAX: usize = 8;
/// Of these, what is kept for the supervisor's own: what a person asks of a worker that does not listen
/// never takes the place of its drain.
pub const DIRECTIVES_RESERVED: usize = 4;
/// How long a worker is waited for that is asked what it knows, or told what a person wants.
pub const WORKER_ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long a request waits until what a person gives up is a dead letter: a call that has it in hand may
/// take longer.
pub const GIVE_UP_WAIT: Duration = Duration::from_secs(5);
/// How long a deploy waits until its version runs everywhere.
pub const LIVE_WAIT: Duration = Duration::from_secs(5);
/// How often a wait for first records looks at commits.
pub const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long the commit of a call that went well may take to show in a wait for first records.
pub const COMMIT_WAIT: Duration = Duration::from_millis(500);
/// First wait after a fault of ours (a panic, a failed read, a failed load), doubling.
pub const FAULT_BACKOFF_INITIAL: Duration = Duration::from_millis(100);
/// Longest wait after a fault of ours.
pub const FAULT_BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Directives waiting for the supervisor.
pub const SUPERVISOR_QUEUE_MAX: usize = 1_024;

/// Retries of a mapping that wait for a slow watcher; the oldest are lost.
pub const RETRIES_AHEAD_MAX: usize = 1_024;

// Logs of functions, kept in memory.

/// Lines kept of one function.
pub const LOG_LINES_MAX: usize = 10_000;
/// Bytes kept of one function's lines.
pub const LOG_BYTES_MAX: usize = 1 << 20;
/// Lines a second that one function may write.
pub const LOG_LINES_A_SECOND: u64 = 2_000;
/// Lines it may write at once after it was quiet.
pub const LOG_LINES_SAVED_MAX: u64 = 5_000;
/// Bytes a second that one function may write.
pub const LOG_BYTES_A_SECOND: u64 = 512 << 10;
/// Bytes it may write at once after it was quiet: what is kept of it.
pub const LOG_BYTES_SAVED_MAX: u64 = LOG_BYTES_MAX as u64;
/// How often a follower looks whether a flood is over, to be told what it missed.
pub const LOG_DROPPED_TOLD_AFTER: Duration = Duration::from_secs(1);
/// Lines handed to a follower at once.
pub const LOG_READ_LINES_MAX: usize = 500;

// Fail-stop.

/// The process ends by itself so soon after a failed write or sync, or is ended: within a second, with a
/// little left for the system.
pub const ENDS_WITHIN: Duration = Duration::from_millis(900);

// Statuses.

/// Keys of one unit that a list of those that wait names unasked, the failing and the oldest first; more are
/// counted.
pub const WAITING_KEYS_LISTED: usize = 256;

/// Keys of one unit that it names where so many are asked for; of all units together twice as many.
pub const WAITING_KEYS_LISTED_MAX: usize = 10_000;

// Metrics.

/// Shards of one mapping exported one by one; of a mapping with more only the highest age and the sum.
pub const METRIC_SHARDS_MAX: usize = 256;
/// Codes of a mapping's dead letters that have a series of their own, the first ones; further ones share one.
pub const METRIC_CODES_MAX: usize = 20;
/// Longest such code in a label, characters.
pub const METRIC_CODE_CHARS_MAX: usize = 64;
/// For how long at least a peak of a measurement is shown, ms.
pub const PEAK_SPAN_MS: u64 = 60_000;
/// How long an uploaded component is kept for its deploy.
pub const UPLOAD_PIN: Duration = Duration::from_secs(15 * 60);
/// Uploads waiting for their deploy.
pub const UPLOADS_PINNED_MAX: usize = 256;

// Backups.

/// Body of a request for a backup: what the receiver has already, some 300 000 files.
pub const BACKUP_BODY_BYTES_MAX: usize = 64 << 20;
/// Backups at once.
pub const BACKUPS_MAX: usize = 2;
/// A receiver that takes nothing for this long loses its backup: what it copies is kept from retention.
pub const BACKUP_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

// Relays of dead letters.

/// Letters that a relay brings before it notes how far it is: so many come twice when the process dies.
pub const RELAYED_AT_ONCE_MAX: usize = 100;
/// First wait after a destination refused, ms; it doubles, with jitter.
pub const RELAY_BACKOFF_INITIAL_MS: u64 = 500;
/// Longest wait after a destination refused, ms.
pub const RELAY_BACKOFF_MAX_MS: u64 = 60_000;
/// A URL must answer within this.
pub const RELAY_TIMEOUT: Duration = Duration::from_secs(10);
/// What is read of a URL's answer, so that its connection can be used again.
pub const RELAY_ANSWER_BYTES_MAX: usize = 64 << 10;

// Captures.

/// Records of a capture, unless said otherwise.
pub const CAPTURE_RECORDS_DEFAULT: usize = 100;
/// Records of a capture at most.
pub const CAPTURE_RECORDS_MAX: usize = 10_000;
/// Payloads of a capture, bytes: they are gathered before the first line is sent.
pub const CAPTURE_DATA_BYTES_MAX: usize = 64 << 20;
/// Bytes of a component that go into one line of a capture.
pub const CAPTURE_PIECE_BYTES: usize = 1 << 20;

// Comparisons of versions.

/// Shadows at once; each makes one call at a time.
pub const SHADOWS_MAX: usize = 2;
/// States of open windows of both versions that a shadow holds, with what calls emitted that ended a state early, bytes.
pub const SHADOW_STATES_BYTES_MAX: usize = 64 << 20;

// Canaries.

/// Shortest wait between two looks at the iterator age under a canary.
pub const CANARY_LOOK_MIN: Duration = Duration::from_millis(200);
/// Wait after a canary that its guard gave up could not be taken back.
pub const CANARY_RETRY: Duration = Duration::from_secs(1);
