//! What functions count themselves. Several may use one name: its series stand together, as the text format
//! asks, and the label `function` tells them apart.

use std::{collections::BTreeMap, sync::Arc};

use fnctl_core::{id::FunctionName, series::Series};

use crate::metrics::{Children, exposition::Exposition};

/// The series of one function, and where they stand.
type OfFunction<'a> = (&'a FunctionName, Vec<(Arc<Series>, f64)>);

/// Writes all of their series, by name, then by function.
pub(super) fn counted(out: &mut Exposition, children: &Children) {
    let functions = children.functions.iter();
    let all: Vec<OfFunction<'_>> = functions
        .map(|(function, metrics)| (function, metrics.series.samples()))
        .collect();
    expose(out, &all);
}

fn expose(out: &mut Exposition, all: &[OfFunction<'_>]) {
    let mut families: BTreeMap<&str, Vec<(&FunctionName, &Series, f64)>> = BTreeMap::new();
    for (function, samples) in all {
        for (series, value) in samples {
            let family = families.entry(series.family()).or_default();
            family.push((function, series, *value));
        }
    }
    for (name, samples) in families {
        // A name has one kind: that of a counter ends in `_total`, that of a gauge never does.
        if let Some((_, series, _)) = samples.first() {
            out.custom_family(name, series.kind());
        }
        for (function, series, value) in samples {
            out.custom(function, series, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use fnctl_core::series::{
        SERIES_PREFIX,
        SeriesKind::{self, Counter, Gauge},
    };

    use super::*;
    use crate::metrics::table;

    fn series(
        kind: SeriesKind,
        name: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) -> (Arc<Series>, f64) {
        let series = Series::new(kind, name, labels.iter().copied());
        (Arc::new(series.expect("a good name")), value)
    }

    #[test]
    fn series_of_one_name_stand_together_and_values_are_escaped() {
        let names = ["bill", "enrich"].map(|name| FunctionName::parse(name).expect("a name"));
        let odd = [("zip", "a\\b\"c\nd"), ("city", "Z\u{fc}rich")];
        let all = [
            (
                &names[0],
                vec![
                    series(Gauge, "rate", &[], -0.5),
                    series(Counter, "rows", &[], 3.0),
                ],
            ),
            (
                &names[1],
                vec![
                    series(Counter, "rows", &odd, 1.25),
                    series(Counter, "rows", &[], 1e21),
                ],
            ),
        ];
        let mut out = Exposition::with_capacity(0);
        expose(&mut out, &all);
        let expected = "# HELP fnctl_custom_rate Counted by functions themselves\n\
            # TYPE fnctl_custom_rate gauge\n\
            fnctl_custom_rate{function=\"bill\"} -0.5\n\
            # HELP fnctl_custom_rows_total Counted by functions themselves\n\
            # TYPE fnctl_custom_rows_total counter\n\
            fnctl_custom_rows_total{function=\"bill\"} 3\n\
            fnctl_custom_rows_total{function=\"enrich\",city=\"Z\u{fc}rich\",zip=\"a\\\\b\\\"c\\nd\"} 1.25\n\
            fnctl_custom_rows_total{function=\"enrich\"} 1000000000000000000000\n";
        assert_eq!(out.finish(), expected);
    }

    #[test]
    fn no_metric_of_the_host_is_named_like_one_of_a_function() {
        let clash = table::all().find(|metric| metric.name.starts_with(SERIES_PREFIX));
        assert!(clash.is_none(), "{clash:?}");
    }
}
