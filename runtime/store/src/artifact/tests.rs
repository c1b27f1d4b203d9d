use std::{path::Path, sync::Arc};

use super::{ArtifactError, Artifacts};
use crate::disk::{Disk as _, simulated::SimDisk};

fn artifacts() -> (SimDisk, Artifacts) {
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new("/data/artifacts")).unwrap();
    for path in ["/", "/data"] {
        disk.sync_dir(Path::new(path)).unwrap();
    }
    let artifacts = Artifacts::new(Arc::new(disk.clone()), Path::new("/data"));
    (disk, artifacts)
}

#[test]
fn bytes_are_durable_when_they_are_pinned() {
    let (disk, artifacts) = artifacts();
    let pin = artifacts.put(b"component").unwrap();
    assert_eq!(pin.digest().len(), 64);
    disk.lose_unsynced();
    assert_eq!(artifacts.get(pin.digest()).unwrap(), b"component");
}

#[test]
fn damaged_bytes_are_named_and_an_upload_mends_them() {
    let (disk, artifacts) = artifacts();
    let pin = artifacts.put(b"component").unwrap();
    disk.tamper(&artifacts.path(pin.digest()), |bytes| bytes[0] ^= 1);
    assert!(matches!(
        artifacts.get(pin.digest()),
        Err(ArtifactError::Damaged { .. })
    ));
    let again = artifacts.put(b"component").unwrap();
    assert_eq!(artifacts.get(again.digest()).unwrap(), b"component");
    assert!(matches!(
        artifacts.get("0"),
        Err(ArtifactError::Missing { .. })
    ));
}
