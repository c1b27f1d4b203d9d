//! One suite for every engine, and the rules that sled in particular must be held to.

mod conformance;
mod crash;
mod sled_rules;

use super::{Image as _, ImageError, chunks::ChunkedImage, memory::MemoryImage};
use crate::limits::IMAGE_VALUE_BYTES_MAX;

#[test]
fn a_missing_or_damaged_chunk_is_noticed() {
    let engine = MemoryImage::default();
    let mut image = ChunkedImage::new(Box::new(engine.clone()));
    let long = vec![7; IMAGE_VALUE_BYTES_MAX * 3];
    image
        .apply(vec![(b"long".to_vec(), Some(long.clone()))])
        .unwrap();
    let chunks = engine.clone().load().unwrap();
    assert!(chunks.len() > 3 && chunks.iter().all(|(_, v)| v.len() <= IMAGE_VALUE_BYTES_MAX));
    for (key, value) in chunks {
        engine.clone().apply(vec![(key.clone(), None)]).unwrap();
        assert!(matches!(image.load(), Err(ImageError::Damaged(_))));
        let mut flipped = value.clone();
        flipped[20] ^= 4;
        engine
            .clone()
            .apply(vec![(key.clone(), Some(flipped))])
            .unwrap();
        assert!(matches!(image.load(), Err(ImageError::Damaged(_))));
        engine.clone().apply(vec![(key, Some(value))]).unwrap();
    }
    assert_eq!(image.load().unwrap(), vec![(b"long".to_vec(), long)]);
}
