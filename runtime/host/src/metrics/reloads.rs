//! Files that are read again while the server runs, and the certificate that it shows.

use std::sync::Mutex;

use fnctl_core::id::Timestamp;
use prometheus::{IntCounter, IntGauge};

use super::{counter, exposition::Exposition, gauge};

/// What is read again, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reloaded {
    /// Certificate and key of the listeners.
    Certificate,
    /// Keys that may sign requests of the Kinesis API.
    KinesisCredentials,
    /// The token that a file gives.
    AdminToken,
}

impl Reloaded {
    const ALL: [Self; 3] = [
        Self::Certificate,
        Self::KinesisCredentials,
        Self::AdminToken,
    ];

    /// Its word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::KinesisCredentials => "kinesis-credentials",
            Self::AdminToken => "admin-token",
        }
    }
}

/// How often, and how it went.
#[derive(Debug)]
pub(crate) struct Reloads {
    done: [IntCounter; Reloaded::ALL.len()],
    failed: [IntCounter; Reloaded::ALL.len()],
    failing: [IntGauge; Reloaded::ALL.len()],
    expires: Mutex<Option<Timestamp>>,
}

impl Default for Reloads {
    fn default() -> Self {
        Self {
            done: std::array::from_fn(|_| counter()),
            failed: std::array::from_fn(|_| counter()),
            failing: std::array::from_fn(|_| gauge()),
            expires: Mutex::default(),
        }
    }
}

impl Reloads {
    /// Counts one, and notes whether what is in force is what the files say.
    pub(crate) fn done(&self, what: Reloaded, is_well: bool) {
        let counters = if is_well { &self.done } else { &self.failed };
        counters[what as usize].inc();
        self.failing[what as usize].set(i64::from(!is_well));
    }

    /// Notes when the certificate that is shown ends.
    pub(crate) fn expires(&self, at: Option<Timestamp>) {
        *self
            .expires
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = at;
    }

    pub(super) fn expose(&self, out: &mut Exposition) {
        let name = "fnctl_reloads_total";
        out.family(name);
        for (outcome, counters) in [("done", &self.done), ("failed", &self.failed)] {
            for (what, counter) in Reloaded::ALL.iter().zip(counters) {
                let labels = (("what", what.as_str()), ("outcome", outcome));
                out.sample2(name, labels.0, labels.1, counter.get());
            }
        }
        let name = "fnctl_reload_failing";
        out.family(name);
        for (what, gauge) in Reloaded::ALL.iter().zip(&self.failing) {
            out.sample(name, "what", what.as_str(), gauge.get());
        }
        let expires = *self
            .expires
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        #[expect(
            clippy::cast_precision_loss,
            reason = "the exposition's numbers are f64"
        )]
        let seconds = expires.map(|at| at.0 as f64 / 1e3);
        out.single("fnctl_tls_certificate_expiry_timestamp_seconds", seconds);
    }
}
