//! A stream of this node: a record a letter.

use fnctl_core::{
    id::StreamName,
    record::{ColumnBuilder, NewRecords},
};
use fnctl_store::{AppendError, AppendTarget};

use super::{Delivered, Refused, RelayedLetter};
use crate::node::HostNode;

/// Puts letters into a stream, under the keys of their records and so in their order.
pub(super) async fn deliver(
    node: &HostNode,
    stream: &StreamName,
    letters: &[RelayedLetter],
) -> Delivered {
    let bytes = letters.iter().map(|letter| letter.json.len()).sum();
    let mut keys = ColumnBuilder::with_capacity(letters.len(), 0);
    let mut data = ColumnBuilder::with_capacity(letters.len(), bytes);
    for letter in letters {
        keys.push(&letter.key);
        data.push(&letter.json);
    }
    let records = NewRecords {
        keys: keys.finish(),
        data: data.finish(),
        hash_keys: letters.iter().map(|letter| letter.hash_key).collect(),
        hops: Vec::new(),
        origins: Vec::new(),
    };
    let target = AppendTarget::from(stream.clone());
    let room = match node.store().room_for(&target, &records).await {
        Ok(room) => room,
        Err(stopped) => return (0, Some(Refused(stopped.to_string()))),
    };
    match node.store().append_in(room, target, records, None).await {
        Ok(_) => (letters.len(), None),
        Err(AppendError::Stopped(stopped)) => (0, Some(Refused(stopped.to_string()))),
        Err(error) => (0, Some(Refused(format!("stream `{stream}`: {error}")))),
    }
}
