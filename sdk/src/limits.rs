//! The bounds of this crate, by name.

/// Rows of one output that wait in the function's memory, bytes of keys and bodies: at this many they
/// cross to the host before the call ends, so that an output without end meets the host's limit and
/// not the function's memory.
#[cfg(target_os = "wasi")]
pub(crate) const PENDING_BYTES_MAX: usize = 4 << 20;

/// Arena that a call leaves to the next one of its instance, bytes per output. A larger one is freed.
pub(crate) const KEPT_BYTES_MAX: usize = 8 << 20;

/// Longest failure code, bytes.
pub(crate) const CODE_BYTES_MAX: usize = 64;

/// Longest failure message and panic report that crosses to the host, bytes: it keeps no more.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// Largest body of a row, bytes, on an output stream with default settings.
#[cfg(not(target_os = "wasi"))]
pub(crate) const ROW_BYTES_MAX: usize = 1 << 20;

/// Longest partition key, characters.
#[cfg(not(target_os = "wasi"))]
pub(crate) const KEY_CHARS_MAX: usize = 256;

/// Largest state of a window that a call may leave, bytes.
#[cfg(not(target_os = "wasi"))]
pub(crate) const STATE_BYTES_MAX: usize = 4 << 20;

/// Series of one function: as many of a metric with labels does an instance remember.
pub(crate) const KNOWN_SERIES_MAX: usize = 100;

/// Longest name of a metric, and of a label, bytes.
pub(crate) const METRIC_NAME_BYTES_MAX: usize = 64;

/// Labels of one series.
#[cfg(not(target_os = "wasi"))]
pub(crate) const METRIC_LABELS_MAX: usize = 4;

/// Longest value of a label, characters.
#[cfg(not(target_os = "wasi"))]
pub(crate) const METRIC_VALUE_CHARS_MAX: usize = 64;
