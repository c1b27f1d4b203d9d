//! What every engine must do when it is cut short: a batch is there in full or not at all, and what was
//! acknowledged is there.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use super::conformance::{apply_to, load, open};
use crate::{
    disk::{
        Disk as _,
        simulated::{Engine, Fault, SimDisk},
    },
    image::{Image, ImageBatch, ImageError, ImageValue, chunks::ChunkedImage, memory::MemoryImage},
    testing::engines::Kind,
};

/// Batch `number`: each changes every key, some to long values, and removes one.
fn batch(number: u64) -> ImageBatch {
    let byte = u8::try_from(number % 251).unwrap();
    let mut batch: ImageBatch = (0..12_u64)
        .map(|key| {
            let length = usize::try_from(key * key * (1 + number % 5) * 20).unwrap();
            (vec![u8::try_from(key).unwrap()], Some(vec![byte; length]))
        })
        .collect();
    batch.push((vec![u8::try_from(number % 12).unwrap()], None));
    batch.push((b"number".to_vec(), Some(number.to_le_bytes().to_vec())));
    batch
}

fn after(count: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut map = BTreeMap::new();
    for number in 1..=count {
        apply_to(&mut map, &batch(number));
    }
    map
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Killed,
    LostUnsynced,
    PowerLoss,
}

impl End {
    const ALL: [Self; 3] = [Self::Killed, Self::LostUnsynced, Self::PowerLoss];

    fn strike(self, disk: &SimDisk) {
        match self {
            Self::Killed => disk.kill(),
            Self::LostUnsynced => disk.lose_unsynced(),
            Self::PowerLoss => disk.power_loss(),
        }
    }
}

/// Opens and applies batches `from` and on; answers how many are acknowledged in all when one fails.
fn apply_until_it_fails(disk: &SimDisk, acknowledged: u64, to: u64) -> u64 {
    let image = Path::new("/data/image");
    let opened = disk
        .open_image(image)
        .map(ChunkedImage::new)
        .and_then(|mut image| image.load().map(|_| image));
    let Ok(mut image) = opened else {
        return acknowledged;
    };
    for number in acknowledged + 1..=to {
        if image.apply(batch(number)).is_err() {
            return number - 1;
        }
    }
    to
}

/// How many batches an image holds, all of them in full.
fn held(disk: &SimDisk) -> u64 {
    let found = load(&mut open(disk));
    let number = found.get(&b"number"[..]).map_or(0, |bytes| {
        u64::from_le_bytes(bytes.as_slice().try_into().unwrap())
    });
    assert!(found == after(number), "batch {number} is there by half");
    number
}

fn run(kind: Kind, end: End, fault: Fault, step: u64, seed: u64) -> bool {
    eprintln!("{kind:?}, seed {seed}");
    run_on(&kind.disk(seed), end, fault, step)
}

fn run_on(disk: &SimDisk, end: End, fault: Fault, step: u64) -> bool {
    assert_eq!(apply_until_it_fails(disk, 0, 3), 3);
    // Everything so far is on the disk, whatever comes.
    disk.lose_unsynced();
    disk.plan(step, fault);
    let acknowledged = apply_until_it_fails(disk, 3, 6);
    let is_over = acknowledged == 6 && !disk.is_down();
    disk.cancel_plan();
    end.strike(disk);
    let words = format!("{end:?}, {fault:?} at operation {step}");
    let now = held(disk);
    assert!(
        now == acknowledged || now == acknowledged + 1,
        "{words}: {acknowledged} acknowledged, {now} there"
    );
    // It goes on from there, and what is done now outlives the next loss of power.
    assert_eq!(apply_until_it_fails(disk, now, now + 2), now + 2);
    disk.lose_unsynced();
    assert_eq!(held(disk), now + 2, "{words}");
    is_over
}

/// Steps of sled are whole batches, and which pages of one stay is drawn: so each is drawn often.
const fn seeds(kind: Kind) -> u64 {
    match kind {
        Kind::Sled => 12,
        Kind::Memory | Kind::Redb => 2,
    }
}

#[test]
fn a_batch_is_whole_or_absent_wherever_the_machine_goes_down() {
    for kind in Kind::ALL {
        for end in End::ALL {
            for seed in 0..seeds(kind) {
                let steps = (1..).take_while(|step| !run(kind, end, Fault::Down, *step, seed));
                let count = steps.count();
                assert!(
                    count >= 4,
                    "{kind:?} made {count} operations in three batches"
                );
            }
        }
    }
}

