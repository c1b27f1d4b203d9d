//! Splits, merges and resizes of a stream's shards, and shards that are gone.

use std::sync::Arc;

use super::{Applied, Evaluated, Refusal, Registry, Tails, draft::Draft};
use crate::{
    id::{ShardNumber, StreamId, StreamName, Timestamp},
    shard::{Reshard, Stream},
};

impl Registry {
    /// Splits, merges or resizes. Units of children are made when the change is applied; nobody is
    /// fenced: what owners of the parents do is as good as before.
    pub(super) fn reshard(
        &self,
        name: &StreamName,
        how: &Reshard,
        tails: &impl Tails,
        now: Timestamp,
    ) -> Result<Evaluated, Refusal> {
        let stream = self
            .stream_by_name(name)
            .ok_or_else(|| Refusal::NoSuchStream(name.clone()))?;
        // Arrivals never decrease within a stream: no record of a parent is younger than its children,
        // whatever the wall clock does.
        let now = now.max(tails.last_arrival(stream.id));
        let resharded = stream.reshard(how, now).map_err(|error| Refusal::Reshard {
            stream: name.clone(),
            error,
        })?;
        if resharded == **stream {
            return Ok(Evaluated::unchanged(Applied::Stream(Arc::clone(stream))));
        }
        let stream = Arc::new(resharded);
        let mut draft = Draft::new(self);
        draft.change.streams.push(Arc::clone(&stream));
        Ok(draft.done(Applied::Stream(stream)))
    }

    /// Takes closed shards, ascending, out of a stream; those that are gone already stay gone.
    pub fn forget_shards(&mut self, id: StreamId, gone: &[ShardNumber]) {
        if let Some(stream) = self.streams.get_mut(&id) {
            let is_gone = |shard: &ShardNumber| gone.binary_search(shard).is_ok();
            if stream.shards.iter().any(|shard| is_gone(&shard.number)) {
                let mut left = Stream::clone(stream);
                left.shards.retain(|shard| !is_gone(&shard.number));
                *stream = Arc::new(left);
            }
        }
    }
}
