//! What the model knows of a view, and of what the log did to each record.

use fnctl_core::{
    id::{LeaseEpoch, Ordinal},
    view::LetterStatus,
};

use crate::{
    config::{BODIES_MAX, Config, KEYS_MAX, RECORDS_MAX, SLOTS, UNITS_MAX, bits},
    state::SentParts,
    window::WindowFacts,
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
    /// Rows of it that are in no account any more: of records before a seek, and of letters.
    pub(crate) beside: u8,
    /// How often somebody sought.
    pub(crate) seeks: u8,
    /// Letters of records before a seek.
    pub(crate) dead_before: u8,
    /// Letters that were resolved or purged.
    pub(crate) closed: u8,
    /// Bodies of letters, where they are told apart.
    pub(crate) bodies: [Body; BODIES_MAX],
    /// Rows of letters that count in a unit's totals.
    pub(crate) redriven: [u8; UNITS_MAX],
    /// What became of windows.
    pub(crate) windows: WindowFacts,
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
        if self.seeks != kept.seeks {
            return self.seeks < kept.seeks && (!is_same_stream || self.rows <= kept.rows);
        }
        let mut at = 0;
        while at < BODIES_MAX {
            if !self.bodies[at].is_kept_by(kept.bodies[at]) {
                return false;
            }
            at += 1;
        }
        self.outputs & !kept.outputs == 0
            && self.windows.told & !kept.windows.told == 0
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
        if config.tells_letters_apart() {
            for record in bits(parts.dead) {
                after.store(Body::new(record, after.count()));
            }
        }
        after
    }

    /// A unit was sent elsewhere: its accounts begin anew, and what was published stays.
    pub(crate) fn sought(self, config: &Config, unit: usize) -> Self {
        let mine = config.records_of(unit);
        let mut after = self;
        after.seeks += 1;
        after.beside += (self.here & mine).count_ones() as u8;
        after.dead_before += (self.dead & mine).count_ones() as u8;
        for mask in [
            &mut after.here,
            &mut after.outputs,
            &mut after.dead,
            &mut after.expired,
        ] {
            *mask &= !mine;
        }
        for key in bits(config.keys_of(mine)) {
            after.latest[key] = 0;
        }
        after.redriven[unit] = 0;
        // Open windows go without a final call, and what was closed is open to the records that are called again.
        after.dead_before += std::mem::take(&mut after.windows.lost[unit]);
        after.windows.closed[unit] = 0;
        after.windows.told &= !mine;
        after
    }

    /// Number of bodies.
    fn count(&self) -> usize {
        let bodies = self.bodies.iter();
        bodies.take_while(|body| **body != Body::NONE).count()
    }

    fn store(&mut self, body: Body) {
        let at = self.count();
        self.bodies[at] = body;
    }

    /// A body, by where it is stored.
    pub(crate) fn body(&self, at: Ordinal) -> Body {
        let index = usize::try_from(at.0 - 1).expect("an index");
        self.bodies.get(index).copied().unwrap_or(Body::NONE)
    }

    /// Bodies of open letters, by where they are stored.
    pub(crate) fn open_bodies(&self) -> impl Iterator<Item = Ordinal> {
        let bodies = (1..).map(Ordinal).zip(self.bodies);
        let open = bodies.filter(|(_, body)| body.status() == Some(LetterStatus::Open));
        open.map(|(at, _)| at)
    }

    /// An open letter is resolved or thrown away.
    pub(crate) fn close(&mut self, at: Ordinal, status: LetterStatus) {
        let body = self.body(at);
        self.bodies[usize::try_from(at.0 - 1).expect("an index")] = body.closed(status);
        self.closed += 1;
    }

    /// An open letter failed again: it is stored anew.
    pub(crate) fn move_on(&mut self, at: Ordinal) {
        let body = self.body(at);
        self.bodies[usize::try_from(at.0 - 1).expect("an index")] = body.moved();
        self.store(Body::new(body.record(), body.id()));
    }
}

/// The body of a letter: 1 and its record, its id, what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Body(u8);

const OPEN: u8 = 0;
const RESOLVED: u8 = 1;
const PURGED: u8 = 2;
const MOVED: u8 = 3;

impl Body {
    pub(crate) const NONE: Self = Self(0);

    /// Of an open letter, whose first body had so many in front of it.
    fn new(record: usize, id: usize) -> Self {
        assert!(record < RECORDS_MAX && id < BODIES_MAX, "few letters");
        Self((record as u8 + 1) << 5 | (id as u8) << 2 | OPEN)
    }

    /// Its record.
    pub(crate) const fn record(self) -> usize {
        (self.0 >> 5) as usize - 1
    }

    const fn id(self) -> usize {
        (self.0 >> 2 & 7) as usize
    }

    /// Its letter's id.
    pub(crate) const fn letter(self) -> Ordinal {
        Ordinal(self.id() as u64 + 1)
    }

    /// What became of its letter; `None`: it was stored anew elsewhere, or there is none.
    pub(crate) const fn status(self) -> Option<LetterStatus> {
        match self.0 & 3 {
            _ if self.0 == 0 => None,
            OPEN => Some(LetterStatus::Open),
            RESOLVED => Some(LetterStatus::Resolved),
            PURGED => Some(LetterStatus::Purged),
            _ => None,
        }
    }

    const fn closed(self, status: LetterStatus) -> Self {
        match status {
            LetterStatus::Open => self,
            LetterStatus::Resolved => Self(self.0 | RESOLVED),
            LetterStatus::Purged => Self(self.0 | PURGED),
        }
    }

    const fn moved(self) -> Self {
        Self(self.0 | MOVED)
    }

    /// What was seen of it was not taken back.
    const fn is_kept_by(self, kept: Self) -> bool {
        self.0 == 0 || self.0 == kept.0 || (self.0 & 3 == OPEN && self.0 >> 2 == kept.0 >> 2)
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
