//! Mappings that are being deleted: what runs is drained first, and who asks meanwhile is told.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use fnctl_core::id::MappingId;

use crate::node::HostNode;

/// Mappings, with how many requests delete each.
#[derive(Debug, Default)]
pub(super) struct Deleting(Mutex<HashMap<MappingId, usize>>);

impl Deleting {
    fn lock(&self) -> MutexGuard<'_, HashMap<MappingId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it lives the mapping is shown as one that is being deleted.
pub(crate) struct ShownDeleting<'a> {
    deleting: &'a Deleting,
    mapping: MappingId,
}

impl Drop for ShownDeleting<'_> {
    fn drop(&mut self) {
        let mut all = self.deleting.lock();
        if let Some(requests) = all.get_mut(&self.mapping) {
            *requests -= 1;
            if *requests == 0 {
                all.remove(&self.mapping);
            }
        }
    }
}

impl HostNode {
    /// Shows that a mapping is being deleted, until what this answers is dropped.
    pub(crate) fn deleting(&self, mapping: MappingId) -> ShownDeleting<'_> {
        *self.deleting.lock().entry(mapping).or_default() += 1;
        ShownDeleting {
            deleting: &self.deleting,
            mapping,
        }
    }

    /// Whether a mapping is being deleted.
    pub(super) fn is_deleting(&self, mapping: MappingId) -> bool {
        self.deleting.lock().contains_key(&mapping)
    }
}
