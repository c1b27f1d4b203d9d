//! Standard output and error of a guest: lines in the function's log, and never the host's own.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use super::log::{CallLog, LogSource};

/// Most bytes taken in one write; a guest's library loops.
const WRITE_BYTES_MAX: usize = 64 << 10;

#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    Stdout,
    Stderr,
}

/// One of the two streams.
#[derive(Clone)]
pub(super) struct GuestStream {
    which: Which,
    log: Arc<Mutex<CallLog>>,
}

impl GuestStream {
    pub(super) fn new(which: Which, log: &Arc<Mutex<CallLog>>) -> Self {
        Self {
            which,
            log: Arc::clone(log),
        }
    }
}

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only reached by WASI 0.3, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for GuestStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let source = match self.which {
            Which::Stdout => LogSource::Stdout,
            Which::Stderr => LogSource::Stderr,
        };
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stream(source, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[async_trait]
impl Pollable for GuestStream {
    async fn ready(&mut self) {}
}
