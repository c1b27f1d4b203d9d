use sha2::{Digest, Sha256};

use super::*;

const SIGNUPS: &str = include_str!("../data/signups.ndjson");

/// The output of the whole input, as the golden files have it: sorted lines.
fn enriched() -> (Vec<String>, testing::Outcome) {
    let out = testing::run(enrich, testing::ndjson(SIGNUPS));
    let mut rows: Vec<String> = out
        .rows(Output::DEFAULT)
        .iter()
        .map(|row| row.text().to_owned())
        .collect();
    rows.sort_unstable();
    (rows, out)
}

#[test]
fn the_output_is_the_golden_one() {
    let (rows, out) = enriched();
    let mut hash = Sha256::new();
    for row in &rows {
        hash.update(row.as_bytes());
        hash.update(b"\n");
    }
    let digest: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        rows.len().to_string(),
        include_str!("../golden/count").trim()
    );
    assert_eq!(digest, include_str!("../golden/sha256").trim());
    let published = out.rows(Output::DEFAULT).iter().take(20);
    let sample: String = published.map(|row| format!("{}\n", row.text())).collect();
    assert_eq!(sample, include_str!("../golden/sample.ndjson"));
}

#[test]
fn the_malformed_are_refused_with_their_cause() {
    let (rows, out) = enriched();
    let refused: String = out
        .failures()
        .iter()
        .map(|failed| {
            format!(
                "line {}: {}: {}\n",
                failed.index + 1,
                failed.code,
                failed.message
            )
        })
        .collect();
    assert_eq!(refused, include_str!("../golden/refused.txt"));
    assert_eq!(rows.len() + out.failures().len(), 12_000);
    assert!(
        out.failures()
            .iter()
            .all(|failed| failed.message.len() < 120)
    );
}

#[test]
fn what_is_enriched_is_counted_by_what_can_be_had_there() {
    let (rows, out) = enriched();
    let counted = |gigabit| out.metric("signups_total", &[("gigabit", gigabit)]);
    let (with, without) = (counted("yes").unwrap(), counted("no").unwrap());
    let has_gigabit = rows.iter().filter(|row| row.contains(",1000"));
    assert_eq!(with, has_gigabit.count() as f64);
    assert_eq!(with + without, rows.len() as f64);
}

#[test]
fn every_location_is_found_and_the_table_is_sorted() {
    let mut last = "";
    for line in locations::lines() {
        let (zip, rest) = line.split_at(5);
        assert!(last < zip, "{zip} after {last}");
        last = zip;
        let found = locations::find(zip).unwrap();
        assert_eq!(found.city, &rest[2..]);
    }
}

#[test]
fn what_is_no_zip_code_is_not_found() {
    for zip in [
        "", "0", "00000", "99999", "99501 ", "9950", "zebra", "é", "00501\n",
    ] {
        assert_eq!(locations::find(zip), None, "{zip}");
    }
}
