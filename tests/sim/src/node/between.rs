//! What happens while the process is down.

use std::path::Path;

use fnctl_store::disk::Disk as _;

use super::{Branch, World, life::DATA};

impl World {
    /// What happens while the process is down.
    pub(super) fn between(&mut self) {
        let is_reboot = match self.random.below(12) {
            0..=3 => {
                self.coverage.note(Branch::Killed);
                self.disk.kill();
                false
            }
            4..=6 => {
                self.coverage.note(Branch::AllUnsyncedLost);
                self.disk.lose_unsynced();
                true
            }
            _ => {
                self.coverage.note(Branch::PowerLoss);
                self.disk.power_loss();
                true
            }
        };
        if is_reboot {
            let boot = self.random.between(1, 90_000);
            self.clock.reboot(boot);
        }
        let off = self.random.pick(&[0, 10, 3_000, 7_200_000]);
        self.clock.advance(off);
        if self.random.chance(700) {
            self.disk.set_capacity(u64::MAX);
        }
        self.say(format_args!("down, reboot: {is_reboot}, for {off} ms"));
        self.meddle();
    }

    /// Somebody deletes the image while the node is down, puts an older copy back, or it is damaged.
    fn meddle(&mut self) {
        let image = Path::new(DATA).join("image");
        let mut copy = self.disk.copy_image(&image);
        if self.old_image.is_empty() && self.random.chance(300) {
            self.old_image.clone_from(&copy);
        }
        if !self.random.chance(self.profile.image) || copy.is_empty() {
            return;
        }
        match self.random.below(3) {
            0 => {
                self.coverage.note(Branch::ImageRemoved);
                self.disk.remove_dir(&image).expect("it is there");
                self.disk.sync_dir(Path::new(DATA)).expect("it is there");
            }
            1 => {
                // The engine's promise is that a batch is whole; a value is not trusted to be.
                let at = usize::try_from(self.random.below(copy.len() as u64)).expect("an index");
                let value = &mut copy[at].1;
                let middle = value.len() / 2;
                value[middle] ^= 1;
                self.coverage.note(Branch::ImageDamaged);
                self.disk.put_image(&image, copy);
            }
            _ if !self.old_image.is_empty() => {
                self.coverage.note(Branch::OldImage);
                let old = std::mem::take(&mut self.old_image);
                self.disk.put_image(&image, old);
            }
            _ => {}
        }
    }
}