#[test]
fn a_batch_that_fails_is_whole_or_absent() {
    for kind in Kind::ALL {
        for fault in [Fault::FailedWrite, Fault::FailedSync, Fault::FailedImage] {
            for end in [End::Killed, End::LostUnsynced] {
                for seed in 0..seeds(kind) {
                    for step in [1, 3, 7, 11, 20] {
                        run(kind, end, fault, step, seed);
                    }
                }
            }
        }
    }
}

/// Three lives, each cut short.
#[test]
fn nothing_acknowledged_is_missing_after_three_crashes_in_a_row() {
    for kind in Kind::ALL {
        for seed in 0..20 {
            let disk = kind.disk(seed);
            let mut acknowledged = apply_until_it_fails(&disk, 0, 2);
            disk.lose_unsynced();
            for life in 0..3 {
                disk.plan(1 + disk.random() % 60, Fault::Down);
                acknowledged = apply_until_it_fails(&disk, acknowledged, acknowledged + 8);
                disk.cancel_plan();
                let end = End::ALL[usize::try_from(disk.random() % 3).unwrap()];
                end.strike(&disk);
                let now = held(&disk);
                assert!(
                    now == acknowledged || now == acknowledged + 1,
                    "{kind:?} seed {seed} life {life}: {acknowledged} acknowledged, {now} there"
                );
                acknowledged = now;
            }
        }
    }
}

/// A crash while it is made for the first time: it opens empty, or says that it is damaged; then it is
/// removed and made anew.
#[test]
fn a_half_made_image_is_never_taken_for_another() {
    for kind in Kind::ALL {
        for step in 1..60 {
            let disk = kind.disk(step);
            disk.plan(step, Fault::Down);
            let acknowledged = apply_until_it_fails(&disk, 0, 1);
            disk.cancel_plan();
            disk.power_loss();
            let image = Path::new("/data/image");
            let opened = disk.open_image(image).map(ChunkedImage::new);
            match opened.and_then(|mut image| image.load()) {
                Ok(values) => {
                    let found: BTreeMap<_, _> = values.into_iter().collect();
                    let is_whole = found == after(acknowledged) || found == after(1);
                    assert!(is_whole, "{kind:?} at operation {step}");
                }
                Err(ImageError::Damaged(_) | ImageError::Io(_)) => {
                    assert_eq!(acknowledged, 0, "{kind:?} at operation {step}");
                    disk.remove_dir(image).unwrap();
                    assert_eq!(apply_until_it_fails(&disk, 0, 2), 2);
                    assert_eq!(held(&disk), 2);
                }
            }
        }
    }
}

/// An engine that breaks the rules: a batch under way is left by half, or lost although it was taken.
#[derive(Default)]
struct Careless {
    forgets: bool,
    image: MemoryImage,
}

struct CarelessImage {
    forgets: bool,
    image: MemoryImage,
    disk: SimDisk,
}

impl Engine for Careless {
    fn open(&self, disk: &SimDisk, path: &Path) -> Result<Box<dyn Image>, ImageError> {
        disk.create_dir(path)?;
        Ok(Box::new(CarelessImage {
            forgets: self.forgets,
            image: self.image.clone(),
            disk: disk.clone(),
        }))
    }
}

impl Image for CarelessImage {
    fn load(&mut self) -> Result<Vec<ImageValue>, ImageError> {
        self.image.load()
    }

    fn apply(&mut self, mut batch: ImageBatch) -> Result<(), ImageError> {
        let ended = self.disk.operate();
        if ended.is_err() {
            batch.truncate(batch.len() / 2);
        }
        let is_fifth = batch.iter().any(|(_, value)| {
            let value = value.as_deref().unwrap_or_default();
            value.ends_with(&5_u64.to_le_bytes())
        });
        if !(self.forgets && is_fifth) {
            self.image.apply(batch)?;
        }
        Ok(ended?)
    }

    fn disk_bytes(&self) -> u64 {
        self.image.disk_bytes()
    }
}

#[test]
fn an_engine_that_leaves_halves_or_forgets_is_found_out() {
    for (forgets, step) in [(false, 3), (true, 7)] {
        let engine = Careless {
            forgets,
            ..Careless::default()
        };
        let disk = SimDisk::with_engine(1, Arc::new(engine));
        disk.create_dir(Path::new("/data")).unwrap();
        let ran = catch_unwind(AssertUnwindSafe(|| {
            run_on(&disk, End::Killed, Fault::Down, step)
        }));
        assert!(ran.is_err(), "forgets: {forgets}");
    }
}
