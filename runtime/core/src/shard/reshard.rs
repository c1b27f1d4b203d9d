//! Splits and merges: which shards close, and which are born of them (Kinesis reference B10).

use crate::{
    id::{ShardNumber, Timestamp},
    limits::{STREAM_SHARDS_LISTED_MAX, STREAM_SHARDS_MAX},
    shard::{HashKeyRange, Shard, Stream},
};

/// What is to become of a stream's shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reshard {
    /// One shard becomes two.
    Split {
        /// The shard.
        shard: ShardNumber,
        /// First hash key of the second child; `None`: the middle.
        at: Option<u128>,
    },
    /// Two shards become one.
    Merge {
        /// The shard whose range ends where the other's begins.
        shard: ShardNumber,
        /// The other.
        adjacent: ShardNumber,
    },
    /// So many shards are open at the end.
    Resize {
        /// How many: 1 to [`STREAM_SHARDS_MAX`].
        shards: u32,
    },
}

/// Why shards stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReshardError {
    /// There is no such shard (any more).
    #[error("it has no shard {}", .0.shard_id())]
    NoSuchShard(ShardNumber),
    /// It was split or merged before.
    #[error("shard {} was split or merged before", .0.shard_id())]
    Closed(ShardNumber),
    /// The second child would begin where both cannot have two hash keys.
    #[error(
        "{at} does not lie inside of shard {} ({} to {})",
        shard.shard_id(), range.start, range.end
    )]
    SplitPoint {
        /// The shard.
        shard: ShardNumber,
        /// Where the second child would begin.
        at: u128,
        /// The shard's range.
        range: HashKeyRange,
    },
    /// The first does not end where the second begins.
    #[error(
        "shards {} and {} do not lie side by side",
        shard.shard_id(), adjacent.shard_id()
    )]
    NotAdjacent {
        /// The first.
        shard: ShardNumber,
        /// The second.
        adjacent: ShardNumber,
    },
    /// A number of shards that no stream has.
    #[error("{shards} shards are outside of 1 to {STREAM_SHARDS_MAX}")]
    ShardCount {
        /// The number.
        shards: u32,
    },
    /// Its shards are so narrow that there cannot be so many.
    #[error("its shards are too narrow to become {shards}")]
    TooNarrow {
        /// The number asked for.
        shards: u32,
    },
    /// Too many closed ones wait for retention.
    #[error(
        "it would list {listed} shards, closed ones included; the limit is {STREAM_SHARDS_LISTED_MAX}"
    )]
    TooManyListed {
        /// How many there would be.
        listed: u64,
    },
}

impl HashKeyRange {
    /// The first hash key of the upper half; of a single one, itself.
    const fn middle(self) -> u128 {
        (self.start + (self.end - self.start) / 2).saturating_add(1)
    }

    /// Whether a split at `at` is one that Kinesis takes: `start + 1 < at < end`.
    const fn is_split_by(self, at: u128) -> bool {
        at > self.start && at - self.start > 1 && at < self.end
    }

    /// Whether `next` begins where this ends.
    fn is_followed_by(self, next: Self) -> bool {
        self.end.checked_add(1) == Some(next.start)
    }
}

impl Stream {
    /// The stream with its shards split, merged or resized, as of `now`; itself where a resize finds
    /// the number that is asked for.
    ///
    /// A resize goes as Kinesis' `UNIFORM_SCALING`: upwards every open shard is halved, as often as it
    /// takes, then neighbours are merged, the narrowest first (Kinesis reference B10).
    ///
    /// # Errors
    /// What does not fit; nothing changes.
    pub fn reshard(&self, how: &Reshard, now: Timestamp) -> Result<Self, ReshardError> {
        let mut work = Work {
            stream: self.clone(),
            now,
        };
        match *how {
            Reshard::Split { shard, at } => {
                let range = work.open(shard)?.range;
                work.split(shard, at.unwrap_or(range.middle()))?;
            }
            Reshard::Merge { shard, adjacent } => work.merge(shard, adjacent)?,
            Reshard::Resize { shards } => work.resize(shards)?,
        }
        let open = work.stream.open_shards().count();
        if open > STREAM_SHARDS_MAX as usize {
            let shards = u32::try_from(open).unwrap_or(u32::MAX);
            return Err(ReshardError::ShardCount { shards });
        }
        work.check_listed(0)?;
        Ok(work.stream)
    }
}

