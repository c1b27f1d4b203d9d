//! Runs `examples/signup-enrichment` through the real binary and prints what happened
//! (command line and SDK §5, "make demo"). It speaks to fnctl only as a person would: commands and
//! their JSON.
//!
//! Usage: `fnctl-demo FNCTL EXAMPLE_DIR [--keep]`.

mod latency;
mod run;

use std::{path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(fnctl), Some(example)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: fnctl-demo FNCTL EXAMPLE_DIR [--keep]");
        return ExitCode::from(2);
    };
    let is_kept = arguments.next().is_some_and(|flag| flag == "--keep");
    match run::demo(&PathBuf::from(fnctl), &PathBuf::from(example), is_kept) {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("demo: {words}");
            ExitCode::FAILURE
        }
    }
}
