//! Retention: moves horizons and floors by the retention clock, and unlinks what lies below
//! (commit and storage rules §7).

mod forget;
mod size;

use std::{io, sync::Arc};

use fnctl_core::{
    id::{Ordinal, UnitId},
    view::NodeView,
};

use self::size::RollSizes;
use crate::{
    applier::ApplierLoop,
    block::ShardKey,
    limits::{CLOSED_LETTERS_BYTES_MAX, RETENTION_INTERVAL_MS, UNLINKS_PER_TURN},
    segment::{self, SegmentMeta},
    sequencer::{self, Request},
    shared::Shared,
    space::Room,
};

/// When retention was last looked at.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    looked_at: u64,
    roll_sizes: RollSizes,
    /// There are more segments to unlink than one turn does.
    has_more: bool,
}

/// A shard as retention sees it.
struct Due {
    key: ShardKey,
    retention_ms: u64,
    floor: Ordinal,
    is_internal: bool,
}

impl ApplierLoop {
    /// Asks for trims that are due, and unlinks segments below journaled floors, a few a turn: a file
    /// system may take tens of milliseconds for one, and meanwhile nothing is applied. Answers whether
    /// there are more.
    ///
    /// # Errors
    /// A segment cannot be read, sealed or unlinked.
    pub(crate) fn retain(&mut self) -> io::Result<bool> {
        let now = self.shared.clocks.boot_ms();
        let is_due = now.saturating_sub(self.retention.looked_at) >= RETENTION_INTERVAL_MS;
        if !is_due && !self.retention.has_more {
            return Ok(false);
        }
        if is_due {
            self.retention.looked_at = now;
        }
        let mut left = UNLINKS_PER_TURN;
        let shards = {
            let published = self.shared.read_published();
            due(&self.shared, &published.view)
        };
        for shard in shards {
            left -= self.unlink_below(shard.key, shard.floor, left)?;
            if is_due && shard.is_internal {
                self.expire_letters(shard.key)?;
            } else if is_due {
                self.expire(&shard)?;
            }
        }
        if is_due {
            self.bound_streams()?;
            self.forget_shards();
        }
        self.retention.has_more = left == 0;
        Ok(self.retention.has_more)
    }

