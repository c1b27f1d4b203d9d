//! Puts under way: what they hold in memory, who may add to it, and who was told to come again.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use fnctl_core::{
    admission::{self, Busy, InFlight},
    id::StreamId,
};
use tokio::sync::Notify;

use crate::limits::{APPENDS_BYTES_MAX, APPENDS_MAX};

/// Counts puts under way.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    held: Mutex<Held>,
    /// Somebody waits for room: told when some is given back.
    room: Notify,
    is_closed: AtomicBool,
    pub(crate) refused: Refused,
}

#[derive(Debug, Default)]
struct Held {
    node: InFlight,
    /// Streams that have something under way.
    streams: HashMap<StreamId, InFlight>,
}

/// Appends that were refused since the start, by reason.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) busy_node: AtomicU64,
    pub(crate) busy_stream: AtomicU64,
    pub(crate) stream_full: AtomicU64,
    pub(crate) disk_full: AtomicU64,
}

/// A put's share of the room for puts under way, given back when it is dropped.
#[derive(Debug)]
pub struct PutRoom {
    admission: Arc<Admission>,
    stream: StreamId,
    bytes: u64,
}

const MAX: InFlight = InFlight {
    bytes: APPENDS_BYTES_MAX,
    requests: APPENDS_MAX,
};

impl Admission {
    /// Takes room for a put, or says why not. Counts no refusal.
    pub(crate) fn admit(self: &Arc<Self>, stream: StreamId, bytes: u64) -> Result<PutRoom, Busy> {
        let mut held = self.held.lock().expect("nothing panics under this lock");
        let of = held.streams.get(&stream).copied().unwrap_or_default();
        admission::admit(MAX, held.node, of, bytes)?;
        held.node = held.node.with(bytes);
        held.streams.insert(stream, of.with(bytes));
        Ok(PutRoom {
            admission: Arc::clone(self),
            stream,
            bytes,
        })
    }

    /// Takes room for a put as soon as there is some; `None` once the store takes nothing more.
    pub(crate) async fn wait(self: &Arc<Self>, stream: StreamId, bytes: u64) -> Option<PutRoom> {
        loop {
            let mut told = std::pin::pin!(self.room.notified());
            // Before it is looked: what is given back in between is not missed.
            told.as_mut().enable();
            if self.is_closed.load(Ordering::Acquire) {
                return None;
            }
            if let Ok(room) = self.admit(stream, bytes) {
                return Some(room);
            }
            told.await;
        }
    }

    /// Counts a refusal.
    pub(crate) fn refuse(&self, why: Busy) {
        let counter = match why {
            Busy::Node => &self.refused.busy_node,
            Busy::Stream => &self.refused.busy_stream,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Nobody waits any longer.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.room.notify_waiters();
    }

    /// What is under way.
    pub(crate) fn in_flight(&self) -> InFlight {
        let held = self.held.lock().expect("nothing panics under this lock");
        held.node
    }
}

impl Drop for PutRoom {
    fn drop(&mut self) {
        {
            let mut held = self
                .admission
                .held
                .lock()
                .expect("nothing panics under this lock");
            held.node = held.node.without(self.bytes);
            let of = held.streams.get(&self.stream).copied().unwrap_or_default();
            let of = of.without(self.bytes);
            if of.requests == 0 {
                held.streams.remove(&self.stream);
            } else {
                held.streams.insert(self.stream, of);
            }
        }
        self.admission.room.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    #[test]
    fn what_one_stream_holds_does_not_keep_another_out_and_comes_back() {
        let admission = Arc::new(Admission::default());
        let (flood, quiet) = (StreamId(1), StreamId(2));
        let piece = APPENDS_BYTES_MAX / 16;
        let mut held = Vec::new();
        let refused = loop {
            match admission.admit(flood, piece) {
                Ok(room) => held.push(room),
                Err(why) => break why,
            }
        };
        assert_eq!((refused, held.len()), (Busy::Stream, 8));
        let other = admission.admit(quiet, piece).unwrap();
        assert_eq!(admission.in_flight().requests, 9);

        let mut waiting = pin!(admission.wait(flood, piece));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        drop(other);
        held.pop();
        let Poll::Ready(Some(room)) = waiting.as_mut().poll(&mut context) else {
            panic!("there is room");
        };
        let mut late = pin!(admission.wait(flood, piece));
        assert!(late.as_mut().poll(&mut context).is_pending());
        admission.close();
        assert!(matches!(
            late.as_mut().poll(&mut context),
            Poll::Ready(None)
        ));
        drop((room, held));
        assert_eq!(admission.in_flight(), InFlight::default());
        assert!(admission.held.lock().unwrap().streams.is_empty());
    }
}
