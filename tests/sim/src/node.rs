//! The second world: the production store, its loops stepped by hand, over a disk that loses, tears,
//! fails and fills up; the production pipeline on top; one thread, one seed.
//!
//! A run is a few lives of a process on one disk. A life opens the directory, works, and ends in a
//! crash, a failed operation, an orderly shutdown or a `kill -9`. After every start, and at the end, the
//! `ledger` is asked: what is there must be what the commits in front of the end of the log say, in their
//! order, and no more.

mod between;
mod clock;
mod control;
mod damage;
mod facts;
mod finish;
mod ledger;
mod life;
mod listener;
mod outsiders;
mod people;
mod profile;
mod reached;
mod resharding;
mod shelf;
mod steps;
mod windows;
mod worker;

use std::sync::Arc;

use fnctl_core::{clock::Clock as _, mapping::MaxAttempts};
use fnctl_store::{
    disk::simulated::{Counts, Habits, SimDisk},
    image::ImageValue,
};

use self::{clock::SimClock, facts::Facts, ledger::Ledger, listener::Listener, profile::Profile};
pub use self::{profile::Trouble, reached::Branch};
use crate::{coverage::Coverage, random::Random, trace::Trace, versions::Versions};

/// What to run.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Where all chance comes from.
    pub seed: u64,
    /// Steps after which there is no more trouble and everything must come to rest.
    pub steps_max: u64,
    /// Troubles that are left out.
    pub without: Vec<Trouble>,
    /// What is wrong with the world itself, if anything.
    pub weakness: Option<Weakness>,
}

impl Schedule {
    /// All of a seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        Self {
            seed,
            steps_max: u64::MAX,
            without: Vec::new(),
            weakness: None,
        }
    }
}

/// A fault of the world that no store can stand: the oracle must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// Syncs of files do nothing.
    IgnoredSync,
    /// Syncs of directories do nothing.
    IgnoredDirSync,
    /// A sync that failed says that it did not.
    HiddenFailedSync,
    /// Puts count as acknowledged when they are handed in.
    EarlyAcknowledgement,
    /// Every put is handed in twice.
    RepeatedPut,
    /// Some commits lose their outputs on the way.
    DroppedEffects,
    /// The boot clock runs ten times too fast.
    HastyClock,
    /// Damage of a record's bytes passes every checksum.
    UnnoticedDamage,
    /// A seek leaves the owner its epoch.
    UnfencedSeek,
    /// The commit of a redrive does not say which letter it was.
    ForgottenLetter,
}

impl Weakness {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::IgnoredSync,
        Self::IgnoredDirSync,
        Self::HiddenFailedSync,
        Self::EarlyAcknowledgement,
        Self::RepeatedPut,
        Self::DroppedEffects,
        Self::HastyClock,
        Self::UnnoticedDamage,
        Self::UnfencedSeek,
        Self::ForgottenLetter,
    ];
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it reached.
    pub coverage: Coverage<Branch>,
    /// What happened.
    pub trace: Trace,
    /// Steps that it took.
    pub steps: u64,
    /// Records that were acknowledged.
    pub acknowledged: u64,
    /// What the disk did.
    pub disk: Counts,
}

/// Runs a schedule to its end.
///
/// # Panics
/// If something acknowledged or seen is lost, doubled, halved or out of order, or a quiet world does
/// not come to rest.
#[must_use]
pub fn run(schedule: &Schedule, keeps_text: bool) -> Report {
    let listener = Listener::default();
    tracing::subscriber::with_default(listener.clone(), || {
        let mut world = World::new(schedule, listener, keeps_text);
        world.run();
        world.note_counts();
        Report {
            coverage: world.coverage,
            trace: world.trace,
            steps: world.steps,
            acknowledged: world.ledger.acknowledged,
            disk: world.disk.counts(),
        }
    })
}

struct World {
    schedule: Schedule,
    random: Random,
    /// What is drawn about splits and merges.
    reshards: Random,
    profile: Profile,
    windows: windows::Day,
    people: people::People,
    disk: SimDisk,
    clock: Arc<SimClock>,
    ledger: Ledger,
    facts: Facts,
    listener: Listener,
    /// The most attempts that any owner ran under.
    attempts_max: MaxAttempts,
    versions: Versions,
    /// An image of an earlier moment.
    old_image: Vec<ImageValue>,
    calls: u64,
    scratches: u64,
    steps: u64,
    /// The wall clock when the oldest frame was written that may be the newest on the disk.
    frame_wall: u64,
    published: u64,
    /// A start succeeded: from now on no full disk may prevent one.
    was_open: bool,
    /// The last life ended in order.
    was_shut_down: bool,
    is_mended: bool,
    is_calm: bool,
    coverage: Coverage<Branch>,
    trace: Trace,
}

