//! What is explored, and which rules are in force.

use fnctl_core::id::Ordinal;

/// Units of one mapping: the shards of its stream, two parents and the child of their merge at most.
pub(crate) const UNITS_MAX: usize = 3;
/// Most records of a configuration.
pub(crate) const RECORDS_MAX: usize = 5;
/// Most bodies of letters of a configuration with redrives or purges.
pub(crate) const BODIES_MAX: usize = 7;
/// Most keys of a configuration.
pub(crate) const KEYS_MAX: usize = 3;
/// Two lanes and the retry slot.
pub(crate) const SLOTS: usize = 3;
/// The retry slot's index.
pub(crate) const RETRY: usize = 2;

/// How the shards of the stream are related. Whatever was split or merged was so before the schedule
/// begins, with nothing of it settled: what may be done of a child depends on that alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Not at all.
    Apart,
    /// Shard 1 is the lower half of shard 0; the upper half has no records.
    Split,
    /// Shard 2 is shards 0 and 1 merged.
    Merge,
}

/// A configuration. [`Config::protocol`] has every rule in force; a weakened variant switches one
/// off, here in the model: production code has no such switch.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name, for the report.
    pub name: &'static str,
    /// Number of records.
    pub records: usize,
    /// Key of each record.
    pub key: [usize; RECORDS_MAX],
    /// Shard of each record, and so its unit.
    pub shard: [usize; RECORDS_MAX],
    /// Window that each record arrives in, never decreasing within a shard.
    pub window: [usize; RECORDS_MAX],
    /// Groups of keys whose records share a window's state; 0: the mapping has no windows. Only the production
    /// pipeline has them.
    pub key_groups: u32,
    /// How the shards are related.
    pub family: Family,
    /// Lane of each key.
    pub lane: [usize; KEYS_MAX],
    /// Most records of a batch.
    pub batch: usize,
    /// Calls per record; the last failing one makes a dead letter. 2 to 4.
    pub attempts_max: u8,
    /// Commits of a slot accepted and unsynced, at most.
    pub depth: u8,
    /// Functions may answer `skip`.
    pub skips: bool,
    /// Crashes, of process or power.
    pub crashes: u8,
    /// Leases granted while another owner lives.
    pub takeovers: u8,
    /// Answers of the sequencer that never arrive; the commit is sent again.
    pub lost_answers: u8,
    /// Times that retention takes unsettled records, one or several at once.
    pub expiries: u8,
    /// Times that the output stream is deleted; it is made anew later.
    pub outages: u8,
    /// Times that the mapping is deleted; one of its name is made later.
    pub deletions: u8,
    /// Times that somebody sends a unit elsewhere.
    pub seeks: u8,
    /// Letters that somebody has redriven. Only the production pipeline does it.
    pub redrives: u8,
    /// Letters that somebody throws away.
    pub purges: u8,
    /// Commits refused for want of a stream that their owner hears of; else the answer waits until
    /// there is one. Only the production pipeline tells the two apart.
    pub refusals: u8,
    /// States after which to give up.
    pub states_max: usize,

    /// A former owner is known to be fenced whatever it does, so it does nothing but find out. Not
    /// a rule: it saves states, and one configuration explores without it.
    pub collapses_former: bool,

    /// Guard: the commit's epoch is the unit's.
    pub guards_epoch: bool,
    /// Guard: the slot's commits are dense.
    pub guards_number: bool,
    /// Guard: nothing settles twice.
    pub guards_settled: bool,
    /// Whether an assertion guard that fires is a violation, or just one more defence. A repetition
    /// after a lost answer may always meet one: that is what it is for.
    pub asserts: bool,
    /// Readers see only what a returned sync covers.
    pub publishes_synced: bool,
    /// A restart syncs the tail that it found before it shows it.
    pub recovers_synced: bool,
    /// Later records of a failed record's key are void in the same batch.
    pub holds_keys: bool,
    /// From the start of its batch until the commit's acceptance, no other slot holds the key.
    pub one_slot_per_key: bool,
    /// A slot starts its next batch when the last commit is accepted, not when it is sent.
    pub waits_for_acceptance: bool,
    /// An answer that comes after its attempt timed out is discarded.
    pub discards_late: bool,
    /// An owner starts only when its lease is synced.
    pub leases_synced: bool,
    /// An owner starts from a view that has its lease's entry in it.
    pub starts_behind_lease: bool,
    /// An entry nobody waits for is written all the same.
    pub writes_marks: bool,
    /// An expiry fences the owner.
    pub expiry_fences: bool,
    /// An expiry counts what it takes.
    pub expiry_counts: bool,
    /// An owner goes on with the count of what expired before it started.
    pub carries_expired: bool,
    /// A seek fences the owner.
    pub seek_fences: bool,
    /// A seek fences the owners of the shards that descend from the unit's.
    pub seek_fences_children: bool,
    /// Guard: a letter that is redriven is open.
    pub guards_letters: bool,
    /// The commit of a redrive says which letter it is.
    pub names_letters: bool,
    /// Outputs go to the stream that has the name when the commit is accepted, not to the one that
    /// had it when the mapping was made.
    pub outputs_by_name: bool,
    /// Guard: every output stream exists.
    pub guards_outputs: bool,
    /// A commit that is refused for want of a stream uses up no number.
    pub refusal_keeps_number: bool,
    /// A commit that is sent again has the totals that are true by then.
    pub resends_totals: bool,
    /// A mapping that is made anew has an id that no mapping had before.
    pub fresh_ids: bool,
    /// A commit is judged by, and moves, the state of its own unit.
    pub tells_units_apart: bool,
    /// A unit has no owner before its parents' units are settled to their end.
    pub waits_for_parents: bool,
    /// An owner goes on with the states of windows that were committed.
    pub carries_windows: bool,
    /// Guard: a window's state was made from the one that was committed last.
    pub guards_windows: bool,
}

