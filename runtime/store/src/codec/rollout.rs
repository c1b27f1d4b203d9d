//! What a function has beside its live version. Written only where there is something: a function without
//! is encoded as ever, and one with a canary is refused by a version that would give all keys to one.

use fnctl_core::canary::{Canary, Guard, Permille, Rollout, Switch, SwitchKind};

use crate::codec::{DecodeError, Decoder, Value, fields, plain};

fields!(Guard { errors, age_ms });
fields!(Canary {
    version,
    weight,
    since,
    guard
});
fields!(Switch {
    at,
    kind,
    canary,
    weight,
    live,
    why
});
fields!(Rollout { canary, switches });

plain!(
    SwitchKind,
    "a switch between versions is not known",
    Begun = 0,
    Changed = 1,
    Promoted = 2,
    Dropped = 3,
    RolledBack = 4
);

impl Value for Permille {
    fn put(&self, out: &mut Vec<u8>) {
        self.get().put(out);
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        Self::new(u16::take(from)?).ok_or_else(|| from.fail("a share is none, or above the whole"))
    }
}

#[cfg(test)]
mod tests;
