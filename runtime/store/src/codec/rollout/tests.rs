use bytes::Bytes;
use fnctl_core::{
    canary::{Canary, Guard, Permille, Rollout, Switch, SwitchKind},
    function::Function,
    id::{FunctionVersion, Timestamp},
};

use crate::codec::{DecodeError, Decoder, Value, tests::given};

fn encoded(function: &Function) -> Vec<u8> {
    let mut out = Vec::new();
    function.put(&mut out);
    out
}

fn decoded(bytes: &[u8]) -> Result<Function, DecodeError> {
    let mut from = Decoder::new(Bytes::copy_from_slice(bytes));
    let function = Value::take(&mut from)?;
    from.end()?;
    Ok(function)
}

fn rollout() -> Rollout {
    let weight = Permille::new(25).unwrap();
    Rollout {
        canary: Some(Canary {
            version: FunctionVersion(2),
            weight,
            since: Timestamp(77),
            guard: Guard {
                errors: Permille::new(50),
                age_ms: Some(300_000),
            },
        }),
        switches: [
            SwitchKind::Begun,
            SwitchKind::Changed,
            SwitchKind::Promoted,
            SwitchKind::Dropped,
            SwitchKind::RolledBack,
        ]
        .map(|kind| Switch {
            at: Timestamp(78),
            kind,
            canary: FunctionVersion(2),
            weight: Some(weight),
            live: FunctionVersion(1),
            why: "because".to_owned(),
        })
        .into(),
    }
}

/// Where the flags stand: in front of the concurrency and the time of making.
fn flags_at(function: &Function, bytes: &[u8]) -> usize {
    let concurrency = if function.concurrency.is_some() { 4 } else { 0 };
    bytes.len() - 8 - concurrency - 1
}

#[test]
fn a_function_without_a_canary_is_encoded_as_ever() {
    for concurrency in [None, Some(13)] {
        let function = Function {
            concurrency,
            ..given::function(1)
        };
        let bytes = encoded(&function);
        // A flag and the number were an option, and the time of making was the end.
        let mut tail = Vec::new();
        concurrency.put(&mut tail);
        function.created_at.put(&mut tail);
        assert!(bytes.ends_with(&tail));
        assert_eq!(decoded(&bytes), Ok(function));
    }
}

#[test]
fn a_canary_follows_all_else_and_an_older_version_refuses_it() {
    for concurrency in [None, Some(13)] {
        let without = Function {
            concurrency,
            ..given::function(1)
        };
        let with = Function {
            rollout: rollout(),
            ..without.clone()
        };
        let (old, new) = (encoded(&without), encoded(&with));
        assert_eq!(decoded(&new), Ok(with));
        let flags = flags_at(&without, &old);
        assert_eq!(old[..flags], new[..flags]);
        assert_eq!(old[flags + 1..], new[flags + 1..old.len()]);
        // It read this byte as a flag, 0 or 1.
        assert!(old[flags] < 2 && new[flags] >= 2);
    }
}

#[test]
fn what_is_kept_of_a_canary_that_is_gone_is_read_again() {
    let mut function = given::function(1);
    function.rollout = Rollout {
        canary: None,
        ..rollout()
    };
    assert_eq!(decoded(&encoded(&function)), Ok(function));
}

#[test]
fn what_is_not_known_is_refused() {
    let function = given::function(1);
    let bytes = encoded(&function);
    let flags = flags_at(&function, &bytes);
    for flag in 2..8 {
        let mut later = bytes.clone();
        later[flags] |= 1 << flag;
        assert!(decoded(&later).is_err(), "flag {flag}");
    }
    let mut stranger = function.clone();
    stranger.rollout = rollout();
    stranger.rollout.canary = stranger.rollout.canary.map(|canary| Canary {
        version: FunctionVersion(99),
        ..canary
    });
    assert!(decoded(&encoded(&stranger)).is_err());
}
