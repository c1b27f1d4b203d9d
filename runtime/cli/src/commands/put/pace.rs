//! How fast records are put, where a rate was asked for.

use tokio::time::{Instant, sleep_until};

use super::share;

/// Keeps records apart, where a rate was asked for.
pub(super) struct Pace {
    rate: Option<u64>,
    started: Option<Instant>,
    taken: u64,
}

impl Pace {
    /// At most `rate` records a second.
    pub(super) const fn new(rate: Option<u64>) -> Self {
        Self {
            rate,
            started: None,
            taken: 0,
        }
    }

    /// Waits until the next record is due. A late start is caught up on at most one second of it.
    pub(super) async fn wait(&mut self) {
        let Some(rate) = self.rate else {
            return;
        };
        let started = *self.started.get_or_insert_with(Instant::now);
        let due = started + share(rate) * u32::try_from(self.taken).unwrap_or(u32::MAX);
        if due > Instant::now() {
            sleep_until(due).await;
        } else if self.taken >= rate {
            self.started = Some(due);
            self.taken = 0;
        }
    }

    /// A record was taken.
    pub(super) const fn took_one(&mut self) {
        self.taken += 1;
    }
}
