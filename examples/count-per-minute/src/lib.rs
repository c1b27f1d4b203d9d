//! Counts the clicks of each page, minute by minute.

use std::{borrow::Cow, collections::BTreeMap};

use fnctl_sdk::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Click<'a> {
    #[serde(borrow)]
    page: Cow<'a, str>,
}

#[derive(Serialize)]
struct Count<'a> {
    page: &'a str,
    from_ms: u64,
    to_ms: u64,
    clicks: u64,
}

/// Of the pages of one group of keys: a new map begins with each window.
type Clicks = BTreeMap<String, u64>;

/// One record; fnctl keeps the map from call to call.
#[stream_fn(window, close = report)]
fn count(record: Record<'_>, clicks: &mut Clicks, _: &mut Context) -> Result<()> {
    let click: Click = record.json()?;
    *clicks.entry(click.page.into_owned()).or_default() += 1;
    Ok(())
}

/// The end of the window: a row for each page, under the page as its key.
fn report(clicks: Clicks, cx: &mut Context) -> Result<()> {
    let window = cx.window().or_fatal("no-window", "a window closes")?;
    for (page, clicks) in &clicks {
        cx.row().key(page).json(&Count {
            page,
            from_ms: window.start_ms,
            to_ms: window.end_ms,
            clicks: *clicks,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clicks_are_counted_by_page_over_calls_and_told_at_the_close() {
        let mut window = testing::window(count, report);
        let clicks = testing::ndjson(include_str!("../clicks.ndjson"));
        assert!(window.run(clicks.clone()).rows(Output::DEFAULT).is_empty());
        window.run(clicks);
        let out = window.close();
        let rows = out.rows(Output::DEFAULT);
        assert_eq!(
            rows.iter().map(|row| row.text()).collect::<Vec<_>>(),
            [
                r#"{"page":"/","from_ms":1767225600000,"to_ms":1767225660000,"clicks":6}"#,
                r#"{"page":"/pricing","from_ms":1767225600000,"to_ms":1767225660000,"clicks":2}"#,
            ]
        );
        assert_eq!(rows[1].key, b"/pricing");
    }

    #[test]
    fn what_is_no_click_is_refused_and_counts_nothing() {
        let mut window = testing::window(count, report);
        let out = window.run(testing::ndjson("{\"page\":\"/\"}\n{}"));
        assert_eq!(&*out.failures()[0].code, "bad-json");
        assert!(window.close().rows(Output::DEFAULT).is_empty());
    }
}
