//! The one who waits for a compiling process, and says what it died of.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::{
        fd::AsFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, memfd_create},
    process::{Pid, PidfdFlags, Signal, pidfd_open},
};

use super::{
    CompileLimits, Watch, Workshop,
    child::{EXIT_NO_MEMORY, EXIT_REFUSED, Order, WORD},
};
use crate::{error::ComponentError, text};

/// Last bytes of what the process said that go with an error.
const WORDS_BYTES_MAX: u64 = 4 << 10;
/// How Rust says that an allocation failed, before it aborts.
const ALLOCATION_WORDS: &str = "memory allocation of";
/// How Rust says that a stack overflowed, before it aborts.
const STACK_WORDS: &str = "has overflowed its stack";

/// Compiles in a process of `program`.
pub(super) fn compile(
    workshop: &Workshop,
    program: &Path,
    environment: &[(String, String)],
    bytes: &[u8],
    watch: &Watch,
) -> Result<File, ComponentError> {
    let limits = workshop.limits;
    let order = Order {
        parent: std::process::id(),
        memory_bytes: limits.memory_bytes,
        cpu_seconds: whole_seconds(limits.time),
        artefact_bytes: limits.artefact_bytes,
        epoch_interruption: workshop.epoch_interruption,
    };
    let failed = |error: io::Error| internal(format!("the compiler cannot be run: {error}"));
    let run = || -> io::Result<(File, Ended)> {
        let (artefact, mut words) = (memory_file("artefact")?, memory_file("words")?);
        let mut component = memory_file("component")?;
        component.write_all(bytes)?;
        component.rewind()?;
        let child = Command::new(program)
            .arg0("fnctl")
            .arg(WORD)
            .args(order.arguments())
            // Nothing of the server goes with it: not its environment, no files but these three.
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(component)
            .stdout(artefact.try_clone()?)
            .stderr(words.try_clone()?)
            .spawn()?;
        // On this thread, which started it: a process that is to die with its parent dies with the thread.
        let (status, is_late) = wait(child, limits.time, watch)?;
        let ended = Ended {
            status,
            is_late,
            words: last_words(&mut words)?,
        };
        Ok((artefact, ended))
    };
    let (mut artefact, ended) = run().map_err(failed)?;
    ended.judge(&limits)?;
    artefact.rewind().map_err(failed)?;
    Ok(artefact)
}

/// How a compiling process ended.
struct Ended {
    status: ExitStatus,
    /// Whether it was ended because its time was up.
    is_late: bool,
    words: String,
}

impl Ended {
    /// Nothing, if it did what it was told; else whose fault it was.
    fn judge(self, limits: &CompileLimits) -> Result<(), ComponentError> {
        let Self {
            status,
            is_late,
            words,
        } = self;
        let too_complex = |detail: String| Err(ComponentError::TooComplex { detail });
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let out_of_memory = || {
            let most = mib(limits.memory_bytes);
            too_complex(format!("compiling it took more than {most} MiB of memory"))
        };
        if status.success() {
            return Ok(());
        }
        if is_late {
            let most = limits.time.as_secs_f64();
            return too_complex(format!("it was not compiled within {most} s"));
        }
        let signal = status.signal().and_then(Signal::from_named_raw);
        match (status.code().map(u8::try_from), signal) {
            (Some(Ok(EXIT_REFUSED)), _) => Err(ComponentError::Invalid { detail: words }),
            (Some(Ok(EXIT_NO_MEMORY)), _) => out_of_memory(),
            (_, Some(Signal::ABORT)) if words.contains(ALLOCATION_WORDS) => out_of_memory(),
            (_, Some(Signal::ABORT)) if words.contains(STACK_WORDS) => {
                too_complex("it is nested too deeply for the compiler's stack".to_owned())
            }
            (_, Some(Signal::XCPU)) => {
                let most = whole_seconds(limits.time);
                too_complex(format!("compiling it took more than {most} s of CPU time"))
            }
            (_, Some(Signal::XFSZ)) => {
                let most = mib(limits.artefact_bytes);
                too_complex(format!("its machine code is larger than {most} MiB"))
            }
            (_, Some(Signal::KILL)) => Err(internal(
                "the compiler was killed from outside: the machine may be short of memory"
                    .to_owned(),
            )),
            _ => Err(internal(format!(
                "the compiler ended early, {status}: {words}"
            ))),
        }
    }
}

/// Waits for the process, and ends it when its time is up.
fn wait(mut child: Child, time: Duration, watch: &Watch) -> io::Result<(ExitStatus, bool)> {
    let pid = Pid::from_child(&child);
    let waited = pidfd_open(pid, PidfdFlags::empty())
        .map_err(io::Error::from)
        .and_then(|process| has_ended(watch.child(process), Instant::now() + time));
    // Whatever went wrong: a process that is not waited for does not stay behind.
    let is_late = !matches!(waited, Ok(true));
    if is_late {
        child.kill()?;
    }
    let status = child.wait()?;
    waited?;
    Ok((status, is_late))
}

/// Whether the process ended before the deadline.
fn has_ended(process: &impl AsFd, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up by one: a wait that ends early only goes round again.
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut watched = [PollFd::new(process, PollFlags::IN)];
        match poll(&mut watched, Some(&timeout)) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

fn memory_file(name: &str) -> io::Result<File> {
    Ok(memfd_create(name, MemfdFlags::CLOEXEC)?.into())
}

fn last_words(words: &mut File) -> io::Result<String> {
    let from = words.metadata()?.len().saturating_sub(WORDS_BYTES_MAX);
    words.seek(io::SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    words.read_to_end(&mut bytes)?;
    Ok(text::clean(String::from_utf8_lossy(&bytes).trim()).into_owned())
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn internal(detail: String) -> ComponentError {
    ComponentError::Internal { detail }
}
