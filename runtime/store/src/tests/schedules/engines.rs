//! What the store asks of any image engine: half a cut is never seen, an image of another future is not
//! believed, and a failure of the engine is the end of the node.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use fnctl_core::id::Lsn;

use super::{Machine, payload, payloads};
use crate::{
    codec::{self, Decoder, Value as _},
    cut::{CUT_KEY, CutValue},
    disk::{
        Disk as _,
        simulated::{Engine, Fault, SimDisk},
    },
    image::{Image, ImageBatch, ImageError, ImageValue, chunks::ChunkedImage, memory::MemoryImage},
    limits::{IMAGE_BLOAT_FACTOR, IMAGE_BYTES_SMALL},
    testing::{
        Node,
        engines::{Forgetful, Kind},
        records,
    },
};

const IMAGE: &str = "/data/image";

/// Everything that the node knows, as it would be stored.
fn values_of(node: &Node) -> Vec<(Vec<u8>, Vec<u8>)> {
    node.store.view(|view| {
        let values = view.values();
        values
            .map(|(key, value)| (codec::encode_key(&key), codec::encode_value(&value)))
            .collect()
    })
}

/// Cuts once with the machine going down at operation `step`; answers whether it never came to that.
fn crash_in_a_cut(kind: Kind, step: u64, is_killed: bool) -> bool {
    let machine = Machine::with(kind, step);
    let (mut node, stream) = machine.with_records(10);
    machine.cut(&mut node);
    machine.snapshot(&mut node);
    for number in 11..20 {
        node.put("s", records(&[payload(number)]));
    }
    let before = node.read_all(stream, 0);
    let view = values_of(&node);
    machine.disk.plan(step, Fault::Down);
    machine.clock.advance(3_000);
    node.loops.applier.cutter.ask_for_snapshot();
    let is_whole = node.settle().is_ok();
    machine.disk.cancel_plan();
    drop(node);
    if is_killed {
        machine.disk.kill();
    } else {
        machine.disk.power_loss();
    }
    let node = machine.start();
    let words = format!("{kind:?} went down at operation {step} of a cut");
    assert_eq!(node.store.read_only(), None, "{words}");
    assert_eq!(node.read_all(stream, 0), before, "{words}");
    assert!(values_of(&node) == view, "{words}");
    is_whole
}

#[test]
fn a_cut_that_is_cut_short_is_never_seen_by_half() {
    for kind in Kind::ALL {
        for is_killed in [true, false] {
            let steps = (1..).take_while(|step| !crash_in_a_cut(kind, *step, is_killed));
            assert!(steps.count() >= 8, "a cut has its operations");
        }
    }
}

/// An image holds what was journaled and synced in front of it: one whose C lies behind the journal's end
/// says that the journal has lost its end. What it holds is served, and nothing is written over it.
#[test]
fn an_image_ahead_of_the_journal_says_that_its_end_is_gone() {
    for kind in Kind::ALL {
        for snapshots in [0, 2] {
            let machine = Machine::with(kind, 3);
            let (mut node, stream) = machine.with_records(10);
            for _ in 0..snapshots {
                machine.snapshot(&mut node);
            }
            machine.cut(&mut node);
            let before = node.read_all(stream, 0);
            drop(node);
            let opened = machine.disk.open_image(Path::new(IMAGE)).unwrap();
            let mut image = ChunkedImage::new(opened);
            let values = image.load().unwrap();
            let (_, cut) = values.iter().find(|(key, _)| key == CUT_KEY).unwrap();
            let mut bytes = Decoder::new(Bytes::from(cut.clone()));
            let cut = CutValue::take(&mut bytes).unwrap();
            let next = Lsn(cut.next.0 + 100);
            let newer = CutValue { next, ..cut }.encode();
            image.apply(vec![(CUT_KEY.to_vec(), Some(newer))]).unwrap();
            drop(image);
            let node = machine.start();
            let words = node.store.read_only().expect("nothing more is taken");
            assert!(words.contains(".journal"), "{kind:?}: {words}");
            assert_eq!(node.read_all(stream, 0), before, "{kind:?}");
        }
    }
}