    /// Answers how many there were, at most `most`.
    fn unlink_below(&mut self, key: ShardKey, floor: Ordinal, most: usize) -> io::Result<usize> {
        let gone = self.shared.segments.trim(key, floor, most);
        for meta in &gone {
            if let Some(writers) = self.unsynced.get_mut(&key) {
                writers.retain(|writer| writer.meta().base != meta.base);
            }
            let path = segment::path(&self.shared.directory, key, meta.base);
            self.cutter.segment_gone(key, meta.base);
            // A backup that copies it comes first, unless the room is needed.
            if self.shared.space.room() == Room::Puts && self.shared.backups.keep(&path) {
                continue;
            }
            match self.shared.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(gone.len())
    }

    /// Moves the horizon of a shard past what is older than its retention.
    fn expire(&mut self, shard: &Due) -> io::Result<()> {
        let Some(limit) = self
            .shared
            .clocks
            .retention_ms()
            .checked_sub(shard.retention_ms)
        else {
            return Ok(());
        };
        let Some(oldest) = self.shared.segments.oldest(shard.key) else {
            return Ok(());
        };
        if oldest.first_stamp > limit && oldest.next > oldest.base {
            self.make_room(shard.key);
            return Ok(());
        }
        let horizon = match self.shared.segments.find_stamp(shard.key, limit) {
            Ok(Some(horizon)) => horizon,
            Ok(None) => return Ok(()),
            Err(error) => {
                // A damaged segment stays; what is behind it is not judged by it.
                let stream = self.shared.stream_name(shard.key.0);
                let shard_id = shard.key.1.shard_id();
                tracing::warn!(%error, %stream, shard = %shard_id, "retention skips a shard");
                self.shared.met(shard.key, &error);
                return Ok(());
            }
        };
        let newest = self.shared.segments.newest(shard.key);
        if newest.is_some_and(|newest| newest.next <= horizon && newest.next > newest.base) {
            // All of it expired: sealed, so that it can go.
            self.seal_newest(shard.key)?;
        }
        ask_for_trim(&self.shared, shard.key, horizon);
        self.make_room(shard.key);
        Ok(())
    }

    /// Lets files of dead letters go that hold no open one. The newest one goes when enough of it can:
    /// until then its closed letters are still told of.
    fn expire_letters(&mut self, key: ShardKey) -> io::Result<()> {
        let (open_from, floor) = {
            let published = self.shared.read_published();
            let (Some(letters), Some(tail)) = (
                published.view.letters(key.0),
                published.view.tail(key.0, key.1),
            ) else {
                return Ok(());
            };
            (letters.lowest_open(), tail.floor)
        };
        if open_from <= floor {
            return Ok(());
        }
        let newest = self.shared.segments.newest(key);
        let enough = CLOSED_LETTERS_BYTES_MAX.min(self.shared.sizes.segment);
        let is_over = |newest: &SegmentMeta| {
            newest.next > newest.base && newest.next <= open_from && newest.length >= enough
        };
        if newest.as_ref().is_some_and(is_over) {
            self.seal_newest(key)?;
        }
        let segments = self.shared.segments.of(key);
        let gone = segments
            .iter()
            .filter(|segment| segment.is_sealed && segment.next <= open_from)
            .map(|segment| segment.next)
            .max();
        if let Some(horizon) = gone {
            ask_for_trim(&self.shared, key, horizon);
        }
        Ok(())
    }

    /// Expires what mappings hold beyond retention once the disk reserve is reached: counted, and the
    /// owners fenced.
    fn make_room(&self, key: ShardKey) {
        if self.shared.space.room() >= Room::Outputs {
            let why = "the disk is at its reserve, records beyond retention are expired";
            self.expire_held(key, why);
        }
    }

    /// Expires what mappings have not settled below the horizon of a shard.
    fn expire_held(&self, key: ShardKey, why: &'static str) {
        let held: Vec<UnitId> = {
            let published = self.shared.read_published();
            let view = &published.view;
            let Some(tail) = view
                .tail(key.0, key.1)
                .filter(|tail| tail.floor < tail.horizon)
            else {
                return;
            };
            let units = view.registry().mappings_of(key.0).map(|mapping| UnitId {
                mapping: mapping.id,
                stream: key.0,
                shard: key.1,
            });
            units
                .filter(|unit| {
                    view.unit(*unit)
                        .is_some_and(|unit| unit.settled.low_watermark().next() < tail.horizon)
                })
                .collect()
        };
        for unit in held {
            let mapping = self.shared.read_published();
            let mapping = mapping.view.registry().address_of(unit.mapping);
            tracing::error!(%mapping, shard = %unit.shard.shard_id(), "{why}");
            let decision = move |view: &NodeView, _| {
                let entry = view
                    .tail(unit.stream, unit.shard)
                    .and_then(|tail| view.evaluate_expiry(unit, Ordinal(tail.horizon.0 - 1)));
                (entry, Box::new(|| {}) as sequencer::Announce)
            };
            drop(sequencer::submit(
                &self.shared,
                Request::Decide(Box::new(decision)),
            ));
        }
    }
}

fn due(shared: &Arc<Shared>, view: &NodeView) -> Vec<Due> {
    let mut shards = Vec::new();
    for key in shared.segments.keys() {
        let (Some(stream), Some(tail)) = (view.registry().stream(key.0), view.tail(key.0, key.1))
        else {
            continue;
        };
        shards.push(Due {
            key,
            retention_ms: stream.retention_ms,
            floor: tail.floor,
            is_internal: stream.is_internal,
        });
    }
    shards.sort_by_key(|shard| shard.key);
    shards
}

fn ask_for_trim(shared: &Arc<Shared>, key: ShardKey, horizon: Ordinal) {
    let is_moving = {
        let published = shared.read_published();
        published
            .view
            .evaluate_trim(key.0, key.1, horizon)
            .is_some()
    };
    if !is_moving {
        return;
    }
    let decision = move |view: &NodeView, _| {
        let entry = view.evaluate_trim(key.0, key.1, horizon);
        (entry, Box::new(|| {}) as sequencer::Announce)
    };
    // Refused when the store stops: then there is nothing to trim either.
    drop(sequencer::submit(
        shared,
        Request::Decide(Box::new(decision)),
    ));
}
