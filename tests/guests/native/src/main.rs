//! The measured functions natively, built with the profile of the components: what the engine's figures
//! are held against. A line on standard input asks for one trial, `WORK FIRST COUNT BATCH`; the answer
//! is the CPU time of this thread in nanoseconds, and what came out, so that nothing is optimised away.

use std::{error::Error, io::stdin};

use fnctl_sdk::__private::{NativeCall, NativeColumns};
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<(), Box<dyn Error>> {
    let mut call = NativeCall::default();
    for line in stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let [work, first, count, batch] = words[..] else {
            return Err(format!("not a trial: {line}").into());
        };
        let (first, count, batch): (u64, u64, usize) =
            (first.parse()?, count.parse()?, batch.parse()?);
        // `read-again` is one batch, as often as fills the count.
        let again = work == "read-again";
        let distinct = if again { batch as u64 } else { count };
        let times = if again { count / distinct } else { 1 };
        let batches = batches(first, distinct, batch);
        let start = cpu_ns();
        let mut out = (0, 0, 0);
        for records in (0..times).flat_map(|_| &batches) {
            let one = match work {
                "enrich" => call.each(records, enrich_bench::enrich),
                "read-again" => call.each(records, reader::read),
                _ => return Err(format!("no such work: {work}").into()),
            };
            out = (out.0 + one.0, out.1 + one.1, out.2 + one.2);
        }
        println!("{} {} {} {}", cpu_ns() - start, out.0, out.1, out.2);
    }
    Ok(())
}

fn batches(first: u64, count: u64, batch: usize) -> Vec<NativeColumns> {
    let mut batches = Vec::new();
    for (at, number) in (first..first + count).enumerate() {
        if at % batch == 0 {
            batches.push(NativeColumns::default());
        }
        if let Some(last) = batches.last_mut() {
            let (key, body) = (
                enrich_bench::input::key(number),
                enrich_bench::input::body(number),
            );
            last.push(&key, Some(&body), 0);
        }
    }
    batches
}

/// Time of this thread on a CPU.
fn cpu_ns() -> i64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
