//! The image in redb, over the simulated disk.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{Database, ReadableDatabase as _, ReadableTable as _, StorageBackend, TableDefinition};

use crate::{
    disk::{
        Disk as _, DiskFile, parent, read_exact,
        simulated::{Engine, SimDisk},
    },
    image::{Image, ImageBatch, ImageError, ImageValue},
};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("image");
const CACHE_BYTES: usize = 1 << 20;

#[derive(Debug)]
struct Backend(Arc<dyn DiskFile>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        read_exact(&*self.0, out, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(data, offset)
    }
}

struct RedbImage {
    database: Database,
    file: Arc<dyn DiskFile>,
}

fn failed(error: impl Into<redb::Error>) -> ImageError {
    match error.into() {
        redb::Error::Io(error) => ImageError::Io(error),
        redb::Error::PreviousIo => ImageError::Io(io::Error::other("an earlier call failed")),
        other => ImageError::Damaged(other.to_string()),
    }
}

impl Image for RedbImage {
    fn load(&mut self) -> Result<Vec<ImageValue>, ImageError> {
        let read = self.database.begin_read().map_err(failed)?;
        let table = match read.open_table(TABLE) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut values = Vec::new();
        for entry in table.iter().map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            values.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(values)
    }

    fn apply(&mut self, batch: ImageBatch) -> Result<(), ImageError> {
        let write = self.database.begin_write().map_err(failed)?;
        {
            let mut table = write.open_table(TABLE).map_err(failed)?;
            for (key, value) in batch {
                match value {
                    Some(value) => drop(
                        table
                            .insert(key.as_slice(), value.as_slice())
                            .map_err(failed)?,
                    ),
                    None => drop(table.remove(key.as_slice()).map_err(failed)?),
                }
            }
        }
        write.commit().map_err(failed)
    }

    fn disk_bytes(&self) -> u64 {
        self.file.length().unwrap_or(0)
    }
}

pub(super) struct RedbEngine;

impl Engine for RedbEngine {
    fn open(&self, disk: &SimDisk, path: &Path) -> Result<Box<dyn Image>, ImageError> {
        let name: PathBuf = path.join("redb");
        let file = match disk.open(&name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                disk.create_dir(path)?;
                let file = disk.create(&name)?;
                disk.sync_dir(path)?;
                disk.sync_dir(parent(path))?;
                file
            }
            other => other?,
        };
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(Backend(Arc::clone(&file)))
            .map_err(failed)?;
        Ok(Box::new(RedbImage { database, file }))
    }
}
