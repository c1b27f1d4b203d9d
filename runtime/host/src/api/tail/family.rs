//! Which shards of a stream are read when: parents before their children.

use std::{collections::BTreeSet, mem, sync::Arc};

use fnctl_core::id::{Ordinal, ShardNumber, StreamId};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    api::tail::{Found, Reader},
    node::HostNode,
};

/// How the reader of a shard ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// At the shard's end, or at the one that it was given.
    Whole,
    /// Its shard cannot be read on, or nobody listens.
    Broken,
}

/// The readers of a stream's shards.
pub(super) struct Family {
    node: Arc<HostNode>,
    stream: StreamId,
    /// Whether children that are born later are read as well.
    is_following: bool,
    /// Shards that have, or had, a reader.
    known: BTreeSet<ShardNumber>,
    /// Shards that were read to their end.
    done: BTreeSet<ShardNumber>,
    /// Readers whose parents are not done, with those parents.
    waiting: Vec<(Reader, Vec<ShardNumber>)>,
    /// Whether rows say how long after their source they arrived.
    has_latency: bool,
}

impl Family {
    pub(super) const fn new(
        node: Arc<HostNode>,
        stream: StreamId,
        is_following: bool,
        has_latency: bool,
    ) -> Self {
        Self {
            node,
            stream,
            is_following,
            known: BTreeSet::new(),
            done: BTreeSet::new(),
            waiting: Vec::new(),
            has_latency,
        }
    }

    /// Adds the reader of a shard with these parents.
    pub(super) fn add(&mut self, reader: Reader, parents: Vec<ShardNumber>) {
        self.known.insert(reader.shard);
        self.waiting.push((reader, parents));
    }

    /// Whether the stream never had more than one shard, as far as was looked.
    pub(super) fn is_alone(&self) -> bool {
        self.known.len() == 1
    }

    /// Notes that a shard has no reader, because nobody knows where it would start. Its children have none
    /// either: records in front of theirs are missing.
    pub(super) fn pass_by(&mut self, shard: ShardNumber) {
        self.known.insert(shard);
    }

    /// Notes that a shard's reader has ended; its children come next. Those of a shard that broke off
    /// are not read: records in front of theirs are missing.
    pub(super) fn ended(&mut self, shard: ShardNumber, end: End) {
        if end == End::Broken {
            return;
        }
        self.done.insert(shard);
        if !self.is_following {
            return;
        }
        let stream = self
            .node
            .view(|view| view.registry().stream(self.stream).cloned());
        let Some(stream) = stream else {
            return;
        };
        for child in stream.children(shard) {
            if self.known.contains(&child.number) {
                continue;
            }
            let reader = Reader {
                node: Arc::clone(&self.node),
                stream: self.stream,
                shard: child.number,
                created_at: child.created_at,
                after: Ordinal(0),
                until: None,
                has_latency: self.has_latency,
            };
            self.add(reader, child.parents.clone());
        }
    }

    /// Starts the readers whose parents are done, or gone.
    pub(super) fn start(
        &mut self,
        tasks: &mut JoinSet<(ShardNumber, End)>,
        found: &mpsc::Sender<Found>,
    ) {
        let stream = self
            .node
            .view(|view| view.registry().stream(self.stream).cloned());
        let is_listed = |shard: &ShardNumber| {
            let stream = stream.as_ref();
            stream.is_some_and(|stream| stream.shard(*shard).is_some())
        };
        let done = &self.done;
        let (due, waiting) = mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, parents)| {
                parents
                    .iter()
                    .all(|parent| done.contains(parent) || !is_listed(parent))
            });
        self.waiting = waiting;
        let due: Vec<(Reader, Vec<ShardNumber>)> = due;
        for (reader, _) in due {
            tasks.spawn(reader.run(found.clone()));
        }
    }
}
