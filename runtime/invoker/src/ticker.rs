//! Advances the epoch while a guest runs, and sleeps when none does.
//!
//! An idle node therefore makes no wake-ups for it, but for the few seconds in which warm instances
//! wait to be dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use wasmtime::EngineWeak;

use crate::{limits::EPOCH_TICK, warm::WarmPool};

/// How often idle instances are looked for while guests run.
const EXPIRY_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Ticker {
    state: Arc<State>,
    handle: Thread,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    running: AtomicUsize,
    is_parked: AtomicBool,
    is_stopped: AtomicBool,
}

/// Held while a guest runs.
pub(crate) struct Running<'a>(&'a Ticker);

impl Ticker {
    /// Starts the thread. It holds neither engine nor pool alive.
    pub(crate) fn start(engine: EngineWeak, pool: &Arc<WarmPool>) -> std::io::Result<Self> {
        let state = Arc::new(State::default());
        let (seen, pool) = (Arc::clone(&state), Arc::downgrade(pool));
        let thread = thread::Builder::new()
            .name("fnctl-epoch".into())
            .spawn(move || {
                let mut expired_at = Instant::now();
                while !seen.is_stopped.load(Ordering::SeqCst) {
                    if seen.running.load(Ordering::SeqCst) > 0 {
                        thread::park_timeout(EPOCH_TICK);
                        let Some(engine) = engine.upgrade() else {
                            return;
                        };
                        engine.increment_epoch();
                        if expired_at.elapsed() < EXPIRY_EVERY {
                            continue;
                        }
                    }
                    expired_at = Instant::now();
                    let Some(pool) = pool.upgrade() else { return };
                    let next = pool.expire(expired_at);
                    drop(pool);
                    // Announced before the second look: whoever starts a guest in between sees it and unparks.
                    seen.is_parked.store(true, Ordering::SeqCst);
                    if seen.running.load(Ordering::SeqCst) == 0
                        && !seen.is_stopped.load(Ordering::SeqCst)
                    {
                        match next {
                            Some(at) => {
                                thread::park_timeout(at.saturating_duration_since(Instant::now()))
                            }
                            None => thread::park(),
                        }
                    }
                    seen.is_parked.store(false, Ordering::SeqCst);
                }
            })?;
        Ok(Self {
            state,
            handle: thread.thread().clone(),
            thread: Some(thread),
        })
    }

    /// A guest starts to run.
    pub(crate) fn enter(&self) -> Running<'_> {
        self.state.running.fetch_add(1, Ordering::SeqCst);
        if self.state.is_parked.load(Ordering::SeqCst) {
            self.handle.unpark();
        }
        Running(self)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.is_stopped.store(true, Ordering::SeqCst);
        self.handle.unpark();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // The thread ends at its next look; a panic in it has nothing left to break.
            drop(thread.join());
        }
    }
}
