//! One pass over a PutRecords body in its usual form: known members of the right types, each once,
//! within all constraints.

use fnctl_core::{id::StreamName, limits::PARTITION_KEY_CHARS_MAX};

use crate::{
    api::put::{Batch, parse_name},
    hash_key,
    limits::PUT_RECORDS_MAX,
    protocol::scan::{Scanner, checked_chars, checked_text},
};

/// A request that may be carried out.
pub(super) struct Request {
    pub(super) stream: StreamName,
    pub(super) batch: Batch,
}

/// Reads a body; `None` if it is in any way not as expected.
pub(super) fn read(body: &[u8]) -> Option<Request> {
    let mut scanner = Scanner::new(body);
    let (mut batch, mut stream) = (None, None);
    scanner.object(|scanner, name| match name {
        b"Records" if batch.is_none() => {
            batch = Some(records(scanner, body.len())?);
            Some(())
        }
        b"StreamName" if stream.is_none() => {
            stream = Some(parse_name(&scanner.string()?)?);
            Some(())
        }
        _ => None,
    })?;
    scanner.end()?;
    let batch = batch.filter(|batch| (1..=PUT_RECORDS_MAX).contains(&batch.len()))?;
    Some(Request {
        stream: stream?,
        batch,
    })
}

fn records(scanner: &mut Scanner<'_>, body_bytes: usize) -> Option<Batch> {
    let mut batch = Batch::with_capacity(body_bytes);
    scanner.list(|scanner| {
        entry(scanner, &mut batch)?;
        batch.is_within_bounds().then_some(())
    })?;
    Some(batch)
}

fn entry(scanner: &mut Scanner<'_>, batch: &mut Batch) -> Option<()> {
    let (mut has_data, mut has_key, mut hash_key) = (false, false, None);
    scanner.object(|scanner, name| match name {
        b"Data" if !has_data => {
            has_data = true;
            let data = scanner.string()?;
            base64_simd::STANDARD
                .decode_append(&data, &mut batch.data.bytes)
                .ok()?;
            Some(())
        }
        b"PartitionKey" if !has_key => {
            has_key = true;
            let key = scanner.string()?;
            let chars = checked_chars(&key)?;
            batch.keys.bytes.extend_from_slice(&key);
            (1..=PARTITION_KEY_CHARS_MAX).contains(&chars).then_some(())
        }
        b"ExplicitHashKey" if hash_key.is_none() => {
            hash_key = Some(hash_key::explicit(checked_text(&scanner.string()?)?)?);
            Some(())
        }
        _ => None,
    })?;
    batch.keys.end();
    batch.data.end();
    if let Some(hash_key) = hash_key {
        batch.set_hash_key(hash_key);
    }
    (has_data && has_key).then_some(())
}
