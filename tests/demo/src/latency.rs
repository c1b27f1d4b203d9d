//! Put → output, one record at a time on an idle server.

use std::time::{Duration, Instant};

use fnctl_tests::{Failure, Following, Server};

/// Puts each of `lines` alone, waits for its output, and returns the times, ascending.
///
/// `outputs` is a tail that has been read up to the present.
pub(crate) fn measure(
    server: &Server,
    outputs: &mut Following,
    lines: &[&str],
) -> Result<Vec<Duration>, Failure> {
    let put = ["put", "signups", "--key-field", "user_id", "-o", "json"];
    let mut put = server.follow(&put)?;
    let mut times = Vec::with_capacity(lines.len());
    for line in lines {
        let start = Instant::now();
        put.write_line(line)?;
        outputs.next_json()?;
        times.push(start.elapsed());
        put.next_json()?;
    }
    times.sort_unstable();
    Ok(times)
}

/// The `percent`-th percentile in milliseconds, by nearest rank.
pub(crate) fn percentile_ms(times: &[Duration], percent: usize) -> f64 {
    let rank = (times.len() * percent).div_ceil(100).max(1);
    times
        .get(rank - 1)
        .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}
