//! The rules of `deploy/prometheus`, evaluated by `promtool` on what was scraped.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::series::Series;

/// Of the machine that the tests run on, not of what they do: how fast its disk is.
const OF_THE_MACHINE: &str = "FnctlJournalSlow";

/// The shipped rules.
#[derive(Debug)]
pub(super) struct Rules {
    files: Vec<PathBuf>,
    /// Metrics that they and the queries of the runbooks read.
    metrics: BTreeSet<String>,
}

impl Rules {
    pub(super) fn shipped() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus/rules");
        let files = ["recording.yaml", "alerts.yaml"].map(|name| folder.join(name));
        let texts = files
            .iter()
            .map(|file| fs::read_to_string(file).expect("the rules are there"));
        let mut text: String = texts.collect();
        let runbooks = folder.join("../../../runtime/docs/runbooks.md");
        text += &fs::read_to_string(runbooks).expect("the runbooks are there");
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        Self {
            metrics: words.map(str::to_owned).collect(),
            files: files.to_vec(),
        }
    }

    /// Whether a rule or a runbook reads this metric.
    pub(super) fn read(&self, metric: &str) -> bool {
        self.metrics.contains(metric)
    }

    /// Whether at the last minute these alerts fire, and no others; else what `promtool` says of it. An alert is its
    /// name and the labels that tell what of, as `{alertname="…",mapping="…"}`.
    pub(super) fn fire(&self, series: &Series, alerts: &[&str]) -> Result<(), String> {
        let expression = format!(
            "count without (severity, alertstate, job, instance) \
             (ALERTS{{alertstate=\"firing\",alertname!=\"{OF_THE_MACHINE}\"}})"
        );
        let samples = alerts
            .iter()
            .map(|labels| json!({ "labels": labels, "value": 1 }));
        self.answer(series, &expression, samples.collect())
    }

    /// Whether at the last minute a query has this answer; else what `promtool` says of it.
    pub(super) fn answer(
        &self,
        series: &Series,
        expression: &str,
        samples: Vec<Value>,
    ) -> Result<(), String> {
        // JSON is YAML.
        let file = json!({
            "rule_files": self.files,
            "evaluation_interval": "1m",
            "tests": [{
                "interval": "1m",
                "input_series": series.input(),
                "promql_expr_test": [{
                    "expr": expression,
                    "eval_time": format!("{}m", series.minute()),
                    "exp_samples": samples,
                }],
            }],
        });
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("night.yaml");
        fs::write(&path, file.to_string()).expect("it can be written");
        let output = Command::new("promtool")
            .args(["test", "rules"])
            .arg(&path)
            .output();
        let output = output.expect("promtool is installed: tests/tools test");
        match output.status.success() {
            true => Ok(()),
            false => {
                Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
            }
        }
    }
}