/// A stream whose shards are being changed.
struct Work {
    stream: Stream,
    now: Timestamp,
}

impl Work {
    fn open(&self, number: ShardNumber) -> Result<&Shard, ReshardError> {
        let shard = self.stream.shard(number);
        let shard = shard.ok_or(ReshardError::NoSuchShard(number))?;
        if shard.is_closed {
            return Err(ReshardError::Closed(number));
        }
        Ok(shard)
    }

    fn split(&mut self, number: ShardNumber, at: u128) -> Result<(), ReshardError> {
        let range = self.open(number)?.range;
        if !range.is_split_by(at) {
            return Err(ReshardError::SplitPoint {
                shard: number,
                at,
                range,
            });
        }
        let HashKeyRange { start, end } = range;
        self.close(number);
        self.bear(HashKeyRange { start, end: at - 1 }, vec![number]);
        self.bear(HashKeyRange { start: at, end }, vec![number]);
        Ok(())
    }

    fn merge(&mut self, number: ShardNumber, adjacent: ShardNumber) -> Result<(), ReshardError> {
        // That there are such shards is asked of both first, as Kinesis does.
        for shard in [number, adjacent] {
            if self.stream.shard(shard).is_none() {
                return Err(ReshardError::NoSuchShard(shard));
            }
        }
        let (first, second) = (self.open(number)?.range, self.open(adjacent)?.range);
        if !first.is_followed_by(second) {
            return Err(ReshardError::NotAdjacent {
                shard: number,
                adjacent,
            });
        }
        self.close(number);
        self.close(adjacent);
        let range = HashKeyRange {
            start: first.start,
            end: second.end,
        };
        self.bear(range, vec![number, adjacent]);
        Ok(())
    }

    fn resize(&mut self, shards: u32) -> Result<(), ReshardError> {
        if !(1..=STREAM_SHARDS_MAX).contains(&shards) {
            return Err(ReshardError::ShardCount { shards });
        }
        let wanted = shards as usize;
        let mut open = self.by_range();
        while open.len() < wanted {
            let before = open.len();
            self.check_listed(2 * before)?;
            for (number, range) in open {
                // One of three hash keys or less stays whole.
                if range.is_split_by(range.middle()) {
                    self.split(number, range.middle())?;
                }
            }
            open = self.by_range();
            if open.len() == before {
                return Err(ReshardError::TooNarrow { shards });
            }
        }
        while open.len() > wanted {
            let mut pairs: Vec<_> = open
                .chunks_exact(2)
                .map(|pair| (pair[0], pair[1]))
                .collect();
            pairs.sort_by_key(|((_, first), (_, second))| second.end - first.start);
            pairs.truncate(open.len() - wanted);
            for ((first, _), (second, _)) in pairs {
                self.merge(first, second)?;
            }
            open = self.by_range();
        }
        Ok(())
    }

    /// The open shards along the hash-key space.
    fn by_range(&self) -> Vec<(ShardNumber, HashKeyRange)> {
        let shards = self.stream.open_shards();
        let mut open: Vec<_> = shards.map(|shard| (shard.number, shard.range)).collect();
        open.sort_unstable_by_key(|(_, range)| range.start);
        open
    }

    fn check_listed(&self, more: usize) -> Result<(), ReshardError> {
        let listed = (self.stream.shards.len() + more) as u64;
        if listed > u64::from(STREAM_SHARDS_LISTED_MAX) {
            return Err(ReshardError::TooManyListed { listed });
        }
        Ok(())
    }

    fn close(&mut self, number: ShardNumber) {
        let shards = &mut self.stream.shards;
        if let Ok(at) = shards.binary_search_by_key(&number, |shard| shard.number) {
            shards[at].is_closed = true;
        }
    }

    fn bear(&mut self, range: HashKeyRange, parents: Vec<ShardNumber>) {
        let last = self.stream.shards.last();
        let number = last.map_or(0, |last| last.number.0 + 1);
        self.stream.shards.push(Shard {
            number: ShardNumber(number),
            range,
            created_at: self.now,
            parents,
            is_closed: false,
        });
    }
}

#[cfg(test)]
mod tests;
