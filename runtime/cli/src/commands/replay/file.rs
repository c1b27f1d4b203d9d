//! A capture read back: whole and undamaged, or not at all.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use fnctl_core::{
    capture::{CAPTURE_FORMAT, CaptureEnd, CaptureHead, CaptureLine, CapturedBatch, format_of},
    error_code::ErrorCode,
};
use fnctl_invoker::digest;

use crate::{error::CliError, limits, output::words};

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Capture {
    /// What all batches share.
    pub(crate) head: CaptureHead,
    /// The records.
    pub(crate) batches: Vec<CapturedBatch>,
    /// Components by digest, `sha256:…`; none where they were left out.
    pub(crate) components: BTreeMap<String, Bytes>,
    /// The last line.
    pub(crate) end: CaptureEnd,
}

/// Reads a capture.
///
/// # Errors
/// It cannot be read, is none, is one of a newer version, is cut off or damaged.
pub(crate) fn read(path: &Path) -> Result<Capture, CliError> {
    let name = words::path(path);
    let unreadable = |why: String| {
        CliError::new(
            ErrorCode::FileUnreadable,
            format!("`{name}` cannot be read"),
        )
        .because(why)
        .at(name.clone())
        .fix("fnctl capture MAPPING --failing writes a capture")
    };
    let size = std::fs::metadata(path)
        .map_err(|e| unreadable(e.to_string()))?
        .len();
    if size > limits::CAPTURE_BYTES_MAX {
        return Err(unusable(&name, "is no capture", "it is larger than any is"));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    parse(&bytes).map_err(|(what, why)| unusable(&name, what, &why))
}

fn unusable(name: &str, what: &str, why: &str) -> CliError {
    CliError::new(ErrorCode::CaptureUnusable, format!("`{name}` {what}"))
        .because(why)
        .at(name)
        .fix("fnctl capture MAPPING --failing writes a new one")
}

const NONE: &str = "is no capture";
const NEWER: &str = "is a capture of a newer version";
const CUT_OFF: &str = "is cut off";
const DAMAGED: &str = "is damaged";

/// Reads the text of a file, or says what is wrong with it, and why.
fn parse(bytes: &[u8]) -> Result<Capture, (&'static str, String)> {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').peekable();
    let first = lines.next().unwrap_or_default();
    let head = head(first)?;
    let mut offset = first.len();
    let (mut batches, mut pieces) = (Vec::new(), BTreeMap::<String, Vec<u8>>::new());
    let mut number = 1;
    for line in lines {
        number += 1;
        let is_whole = line.ends_with(b"\n");
        let read = serde_json::from_slice(line).map_err(|error| match is_whole {
            true => (DAMAGED, format!("line {number}: {error}")),
            false => (CUT_OFF, format!("line {number} has no end")),
        })?;
        match read {
            CaptureLine::Batch(batch) => batches.push(batch),
            CaptureLine::Component(piece) => {
                let bytes = STANDARD
                    .decode(&piece.base64)
                    .map_err(|error| (DAMAGED, format!("line {number}: no base64: {error}")))?;
                pieces.entry(piece.digest).or_default().extend(bytes);
            }
            CaptureLine::End(end) => {
                if digest(&bytes[..offset]) != end.sha256 {
                    let why = "its bytes are not those that were written: their SHA-256 differs";
                    return Err((DAMAGED, why.to_owned()));
                }
                if bytes.len() > offset + line.len() {
                    return Err((DAMAGED, format!("something follows its end, line {number}")));
                }
                let components = components(pieces)?;
                check(&head, &batches, &end)?;
                return Ok(Capture {
                    head,
                    batches,
                    components,
                    end,
                });
            }
        }
        offset += line.len();
    }
    Err((
        CUT_OFF,
        format!("its last line, number {number}, is not the end of a capture"),
    ))
}

fn head(line: &[u8]) -> Result<CaptureHead, (&'static str, String)> {
    let not = |why: &str| (NONE, why.to_owned());
    let value: serde_json::Value =
        serde_json::from_slice(line).map_err(|_| not("its first line is not that of a capture"))?;
    let format = value
        .get("fnctl_capture")
        .and_then(serde_json::Value::as_u64);
    let format = format.ok_or_else(|| not("its first line is not that of a capture"))?;
    if format > u64::from(CAPTURE_FORMAT) {
        let why = format!("it is of format {format}, and this fnctl reads {CAPTURE_FORMAT}");
        return Err((NEWER, why));
    }
    serde_json::from_value(value).map_err(|error| (DAMAGED, format!("line 1: {error}")))
}

fn components(
    pieces: BTreeMap<String, Vec<u8>>,
) -> Result<BTreeMap<String, Bytes>, (&'static str, String)> {
    let mut components = BTreeMap::new();
    for (name, bytes) in pieces {
        if format!("sha256:{}", digest(&bytes)) != name {
            return Err((DAMAGED, format!("its component is not {name}")));
        }
        components.insert(name, Bytes::from(bytes));
    }
    Ok(components)
}

/// What a replay takes for granted.
fn check(
    head: &CaptureHead,
    batches: &[CapturedBatch],
    end: &CaptureEnd,
) -> Result<(), (&'static str, String)> {
    let records: usize = batches.iter().map(|batch| batch.records.len()).sum();
    if (batches.len() as u64, records as u64) != (end.batches, end.records) {
        return Err((DAMAGED, "it has not as many records as it says".to_owned()));
    }
    if head.fnctl_capture < format_of(batches) {
        let why = format!(
            "windows are in it, and its format is {}",
            head.fnctl_capture
        );
        return Err((DAMAGED, why));
    }
    for (at, batch) in batches.iter().enumerate() {
        let number = at + 1;
        if !head.versions.iter().any(|v| v.version == batch.version) {
            let why = format!(
                "batch {number} is of version {}, which it lacks",
                batch.version
            );
            return Err((DAMAGED, why));
        }
        if !batch.is_whole() {
            return Err((DAMAGED, format!("batch {number} lacks records")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
