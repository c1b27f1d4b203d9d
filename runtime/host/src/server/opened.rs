//! A store that was opened, with the loops that it needs: closed in order whatever becomes of the start around it,
//! so that a start which is refused counts as no death of the process.

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use fnctl_store::{ScrubOptions, Store, disk::real::RealDisk};
use tokio::sync::{
    oneshot::{self, error::TryRecvError},
    watch,
};
use tracing::{error, warn};

use super::StartError;
use crate::{clock::SystemClock, limits};

/// What failed, and when.
pub(super) type Failed = (String, Instant);

/// Where a loop that fails tells it, so that the server stops.
pub(super) type TellStop = Arc<watch::Sender<Option<Failed>>>;

/// How a loop ended, once it has.
pub(super) type Ended = oneshot::Receiver<Result<(), String>>;

/// An open store whose loops run. Dropped before [`Self::keep`], it is closed in order.
pub(super) struct Opened {
    store: Store,
    loops: Vec<Ended>,
}

impl Opened {
    /// Opens the store, and starts what it needs to take and to end anything. Blocks.
    ///
    /// # Errors
    /// The store cannot be opened, or a thread cannot be had.
    pub(super) fn open(
        options: fnctl_store::Options,
        tell_stop: &TellStop,
        last_resort: Option<fn() -> !>,
    ) -> Result<Self, StartError> {
        let (store, loops) = fnctl_store::open(options, RealDisk, SystemClock)?;
        let mut opened = Self {
            store,
            loops: Vec::new(),
        };
        // The sequencer first: it is the one that writes a journal's end.
        let sequencer = move || loops.sequencer.run().map_err(|stopped| stopped.0);
        let sequencer = spawn_loop("fnctl-sequencer", tell_stop, last_resort, sequencer)?;
        opened.loops.push(sequencer);
        let applier = move || loops.applier.run().map_err(|stopped| stopped.0);
        let applier = spawn_loop("fnctl-applier", tell_stop, last_resort, applier)?;
        opened.loops.push(applier);
        Ok(opened)
    }

    /// What was opened.
    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    /// Starts what reads and checks everything at rest, now and then.
    ///
    /// # Errors
    /// A thread cannot be had.
    pub(super) fn scrub(&mut self, options: ScrubOptions) -> io::Result<()> {
        let scrub = self.store.scrub(options);
        let (done, ended) = oneshot::channel();
        thread::Builder::new()
            .name("fnctl-scrub".to_owned())
            .spawn(move || {
                scrub.run();
                // Nobody may wait for it any more.
                drop(done.send(Ok(())));
            })?;
        self.loops.push(ended);
        Ok(())
    }

    /// Hands the loops to who ends them in order from now on.
    pub(super) fn keep(mut self) -> Vec<Ended> {
        std::mem::take(&mut self.loops)
    }
}

impl Drop for Opened {
    /// Blocks until the store has ended, which is a sync or two; not for ever, because a disk may hang.
    fn drop(&mut self) {
        if self.loops.is_empty() {
            return;
        }
        self.store.shutdown();
        let end = Instant::now() + limits::STORE_END;
        for ended in &mut self.loops {
            while matches!(ended.try_recv(), Err(TryRecvError::Empty)) {
                if Instant::now() >= end {
                    warn!("the store did not end in time after a start that was refused");
                    return;
                }
                // A store tells when it has ended, not who waits for it.
                thread::park_timeout(Duration::from_millis(2));
            }
        }
    }
}

/// Runs a loop of the store on a thread of its own; its failure, or its panic, stops the server, and the
/// process by the last resort if nothing else does.
fn spawn_loop(
    name: &str,
    tell_stop: &TellStop,
    last_resort: Option<fn() -> !>,
    run: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> io::Result<Ended> {
    let (done, ended) = oneshot::channel();
    let tell_stop = Arc::clone(tell_stop);
    let loop_name = name.to_owned();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
                .unwrap_or_else(|_| Err(format!("{loop_name} panicked")));
            let failed = result
                .as_ref()
                .err()
                .map(|words| (words.clone(), Instant::now()));
            // Nobody may wait for it any more.
            drop(done.send(result));
            let Some(failed) = failed else {
                return;
            };
            error!(error = failed.0, "a loop of the store ended, stopping");
            let since = failed.1;
            tell_stop.send_if_modified(|told| {
                let is_news = told.is_none();
                told.get_or_insert(failed);
                is_news
            });
            if let Some(end) = last_resort {
                // Nobody wakes it: it ends with the process, or ends it.
                while since.elapsed() < limits::ENDS_WITHIN {
                    thread::park_timeout(limits::ENDS_WITHIN.saturating_sub(since.elapsed()));
                }
                let ms = since.elapsed().as_millis();
                error!(
                    took_ms = ms,
                    "the process did not end by itself, it is ended"
                );
                end();
            }
        })?;
    Ok(ended)
}
