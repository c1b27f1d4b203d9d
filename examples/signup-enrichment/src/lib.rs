//! An internet provider enriches each signup with the place it comes from and the bandwidths that can be
//! had there. The places are the function's own: a sorted table in the component, nothing to load.

use std::borrow::Cow;

use fnctl_sdk::prelude::*;
use serde::{Deserialize, Serialize};

mod locations;
#[cfg(test)]
mod tests;

/// Signups that were enriched, by whether a gigabit can be had there: `fnctl_custom_signups_total` in the server's
/// `/metrics`.
static SIGNUPS: Counter = Counter::new("signups");

/// Megabits a second that are a gigabit.
const GIGABIT: u32 = 1_000;

/// What a client sends; more fields than these are left alone.
#[derive(Deserialize)]
struct Signup<'a> {
    user_id: u64,
    #[serde(borrow)]
    zip: Cow<'a, str>,
}

/// What the sales department reads. Megabits a second.
#[derive(Serialize)]
struct Enriched {
    user_id: u64,
    city: &'static str,
    offers: &'static [u32],
}

#[stream_fn]
fn enrich(record: Record<'_>, cx: &mut Context) -> Result<()> {
    let signup: Signup<'_> = record.json()?;
    let location = locations::find(&signup.zip).or_skip(
        "unknown-zip",
        format_args!("no location has the zip code {}", signup.zip),
    )?;
    let gigabit = match location.offers.contains(&GIGABIT) {
        true => "yes",
        false => "no",
    };
    SIGNUPS.with(&[("gigabit", gigabit)]).increment();
    cx.emit(&Enriched {
        user_id: signup.user_id,
        city: location.city,
        offers: location.offers,
    })
}
