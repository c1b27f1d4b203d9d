//! The image at rest: a copy of it is opened as a start would, and must hold what was written last.

use std::io::ErrorKind;

use super::{
    Pace, ScrubKind, ScrubLoop,
    look::{MetBy, Stopped, damaged_file},
};
use crate::{
    image::{Image, ImageError, chunks::ChunkedImage, memory::MemoryImage},
    limits::SCRUB_IMAGE_TRIES,
    recovery,
};

impl ScrubLoop {
    /// Looks at the image. It is copied at once, so that a cut waits as short as can be, and what that took
    /// of the disk is waited for afterwards.
    pub(super) fn image(&self, pace: &mut Pace<'_>) -> Result<(), Stopped> {
        if self.shared.is_read_only() {
            // What there was to say of it the start has said.
            return Ok(());
        }
        let mut words = None;
        // Its engine may still be tidying up what was written: only what stays is damage.
        for _ in 0..SCRUB_IMAGE_TRIES {
            let (bytes, looked) = self.look_at_image();
            if !pace.pass(bytes) {
                return Err(Stopped);
            }
            match looked {
                Ok(()) => return Ok(()),
                Err(error) => words = Some(error),
            }
        }
        if let Some(words) = words {
            let path = recovery::image_directory(&self.shared.directory);
            let words = format!("the image cannot be used, it is built anew: {words}");
            let finding = damaged_file(ScrubKind::Image, &path, 0, words);
            self.shared.found(finding, MetBy::Scrub);
        }
        Ok(())
    }

    /// Bytes read, and what is wrong.
    fn look_at_image(&self) -> (u64, Result<(), String>) {
        let path = recovery::image_directory(&self.shared.directory);
        let held = self.shared.scrub.hold_image();
        let expected = *held;
        let values = match self.shared.disk.read_image(&path) {
            Ok(values) => values,
            // There is none yet.
            Err(ImageError::Io(error)) if error.kind() == ErrorKind::NotFound => {
                return (0, Ok(()));
            }
            // No room for a copy, or the disk does not answer: nothing is said of the image.
            Err(ImageError::Io(error)) => {
                tracing::warn!(path = %path.display(), %error, "the image was not looked at");
                return (0, Ok(()));
            }
            Err(error) => return (0, Err(error.to_string())),
        };
        drop(held);
        let bytes = values.iter().map(|(k, v)| (k.len() + v.len()) as u64).sum();
        if values.is_empty() && expected.is_none() {
            // Made, and not written yet.
            return (bytes, Ok(()));
        }
        let mut image = MemoryImage::default();
        let batch = values.into_iter().map(|(k, v)| (k, Some(v))).collect();
        let loaded = image
            .apply(batch)
            .and_then(|()| ChunkedImage::new(Box::new(image)).load());
        let holds = loaded
            .map_err(|error| error.to_string())
            .and_then(recovery::image_holds);
        let looked = holds.and_then(|next| match expected {
            Some(expected) if expected != next => Err(format!(
                "it holds what is below entry {next}, and {expected} was written"
            )),
            _ => Ok(()),
        });
        (bytes, looked)
    }
}
