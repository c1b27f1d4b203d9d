//! What kind of world a seed makes: a swarm of settings, so that no rare combination is never tried.

use std::sync::{Arc, OnceLock};

use fnctl_core::{
    filter::Filter,
    mapping::{MappingSettings, MaxAttempts, OnFailureFull, OnFatal, OnUnparsable, Ordering},
};

use crate::random::Random;

/// How likely each trouble is, of a thousand steps.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The node dies.
    pub crash: u64,
    /// Another owner is appointed while this one lives.
    pub takeover: u64,
    /// The mapping or its version is changed, after a drain.
    pub change: u64,
    /// The mapping is deleted and made anew.
    pub remake: u64,
    /// The output stream goes, or comes back.
    pub output: u64,
    /// Pause and resume.
    pub pause: u64,
    /// A person gives records up, or has them tried now.
    pub hand: u64,
    /// The wall clock goes back, or on by hours.
    pub clock: u64,
    /// A person has letters redriven.
    pub redrive: u64,
    /// A person throws letters away.
    pub purge: u64,
    /// A person sends the mapping elsewhere in its stream.
    pub seek: u64,
    /// A destination refuses, of a thousand deliveries.
    pub destination: u64,
    /// A commit is refused because the disk is full, of a thousand commits.
    pub disk_full: u64,
    /// A commit is refused because the dead letters are full, of a thousand commits with some.
    pub letters_full: u64,
    /// A read fails, of a thousand reads.
    pub read: u64,
    /// A call meets a host at fault or is taken back, of a thousand calls.
    pub host: u64,
    /// What the function needs goes down.
    pub outage: u64,
}

/// A world.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Policy at the start.
    pub settings: MappingSettings,
    /// Number of partition keys.
    pub keys: u64,
    /// Records put in all.
    pub records: u64,
    /// Steps before the world becomes quiet.
    pub steps: u64,
    /// Records that are not simply good, of a thousand.
    pub bad: u64,
    /// The function emits rows of no record.
    pub emits_whole_call: bool,
    /// Bytes that a block claims to hold in memory, at most.
    pub block_bytes_max: u64,
    /// A canary is switched, of a thousand changes of what runs.
    pub canaries: u64,
    /// Trouble.
    pub trouble: Trouble,
}

impl Profile {
    /// The world of a seed.
    pub fn draw(random: &mut Random) -> Self {
        let is_calm = random.chance(100);
        let mut trouble = |permille: u64| {
            if is_calm || random.chance(400) {
                0
            } else {
                random.between(1, permille)
            }
        };
        let trouble = Trouble {
            crash: trouble(40),
            takeover: trouble(20),
            change: trouble(20),
            remake: trouble(6),
            output: trouble(25),
            pause: trouble(25),
            hand: trouble(40),
            clock: trouble(20),
            redrive: trouble(60),
            purge: trouble(20),
            seek: trouble(12),
            destination: trouble(500),
            disk_full: trouble(400),
            letters_full: trouble(600),
            read: trouble(300),
            host: trouble(200),
            outage: trouble(20),
        };
        let mut profile = Self {
            settings: draw_settings(random),
            keys: random.pick(&[1, 2, 3, 5, 9, 40]),
            records: random.between(5, 90),
            steps: random.between(100, 700),
            bad: random.pick(&[0, 50, 200, 500, 900]),
            emits_whole_call: random.chance(250),
            block_bytes_max: random.pick(&[1_000, 1_000, 6 << 20, 20 << 20]),
            canaries: random.pick(&[0, 500, 800]),
            trouble,
        };
        if random.chance(100) {
            profile.suffer(random);
        }
        profile
    }

    /// What the function needs is down for much of the time, there are keys enough to tell, and owners change
    /// meanwhile.
    fn suffer(&mut self, random: &mut Random) {
        self.keys = 40;
        self.records = 90;
        self.steps = random.between(400, 700);
        self.bad = random.pick(&[0, 0, 50]);
        self.settings = MappingSettings {
            batch_size: random.pick(&[10, 100]),
            batch_bytes: 6 << 20,
            circuit_breaker: true,
            max_record_age_ms: None,
            filter: None,
            ..self.settings.clone()
        };
        self.trouble.outage = random.between(20, 60);
        self.trouble.crash = random.between(2, 10);
        self.trouble.change = random.between(10, 40);
        self.trouble.remake = 0;
        self.trouble.seek = 0;
    }
}

/// A filter: what it says of a record is the record's nature.
fn filter() -> Arc<Filter> {
    static FILTER: OnceLock<Arc<Filter>> = OnceLock::new();
    let parse = || Filter::parse([r#"{"data": {"wanted": [true]}}"#]).expect("a pattern");
    Arc::clone(FILTER.get_or_init(|| Arc::new(parse())))
}

/// Policy of a mapping, any; its relay is the world's to name.
pub fn draw_settings(random: &mut Random) -> MappingSettings {
    let ordering = random.pick(&[Ordering::Key, Ordering::Key, Ordering::Shard]);
    let factor = random.pick(&[1, 1, 2, 3, 4, 8]);
    MappingSettings {
        batch_size: random.pick(&[1, 2, 3, 5, 10, 100]),
        batch_bytes: random.pick(&[1, 20, 60, 6 << 20]),
        batch_window_ms: random.pick(&[0, 0, 0, 5, 100]),
        parallelization_factor: match ordering {
            Ordering::Key => factor,
            Ordering::Shard => 1,
        },
        max_attempts: random.pick(&[
            MaxAttempts::Count(1),
            MaxAttempts::Count(2),
            MaxAttempts::Count(3),
            MaxAttempts::Count(5),
            MaxAttempts::Count(5),
            MaxAttempts::Unlimited,
        ]),
        backoff_initial_ms: random.pick(&[0, 1, 100]),
        backoff_max_ms: random.pick(&[1, 50, 1_000]),
        on_failure: None,
        max_record_age_ms: random.pick(&[None, None, None, Some(1), Some(300), Some(5_000)]),
        bisect_on_error: random.chance(500),
        circuit_breaker: random.chance(800),
        ordering,
        partial_failures: random.chance(700),
        on_fatal: random.pick(&[OnFatal::Stop, OnFatal::DeadLetter]),
        on_failure_full: random.pick(&[OnFailureFull::Hold, OnFailureFull::DropAndCount]),
        filter: random.chance(700).then(filter),
        on_unparsable: random.pick(&[
            OnUnparsable::Drop,
            OnUnparsable::Pass,
            OnUnparsable::DeadLetter,
        ]),
        tumbling_window_ms: 0,
        key_groups: 64,
    }
}
