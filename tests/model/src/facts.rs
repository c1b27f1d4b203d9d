//! What the model knows of a view, and of what the log did to each record.

use fnctl_core::id::LeaseEpoch;

use crate::{
    config::{Config, KEYS_MAX, RECORDS_MAX, SLOTS, UNITS_MAX, bits},
    state::SentParts,
};

/// What the model asks of a view, read from it once, and what the log did to each record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Facts {
    /// Mappings that were deleted before the present one.
    pub(crate) generation: u8,
    /// Whether the present mapping is still to be made.
    pub(crate) is_unmapped: bool,
    /// Rows of the stream that has the name now, and letters, of earlier mappings. All that follows
    /// is of the present one.
    pub(crate) earlier: [u8; 2],
    pub(crate) settled: u8,
    pub(crate) attempts: [u8; RECORDS_MAX],
    /// Records that ended as outputs, as dead letters, by retention.
    pub(crate) outputs: u8,
    pub(crate) dead: u8,
    pub(crate) expired: u8,
    /// Records whose outputs went to the stream that has the name now.
    pub(crate) here: u8,
    /// Per key, 1 + the latest record whose output was published.
    pub(crate) latest: [u8; KEYS_MAX],
    pub(crate) output: OutputStream,
    /// Rows of the stream that has the name now.
    pub(crate) rows: u8,
    /// What belongs to a unit, and not to a record.
    pub(crate) units: [UnitFacts; UNITS_MAX],
}

/// What the model asks a view about a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct UnitFacts {
    /// Its epoch, above every epoch of a unit of an earlier mapping: see [`global_epoch`].
    pub(crate) epoch: u8,
    /// Processed, emitted, dead letters, expired.
    pub(crate) totals: [u8; 4],
    /// Charges, which no other fact tells once a record is settled.
    pub(crate) charges: u8,
    /// Numbers of the owner's last commits by slot; 0 where they are counted from the last.
    pub(crate) numbers: [u8; SLOTS],
}

impl Facts {
    /// Whether whoever saw these facts could go on as if what is `kept` were all that ever was.
    pub(crate) const fn is_kept_by(&self, kept: &Self) -> bool {
        let is_same_stream = self.output.made == kept.output.made;
        if self.generation != kept.generation {
            return self.generation < kept.generation
                && (!is_same_stream || self.rows <= kept.rows);
        }
        self.outputs & !kept.outputs == 0
            && self.dead & !kept.dead == 0
            && self.expired & !kept.expired == 0
            && self.output.made <= kept.output.made
            && (self.output.exists || !kept.output.exists || !is_same_stream)
    }

    /// The effects of a commit, as they stand in the log.
    pub(crate) fn after(self, config: &Config, parts: &SentParts) -> Self {
        let mut after = self;
        after.outputs |= parts.outputs;
        after.here |= parts.outputs;
        after.dead |= parts.dead;
        for record in bits(parts.outputs) {
            let latest = &mut after.latest[config.key[record]];
            *latest = (*latest).max(record as u8 + 1);
        }
        after
    }
}

/// Epochs of one mapping's unit, at most.
const EPOCHS: u8 = 16;

/// A unit's epoch in the model: those of a later mapping are above those of an earlier one.
pub(crate) fn global_epoch(generation: u8, epoch: LeaseEpoch) -> u8 {
    let epoch = u8::try_from(epoch.0).expect("few owners");
    assert!(epoch < EPOCHS, "few owners of a mapping");
    generation * EPOCHS + epoch
}

/// The generation and the epoch behind a model's epoch.
pub(crate) fn local_epoch(epoch: u8) -> (u8, LeaseEpoch) {
    (epoch / EPOCHS, LeaseEpoch(u64::from(epoch % EPOCHS)))
}

/// The output stream, as far as its name goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OutputStream {
    /// Streams that were made under the name.
    pub(crate) made: u8,
    pub(crate) exists: bool,
}

impl Default for OutputStream {
    fn default() -> Self {
        Self {
            made: 1,
            exists: true,
        }
    }
}
