//! redb, fjall and sled, each durable when a batch is committed; and a bare file, which is the least that
//! any engine can cost here.

use std::{
    fs::File,
    io::Write,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use redb::TableDefinition;
use rustix::fs::OFlags;

use crate::{
    Failure,
    committer::{Engine, Key},
};

/// Cache of each.
const CACHE_BYTES: usize = 256 << 20;
const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

/// redb with its default, immediate durability.
pub(crate) struct Redb(redb::Database);

impl Redb {
    pub(crate) fn open(directory: &Path) -> Result<Self, Failure> {
        let mut builder = redb::Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        Ok(Self(builder.create(directory.join("redb"))?))
    }
}

impl Engine for Redb {
    fn commit(&mut self, rows: &[(Key, Bytes)]) -> Result<(), Failure> {
        let write = self.0.begin_write()?;
        {
            let mut table = write.open_table(TABLE)?;
            for (key, value) in rows {
                table.insert(&key[..], &value[..])?;
            }
        }
        Ok(write.commit()?)
    }
}

/// fjall, each batch synced.
pub(crate) struct Fjall {
    database: Database,
    records: Keyspace,
}

impl Fjall {
    pub(crate) fn open(directory: &Path) -> Result<Self, Failure> {
        let database = Database::builder(directory.join("fjall"))
            .cache_size(CACHE_BYTES as u64)
            .open()?;
        let records = database.keyspace("records", KeyspaceCreateOptions::default)?;
        Ok(Self { database, records })
    }
}

impl Engine for Fjall {
    fn commit(&mut self, rows: &[(Key, Bytes)]) -> Result<(), Failure> {
        let mut batch = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        for (key, value) in rows {
            batch.insert(&self.records, &key[..], &value[..]);
        }
        Ok(batch.commit()?)
    }
}

/// sled, synced by us after its own flush, which is no sync.
pub(crate) struct Sled {
    database: sled::Db,
    file: File,
}

impl Sled {
    pub(crate) fn open(directory: &Path) -> Result<Self, Failure> {
        let directory = directory.join("sled");
        let database = sled::Config::new()
            .path(&directory)
            .cache_capacity(CACHE_BYTES as u64)
            .flush_every_ms(None)
            .open()?;
        let file = File::options().write(true).open(directory.join("db"))?;
        Ok(Self { database, file })
    }
}

impl Engine for Sled {
    fn commit(&mut self, rows: &[(Key, Bytes)]) -> Result<(), Failure> {
        let mut batch = sled::Batch::default();
        for (key, value) in rows {
            batch.insert(&key[..], &value[..]);
        }
        self.database.apply_batch(batch)?;
        self.database.flush()?;
        Ok(self.file.sync_data()?)
    }
}

/// A file that was made full-size before, written over past the page cache and synced, without checksum, index
/// or second copy: what is left is the producers, their waking, a copy, a write and a sync, which every
/// engine has.
pub(crate) struct Bare {
    file: File,
    /// Of which the part from the first multiple of [`BLOCK`] is used.
    buffer: Vec<u8>,
    at: u64,
}

const BLOCK: usize = 4_096;
const BARE_FILE_BYTES: u64 = 64 << 20;
const GROUP_BYTES_MAX: usize = 1 << 20;

impl Bare {
    pub(crate) fn open(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join("bare");
        let mut file = File::create_new(&path)?;
        let zeros = vec![0; GROUP_BYTES_MAX];
        for _ in 0..BARE_FILE_BYTES / zeros.len() as u64 {
            file.write_all(&zeros)?;
        }
        file.sync_all()?;
        let direct = i32::try_from(OFlags::DIRECT.bits())?;
        Ok(Self {
            file: File::options()
                .write(true)
                .custom_flags(direct)
                .open(path)?,
            buffer: vec![0; GROUP_BYTES_MAX + BLOCK],
            at: 0,
        })
    }
}

impl Engine for Bare {
    fn commit(&mut self, rows: &[(Key, Bytes)]) -> Result<(), Failure> {
        let address = self.buffer.as_ptr().addr();
        let start = address.next_multiple_of(BLOCK) - address;
        let room = &mut self.buffer[start..start + GROUP_BYTES_MAX];
        let mut end = 0;
        for part in rows.iter().flat_map(|(key, value)| [&key[..], value]) {
            room[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        let written = end.next_multiple_of(BLOCK);
        if self.at + written as u64 > BARE_FILE_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(&room[..written], self.at)?;
        self.at += written as u64;
        Ok(self.file.sync_data()?)
    }
}
