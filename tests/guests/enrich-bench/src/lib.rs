//! The work of the engine's figures: JSON records of about 200 bytes, a quarter dropped, a look-up in a
//! table of 256 rows, one field added, JSON written. The bench calls the component and, natively, the
//! same code.

use std::borrow::Cow;

use fnctl_sdk::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(not(target_os = "wasi"))]
pub mod input;
mod table;

/// What comes in.
#[derive(Deserialize)]
struct Signup<'a> {
    user_id: u64,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    email: Cow<'a, str>,
    #[serde(borrow)]
    street: Cow<'a, str>,
    #[serde(borrow)]
    area: Cow<'a, str>,
    #[serde(borrow)]
    plan: Cow<'a, str>,
    age: u8,
    score: f64,
    is_active: bool,
}

/// What goes out: one field more.
#[derive(Serialize)]
struct Enriched<'a> {
    user_id: u64,
    name: &'a str,
    email: &'a str,
    street: &'a str,
    area: &'a str,
    plan: &'a str,
    age: u8,
    score: f64,
    is_active: bool,
    offers: &'static [u32],
}

/// Drops the inactive, enriches the others.
#[stream_fn]
pub fn enrich(record: Record<'_>, cx: &mut Context) -> Result<()> {
    let signup: Signup<'_> = record.json()?;
    if !signup.is_active {
        return Ok(());
    }
    let offers = table::offers(&signup.area).or_skip(
        "unknown-area",
        format_args!("no offers for {}", signup.area),
    )?;
    cx.emit(&Enriched {
        user_id: signup.user_id,
        name: &signup.name,
        email: &signup.email,
        street: &signup.street,
        area: &signup.area,
        plan: &signup.plan,
        age: signup.age,
        score: signup.score,
        is_active: signup.is_active,
        offers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_dropped_and_the_rest_enriched() {
        let out = testing::run(enrich, (0..1_000).map(|n| testing::record(input::body(n))));
        assert_eq!(out.rows(Output::DEFAULT).len(), 750);
        assert!(out.failures().is_empty());
        let first = &out.rows(Output::DEFAULT)[0];
        assert!(first.text().contains("\"offers\":["), "{}", first.text());
    }

    #[test]
    fn records_are_of_about_200_bytes() {
        let total: usize = (0..1_000).map(|n| input::body(n).len()).sum();
        assert!((190..=215).contains(&(total / 1_000)), "{total}");
    }
}
