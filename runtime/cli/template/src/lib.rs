//! Enriches signups with what is offered where they live.

use std::borrow::Cow;

use fnctl_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// A second output, besides the default one: `outputs` in fnctl.toml says where it goes.
const REJECTED: Output = output!("rejected");

/// What comes in. `Cow` borrows from the batch; a `&str` would refuse texts that hold an escape, such as
/// `"O\"Brien"`.
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

/// What goes out.
#[derive(Serialize)]
struct Enriched<'a> {
    user_id: u64,
    name: &'a str,
    offers: &'static [u32],
}

/// Called for each record. An error is this record's own: `skip` makes it a dead letter, `retry` (and `?`
/// on any error) runs it again, `fatal` stops the mapping.
#[stream_fn]
fn enrich(record: Record<'_>, cx: &mut Context) -> Result<()> {
    let signup: Signup<'_> = record.json()?; // no such JSON: skip, code `bad-json`
    let minimum: u8 =
        cx.config("minimum_age").unwrap_or("18").parse().or_fatal("bad-config", "minimum_age")?;
    if signup.age.parse::<u8>().or_skip("bad-age", "age")? < minimum {
        return cx.row().to(REJECTED).bytes(record.data());
    }
    let offers = offers(&signup.zip)
        .or_skip("unknown-zip", format_args!("no offers for {}", signup.zip))?;
    log::debug!("{} offers", offers.len()); // fnctl logs
    cx.emit(&Enriched { user_id: signup.user_id, name: &signup.name, offers })
}

/// Sorted, and part of the component: there is nothing to load when an instance starts.
static OFFERS: [(&str, &[u32]); 3] =
    [("10001", &[100, 1000]), ("60601", &[100]), ("99501", &[25, 100])];

fn offers(zip: &str) -> Option<&'static [u32]> {
    let at = OFFERS.binary_search_by_key(&zip, |(zip, _)| zip).ok()?;
    Some(OFFERS[at].1)
}

/// Native: no host, no wasm.
#[cfg(test)]
mod tests {
    use super::*;

    fn harness() -> testing::Harness {
        testing::Harness::new().config("minimum_age", "21")
    }

    #[test]
    fn an_adult_is_offered_what_the_place_has() {
        let signup = r#"{"user_id":7,"name":"Ada \"A\" L","age":"36","zip":"10001"}"#;
        let out = harness().run(enrich, [testing::record(signup)]);
        let row = r#"{"user_id":7,"name":"Ada \"A\" L","offers":[100,1000]}"#;
        assert_eq!(out.rows(Output::DEFAULT)[0].text(), row);
    }

    #[test]
    fn a_child_is_rejected_under_its_own_key() {
        let signup = r#"{"user_id":6,"name":"Tim","age":"12","zip":"99501"}"#;
        let out = harness().run(enrich, [testing::record(signup).key("6")]);
        assert_eq!(out.rows(REJECTED)[0].key, b"6");
        assert!(out.rows(Output::DEFAULT).is_empty() && out.failures().is_empty());
    }

    #[test]
    fn bad_lines_are_skipped_with_their_codes() {
        let out = harness().run(enrich, testing::ndjson(include_str!("../events/signups.ndjson")));
        let codes: Vec<&str> = out.failures().iter().map(|failed| &*failed.code).collect();
        assert_eq!(codes, ["bad-json", "unknown-zip", "bad-age"]);
        assert_eq!(out.rows(Output::DEFAULT).len(), 8);
        assert_eq!(out.rows(REJECTED).len(), 1);
    }
}
