//! Crashes from a seed: random work, a crash at a random operation, a restart; then everything that was
//! acknowledged or seen must still be there, and nothing half.

mod ledger;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use fnctl_core::{
    clock::Clock as _,
    commit::{Commit, CommitAnswer, OutputRecords, UnitTotals},
    committer::{Committer, Ticket},
    id::{
        FunctionVersion, LeaseEpoch, MappingId, Ordinal, ShardNumber, SlotId, StreamId, StreamName,
        UnitId,
    },
    record::{NewRecords, Origin},
    registry::Command,
    settled::{SettledRange, SettledRanges},
};

use self::ledger::{Done, Down, Ledger};
use crate::{
    Options, Sizes, Step, Store,
    disk::{
        Disk as _,
        simulated::{Counts, Fault, SimDisk},
    },
    image::ImageValue,
    open,
    testing::{
        ManualClock, Node, add_mapping, create_stream, dead_letter,
        engines::{Forgetful, Kind},
        records,
    },
};

type Pending = Pin<Box<dyn Future<Output = Option<Done>>>>;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn options() -> Options {
    Options {
        ballast_bytes: 0,
        unapplied_bytes_max: 1 << 20,
        tail_bytes_max: 4 << 10,
        sizes: Sizes {
            journal_file: 16 << 10,
            segment: 4 << 10,
            segment_frame: 512,
            cut_dirty: 8 << 10,
            cut_journal: 16 << 10,
            snapshot_journal: 24 << 10,
        },
        ..Options::new("/data")
    }
}

struct World {
    disk: SimDisk,
    /// An image of an earlier moment.
    old_image: Vec<ImageValue>,
    clock: Arc<ManualClock>,
    random: Random,
    ledger: Ledger,
}

impl World {
    fn new(seed: u64, disk: SimDisk) -> Self {
        Self {
            disk,
            old_image: Vec::new(),
            clock: ManualClock::new(),
            random: Random(seed),
            ledger: Ledger::default(),
        }
    }

    /// One life: opens, works until the crash, crashes.
    fn live(&mut self) {
        let fault = match self.random.below(8) {
            0 => Fault::FailedSync,
            1 => Fault::FailedWrite,
            _ => Fault::Down,
        };
        let after = 1 + self.random.below(400);
        self.disk.plan(after, fault);
        match open(options(), self.disk.clone(), Arc::clone(&self.clock)) {
            Ok((store, loops)) => {
                assert_eq!(
                    store.read_only(),
                    None,
                    "a crash never makes a store read-only"
                );
                let mut node = Node { store, loops };
                if self.verify(&node).is_ok() {
                    self.work(&mut node);
                }
            }
            Err(error) => {
                // Only the planned fault may stop a start.
                let is_planned = self.disk.is_down() || fault != Fault::Down;
                assert!(is_planned, "the store does not open: {error}");
            }
        }
        if self.random.below(3) == 0 {
            self.disk.kill();
        } else if self.random.below(4) == 0 {
            self.disk.lose_unsynced();
        } else {
            self.disk.power_loss();
        }
        self.clock.advance(self.random.below(5_000));
        self.meddle();
    }

    /// Somebody deletes the image while the node is down, or puts an older copy back.
    fn meddle(&mut self) {
        let image = Path::new("/data/image");
        let copy = self.disk.copy_image(image);
        match self.random.below(5) {
            0 if !copy.is_empty() => {
                self.disk.remove_dir(image).expect("it is there");
                self.disk.sync_dir(Path::new("/data")).expect("it is there");
            }
            1 if !self.old_image.is_empty() => {
                self.disk
                    .put_image(image, std::mem::take(&mut self.old_image));
            }
            2 => self.old_image = copy,
            _ => {}
        }
    }

    /// A life without a fault, at the end of which nothing may be missing.
    fn finish(&mut self) -> Counts {
        let (store, loops) =
            open(options(), self.disk.clone(), Arc::clone(&self.clock)).expect("it opens");
        assert_eq!(store.read_only(), None);
        let mut node = Node { store, loops };
        assert!(self.verify(&node).is_ok(), "no fault is planned");
        self.clock.advance(3_000);
        node.settle().expect("no fault is planned");
        assert!(self.verify(&node).is_ok(), "no fault is planned");
        self.disk.counts()
    }