/// sled's rule 10, and every engine's: a batch that failed is not tried again, the node ends.
#[test]
fn a_batch_that_the_image_refuses_stops_the_node_and_loses_nothing() {
    for kind in Kind::ALL {
        for fault in [Fault::FailedImage, Fault::FailedSync, Fault::FailedWrite] {
            let machine = Machine::with(kind, 10);
            let (mut node, stream) = machine.with_records(10);
            machine.cut(&mut node);
            node.put("s", records(&[payload(10)]));
            machine.disk.plan(1, fault);
            machine.clock.advance(3_000);
            let ended = node.settle();
            let counts = machine.disk.counts();
            machine.disk.cancel_plan();
            let failed = counts.failed_images + counts.failed_syncs + counts.failed_writes;
            if failed == 0 {
                // redb's batch is writes and syncs of the disk, each with a fault of its own.
                assert_eq!((kind, fault), (Kind::Redb, Fault::FailedImage));
                continue;
            }
            assert!(ended.is_err(), "{kind:?}, {fault:?}");
            let operations = machine.disk.operations();
            assert!(node.settle().is_err(), "it stays stopped");
            assert_eq!(machine.disk.operations(), operations, "nothing is retried");
            drop(node);
            machine.disk.lose_unsynced();
            assert_eq!(machine.start().read_all(stream, 0), payloads(11));
        }
    }
}

/// Every start finds an empty image: snapshot and journal alone carry the node.
#[test]
fn an_engine_that_forgets_everything_costs_nothing_but_time() {
    let disk = SimDisk::with_engine(5, Arc::new(Forgetful));
    let machine = Machine::on(disk);
    let (node, stream) = machine.with_records(10);
    drop(node);
    for life in 0..6 {
        machine.disk.lose_unsynced();
        let mut node = machine.start();
        assert_eq!(node.read_all(stream, 0), payloads(10 + life));
        node.put("s", records(&[payload(10 + life)]));
        if life % 2 == 0 {
            node.loops.applier.cutter.ask_for_snapshot();
        }
        machine.cut(&mut node);
    }
}

/// An engine that takes far more room than its values.
struct Bloated {
    image: MemoryImage,
    removals: Arc<AtomicU64>,
}

struct BloatedImage(MemoryImage);

impl Engine for Bloated {
    fn open(&self, disk: &SimDisk, path: &Path) -> Result<Box<dyn Image>, ImageError> {
        disk.create_dir(path)?;
        Ok(Box::new(BloatedImage(self.image.clone())))
    }

    fn removed(&self, _path: &Path) {
        self.removals.fetch_add(1, Ordering::Relaxed);
    }
}

impl Image for BloatedImage {
    fn load(&mut self) -> Result<Vec<ImageValue>, ImageError> {
        self.0.load()
    }

    fn apply(&mut self, batch: ImageBatch) -> Result<(), ImageError> {
        self.0.apply(batch)
    }

    fn disk_bytes(&self) -> u64 {
        IMAGE_BYTES_SMALL * IMAGE_BLOAT_FACTOR + 1
    }
}

/// sled's rule 6: what it takes too much room for is written anew after a start, and nothing is lost.
#[test]
fn a_bloated_image_is_made_anew_after_a_start() {
    let removals = Arc::new(AtomicU64::new(0));
    let engine = Bloated {
        image: MemoryImage::default(),
        removals: Arc::clone(&removals),
    };
    let machine = Machine::on(SimDisk::with_engine(6, Arc::new(engine)));
    let (mut node, stream) = machine.with_records(10);
    machine.cut(&mut node);
    drop(node);
    machine.disk.kill();
    let before = removals.load(Ordering::Relaxed);
    let mut node = machine.start();
    node.put("s", records(&[payload(10)]));
    machine.cut(&mut node);
    assert_eq!(removals.load(Ordering::Relaxed), before + 1);
    assert_eq!(node.read_all(stream, 0), payloads(11));
}
