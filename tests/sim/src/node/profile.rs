//! What kind of node, disk and day a seed makes.

use fnctl_core::mapping::MappingSettings;
use fnctl_store::{Options, Sizes, disk::simulated::Fault};

use crate::{profile::draw_settings, random::Random};

/// What can go wrong. Each can be left out, to find the ones that a failure needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The process or the machine goes down at a disk operation.
    Crash,
    /// A disk operation fails.
    DiskError,
    /// The disk fills up.
    Full,
    /// The wall clock jumps.
    ClockJump,
    /// The image is lost, an older copy, or half of it, at a start.
    Image,
    /// A synced file is damaged.
    Damage,
    /// Pages reach the disk unasked.
    Writeback,
    /// Records fail.
    BadRecords,
    /// A second mapping reads what the first one writes.
    Chain,
    /// Another owner is appointed while one lives.
    Takeover,
    /// Retention is short.
    Retention,
    /// Shards split and merge.
    Reshard,
    /// Mappings have tumbling windows.
    Windows,
    /// People give records up, or have them tried.
    Hands,
    /// People redrive letters and throw them away.
    Letters,
    /// People send mappings elsewhere.
    Seeks,
    /// Versions of the function differ, and some keys meet a canary.
    Canaries,
    /// What the function needs goes down.
    Outages,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Crash,
        Self::DiskError,
        Self::Full,
        Self::ClockJump,
        Self::Image,
        Self::Damage,
        Self::Writeback,
        Self::BadRecords,
        Self::Chain,
        Self::Takeover,
        Self::Retention,
        Self::Reshard,
        Self::Windows,
        Self::Hands,
        Self::Letters,
        Self::Seeks,
        Self::Canaries,
        Self::Outages,
    ];
}

/// A node and its surroundings.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) options: Options,
    pub(super) settings: MappingSettings,
    pub(super) lives: u64,
    /// Steps of a life in which nothing ends it.
    pub(super) life_steps: u64,
    pub(super) keys: u64,
    pub(super) shards: u32,
    pub(super) out_shards: u32,
    pub(super) has_chain: bool,
    /// Bytes of a payload, at most.
    pub(super) payload_max: u64,
    /// Records that are not simply good, of a thousand.
    pub(super) bad: u64,
    /// Retention of the stream that is read, ms.
    pub(super) retention_ms: u64,
    pub(super) writeback: u64,
    /// Of a thousand lives, those that end in a crash at a disk operation.
    pub(super) crash: u64,
    /// Of a thousand lives, those with a failing operation.
    pub(super) disk_error: u64,
    pub(super) errors: Vec<Fault>,
    /// Operations of a life before which something planned happens.
    pub(super) operations: u64,
    /// Of a thousand steps.
    pub(super) full: u64,
    pub(super) clock_jump: u64,
    pub(super) takeover: u64,
    /// Drawn apart, so that seeds make the days that they made before there were splits.
    pub(super) reshard: u64,
    /// Of a thousand starts.
    pub(super) image: u64,
    pub(super) damage: u64,
}

const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1000;
/// Longer than any run.
pub(super) const FOR_EVER_MS: u64 = 1_000 * YEAR_MS;
/// Retention of the stream `short`, ms.
pub(super) const SHORT_MS: u64 = 10_000;

impl Profile {
    /// The one of a seed, without some troubles.
    pub(super) fn draw(random: &mut Random, without: &[Trouble]) -> Self {
        let has = |trouble: Trouble| !without.contains(&trouble);
        let mut rate = |trouble: Trouble, usual: u64, permille: u64| {
            let drawn = random.chance(usual);
            let rate = random.between(1, permille);
            if drawn && has(trouble) { rate } else { 0 }
        };
        let crash = rate(Trouble::Crash, 850, 1_000);
        let disk_error = rate(Trouble::DiskError, 400, 600);
        let full = rate(Trouble::Full, 250, 12);
        let clock_jump = rate(Trouble::ClockJump, 400, 20);
        let takeover = rate(Trouble::Takeover, 200, 8);
        let image = rate(Trouble::Image, 500, 600);
        let damage = rate(Trouble::Damage, 250, 600);
        let writeback = rate(Trouble::Writeback, 500, 300);
        let retention = rate(Trouble::Retention, 250, 20_000);
        let bad = random.pick(&[0, 50, 200, 500]);
        let has_chain = random.chance(250) && has(Trouble::Chain);
        let errors = [
            Fault::FailedSync,
            Fault::FailedSync,
            Fault::FailedWrite,
            Fault::FailedRead,
            Fault::FailedName,
            Fault::FailedImage,
            Fault::NoRoom,
        ];
        Self {
            options: draw_options(random),
            settings: draw_settings(random),
            lives: random.between(2, 5),
            life_steps: random.between(40, 260),
            keys: random.pick(&[1, 2, 5, 9, 40]),
            shards: random.pick(&[1, 1, 2, 3]),
            out_shards: random.pick(&[1, 1, 2]),
            has_chain,
            payload_max: random.pick(&[10, 60, 200, 200, 1_500]),
            bad: if has(Trouble::BadRecords) { bad } else { 0 },
            retention_ms: if retention > 0 {
                retention
            } else {
                FOR_EVER_MS
            },
            writeback,
            crash,
            disk_error,
            errors: errors.to_vec(),
            operations: random.pick(&[20, 100, 300, 600]),
            full,
            clock_jump,
            takeover,
            reshard: 0,
            image,
            damage,
        }
    }
}

/// Splits and merges of a seed's day, of a thousand steps.
pub(super) fn draw_reshard(random: &mut Random, without: &[Trouble]) -> u64 {
    let (is_drawn, rate) = (random.chance(400), random.between(1, 40));
    let has = !without.contains(&Trouble::Reshard);
    if is_drawn && has { rate } else { 0 }
}

fn draw_options(random: &mut Random) -> Options {
    Options {
        ballast_bytes: random.pick(&[0, 4 << 10, 16 << 10]),
        unapplied_bytes_max: random.pick(&[4 << 10, 64 << 10, 1 << 20]),
        tail_bytes_max: random.pick(&[0, 0, 2 << 10, 64 << 10]),
        sizes: Sizes {
            journal_file: random.pick(&[2 << 10, 6 << 10, 16 << 10]),
            segment: random.pick(&[1 << 10, 4 << 10, 16 << 10]),
            segment_frame: random.pick(&[1, 256, 1 << 10, 8 << 10]),
            cut_dirty: random.pick(&[1 << 10, 8 << 10, 64 << 10]),
            cut_journal: random.pick(&[2 << 10, 16 << 10, 64 << 10]),
            snapshot_journal: random.pick(&[2 << 10, 8 << 10, 24 << 10]),
        },
        ..Options::new("/data")
    }
}