    fn work(&mut self, node: &mut Node) {
        if setup(node).is_err() {
            return;
        }
        let mut epochs = BTreeMap::new();
        let mut pending: Vec<Pending> = Vec::new();
        for _ in 0..200 {
            match self.random.below(12) {
                0..=3 => pending.push(self.put(&node.store)),
                4 | 5 => {
                    if let Some(commit) = self.commit(node, &mut epochs) {
                        pending.push(commit);
                    }
                }
                6 => self.clock.advance(self.random.below(1_500)),
                7 => {
                    if node.loops.applier.step().is_err() {
                        return;
                    }
                }
                8 => pending.push(self.scratch(&node.store)),
                9 => pending.push(self.put_into(&node.store, "short")),
                _ => {
                    if node.loops.sequencer.step().is_err() {
                        return;
                    }
                }
            }
            let mut context = Context::from_waker(Waker::noop());
            pending.retain_mut(|request| match request.as_mut().poll(&mut context) {
                Poll::Ready(Some(done)) => {
                    self.ledger.note(done);
                    false
                }
                Poll::Ready(None) => false,
                Poll::Pending => true,
            });
            if self.random.below(10) == 0 && self.verify(node).is_err() {
                return;
            }
        }
        if self.random.below(3) == 0 {
            node.store.shutdown();
            while matches!(node.loops.sequencer.step(), Ok(Step::Worked)) {}
            while matches!(node.loops.applier.step(), Ok(Step::Worked)) {}
        }
    }

    /// Deletes the stream `scratch`, or makes it again.
    fn scratch(&mut self, store: &Store) -> Pending {
        let name = StreamName::parse("scratch").unwrap();
        let is_there = store.view(|view| view.registry().stream_by_name(&name).is_some());
        let command = if is_there {
            self.ledger.deletions += 1;
            Command::DeleteStream { name, force: true }
        } else {
            create_stream("scratch", 1)
        };
        let store = store.clone();
        Box::pin(async move {
            drop(store.command(command).await);
            None
        })
    }

    fn put(&mut self, store: &Store) -> Pending {
        let stream = if self.random.below(5) == 0 {
            "scratch"
        } else {
            "in"
        };
        self.put_into(store, stream)
    }

    fn put_into(&mut self, store: &Store, stream: &'static str) -> Pending {
        let count = 1 + self.random.below(5);
        let mut payloads = Vec::new();
        for _ in 0..count {
            self.ledger.puts += 1;
            let size = 8 + usize::try_from(self.random.below(200)).unwrap();
            let mut payload = vec![u8::try_from(self.random.below(256)).unwrap(); size];
            payload[..8].copy_from_slice(&self.ledger.puts.to_le_bytes());
            payloads.push(payload);
        }
        let store = store.clone();
        Box::pin(async move {
            let name = StreamName::parse(stream).unwrap();
            let appended = store.append(name, records(&payloads), None).await.ok()?;
            Some(Done::Put(appended, payloads))
        })
    }

    /// Settles some records of a unit, with one output or dead letter each.
    fn commit(
        &mut self,
        node: &mut Node,
        epochs: &mut BTreeMap<UnitId, (LeaseEpoch, u64, Ordinal)>,
    ) -> Option<Pending> {
        let (mapping, stream) = unit_parts(&node.store);
        let shard = ShardNumber(u32::try_from(self.random.below(2)).unwrap());
        let unit = UnitId {
            mapping,
            stream,
            shard,
        };
        let (epoch, number, low) = match epochs.entry(unit) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let store = node.store.clone();
                let granted = node.run(store.lease(vec![unit])).ok()?.ok()?;
                let low = store.view(|view| view.unit(unit).unwrap().settled.low_watermark());
                new.insert((granted[0].1, 0, low))
            }
        };
        let last = node
            .store
            .view(|view| view.tail(stream, shard).unwrap().last());
        let through = Ordinal((low.0 + 1 + self.random.below(4)).min(last.0));
        if through <= *low {
            return None;
        }
        *number += 1;
        let commit = commit_of(unit, *epoch, *number, *low, through);
        *low = through;
        let mut ticket = node.store.commit(commit);
        Some(Box::pin(async move {
            match ticket.answer().await {
                Ok(CommitAnswer::Accepted(_)) => {}
                Ok(other) => panic!("a sound commit was answered {other:?}"),
                Err(_) => return None,
            }
            ticket.durable().await.ok()?;
            Some(Done::Committed(unit, through))
        }))
    }

    fn verify(&mut self, node: &Node) -> Result<(), Down> {
        self.ledger.verify(node, self.clock.now())
    }
}

