//! Moments as Kinesis writes them in errors and in bodies.

use fnctl_core::id::Timestamp;

/// `Thu Jan 22 01:22:02 UTC 2015`.
pub(crate) fn java_date(time: Timestamp) -> String {
    let ms = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms)
        .unwrap_or(jiff::Timestamp::MAX)
        .strftime("%a %b %d %H:%M:%S UTC %Y")
        .to_string()
}

/// Seconds with a fraction of milliseconds, for a body.
pub(crate) fn epoch_seconds(time: Timestamp) -> f64 {
    time.0 as f64 / 1_000.0
}

/// Appends the same as JSON text, without the detour over a float.
pub(crate) fn write_epoch_seconds(time: Timestamp, out: &mut Vec<u8>) {
    use std::io::Write as _;
    write!(out, "{}.{:03}", time.0 / 1_000, time.0 % 1_000).expect("memory takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_kinesis_writes_them() {
        let time = Timestamp(1_421_889_722_045);
        assert_eq!(java_date(time), "Thu Jan 22 01:22:02 UTC 2015");
        assert_eq!(epoch_seconds(time).to_string(), "1421889722.045");
        let mut out = Vec::new();
        write_epoch_seconds(time, &mut out);
        assert_eq!(out, b"1421889722.045");
        assert_eq!(java_date(Timestamp(u64::MAX)).len(), 28);
    }
}
