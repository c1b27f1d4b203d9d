//! Figures: printed as they are measured, and kept in `bench/results.json` below the target folder.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

/// How a figure is held against its target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// At least this much is wanted.
    AtLeast(f64),
    /// At most this much is wanted.
    AtMost(f64),
    /// Told, not judged.
    None,
}

/// One figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Stable name, `engine/ratio/epoch-on/batch-100`.
    pub name: String,
    /// What was measured.
    pub value: f64,
    /// Its unit: `ratio`, `ns/record`, `ms`, `MiB` …
    pub unit: &'static str,
    /// What it was held against in the same run, in words; empty: nothing.
    pub reference: String,
    /// The target.
    pub target: Target,
}

impl Figure {
    /// Whether the target holds; a figure without one holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        match self.target {
            Target::AtLeast(least) => self.value >= least,
            Target::AtMost(most) => self.value <= most,
            Target::None => true,
        }
    }

    fn json(&self) -> Value {
        let target = match self.target {
            Target::AtLeast(least) => json!(format!(">= {least}")),
            Target::AtMost(most) => json!(format!("<= {most}")),
            Target::None => Value::Null,
        };
        json!({
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "reference": self.reference,
            "target": target,
            "holds": self.holds(),
        })
    }
}

/// Prints a figure and writes it down, in place of an earlier one of its name.
///
/// # Panics
/// If the results cannot be written: a benchmark without results has no use.
pub fn record(figure: &Figure) {
    let mark = match (figure.target, figure.holds()) {
        (Target::None, _) => "",
        (_, true) => "holds",
        (_, false) => "MISSED",
    };
    let target = match figure.target {
        Target::AtLeast(least) => format!(">= {least}"),
        Target::AtMost(most) => format!("<= {most}"),
        Target::None => String::new(),
    };
    println!(
        "{:<44} {:>12.3} {:<12} {:<10} {:<7} {}",
        figure.name, figure.value, figure.unit, target, mark, figure.reference
    );
    let path = results();
    let mut all: Vec<Value> = fs::read(&path)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    all.retain(|old| old["name"] != figure.name);
    all.push(figure.json());
    fs::create_dir_all(path.parent().expect("the results lie in a folder"))
        .expect("a folder for results");
    let text = serde_json::to_vec_pretty(&all).expect("figures are JSON");
    fs::write(&path, text).expect("results are written");
}

/// Where the results lie: `bench/results.json` below the target folder.
#[must_use]
pub fn results() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    target.join("bench/results.json")
}
