//! Puts records into one engine from many producers, each acknowledged when it is synced, and prints
//! what that took. One engine a process, so that none meets threads or memory of another.
//!
//! Arguments: `log`, `redb`, `fjall`, `sled` or `bare`; an empty directory; producers; puts of each; records a
//! put; bytes a record; shards. Prints records a second, CPU in microseconds a record from the opening until
//! everything is closed, the median and the 99th percentile of a put in milliseconds, and bytes written for each
//! byte of data and key.

mod committer;
mod engines;
mod log;
mod producers;

use std::{error::Error, fs, path::Path};

use rustix::time::{ClockId, clock_gettime};

use crate::{
    committer::Committer,
    engines::{Bare, Fjall, Redb, Sled},
    log::Log,
    producers::Work,
};

/// Anything that can go wrong: the program ends with its words.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// CPU time of this process so far, threads that ended included, seconds.
fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Bytes that this process sent to the disk so far.
fn written_bytes() -> Result<f64, Failure> {
    let text = fs::read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|l| l.strip_prefix("write_bytes: "));
    Ok(line.ok_or("no write_bytes in /proc/self/io")?.parse()?)
}

/// CPU and bytes so far.
fn used() -> Result<(f64, f64), Failure> {
    Ok((cpu_seconds(), written_bytes()?))
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [engine, directory, numbers @ ..] = arguments.as_slice() else {
        return Err("an engine, a directory, and what to put".into());
    };
    let numbers: Vec<usize> = numbers
        .iter()
        .map(|number| number.parse())
        .collect::<Result<_, _>>()?;
    let [producers, puts, records, bytes, shards] = numbers.as_slice() else {
        return Err("producers, puts of each, records a put, bytes a record, shards".into());
    };
    let work = Work {
        producers: *producers,
        puts: *puts,
        records: *records,
        bytes: *bytes,
        shards: u32::try_from(*shards)?,
    };
    let directory = Path::new(directory);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let before;
    let measured = match engine.as_str() {
        "log" => {
            let log = runtime.block_on(Log::open(directory, &work))?;
            before = used()?;
            let measured = runtime.block_on(work.run(&log));
            log.close()?;
            measured
        }
        "redb" => {
            let committer = Committer::start(Redb::open(directory)?, &work);
            before = used()?;
            let measured = runtime.block_on(work.run(&committer));
            committer.close()?;
            measured
        }
        "fjall" => {
            let committer = Committer::start(Fjall::open(directory)?, &work);
            before = used()?;
            let measured = runtime.block_on(work.run(&committer));
            committer.close()?;
            measured
        }
        "sled" => {
            let committer = Committer::start(Sled::open(directory)?, &work);
            before = used()?;
            let measured = runtime.block_on(work.run(&committer));
            committer.close()?;
            measured
        }
        "bare" => {
            let committer = Committer::start(Bare::open(directory)?, &work);
            before = used()?;
            let measured = runtime.block_on(work.run(&committer));
            committer.close()?;
            measured
        }
        other => return Err(format!("no engine `{other}`").into()),
    }?;
    let after = used()?;
    println!(
        "{} {} {} {} {}",
        measured.rate,
        (after.0 - before.0) * 1e6 / work.count(),
        measured.p50,
        measured.p99,
        (after.1 - before.1) / work.payload_bytes(),
    );
    Ok(())
}
