//! Applies numbered batches to a sled image and says on standard output when one counts as durable. What
//! it finds when it opens must be whole batches; it says how many, as `held N`.
//!
//! Arguments: the image's folder, and how many batches to apply.

use std::{
    collections::BTreeMap,
    error::Error,
    io::{self, Write as _},
    path::Path,
};

use fnctl_store::image::{Image as _, ImageBatch, sled::SledImage};

const KEYS: u64 = 40;
const NUMBER: &[u8] = b"number";

/// Batch `number` changes every key, so that each whole state is told by its number alone.
fn batch(number: u64) -> ImageBatch {
    let value = |key: u64| {
        let length = 8 + (key * 71 + number * 131) % 2_900;
        vec![number.to_le_bytes()[0]; usize::try_from(length).unwrap_or(8)]
    };
    let mut batch: ImageBatch = (0..KEYS)
        .map(|key| {
            let is_gone = (key + number).is_multiple_of(7);
            let value = (!is_gone).then(|| value(key));
            (key.to_be_bytes().to_vec(), value)
        })
        .collect();
    batch.push((NUMBER.to_vec(), Some(number.to_le_bytes().to_vec())));
    batch
}

fn state(number: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    if number == 0 {
        return BTreeMap::new();
    }
    let values = batch(number).into_iter();
    values
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

fn say(words: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{words}")?;
    out.flush()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_default();
    let count: u64 = arguments.next().unwrap_or_default().parse()?;
    let mut image = SledImage::open(Path::new(&folder))?;
    let found: BTreeMap<Vec<u8>, Vec<u8>> = image.load()?.into_iter().collect();
    let held = match found.get(NUMBER) {
        Some(bytes) => u64::from_le_bytes(bytes.as_slice().try_into()?),
        None => 0,
    };
    if found != state(held) {
        return Err(format!("batch {held} is there by half").into());
    }
    say(&format!("held {held}"))?;
    for number in held + 1..=held + count {
        image.apply(batch(number))?;
        say(&number.to_string())?;
    }
    // A process that dies does not close its database.
    std::process::exit(0);
}
