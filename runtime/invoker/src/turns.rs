//! Calls of one function at once, whatever version they are of, and whose call is next when one more may
//! begin: mappings take turns.
//!
//! A mapping may have hundreds of calls that wait, one a lane of each shard. Served as they came, one that
//! has a record now and then would wait behind all of those. Here it waits for one call of each other
//! mapping at most, besides those that run; within a mapping the one that waits longest is next. A call
//! that waits has not begun: neither its time nor an attempt is counted.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// The calls of one function. Cheap to share among its versions.
#[derive(Debug)]
pub struct Turns(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Calls at once.
    limit: u32,
    /// Calls at once that the node can make.
    most: u32,
    running: u32,
    /// Mappings with calls that wait, each once: the first has the next turn.
    order: VecDeque<Arc<str>>,
    waiting: HashMap<Arc<str>, VecDeque<Waiting>>,
    last: u64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    grant: oneshot::Sender<()>,
}

impl Turns {
    /// At most so many calls at once; `None`: as many as the node can make.
    #[must_use]
    pub fn new(limit: Option<u32>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            limit: effective(limit),
            most: u32::MAX,
            running: 0,
            order: VecDeque::new(),
            waiting: HashMap::new(),
            last: 0,
        })))
    }

    /// Another limit, from now on. What runs goes on.
    pub fn set_limit(&self, limit: Option<u32>) {
        let mut state = self.lock();
        state.limit = effective(limit);
        state.grant();
    }

    /// Calls of a mapping that wait for their turn now.
    #[must_use]
    pub fn waiting(&self, mapping: &str) -> u32 {
        let waiting = self.lock().waiting.get(mapping).map_or(0, VecDeque::len);
        u32::try_from(waiting).unwrap_or(u32::MAX)
    }

    /// The node cannot make more calls at once than this.
    pub(crate) fn bound(&self, most: u32) {
        let mut state = self.lock();
        state.most = most.max(1);
        state.grant();
    }

    /// Waits for a turn of a mapping. Dropped while it waits, it never had one.
    pub(crate) async fn take(self: &Arc<Self>, mapping: &Arc<str>) -> Turn {
        let mut place = {
            let mut state = self.lock();
            // While there is room nobody waits.
            if state.running < state.limit.min(state.most) {
                state.running += 1;
                return Turn(Arc::clone(self));
            }
            let (grant, granted) = oneshot::channel();
            state.last += 1;
            let place = Place {
                turns: Arc::clone(self),
                mapping: Arc::clone(mapping),
                number: state.last,
                granted: Some(granted),
            };
            state.queue(
                mapping,
                Waiting {
                    number: place.number,
                    grant,
                },
            );
            place
        };
        if let Some(granted) = &mut place.granted {
            // The sender is in the queue until it is used, and the queue lives as long as this.
            granted.await.expect("who waits is told");
        }
        place.granted = None;
        Turn(Arc::clone(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn effective(limit: Option<u32>) -> u32 {
    limit.unwrap_or(u32::MAX).max(1)
}

impl State {
    fn queue(&mut self, mapping: &Arc<str>, waiting: Waiting) {
        let of_mapping = self.waiting.entry(Arc::clone(mapping)).or_default();
        if of_mapping.is_empty() {
            self.order.push_back(Arc::clone(mapping));
        }
        of_mapping.push_back(waiting);
    }

    /// Lets calls begin while there is room.
    fn grant(&mut self) {
        while self.running < self.limit.min(self.most) {
            let Some(mapping) = self.order.pop_front() else {
                return;
            };
            let Some(of_mapping) = self.waiting.get_mut(&mapping) else {
                continue;
            };
            let first = of_mapping.pop_front();
            if of_mapping.is_empty() {
                self.waiting.remove(&mapping);
            } else {
                self.order.push_back(mapping);
            }
            // Nobody waits any more where it fails: whoever went leaves no turn behind.
            if first.is_some_and(|waiting| waiting.grant.send(()).is_ok()) {
                self.running += 1;
            }
        }
    }

    /// Somebody waits no more.
    fn leave(&mut self, mapping: &Arc<str>, number: u64) {
        let Some(of_mapping) = self.waiting.get_mut(mapping) else {
            return;
        };
        of_mapping.retain(|waiting| waiting.number != number);
        if of_mapping.is_empty() {
            self.waiting.remove(mapping);
            self.order.retain(|other| other != mapping);
        }
    }

    fn end(&mut self) {
        self.running -= 1;
        self.grant();
    }
}

/// A call that may be made; dropped, the next one may.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.lock().end();
    }
}

/// One that waits.
struct Place {
    turns: Arc<Turns>,
    mapping: Arc<str>,
    number: u64,
    /// `None`: it has its turn, which another value ends.
    granted: Option<oneshot::Receiver<()>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(mut granted) = self.granted.take() else {
            return;
        };
        let mut state = self.turns.lock();
        // Grants are made under the lock: it has one already, or never will.
        match granted.try_recv() {
            Ok(()) => state.end(),
            Err(_) => state.leave(&self.mapping, self.number),
        }
    }
}

#[cfg(test)]
mod tests;
