//! Counts what its records say, in metrics of its own.

use fnctl_sdk::prelude::*;

static SEEN: Counter = Counter::new("seen");
static SOLD: Counter = Counter::new("sold_total");
static LEVEL: Gauge = Gauge::new("level");

/// Obeys the body, having seen it.
#[stream_fn]
fn obey(record: Record<'_>, _: &mut Context) -> Result<()> {
    SEEN.increment();
    let text = record.text()?;
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "sold" => SOLD.with(&[("kind", rest)]).increment(),
        "add" => SOLD.add(rest.parse()?),
        "level" => LEVEL.set(rest.parse()?),
        "by" => LEVEL.add(rest.parse()?),
        "times" => (0..rest.parse()?).for_each(|_: u32| SOLD.increment()),
        "times-with" => {
            (0..rest.parse()?).for_each(|_: u32| SOLD.with(&[("kind", "a")]).increment())
        }
        "series" => {
            (0..rest.parse()?)
                .for_each(|n: u32| SOLD.with(&[("kind", &n.to_string())]).increment());
        }
        "label" => SOLD.with(&[(rest, "v")]).increment(),
        "retry-until" => {
            let until: u32 = rest.parse()?;
            if record.attempt() < until {
                return Err(Error::retry("busy", "as asked"));
            }
        }
        "skip" => return Err(Error::skip("bad", "as asked")),
        "panic" => panic!("as asked"),
        _ => {}
    }
    Ok(())
}
