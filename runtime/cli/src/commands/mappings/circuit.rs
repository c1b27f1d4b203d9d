//! What is said of a circuit that is open.

use fnctl_core::status::{CircuitStatus, MappingStatus};

use crate::output::words;

/// Why, since when, and what to do; `None`: no circuit of the mapping is open.
pub(super) fn lines(status: &MappingStatus) -> Option<[String; 3]> {
    let open = status
        .shards
        .iter()
        .filter_map(|shard| shard.circuit.as_ref());
    let longest = open.clone().min_by(|a, b| a.since.cmp(&b.since))?;
    let (function, name) = (&status.function, &status.name);
    Some([
        format!(
            "  why     circuit-open since {}, {} of {}: calls end in `{}`: {}",
            words::local(&longest.since),
            open.count(),
            words::count(status.shards.len() as u64, "shard"),
            longest.code,
            words::first_line(&longest.error, 200),
        ),
        format!(
            "  do      mend what {function} needs: a probe that succeeds ends it; fnctl logs {function} --since 15m"
        ),
        format!(
            "          fnctl mappings parked {name}  ·  fnctl mappings update {name} --circuit-breaker=off"
        ),
    ])
}

/// What a shard does meanwhile.
pub(super) fn now(open: &CircuitStatus) -> String {
    let failed = match open.probes_failed {
        0 => String::new(),
        probes => format!(", {} failed", words::count(probes.into(), "probe")),
    };
    let next = words::local_time(&open.next_probe_at);
    format!("circuit-open, next probe {next}{failed}")
}
