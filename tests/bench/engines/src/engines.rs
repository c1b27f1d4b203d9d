//! redb, fjall and sled, each durable when a batch is committed.

use std::{fs::File, path::Path};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use redb::TableDefinition;

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
