//! What is to be seen of the relays of dead letters.

use fnctl_core::{
    id::UnitId,
    mapping::Mapping,
    rfc3339,
    status::{RelayHeld, RelayStatus},
    view::LETTERS_SHARD,
};

use crate::node::HostNode;

/// The name under which the age of a mapping's dead letters is kept.
pub(super) const fn letters_of(mapping: &Mapping) -> UnitId {
    UnitId {
        mapping: mapping.id,
        stream: mapping.dead_letters,
        shard: LETTERS_SHARD,
    }
}

impl HostNode {
    /// How far the relay of a mapping is; `None`: it has none.
    pub(crate) async fn relay_status(&self, mapping: &Mapping) -> Option<RelayStatus> {
        let relay = mapping.settings.on_failure.as_ref()?;
        let after = self.view(|view| view.copied_through(mapping.id))?;
        let last = self.last(mapping.dead_letters, LETTERS_SHARD);
        let pending = last.0.saturating_sub(after.0);
        let age_ms = match pending {
            0 => 0,
            _ => self.age_ms(letters_of(mapping), after.next()).await,
        };
        let standing = self.relays().standing(mapping.id).unwrap_or_default();
        Some(RelayStatus {
            to: relay.to.to_string(),
            pending_letters: pending,
            age_ms,
            delivered: standing.delivered,
            failures: standing.failures,
            held: standing.held.map(|held| RelayHeld {
                error: held.error,
                since: rfc3339::format(held.since),
                next_try_at: rfc3339::format(held.next_try),
            }),
        })
    }
}
