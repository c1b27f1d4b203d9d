//! What is said of a circuit that is open.

use fnctl_core::status::{OpenCircuits, ShardStatus};

use crate::output::words;

/// Characters of a failure's words in the list of mappings.
const LISTED_CHARS: usize = 60;

/// Why a mapping of the list is not called; nothing where its circuits are closed.
pub(super) fn in_list(open: Option<&OpenCircuits>) -> String {
    open.map_or_else(String::new, |open| {
        let error = words::shown(&open.error, LISTED_CHARS);
        format!("{}: {}: {error}", since(open), open.code)
    })
}

fn since(open: &OpenCircuits) -> String {
    let recovering = open.recovering_since.as_deref();
    format!(
        "{}circuit-open since {}, {} of {}{}",
        whose(open.of_canary),
        words::local(&open.since),
        open.open_shards,
        words::count(open.shards, "shard"),
        recovering.map_or_else(String::new, |since| format!(
            ", recovering since {}",
            words::local_time(since)
        )),
    )
}

const fn whose(of_canary: bool) -> &'static str {
    if of_canary { "canary's " } else { "" }
}

/// What a shard does meanwhile; `None`: no circuit of it is open.
pub(super) fn now(shard: &ShardStatus) -> Option<String> {
    let (open, of_canary) = shard.open_circuit()?;
    let failed = match open.probes_failed {
        0 => String::new(),
        probes => format!(", {} failed", words::count(probes.into(), "probe")),
    };
    let next = match &open.next_probe_at {
        Some(at) => format!("next probe {}", words::local_time(at)),
        None => super::WAITS_FOR_RESUME.to_owned(),
    };
    let whose = whose(of_canary);
    if let (Some(since), Some(_)) = (&open.recovering_since, &open.next_probe_at) {
        let since = words::local_time(since);
        return Some(format!(
            "{whose}circuit-open, recovering since {since}: new records are called, what failed is let through one by one{failed}"
        ));
    }
    Some(format!("{whose}circuit-open, {next}{failed}"))
}
