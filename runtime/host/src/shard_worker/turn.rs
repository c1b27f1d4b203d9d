//! The node's turn: after unclean stops, who has it calls one record, alone among all that are called so
//! (first batches and retries). Whole batches are called beside it.

use std::{pin::Pin, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The one turn of a node. Whoever asked first has it first.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

type Asked = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

/// The turn as one worker knows it. Dropped, it is given back.
pub(super) struct Turn {
    turns: Turns,
    asked: Option<Asked>,
    held: Option<OwnedSemaphorePermit>,
}

impl Turn {
    pub(super) const fn of(turns: Turns) -> Self {
        Self {
            turns,
            asked: None,
            held: None,
        }
    }

    /// Asks for it.
    pub(super) fn ask(&mut self) {
        let turns = Arc::clone(&self.turns.0);
        self.asked = Some(Box::pin(async move { turns.acquire_owned().await.ok() }));
    }

    /// Gives it back, or asks no more.
    pub(super) fn end(&mut self) {
        self.asked = None;
        self.held = None;
    }

    /// Whether it was asked for and is not granted yet.
    pub(super) const fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Waits until it is granted; never without having asked. Cancel-safe: the place in the queue is
    /// kept.
    pub(super) async fn granted(&mut self) {
        let Some(asked) = self.asked.as_mut() else {
            return std::future::pending().await;
        };
        self.held = asked.await;
        self.asked = None;
    }
}
