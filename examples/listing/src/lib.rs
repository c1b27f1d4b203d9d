//! Every piece of the SDK that a first function meets, in one.

use std::borrow::Cow;

use fnctl_sdk::prelude::*; // Batch Context Error OrFail Output Record Result output! stream_fn
use serde::{Deserialize, Serialize};

/// Declared in the component: deploy checks that it is bound.
const REJECTED: Output = output!("rejected");

/// Borrows from the batch's memory. `Cow` or `String`, never `&str`: that would refuse escapes.
#[derive(Deserialize)]
struct Signup<'a> {
    user_id: u64,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    age: Cow<'a, str>,
    #[serde(borrow)]
    zip: Cow<'a, str>,
}

#[derive(Serialize)]
struct Enriched<'a> {
    user_id: u64,
    name: &'a str,
    offers: &'static [u32],
}

/// The function stays as it is; glue exists only on wasm32-wasip2.
#[stream_fn]
fn enrich(record: Record<'_>, cx: &mut Context) -> Result<()> {
    // Not such a body: skip, code `bad-json`.
    let signup: Signup = record.json()?;
    let minimum: u8 = cx
        .config("minimum_age")
        .unwrap_or("18")
        .parse()
        .or_fatal("bad-config", "minimum_age")?;
    if signup.age.parse::<u8>().or_skip("bad-age", "age")? < minimum {
        // Another output; the key stays the record's.
        return cx.row().to(REJECTED).bytes(record.data());
    }
    let offers =
        offers(&signup.zip).or_skip("unknown-zip", format_args!("no offers for {}", signup.zip))?;
    // The `log` crate; stdout and stderr arrive as well.
    log::debug!("{} offers", offers.len());
    // JSON, straight into the output's arena.
    cx.emit(&Enriched {
        user_id: signup.user_id,
        name: &signup.name,
        offers,
    })
}

/// Sorted static data, not start-up code: a retry gets a fresh instance.
static OFFERS: [(&str, &[u32]); 3] = [
    ("10001", &[100, 1000]),
    ("60601", &[100]),
    ("99501", &[25, 100]),
];

fn offers(zip: &str) -> Option<&'static [u32]> {
    let at = OFFERS.binary_search_by_key(&zip, |(zip, _)| zip).ok()?;
    Some(OFFERS[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHILD: &str = r#"{"user_id":7,"name":"O\"B","age":"3","zip":"10001"}"#;
    const ADULT: &str = r#"{"user_id":8,"name":"Zo\u00eb \"Z\" K","age":"44","zip":"99501"}"#;

    /// The batch form; a component of its own would mark it `#[stream_fn(batch)]`.
    fn totals(batch: Batch<'_>, cx: &mut Context) -> Result<()> {
        batch.try_each(cx, |record, cx| {
            cx.row()
                .key(record.json::<Signup>()?.zip.as_bytes())
                .json(&1)
        })
    }

    #[test]
    fn a_child_is_rejected() {
        let out = testing::Harness::new()
            .config("minimum_age", "21")
            .run(enrich, [testing::record(CHILD).key("7")]);
        assert_eq!(out.rows(REJECTED)[0].key, b"7");
        assert!(out.rows(Output::DEFAULT).is_empty() && out.failures().is_empty());
    }

    #[test]
    fn an_adult_is_offered_what_the_place_has() {
        let out = testing::run(enrich, [testing::record(ADULT)]);
        let row = r#"{"user_id":8,"name":"Zoë \"Z\" K","offers":[25,100]}"#;
        assert_eq!(out.rows(Output::DEFAULT)[0].text(), row);
        assert_eq!(out.logs()[0].message, "2 offers");
    }

    #[test]
    fn failures_have_their_codes() {
        let bodies = [
            "{",
            r#"{"user_id":1,"name":"","age":"x","zip":""}"#,
            &ADULT.replace("99", "00"),
        ];
        let out = testing::run(enrich, bodies.map(testing::record));
        let codes: Vec<&str> = out.failures().iter().map(|failed| &*failed.code).collect();
        assert_eq!(codes, ["bad-json", "bad-age", "unknown-zip"]);
        let out = testing::Harness::new()
            .config("minimum_age", "old")
            .run(enrich, [testing::record(ADULT)]);
        assert_eq!(out.failures()[0].code, "bad-config");
    }

    #[test]
    fn totals_are_keyed_by_place() {
        let out = testing::run_batch(totals, [CHILD, ADULT, "{"].map(testing::record));
        let rows = out.rows(Output::DEFAULT);
        assert_eq!(
            (rows[0].key.as_slice(), rows[1].key.as_slice()),
            (&b"10001"[..], &b"99501"[..])
        );
        assert_eq!(rows.len(), 2);
    }
}
