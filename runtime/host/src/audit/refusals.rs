//! Which refusals of tokens and keys are told: one of each holder a minute, the others as a number.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tokio::time::Instant;

use crate::limits;

/// What is known of one holder.
#[derive(Clone, Copy, Debug)]
struct Holder {
    told_at: Instant,
    untold: u64,
}

/// Refusals by who was refused.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<String, Holder>>);

impl Refusals {
    /// Counts one; `None`: it is not told now, otherwise how many before it were not.
    pub(super) fn tell(&self, who: &str) -> Option<u64> {
        let now = Instant::now();
        let is_recent =
            |told_at: Instant| now.saturating_duration_since(told_at) < limits::AUDIT_REFUSAL_EVERY;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holder) = all.get_mut(who) {
            if is_recent(holder.told_at) {
                holder.untold += 1;
                return None;
            }
            holder.told_at = now;
            return Some(std::mem::take(&mut holder.untold));
        }
        if all.len() >= limits::AUDIT_REFUSED_MAX {
            all.retain(|_, holder| is_recent(holder.told_at));
        }
        // As many holders within a minute as there are not: the metric counts them.
        (all.len() < limits::AUDIT_REFUSED_MAX).then(|| {
            let holder = Holder {
                told_at: now,
                untold: 0,
            };
            all.insert(who.to_owned(), holder);
            0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_of_a_holder_is_told_a_minute_and_the_next_counts_the_others() {
        let refusals = Refusals::default();
        assert_eq!(refusals.tell("key:a"), Some(0));
        for _ in 0..900 {
            assert_eq!(refusals.tell("key:a"), None);
        }
        assert_eq!(refusals.tell("token:b"), Some(0));
        tokio::time::advance(limits::AUDIT_REFUSAL_EVERY).await;
        assert_eq!(refusals.tell("key:a"), Some(900));
        assert_eq!(refusals.tell("key:a"), None);
        tokio::time::advance(limits::AUDIT_REFUSAL_EVERY).await;
        assert_eq!(refusals.tell("key:a"), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let refusals = Refusals::default();
        for n in 0..limits::AUDIT_REFUSED_MAX {
            assert_eq!(refusals.tell(&n.to_string()), Some(0));
        }
        assert_eq!(refusals.tell("one more"), None);
        tokio::time::advance(limits::AUDIT_REFUSAL_EVERY).await;
        assert_eq!(refusals.tell("one more"), Some(0));
        assert_eq!(refusals.0.lock().expect("no panic").len(), 1);
    }
}
