//! The image engine that lives on the disk: batches are taken whole or not at all.

use std::{io, path::Path};

use super::{Fault, Node, State};
use crate::image::{ImageBatch, ImageValue};

impl State {
    pub(in crate::disk::simulated) fn create_image(&mut self, path: &Path) -> io::Result<()> {
        self.create_dir(path)?;
        // The engine syncs its own names: no earlier removal comes after it.
        let is_of_image = |(name, _): &(std::path::PathBuf, Option<Node>)| name.starts_with(path);
        self.pending
            .retain(|change| !change.changes.iter().any(is_of_image));
        self.durable.insert(path.to_owned(), Node::Directory);
        self.images.entry(path.to_owned()).or_default();
        Ok(())
    }

    pub(in crate::disk::simulated) fn image(&self, path: &Path) -> Vec<ImageValue> {
        let values = self.images.get(path).into_iter().flatten();
        values
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    pub(in crate::disk::simulated) fn is_directory(&self, path: &Path) -> bool {
        self.volatile.get(path) == Some(&Node::Directory)
    }

    /// The image of an engine with files of its own is asked to fail.
    pub(in crate::disk::simulated) fn takes_image_fault(&mut self) -> bool {
        let is_due = self.takes_fault(Fault::FailedImage);
        self.counts.failed_images += u64::from(is_due);
        is_due
    }

    pub(in crate::disk::simulated) fn put_image(&mut self, path: &Path, values: Vec<ImageValue>) {
        self.durable.insert(path.to_owned(), Node::Directory);
        self.volatile.insert(path.to_owned(), Node::Directory);
        self.images
            .insert(path.to_owned(), values.into_iter().collect());
    }

    pub(in crate::disk::simulated) fn apply_image(
        &mut self,
        path: &Path,
        batch: ImageBatch,
    ) -> io::Result<()> {
        let was_down = self.is_down;
        let mut error = self.operate().err();
        if error.is_none() && self.takes_fault(Fault::FailedImage) {
            self.counts.failed_images += 1;
            error = Some(io::Error::other("the image could not be written"));
        }
        if error.is_none() && self.capacity < u64::MAX {
            let grown: usize = batch
                .iter()
                .filter_map(|(key, value)| Some(key.len() + value.as_ref()?.len()))
                .sum();
            if self.used() + grown as u64 > self.capacity {
                self.counts.full_writes += 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        // A batch that failed is durable or it is not; it never is by half.
        if let Some(error) = error.take_if(|_| was_down || self.below(2) == 0) {
            return Err(error);
        }
        let image = self.images.entry(path.to_owned()).or_default();
        for (key, value) in batch {
            match value {
                Some(value) => image.insert(key, value),
                None => image.remove(&key),
            };
        }
        error.map_or(Ok(()), Err)
    }
}