impl Config {
    /// The protocol, with all its rules.
    #[must_use]
    pub const fn protocol(name: &'static str) -> Self {
        Self {
            name,
            records: 3,
            key: [0, 1, 0, 1, 0],
            shard: [0; RECORDS_MAX],
            window: [0; RECORDS_MAX],
            key_groups: 0,
            family: Family::Apart,
            lane: [0, 1, 0],
            batch: 2,
            attempts_max: 2,
            depth: 2,
            skips: true,
            crashes: 1,
            takeovers: 1,
            lost_answers: 0,
            expiries: 0,
            outages: 0,
            deletions: 0,
            seeks: 0,
            redrives: 0,
            purges: 0,
            refusals: 0,
            states_max: 40_000_000,
            collapses_former: true,
            guards_epoch: true,
            guards_number: true,
            guards_settled: true,
            asserts: true,
            publishes_synced: true,
            recovers_synced: true,
            holds_keys: true,
            one_slot_per_key: true,
            waits_for_acceptance: true,
            discards_late: true,
            leases_synced: true,
            starts_behind_lease: true,
            writes_marks: true,
            expiry_fences: true,
            expiry_counts: true,
            carries_expired: true,
            seek_fences: true,
            seek_fences_children: true,
            guards_letters: true,
            names_letters: true,
            outputs_by_name: true,
            guards_outputs: true,
            refusal_keeps_number: true,
            resends_totals: true,
            fresh_ids: true,
            tells_units_apart: true,
            waits_for_parents: true,
            carries_windows: true,
            guards_windows: true,
        }
    }

    /// The keys of the records in `mask`, as a mask.
    pub(crate) fn keys_of(&self, mask: u8) -> u8 {
        bits(mask).fold(0, |keys, record| keys | 1 << self.key[record])
    }

    /// Number of units that there are records for.
    pub(crate) fn units(&self) -> usize {
        let shards = self.shard[..self.records].iter().max();
        1 + shards.copied().unwrap_or(0)
    }

    /// Shards that were there before the split or merge.
    pub(crate) fn shards_at_first(&self) -> usize {
        match self.family {
            Family::Apart => self.units(),
            Family::Split => 1,
            Family::Merge => 2,
        }
    }

    /// The records of the shards that were there at first, as a mask.
    pub(crate) fn records_at_first(&self) -> u8 {
        let shards = 0..self.shards_at_first();
        shards.fold(0, |mask, shard| mask | self.records_of(shard))
    }

    /// The records of a unit, as a mask.
    pub(crate) fn records_of(&self, unit: usize) -> u8 {
        bits(self.all())
            .filter(|&record| self.shard[record] == unit)
            .fold(0, |mask, record| mask | 1 << record)
    }

    /// Where a record is in its shard.
    pub(crate) fn position(&self, record: usize) -> Ordinal {
        let older = (1u8 << record) - 1;
        let before = self.records_of(self.shard[record]) & older;
        Ordinal(u64::from(before.count_ones()) + 1)
    }

    /// The record at a position of a shard.
    pub(crate) fn record_at(&self, unit: usize, position: Ordinal) -> usize {
        bits(self.records_of(unit))
            .nth(position.0 as usize - 1)
            .expect("a position of a record")
    }

    /// Where a unit may be sent: after each of its records, or before all.
    pub(crate) fn places_of(&self, unit: usize) -> impl Iterator<Item = Ordinal> + use<> {
        (0..=u64::from(self.records_of(unit).count_ones())).map(Ordinal)
    }

    /// Whether letters are told apart.
    pub(crate) const fn tells_letters_apart(&self) -> bool {
        self.redrives > 0 || self.purges > 0
    }

    /// Whether records share the states of windows.
    pub(crate) const fn has_windows(&self) -> bool {
        self.key_groups > 0
    }

    /// All records, as a mask.
    pub(crate) const fn all(&self) -> u8 {
        (1 << self.records) - 1
    }
}

/// The indices of the bits set.
pub(crate) fn bits(mask: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |index| mask >> index & 1 == 1)
}