impl World {
    fn new(schedule: &Schedule, listener: Listener, keeps_text: bool) -> Self {
        let mut random = Random::new(schedule.seed);
        let mut profile = Profile::draw(&mut random, &schedule.without);
        let mut reshards = Random::new(!schedule.seed);
        profile.reshard = profile::draw_reshard(&mut reshards, &schedule.without);
        let windows = windows::Day::draw(schedule.seed, &schedule.without);
        windows.apply(&mut profile.settings);
        let is_all_windowed = windows.is_always_on;
        let people = people::People::draw(schedule.seed, &schedule.without);
        profile.keys = people.keys(profile.keys);
        let facts = Facts::new(people.has_canaries());
        let disk = SimDisk::new(random.next());
        let weakness = schedule.weakness;
        let is = |of: Weakness| weakness == Some(of);
        disk.set_habits(Habits {
            writeback_permille: profile.writeback,
            ignores_sync: is(Weakness::IgnoredSync),
            ignores_dir_sync: is(Weakness::IgnoredDirSync),
            hides_failed_sync: is(Weakness::HiddenFailedSync),
            ..Habits::default()
        });
        let clock = SimClock::new(if is(Weakness::HastyClock) { 10 } else { 1 });
        let mut trace = Trace::new(keeps_text);
        trace.line(format_args!("{schedule:?}: {profile:?}, {people:?}"));
        Self {
            schedule: schedule.clone(),
            random,
            reshards,
            attempts_max: profile.settings.max_attempts,
            profile,
            windows,
            people,
            disk,
            frame_wall: clock.now().0,
            clock: Arc::new(clock),
            ledger: Ledger::new(is(Weakness::UnnoticedDamage), is_all_windowed),
            facts,
            listener,
            versions: Versions::first(),
            old_image: Vec::new(),
            calls: 0,
            scratches: 0,
            steps: 0,
            published: 0,
            was_open: false,
            was_shut_down: false,
            is_mended: false,
            is_calm: false,
            coverage: Coverage::default(),
            trace,
        }
    }

    fn run(&mut self) {
        for _ in 0..self.profile.lives {
            if self.steps >= self.schedule.steps_max {
                break;
            }
            self.live();
            self.between();
            if self.random.chance(self.profile.damage) && self.damage() {
                self.judge_damage();
                return;
            }
        }
        self.finish();
    }

    fn is(&self, weakness: Weakness) -> bool {
        self.schedule.weakness == Some(weakness)
    }

    fn say(&mut self, words: std::fmt::Arguments<'_>) {
        let (now, operations) = (self.clock.now(), self.disk.operations());
        self.trace
            .line(format_args!("{now} op{operations} {words}"));
    }

    /// Takes over what the node said of itself.
    fn listen(&mut self) {
        for words in self.listener.take() {
            self.say(format_args!("said: {words}"));
            if let Some(branch) = Branch::of_words(&words) {
                self.coverage.note(branch);
            }
        }
    }

    fn note_counts(&mut self) {
        let counts = self.disk.counts();
        for (branch, count) in Branch::of_counts(&counts) {
            self.coverage.note_times(branch, count);
        }
        let ledger = &self.ledger;
        self.coverage.note_times(Branch::Trimmed, ledger.trimmed);
        self.coverage
            .note_times(Branch::UnansweredKept, ledger.kept_unanswered);
        self.coverage.note_times(Branch::Expired, ledger.expired);
    }
}

/// The hash of a key: spread evenly, the same every time.
fn hash_key(key: &[u8]) -> u128 {
    let mut hash: u128 = 0x6C62_272E_07BB_0142_62B8_2175_6295_C58D;
    for byte in key {
        hash = (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013B);
    }
    // The range of a shard is told by the upper bits.
    hash ^ hash.rotate_left(61) ^ hash.rotate_left(113)
}

/// The number in a key.
fn key_number(key: &[u8]) -> u64 {
    let text = std::str::from_utf8(&key[1..]).expect("our keys are text");
    text.parse().expect("our keys are numbered")
}
