//! What is said of a circuit that is open.

use fnctl_core::status::{CircuitStatus, MappingStatus, ShardStatus};

use crate::output::words;

/// Why, since when, and what to do; `None`: no circuit of the mapping is open. Where that of a canary alone is,
/// it is named so: other keys go on.
pub(super) fn lines(status: &MappingStatus) -> Option<[String; 3]> {
    let open: Vec<(&CircuitStatus, &str)> = status.shards.iter().filter_map(open_in).collect();
    let (longest, whose) = open.iter().min_by(|a, b| a.0.since.cmp(&b.0.since))?;
    let (function, name) = (&status.function, &status.name);
    Some([
        format!(
            "  why     {whose}circuit-open since {}, {} of {}: calls end in `{}`: {}",
            words::local(&longest.since),
            open.len(),
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

/// The circuit of a shard that is open, and whose it is, where that is not the live version's.
fn open_in(shard: &ShardStatus) -> Option<(&CircuitStatus, &'static str)> {
    let live = shard.circuit.as_ref().map(|open| (open, ""));
    live.or_else(|| Some((shard.canary_circuit.as_ref()?, "canary's ")))
}

/// What a shard does meanwhile; `None`: no circuit of it is open.
pub(super) fn now(shard: &ShardStatus) -> Option<String> {
    let (open, whose) = open_in(shard)?;
    let failed = match open.probes_failed {
        0 => String::new(),
        probes => format!(", {} failed", words::count(probes.into(), "probe")),
    };
    let next = words::local_time(&open.next_probe_at);
    Some(format!("{whose}circuit-open, next probe {next}{failed}"))
}
