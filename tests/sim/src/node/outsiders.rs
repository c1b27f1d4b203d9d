//! Who else uses the node: readers that are no worker, and a stream that comes and goes.

use fnctl_core::{
    id::{Ordinal, Timestamp},
    registry::Command,
};
use fnctl_store::{CommandError, ReadError};

use super::{
    Branch, World,
    control::{create_stream, name},
    facts::records,
    ledger::is_put,
    life::{Node, poll_once},
    profile::SHORT_MS,
};

impl World {
    /// Somebody reads, from anywhere or from a time on.
    pub(super) fn read_somewhere(&mut self, node: &Node) {
        let shards: Vec<_> = node.store.view(|view| {
            let streams = view.registry().streams();
            let tails = streams.flat_map(|stream| {
                let is_put = is_put(&stream.name);
                view.tails(stream.id)
                    .map(move |(shard, tail)| (stream.id, shard, *tail, is_put))
            });
            tails.collect()
        });
        if shards.is_empty() {
            return;
        }
        let (stream, shard, tail, is_put) = self.random.pick(&shards);
        let after = Ordinal(self.random.between(tail.floor.0 - 1, tail.next.0));
        let records = usize::try_from(self.random.between(1, 40)).expect("small");
        let found = node.store.read(stream, shard, after, records, 2_000);
        match found {
            Ok(blocks) => {
                if node.is_full {
                    self.coverage.note(Branch::ReadWhileFull);
                }
                for block in &blocks {
                    self.ledger.saw_block(block, is_put);
                }
            }
            Err(ReadError::Io { .. }) => {}
            Err(error) => panic!("{stream}/{shard} after {after}: {error}"),
        }
        let time = Timestamp(self.random.between(1_699_999_000_000, 1_700_000_100_000));
        match node.store.find_time(stream, shard, time) {
            Ok(first) => self
                .ledger
                .check_time((stream, shard), tail.floor, time, first),
            Err(ReadError::Io { .. }) => {}
            Err(error) => panic!("{stream}/{shard} at {time}: {error}"),
        }
    }

    /// A stream comes, takes records, and goes.
    pub(super) fn scratch(&mut self, node: &mut Node) {
        if !node.scratches.is_empty() {
            return;
        }
        let text = format!("scratch-{}", self.scratches);
        let exists = node
            .store
            .view(|view| view.registry().stream_by_name(&name(&text)).is_some());
        let command = if exists {
            self.ledger.deletions += 1;
            self.scratches += 1;
            self.coverage.note(Branch::StreamDeleted);
            Command::DeleteStream {
                name: name(&text),
                force: false,
            }
        } else {
            create_stream(&text, 1, SHORT_MS)
        };
        let store = node.store.clone();
        let rows = vec![(b"k1".to_vec(), vec![7; 40]); 5];
        let mut request = Box::pin(async move {
            let done = store.command(command).await;
            assert!(
                !matches!(done, Err(CommandError::Refused(_))) || exists,
                "{done:?}"
            );
            if !exists {
                drop(store.append(name(&text), records(&rows), None).await);
            }
        });
        if poll_once(request.as_mut()).is_pending() {
            node.scratches.push(request);
        }
    }
}
