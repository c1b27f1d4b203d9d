//! Canaries of owners.

use std::sync::Arc;

use fnctl_core::{
    canary::{Permille, Share},
    id::{FunctionId, FunctionVersion},
    mapping::{MappingSettings, Ordering, OutputBinding},
    pipeline::{OtherVersion, PipelineCanary},
};

/// In a quarter of the owners' times the next version is the canary of half of the keys, so that canaries
/// begin, become live and go with the owners that follow each other.
///
/// # Panics
/// Never: half is a share.
#[must_use]
pub fn drawn(
    settings: &MappingSettings,
    version: u64,
    seed: u64,
    outputs: &Arc<[OutputBinding]>,
) -> Option<PipelineCanary> {
    let is_drawn = seed.is_multiple_of(4) && settings.ordering == Ordering::Key;
    let half = Permille::new(500).expect("it is within the whole");
    is_drawn.then(|| PipelineCanary {
        share: Share::new(FunctionId(1), half),
        version: OtherVersion {
            version: FunctionVersion(version + 1),
            outputs: Arc::clone(outputs),
        },
    })
}
