//! Put → output, one record at a time on an idle server.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use crate::{
    fnctl::{Following, Server},
    run::Problem,
};

/// Puts each of `lines` alone, waits for its output, and returns the times, ascending.
///
/// `outputs` is a tail that has been read up to the present.
pub(crate) fn measure(
    server: &Server,
    outputs: &mut Following,
    lines: &[&str],
) -> Result<Vec<Duration>, Problem> {
    let put = ["put", "signups", "--key-field", "user_id", "-o", "json"];
    let mut put = server.follow(&put)?;
    let mut input = put
        .child
        .stdin
        .take()
        .ok_or_else(|| Problem("no standard input".into()))?;
    let mut times = Vec::with_capacity(lines.len());
    for line in lines {
        let start = Instant::now();
        input
            .write_all(format!("{line}\n").as_bytes())
            .and_then(|()| input.flush())
            .map_err(|e| Problem(format!("put: {e}")))?;
        outputs.next()?;
        times.push(start.elapsed());
        put.next()?;
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
