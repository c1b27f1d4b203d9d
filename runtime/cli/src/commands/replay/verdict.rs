//! Whether a call ended as it did, as far as what it was and what it came to were kept.

use fnctl_core::capture::{CapturedBatch, CapturedFailure};
use serde::Serialize;

/// Whether a batch ended as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    Same,
    Different,
    /// No call gave its records up, or what they failed with, or were given, was not kept.
    NotCompared,
}

/// Compares why records failed, as far as that was kept. One that `reads_states` and was not given the state that it
/// had may have ended otherwise for that: it is the same or cannot be told.
pub(super) fn judge(batch: &CapturedBatch, is: &[CapturedFailure], reads_states: bool) -> Verdict {
    match failures(&batch.failures, is) {
        Verdict::Different if reads_states && lacks_state(batch) => Verdict::NotCompared,
        verdict => verdict,
    }
}

/// Why a batch was not compared.
pub(super) fn why_not_compared(batch: &CapturedBatch) -> &'static str {
    let was = &batch.failures;
    if was.iter().any(CapturedFailure::is_without_call) {
        "no call gave it up"
    } else if was.iter().any(is_unknown) {
        "what it failed with was not kept"
    } else {
        "a dead letter does not keep the state of its window: it was called with none"
    }
}

fn lacks_state(batch: &CapturedBatch) -> bool {
    let window = batch.window.as_ref();
    window.is_some_and(|window| window.state.is_none())
}

fn failures(was: &[CapturedFailure], is: &[CapturedFailure]) -> Verdict {
    if was.iter().any(CapturedFailure::is_without_call) {
        return Verdict::NotCompared;
    }
    // That it fails is known then, and nothing more.
    if was.len() == is.len() && was.iter().any(is_unknown) {
        return Verdict::NotCompared;
    }
    let agrees = |was: &Option<String>, is: &Option<String>| was.is_none() || was == is;
    let is_same = was.len() == is.len()
        && was.iter().zip(is).all(|(was, is)| {
            was.index == is.index
                && agrees(&was.error_kind, &is.error_kind)
                && agrees(&was.code, &is.code)
                && agrees(&was.error, &is.error)
        });
    if is_same {
        Verdict::Same
    } else {
        Verdict::Different
    }
}

/// Whether what a record failed with was not kept: its attempts were charged by an earlier owner.
const fn is_unknown(was: &CapturedFailure) -> bool {
    was.error_kind.is_none() && was.code.is_none() && was.error.is_none()
}

#[cfg(test)]
mod tests {
    use fnctl_core::{capture::CapturedWindow, status::DataText};

    use super::*;

    fn failure(kind: Option<&str>, code: Option<&str>, error: Option<&str>) -> CapturedFailure {
        CapturedFailure {
            index: 0,
            error_kind: kind.map(str::to_owned),
            code: code.map(str::to_owned),
            error: error.map(str::to_owned),
        }
    }

    fn batch(failures: &[CapturedFailure], window: Option<CapturedWindow>) -> CapturedBatch {
        CapturedBatch {
            version: 1,
            shard_id: "shardId-000000000000".to_owned(),
            at: "2026-03-01T12:30:00.250Z".to_owned(),
            dead_letter: Some("1".to_owned()),
            records: Vec::new(),
            failures: failures.to_vec(),
            window,
        }
    }

    #[test]
    fn outcomes_are_compared_as_far_as_they_were_kept() {
        let is = failure(Some("error"), Some("busy"), Some("words"));
        for (was, verdict) in [
            (
                failure(Some("error"), Some("busy"), Some("words")),
                Verdict::Same,
            ),
            (failure(None, Some("busy"), Some("words")), Verdict::Same),
            (failure(None, None, None), Verdict::NotCompared),
            (
                failure(None, Some("busy"), Some("others")),
                Verdict::Different,
            ),
            (
                failure(Some("trap"), Some("busy"), Some("words")),
                Verdict::Different,
            ),
            (
                failure(Some("record-too-old"), None, None),
                Verdict::NotCompared,
            ),
        ] {
            let was = batch(&[was], None);
            let told = judge(&was, std::slice::from_ref(&is), true);
            assert_eq!(told, verdict, "{was:?}");
        }
        let unknown = batch(&[failure(None, None, None)], None);
        assert_eq!(judge(&unknown, &[], true), Verdict::Different);
        assert_eq!(judge(&batch(&[], None), &[], true), Verdict::Same);
    }

    #[test]
    fn what_hangs_on_a_state_that_was_not_kept_is_the_same_or_not_compared() {
        let was = failure(Some("error"), Some("busy"), Some("words"));
        let other = failure(Some("error"), Some("busy"), Some("others"));
        let window = |state: Option<&str>| {
            Some(CapturedWindow {
                group: 0,
                start_ms: 0,
                end_ms: 1,
                is_final: false,
                is_terminated_early: false,
                state: state.map(|state| DataText::of(state.as_bytes(), |_| String::new())),
            })
        };
        for (state, is, reads_states, verdict) in [
            (None, Some(&was), true, Verdict::Same),
            (None, Some(&other), true, Verdict::NotCompared),
            (None, None, true, Verdict::NotCompared),
            // It never asks for one.
            (None, Some(&other), false, Verdict::Different),
            (Some(""), Some(&other), true, Verdict::Different),
            (Some("{}"), None, true, Verdict::Different),
        ] {
            let batch = batch(std::slice::from_ref(&was), window(state));
            let is = Vec::from_iter(is.cloned());
            assert_eq!(
                judge(&batch, &is, reads_states),
                verdict,
                "{state:?} {is:?}"
            );
        }
        let why = |failure, window| why_not_compared(&batch(&[failure], window));
        assert!(why(was, window(None)).contains("does not keep the state"));
        assert!(why(failure(None, None, None), window(None)).contains("failed with"));
        assert!(why(failure(Some("by-hand"), None, None), None).contains("no call"));
    }
}
