//! Group commit for engines that leave it to their caller: one thread takes whatever waits, commits it as
//! one durable batch, and acknowledges all of it.

use std::thread::{self, JoinHandle};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::{
    Failure,
    producers::{KEY_BYTES, Sink, Work},
};

/// Puts that may wait for the committer.
const WAITING_MAX: usize = 1_024;

/// Shard and position in it, both big-endian: records of a shard lie in order.
pub(crate) type Key = [u8; KEY_BYTES];

/// A key-value engine.
pub(crate) trait Engine: Send + 'static {
    /// Makes all of it durable: it survives a loss of power when this returns.
    ///
    /// # Errors
    /// Any failure of the engine.
    fn commit(&mut self, rows: &[(Key, Bytes)]) -> Result<(), Failure>;
}

struct Put {
    records: usize,
    acknowledge: oneshot::Sender<()>,
}

/// The thread that commits, seen by producers.
pub(crate) struct Committer {
    puts: mpsc::Sender<Put>,
    thread: JoinHandle<Result<(), Failure>>,
    records: usize,
}

impl Committer {
    pub(crate) fn start(mut engine: impl Engine, work: &Work) -> Self {
        let (puts, mut waiting) = mpsc::channel::<Put>(WAITING_MAX);
        let (shards, payload) = (work.shards, Bytes::from(work.payload()));
        let mut next = vec![0_u64; shards as usize];
        let mut turn = 0;
        let commit = move || {
            let (mut group, mut rows) = (Vec::new(), Vec::new());
            while let Some(first) = waiting.blocking_recv() {
                group.push(first);
                while let Ok(more) = waiting.try_recv() {
                    group.push(more);
                }
                for _ in 0..group.iter().map(|put| put.records).sum() {
                    let shard = turn % shards;
                    turn = turn.wrapping_add(1);
                    let position = &mut next[shard as usize];
                    let mut key = [0; KEY_BYTES];
                    key[..4].copy_from_slice(&shard.to_be_bytes());
                    key[4..].copy_from_slice(&position.to_be_bytes());
                    *position += 1;
                    rows.push((key, payload.clone()));
                }
                engine.commit(&rows)?;
                rows.clear();
                for put in group.drain(..) {
                    // A producer waits for it, unless all of them end.
                    let _sent = put.acknowledge.send(());
                }
            }
            Ok(())
        };
        Self {
            puts,
            thread: thread::spawn(commit),
            records: work.records,
        }
    }

    /// Closes the engine.
    ///
    /// # Errors
    /// It had failed.
    pub(crate) fn close(self) -> Result<(), Failure> {
        drop(self.puts);
        self.thread.join().map_err(|_| "the committer panicked")?
    }
}

impl Sink for Committer {
    async fn put(&self, _number: usize) -> Result<(), Failure> {
        let (acknowledge, acknowledged) = oneshot::channel();
        let put = Put {
            records: self.records,
            acknowledge,
        };
        self.puts
            .send(put)
            .await
            .map_err(|_| "the committer ended")?;
        Ok(acknowledged.await?)
    }
}
