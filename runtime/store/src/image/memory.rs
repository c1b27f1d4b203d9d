//! An image in memory: what the simulated disk keeps, and the reference for conformance.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crate::image::{Image, ImageBatch, ImageError, ImageValue};

/// Survives as long as somebody holds a clone.
#[derive(Clone, Debug, Default)]
pub struct MemoryImage(Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>);

impl Image for MemoryImage {
    fn load(&mut self) -> Result<Vec<ImageValue>, ImageError> {
        let values = self.0.lock().expect("nothing panics under this lock");
        Ok(values
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn apply(&mut self, batch: ImageBatch) -> Result<(), ImageError> {
        let mut values = self.0.lock().expect("nothing panics under this lock");
        for (key, value) in batch {
            match value {
                Some(value) => values.insert(key, value),
                None => values.remove(&key),
            };
        }
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        let values = self.0.lock().expect("nothing panics under this lock");
        values
            .iter()
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum()
    }
}