fn commit_of(
    unit: UnitId,
    epoch: LeaseEpoch,
    number: u64,
    low: Ordinal,
    through: Ordinal,
) -> Commit {
    let (mut rows, mut origins, mut letters) = (Vec::new(), Vec::new(), Vec::new());
    for position in low.0 + 1..=through.0 {
        if position % 7 == 0 {
            letters.push(dead_letter(unit.shard, Ordinal(position)));
        } else {
            rows.push(format!("{}/{position}", unit.shard));
            origins.push(Origin {
                stream: unit.stream,
                shard: unit.shard,
                position: Ordinal(position),
            });
        }
    }
    let outputs = if rows.is_empty() {
        Vec::new()
    } else {
        let hops = vec![1; rows.len()];
        vec![OutputRecords {
            stream: StreamName::parse("out").unwrap(),
            records: NewRecords {
                hops,
                origins,
                ..records(&rows)
            },
        }]
    };
    let range = SettledRange {
        after: low,
        through,
    };
    Commit {
        unit,
        epoch,
        slot: SlotId::Lane(0),
        number,
        settles: SettledRanges::from_iter([range]),
        attempts: Vec::new(),
        totals: UnitTotals::default(),
        dead_letters: letters,
        outputs,
        function_version: FunctionVersion(1),
        redriven: None,
        window: None,
        outages: None,
    }
}

fn unit_parts(store: &Store) -> (MappingId, StreamId) {
    store.view(|view| {
        let mapping = view.registry().mappings().next().expect("it was set up");
        (mapping.id, mapping.stream)
    })
}

/// Streams `in` and `out` and a mapping between them, unless they are there.
fn setup(node: &mut Node) -> Result<(), ()> {
    for (name, shards) in [("in", 2), ("out", 1), ("short", 1)] {
        let name_of = StreamName::parse(name).unwrap();
        if node
            .store
            .view(|view| view.registry().stream_by_name(&name_of).is_none())
        {
            let store = node.store.clone();
            let mut command = create_stream(name, shards);
            if let Command::CreateStream { settings, .. } = &mut command {
                settings.retention_ms = if name == "short" {
                    10_000
                } else {
                    24 * 60 * 60 * 1000
                };
            }
            node.run(store.command(command))
                .map_err(drop)?
                .map_err(drop)?;
        }
    }
    if node
        .store
        .view(|view| view.registry().mappings().next().is_none())
    {
        let store = node.store.clone();
        node.run(add_mapping(&store, "in"))
            .map_err(drop)?
            .map_err(drop)?;
    }
    Ok(())
}

/// Four lives with crashes and one without.
fn run(seed: u64) -> (Counts, u64) {
    run_on(seed, SimDisk::new(seed))
}

fn run_on(seed: u64, disk: SimDisk) -> (Counts, u64) {
    let mut world = World::new(seed, disk);
    for _ in 0..4 {
        world.live();
    }
    let counts = world.finish();
    (counts, world.ledger.trimmed)
}

#[test]
fn nothing_acknowledged_or_seen_is_lost_or_halved_by_crashes() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |number| number.parse().unwrap())
    };
    let (first, seeds) = (
        number("FNCTL_STORE_SEED", 0),
        number("FNCTL_STORE_SEEDS", 400),
    );
    let (mut total, mut total_trimmed) = (Counts::default(), 0);
    for seed in first..first + seeds {
        let result = std::panic::catch_unwind(|| run(seed));
        match result {
            Ok((counts, trimmed)) => {
                total_trimmed += trimmed;
                total.lost_pages += counts.lost_pages;
                total.kept_pages += counts.kept_pages;
                total.torn_pages += counts.torn_pages;
                total.lost_names += counts.lost_names;
                total.kept_names += counts.kept_names;
                total.failed_syncs += counts.failed_syncs;
                total.failed_writes += counts.failed_writes;
            }
            Err(panic) => {
                eprintln!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    // A simulator that stops exploring is worse than none.
    for (what, count) in [
        ("lost pages", total.lost_pages),
        ("kept pages", total.kept_pages),
        ("torn pages", total.torn_pages),
        ("lost names", total.lost_names),
        ("kept names", total.kept_names),
        ("failed syncs", total.failed_syncs),
        ("failed writes", total.failed_writes),
        ("trimmed records", total_trimmed),
    ] {
        assert!(
            count >= 20,
            "only {count} {what}: the simulator does not explore"
        );
    }
}

/// The same lives over engines that write files: what they make of a crash never shows.
#[test]
fn nothing_is_lost_whatever_the_image_is_made_of() {
    for seed in 1_000..1_040 {
        for kind in [Kind::Redb, Kind::Sled] {
            eprintln!("{kind:?}, seed {seed}");
            run_on(seed, kind.disk(seed));
        }
        eprintln!("an engine that forgets, seed {seed}");
        run_on(seed, SimDisk::with_engine(seed, Arc::new(Forgetful)));
    }
}

#[test]
fn the_same_seed_runs_the_same_way() {
    for seed in 0..10 {
        assert_eq!(run(seed), run(seed));
    }
}
