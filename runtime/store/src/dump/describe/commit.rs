//! Commits and windows, in words.

use fnctl_core::{commit::Commit, window::GroupWindow};

use super::{Field, Line, ranges, unit};

/// What a commit did, by counts and ids.
pub(super) fn commit(line: Line, commit: &Commit) -> Line {
    let rows: usize = commit
        .outputs
        .iter()
        .map(|output| output.records.len())
        .sum();
    let line = unit(line, commit.unit)
        .with("epoch", Field::Id(commit.epoch.0))
        .with("slot", format!("{:?}", commit.slot))
        .with("number", commit.number)
        .with("version", commit.function_version.0)
        .with("settles", ranges(&commit.settles))
        .with("marks", commit.attempts.len() as u64)
        .with("outputs", rows as u64)
        .with("dead_letters", commit.dead_letters.len() as u64)
        .with("processed", commit.totals.processed);
    let line = match &commit.window {
        None => line,
        Some(change) => window(line.with("group", u64::from(change.group)), &change.becomes),
    };
    let line = match &commit.outages {
        None => line,
        Some(outages) => line.with("circuits_open", outages.count()),
    };
    match &commit.redriven {
        None => line,
        Some(redriven) => line
            .with("redriven", Field::Id(redriven.id.0))
            .with("redriven_from", Field::Id(redriven.body.0)),
    }
}

/// What becomes of a window; its state is a payload, so only its length is told.
pub(super) fn window(line: Line, window: &GroupWindow) -> Line {
    let line = line
        .with("window_version", window.version)
        .with("closed_through_ms", window.closed_through.0);
    match &window.open {
        None => line,
        Some(open) => {
            let line = line
                .with("window_start_ms", open.window.start.0)
                .with("window_end_ms", open.window.end.0)
                .with("state_bytes", open.state.len() as u64);
            match open.left_by {
                Some(version) => line.with("state_left_by", version.0),
                None => line,
            }
        }
    }
}
