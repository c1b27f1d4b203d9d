//! Who compiles, and how much it may take.
//!
//! Cranelift's time and memory on a hostile input are nobody's promise, so a server compiles in a process
//! of its own: under limits that the process sets on itself before it reads a byte of the component,
//! without the server's environment, files or secrets, and gone when the server goes. What it dies of is
//! the component's refusal; the server serves on.

mod child;
mod process;

use std::{
    fs::File,
    io::{Cursor, Read, Seek},
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::{Signal, pidfd_send_signal};

pub use child::compile_if_asked;

use crate::{
    error::ComponentError,
    limits::{ARTEFACT_BYTES_MAX, COMPILE_MEMORY_BYTES_MAX, COMPILE_TIME_MAX},
};

/// Who compiles a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Compiler {
    /// This process: for one that runs a single function of its user's own and ends.
    #[default]
    Here,
    /// A process for each component.
    Process {
        /// A program that hands its arguments to [`compile_if_asked`] before it does anything else.
        program: PathBuf,
        /// All of its environment: for what its allocator wants to know. The limit of its memory counts what
        /// is reserved, used or not.
        environment: Vec<(String, String)>,
    },
}

/// What compiling one component may take. Without a process of its own only the time is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Address space of the compiling process, bytes.
    pub memory_bytes: u64,
    /// Wall time, and CPU time in whole seconds.
    pub time: Duration,
    /// Size of the machine code, bytes.
    pub artefact_bytes: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            memory_bytes: COMPILE_MEMORY_BYTES_MAX,
            time: COMPILE_TIME_MAX,
            artefact_bytes: ARTEFACT_BYTES_MAX,
        }
    }
}

/// Compiles as an engine was told to.
#[derive(Debug)]
pub(crate) struct Workshop {
    pub(crate) compiler: Compiler,
    pub(crate) limits: CompileLimits,
    /// Part of the machine code: see `settings::config`.
    pub(crate) epoch_interruption: bool,
}

/// Machine code of a component, at its start.
pub(crate) enum Artefact {
    Bytes(Cursor<Vec<u8>>),
    File(File),
}

impl Read for Artefact {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Bytes(bytes) => bytes.read(buffer),
            Self::File(file) => file.read(buffer),
        }
    }
}

impl Seek for Artefact {
    fn seek(&mut self, position: std::io::SeekFrom) -> std::io::Result<u64> {
        match self {
            Self::Bytes(bytes) => bytes.seek(position),
            Self::File(file) => file.seek(position),
        }
    }
}

impl Workshop {
    /// Compiles on the calling thread, or waits on it for the process that does.
    ///
    /// # Errors
    /// The component is not valid, or takes too much; or the host cannot compile.
    pub(crate) fn compile(
        &self,
        engine: &wasmtime::Engine,
        bytes: &[u8],
        watch: &Watch,
    ) -> Result<Artefact, ComponentError> {
        match &self.compiler {
            Compiler::Here => engine
                .precompile_component(bytes)
                .map(|artefact| Artefact::Bytes(Cursor::new(artefact)))
                .map_err(|error| ComponentError::Invalid {
                    detail: format!("{error:#}"),
                }),
            Compiler::Process {
                program,
                environment,
            } => process::compile(self, program, environment, bytes, watch).map(Artefact::File),
        }
    }
}

/// What one who waits for a compilation and the thread that sees to it share.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    is_abandoned: AtomicBool,
    child: OnceLock<OwnedFd>,
}

impl Watch {
    /// Nobody wants the result any more.
    pub(crate) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::SeqCst);
        self.kill();
    }

    /// Ends the compiling process, if there is one yet. By its descriptor: never another of its number.
    fn kill(&self) {
        if let Some(child) = self.child.get() {
            // It may have ended by itself.
            let _gone = pidfd_send_signal(child, Signal::KILL);
        }
    }

    /// The process that is to be ended when nobody wants its result.
    fn child(&self, child: OwnedFd) -> &OwnedFd {
        let child = self.child.get_or_init(|| child);
        // Abandoned before there was anything to end.
        if self.is_abandoned.load(Ordering::SeqCst) {
            self.kill();
        }
        child
    }
}

/// Abandons a compilation when the one who waits for it goes away.
pub(crate) struct Waiter(pub(crate) std::sync::Arc<Watch>);

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
