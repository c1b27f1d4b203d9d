//! Judges what is not a put and not a commit: commands, leases, retention, expiry.

use std::sync::Arc;

use super::{NodeView, UnitTurn};
use crate::{
    entry::{Entry, Placement, ProducerMark, UnitChange},
    id::{LeaseEpoch, MappingId, Ordinal, ShardNumber, StreamId, Timestamp, UnitId},
    registry::{Applied, Command, Refusal, Tails},
    settled::SettledRange,
};

/// The producer of a dead-letter stream whose mark is the relay's position.
const RELAY: &str = "relay";

impl NodeView {
    /// Judges a command. It comes to an entry, or to none where everything is so already; the
    /// owners that it fences ride along, so that both happen or neither.
    ///
    /// # Errors
    /// The refusal; the view is as before.
    pub fn evaluate_command(
        &self,
        command: &Command,
        now: Timestamp,
    ) -> Result<(Option<Entry>, Applied), Refusal> {
        let evaluated = self.registry.evaluate(command, self, now)?;
        let entry = evaluated.change.map(|change| Entry::Meta {
            units: self.fence(&evaluated.fenced),
            change: Arc::new(change),
        });
        Ok((entry, evaluated.applied))
    }

    /// Appoints owners, many in one entry; a unit that does not exist gets none, nor does one whose turn
    /// has not come ([`super::UnitTurn`]). Whoever owned one before is fenced from this entry on.
    #[must_use]
    pub fn evaluate_lease(&self, units: &[UnitId]) -> Entry {
        let mut grants: Vec<(UnitId, LeaseEpoch)> = units
            .iter()
            .filter(|unit| !matches!(self.turn(**unit), Some(UnitTurn::Waiting(_))))
            .filter_map(|&unit| Some((unit, self.unit(unit)?.epoch.next())))
            .collect();
        grants.sort_unstable();
        grants.dedup();
        Entry::Lease { grants }
    }

    /// Moves a shard's floors after retention passed everything below `horizon`; `None` when
    /// neither moves (commit and storage rules §7).
    ///
    /// The logical horizon follows retention exactly. The physical floor also waits for the low
    /// watermark of every mapping that exists, whatever its state. Neither ever decreases. A
    /// dead-letter stream has no time retention: nothing of it is hidden, and its floor moves no further
    /// than its lowest open letter.
    #[must_use]
    pub fn evaluate_trim(
        &self,
        stream: StreamId,
        shard: ShardNumber,
        horizon: Ordinal,
    ) -> Option<Entry> {
        let tail = self.tail(stream, shard)?;
        let (horizon, floor) = if self.registry.stream(stream)?.is_internal {
            let floor = self.letters_floor(stream, horizon.min(tail.next));
            let floor = floor.max(tail.floor);
            (floor.max(tail.horizon), floor)
        } else {
            let horizon = horizon.clamp(tail.horizon, tail.next);
            let floor = self.held_from(stream, shard, horizon).max(tail.floor);
            (horizon, floor)
        };
        ((horizon, floor) != (tail.horizon, tail.floor)).then_some(Entry::Trim {
            stream,
            shard,
            horizon,
            floor,
        })
    }

    /// The oldest ordinal, at most `horizon`, that some mapping has not settled yet.
    fn held_from(&self, stream: StreamId, shard: ShardNumber, horizon: Ordinal) -> Ordinal {
        self.registry
            .mappings_of(stream)
            .filter_map(|mapping| {
                self.unit(UnitId {
                    mapping: mapping.id,
                    stream,
                    shard,
                })
            })
            .map(|unit| unit.settled.low_watermark().next())
            .fold(horizon, Ordinal::min)
    }

    /// Expires what a unit has not settled up to `through`, because its stream may hold no more
    /// (commit and storage rules §7). It bumps the epoch: the owner must not settle it as well.
    /// `None` when all of it is settled, or there is no such unit.
    #[must_use]
    pub fn evaluate_expiry(&self, unit: UnitId, through: Ordinal) -> Option<Entry> {
        let view = self.unit(unit)?;
        let through = through.min(self.tail(unit.stream, unit.shard)?.last());
        let expired = view.unsettled_through(through);
        if expired == 0 {
            return None;
        }
        Some(Entry::Change {
            units: vec![UnitChange {
                unit,
                epoch: view.epoch.next(),
                expired: Some((
                    SettledRange {
                        after: view.settled.low_watermark(),
                        through,
                    },
                    view.totals.expired + expired,
                )),
            }],
        })
    }

    /// Notes that the letters of a mapping were copied up to `through`; `None`: that is known, or there is
    /// no such mapping.
    ///
    /// The position is the mark of a producer of the dead-letter stream that appends nothing: so redo,
    /// image and snapshots keep it as they keep every producer's, and it never goes back.
    #[must_use]
    pub fn evaluate_copied(
        &self,
        mapping: MappingId,
        through: Ordinal,
        now: Timestamp,
    ) -> Option<Entry> {
        if self.copied_through(mapping)? >= through {
            return None;
        }
        let stream = self.registry.mapping(mapping)?.dead_letters;
        // A mark of an earlier moment is taken for one that redo brings.
        let seen = self.producer(stream, RELAY).map(|mark| mark.seen);
        Some(Entry::Append {
            placement: Placement {
                stream,
                arrival: seen.map_or(now, |seen| seen.max(now)),
                shards: Vec::new(),
            },
            records: Arc::default(),
            producer: Some(ProducerMark {
                producer: RELAY.into(),
                last: through.0,
            }),
        })
    }

    /// The last letter of a mapping that its relay has brought, or was never to bring; `None`: there is no
    /// such mapping, or it has no relay.
    #[must_use]
    pub fn copied_through(&self, mapping: MappingId) -> Option<Ordinal> {
        let mapping = self.registry.mapping(mapping)?;
        let after = mapping.settings.on_failure.as_ref()?.after;
        let mark = self.producer(mapping.dead_letters, RELAY);
        Some(mark.map_or(after, |mark| after.max(Ordinal(mark.last))))
    }

    /// What fences the owners of these units, those that exist (commit and storage rules §2).
    pub(super) fn fence(&self, units: &[UnitId]) -> Vec<UnitChange> {
        let mut changes: Vec<UnitChange> = units
            .iter()
            .filter_map(|&unit| {
                Some(UnitChange {
                    unit,
                    epoch: self.unit(unit)?.epoch.next(),
                    expired: None,
                })
            })
            .collect();
        changes.sort_unstable_by_key(|change| change.unit);
        changes.dedup_by_key(|change| change.unit);
        changes
    }
}

impl Tails for NodeView {
    fn last(&self, stream: StreamId, shard: ShardNumber) -> Ordinal {
        self.tail(stream, shard)
            .map_or(Ordinal(0), |tail| tail.last())
    }

    fn before_horizon(&self, stream: StreamId, shard: ShardNumber) -> Ordinal {
        self.tail(stream, shard)
            .map_or(Ordinal(0), |tail| Ordinal(tail.horizon.0 - 1))
    }

    fn last_arrival(&self, stream: StreamId) -> Timestamp {
        let view = self.streams.get(&stream);
        view.map_or(Timestamp(0), |view| view.last_arrival())
    }

    fn open_dead_letters(&self, mapping: MappingId) -> u64 {
        self.open_letters(mapping)
    }
}
