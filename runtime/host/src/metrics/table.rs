//! Every metric there is: the one table that the exposition's `HELP` and `TYPE` come from, and the reference
//! page `runtime/docs/metrics.md`.
//!
//! The page is written by a test (`make reference`), and compared with the table by it whenever tests run.
//! Names are contracts: alerts, dashboards and other people's rules are written against them.

mod functions;
mod mappings;
mod process;
mod storage;

/// What sort of series a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows; starts at zero with the process.
    Counter,
    /// Goes both ways.
    Gauge,
    /// Buckets by size, with `_sum` and `_count`.
    Histogram,
    /// `_sum` and `_count` alone.
    Summary,
}

impl Kind {
    /// The word of the text format.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the reference page alone has all of it")
)]
pub(super) struct Metric {
    /// Its name in the exposition.
    pub(super) name: &'static str,
    /// Its sort.
    pub(super) kind: Kind,
    /// What is counted or measured; `""`: the count of nothing in particular, a state.
    pub(super) unit: &'static str,
    /// Its labels, those of buckets left out.
    pub(super) labels: &'static [&'static str],
    /// What it says, in one line.
    pub(super) help: &'static str,
    /// A query that somebody would ask of it.
    pub(super) query: &'static str,
}

/// A row of the table.
const fn row(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    query: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        unit,
        labels,
        help,
        query,
    }
}

/// The sections of the table, each with what it is about.
const SECTIONS: [(&str, &str, &[Metric]); 5] = [
    (
        "Mappings and shards",
        "`mapping` is `<function>/<stream>`. A mapping with more than 256 shards has one series with \
         `shard=\"all\"` in place of one a shard: the sum, or what is worst (the highest age, the earliest time).",
        mappings::ROWS,
    ),
    (
        "Functions",
        "Of all mappings that call the function together. Series go with it.",
        functions::ROWS,
    ),
    (
        "Functions' own",
        "`fnctl_custom_<name>`: what functions count themselves, by `function` and by up to four labels of their own (the \
         SDK's `Counter` and `Gauge`, [`sdk/README.md`](../../sdk/README.md); on the wire `wit/metrics.wit`). A counter's \
         name ends in `_total`, a gauge's never; functions that use one name share the family. A function has 100 series, over \
         all its versions and instances: what is beyond is dropped and counted in `fnctl_function_metrics_refused_total`. They \
         count at once, calls that fail and retries included, begin at zero with the process, go on over versions, and go \
         with the function. Calls by hand, shadows and replays count nowhere. Their labels and units are their author's.",
        &[],
    ),
    (
        "Streams and storage",
        "Of the node, but for those that name a stream.",
        storage::ROWS,
    ),
    (
        "Process",
        "What the process is, and what it takes.",
        process::ROWS,
    ),
];

/// All metrics.
pub(super) fn all() -> impl Iterator<Item = &'static Metric> {
    SECTIONS.iter().flat_map(|(_, _, rows)| *rows)
}

/// The metric of a name.
pub(super) fn metric(name: &str) -> Option<&'static Metric> {
    all().find(|metric| metric.name == name)
}

#[cfg(test)]
mod tests;
