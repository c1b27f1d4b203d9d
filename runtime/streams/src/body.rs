//! Request bodies in one piece, within one room for all connections.

use std::{
    ops::Deref,
    pin::pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use fnctl_core::admission::InFlight;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::limits::{
    BODIES_BYTES_MAX, BODY_BYTES_MAX, SMALL_BODIES_BYTES_MAX, SMALL_BODY_BYTES_MAX,
    SPARE_BUFFER_BYTES_MAX, SPARE_BUFFERS_MAX,
};

/// Permits stand for this many bytes.
const PERMIT_BYTES: usize = 1 << 10;

/// Where bodies are collected.
pub(crate) struct Bodies {
    room: Semaphore,
    small_room: Semaphore,
    /// Buffers of bodies that are done with: a large allocation costs more than filling it does.
    spare: Mutex<Vec<Vec<u8>>>,
    /// What came of bodies that are still coming, bytes, and how many those are.
    receiving: [AtomicU64; 2],
}

/// Why a body was not read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    TooLarge,
    Broken,
}

/// A body. Its room is held until it is dropped: what a request costs in memory is mostly its body.
pub(crate) struct WholeBody<'a> {
    bodies: &'a Bodies,
    bytes: Pieces,
    _room: SemaphorePermit<'a>,
}

/// A body as it came.
enum Pieces {
    /// In one piece, shared with the connection.
    One(Bytes),
    /// In several, copied together.
    Gathered(Vec<u8>),
}

impl Bodies {
    pub(crate) fn new() -> Self {
        Self {
            room: Semaphore::new(BODIES_BYTES_MAX / PERMIT_BYTES),
            small_room: Semaphore::new(SMALL_BODIES_BYTES_MAX / PERMIT_BYTES),
            spare: Mutex::default(),
            receiving: Default::default(),
        }
    }

    /// Bytes of bodies that are being read or worked on.
    pub(crate) fn bytes(&self) -> usize {
        let taken = |room: &Semaphore, max: usize| {
            max.saturating_sub(room.available_permits() * PERMIT_BYTES)
        };
        taken(&self.room, BODIES_BYTES_MAX) + taken(&self.small_room, SMALL_BODIES_BYTES_MAX)
    }

    /// Bodies of which a part is still to come.
    pub(crate) fn receiving(&self) -> InFlight {
        let [bytes, requests] = &self.receiving;
        InFlight {
            bytes: bytes.load(Ordering::Relaxed),
            requests: requests.load(Ordering::Relaxed),
        }
    }

    /// Reads a body to its end; waits for room before it reads.
    ///
    /// # Errors
    /// It is larger than [`BODY_BYTES_MAX`], or its connection broke.
    pub(crate) async fn collect<B>(&self, body: B) -> Result<WholeBody<'_>, BodyError>
    where
        B: Body<Data = Bytes> + Send,
    {
        let announced = body.size_hint();
        if announced.lower() > BODY_BYTES_MAX as u64 {
            return Err(BodyError::TooLarge);
        }
        let exact = announced
            .exact()
            .and_then(|bytes| usize::try_from(bytes).ok());
        let bytes = exact.unwrap_or(BODY_BYTES_MAX);
        let permits = bytes.div_ceil(PERMIT_BYTES);
        let permits = u32::try_from(permits).expect("a body is far below 4 TiB");
        let room = if bytes <= SMALL_BODY_BYTES_MAX {
            &self.small_room
        } else {
            &self.room
        };
        let room = room
            .acquire_many(permits)
            .await
            .map_err(|_| BodyError::Broken)?;
        let mut pieces = Pieces::One(Bytes::new());
        let mut receiving = Receiving::new(&self.receiving);
        let mut body = pin!(body);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
                continue;
            };
            if pieces.len() + data.len() > BODY_BYTES_MAX {
                return Err(BodyError::TooLarge);
            }
            receiving.add(data.len());
            pieces = match pieces {
                Pieces::One(first) if first.is_empty() => Pieces::One(data),
                Pieces::One(first) => {
                    let mut gathered = self.buffer();
                    gathered.reserve(exact.unwrap_or(0).max(first.len() + data.len()));
                    gathered.extend_from_slice(&first);
                    gathered.extend_from_slice(&data);
                    Pieces::Gathered(gathered)
                }
                Pieces::Gathered(mut gathered) => {
                    gathered.extend_from_slice(&data);
                    Pieces::Gathered(gathered)
                }
            };
        }
        Ok(WholeBody {
            bodies: self,
            bytes: pieces,
            _room: room,
        })
    }

    /// An empty buffer, used before if there is one.
    fn buffer(&self) -> Vec<u8> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.pop().unwrap_or_default()
    }

    fn keep(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_BUFFERS_MAX && buffer.capacity() <= SPARE_BUFFER_BYTES_MAX {
            spare.push(buffer);
        }
    }
}

/// One body that is coming; counted until it is there, or given up.
struct Receiving<'a> {
    all: &'a [AtomicU64; 2],
    bytes: u64,
}

impl<'a> Receiving<'a> {
    fn new(all: &'a [AtomicU64; 2]) -> Self {
        all[1].fetch_add(1, Ordering::Relaxed);
        Self { all, bytes: 0 }
    }

    fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.all[0].fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.all[0].fetch_sub(self.bytes, Ordering::Relaxed);
        self.all[1].fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for Pieces {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::One(bytes) => bytes,
            Self::Gathered(bytes) => bytes,
        }
    }
}

impl Deref for WholeBody<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for WholeBody<'_> {
    fn drop(&mut self) {
        if let Pieces::Gathered(buffer) = &mut self.bytes {
            self.bodies.keep(std::mem::take(buffer));
        }
    }
}
