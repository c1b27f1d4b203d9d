//! The compiling process: the component on stdin, its machine code on stdout, words on stderr.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::fd::AsFd,
    process::ExitCode,
};

use rustix::process::{Resource, Rlimit, Signal, getppid, getrlimit, nice, setrlimit};

use crate::engine::settings;

/// The first argument of a process that is to compile.
pub(super) const WORD: &str = "compile-component";
/// It ended because the component cannot be compiled; stderr says why.
pub(super) const EXIT_REFUSED: u8 = 65;
/// It ended because it got no more memory, and noticed.
pub(super) const EXIT_NO_MEMORY: u8 = 66;
/// It ended before it began: the system refuses, or its parent is gone.
pub(super) const EXIT_NOT_BEGUN: u8 = 67;
/// How much the process stands back behind those that serve.
const NICENESS: i32 = 5;

/// What the process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Process id of the one who waits.
    pub(super) parent: u32,
    /// Address space, bytes.
    pub(super) memory_bytes: u64,
    /// CPU time.
    pub(super) cpu_seconds: u64,
    /// Machine code, bytes.
    pub(super) artefact_bytes: u64,
    /// Whether the code looks at the epoch.
    pub(super) epoch_interruption: bool,
}

impl Order {
    /// As arguments after [`WORD`].
    pub(super) fn arguments(&self) -> [String; 5] {
        [
            self.parent.to_string(),
            self.memory_bytes.to_string(),
            self.cpu_seconds.to_string(),
            self.artefact_bytes.to_string(),
            self.epoch_interruption.to_string(),
        ]
    }

    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut next = || arguments.next()?.into_string().ok();
        let order = Self {
            parent: next()?.parse().ok()?,
            memory_bytes: next()?.parse().ok()?,
            cpu_seconds: next()?.parse().ok()?,
            artefact_bytes: next()?.parse().ok()?,
            epoch_interruption: next()?.parse().ok()?,
        };
        next().is_none().then_some(order)
    }

    /// Binds this process, before it has read anything: to its parent's life, and below the limits.
    fn bind(&self) -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have gone before the line above.
        let parent = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
        if parent != Some(self.parent) {
            return Err(io::Error::other("the process that asked is gone"));
        }
        let limit = |resource, soft: u64, hard: u64| {
            // What the process was started with may be less, and cannot be raised.
            let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
            let limit = Rlimit {
                current: Some(soft.min(most)),
                maximum: Some(hard.min(most)),
            };
            setrlimit(resource, limit)
        };
        limit(Resource::Core, 0, 0)?;
        limit(Resource::As, self.memory_bytes, self.memory_bytes)?;
        limit(Resource::Fsize, self.artefact_bytes, self.artefact_bytes)?;
        // The second limit kills; the first does too, under a name of its own.
        limit(Resource::Cpu, self.cpu_seconds, self.cpu_seconds + 1)?;
        // Without it compiling only competes harder.
        let _refused = nice(NICENESS);
        Ok(())
    }
}

/// Compiles and returns the exit code, if that is what this process was started for: `arguments` are all
/// of its arguments, the program's name included. To be asked before anything else, on the main thread.
#[must_use]
pub fn compile_if_asked(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    (arguments.nth(1)? == WORD).then(|| {
        let failed = |code: u8, words: &dyn std::fmt::Display| {
            // Whoever reads it is told by the code alone if need be.
            let _unread = writeln!(io::stderr(), "{words}");
            ExitCode::from(code)
        };
        let Some(order) = Order::parse(arguments) else {
            return failed(EXIT_NOT_BEGUN, &"this word is for fnctl's own use");
        };
        if let Err(error) = order.bind() {
            return failed(EXIT_NOT_BEGUN, &error);
        }
        match compile(order.epoch_interruption) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure::Component(error)) => {
                let words = format!("{error:#}");
                let code = if is_out_of_memory(&words) {
                    EXIT_NO_MEMORY
                } else {
                    EXIT_REFUSED
                };
                failed(code, &words)
            }
            Err(Failure::System(error)) if error.kind() == io::ErrorKind::OutOfMemory => {
                failed(EXIT_NO_MEMORY, &error)
            }
            Err(Failure::System(error)) => failed(EXIT_NOT_BEGUN, &error),
        }
    })
}

enum Failure {
    Component(wasmtime::Error),
    System(io::Error),
}

fn compile(epoch_interruption: bool) -> Result<(), Failure> {
    let mut input = file(&io::stdin()).map_err(Failure::System)?;
    let mut component = Vec::new();
    let size = input.metadata().map_err(Failure::System)?.len();
    component
        .try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX))
        .map_err(|_| Failure::System(io::ErrorKind::OutOfMemory.into()))?;
    input.read_to_end(&mut component).map_err(Failure::System)?;
    let engine = settings::compiling(epoch_interruption)
        .map_err(|error| Failure::System(io::Error::other(format!("{error:#}"))))?;
    let artefact = engine
        .precompile_component(&component)
        .map_err(Failure::Component)?;
    file(&io::stdout())
        .and_then(|mut output| output.write_all(&artefact))
        .map_err(Failure::System)
}

/// Without the buffers and locks of the standard streams.
fn file(stream: &impl AsFd) -> io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

/// Wasmtime hands on what the system or its allocator said.
fn is_out_of_memory(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    words.contains("cannot allocate memory") || words.contains("out of memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_comes_through_as_it_was_given() {
        let order = Order {
            parent: 7,
            memory_bytes: 1 << 30,
            cpu_seconds: 60,
            artefact_bytes: 1 << 29,
            epoch_interruption: true,
        };
        let arguments = || order.arguments().into_iter().map(OsString::from);
        assert_eq!(Order::parse(arguments()), Some(order));
        assert_eq!(Order::parse(arguments().take(4)), None);
        assert_eq!(Order::parse(arguments().chain(["more".into()])), None);
    }

    #[test]
    fn another_word_is_not_for_it() {
        for words in [&["fnctl"][..], &["fnctl", "server"], &[]] {
            assert!(compile_if_asked(words.iter().map(OsString::from)).is_none());
        }
    }
}
