//! Keeps the bodies of a window and tells them at its close; does otherwise where a body says so.

use fnctl_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// What a window has seen.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// The bodies, in order.
    bodies: Vec<String>,
    /// Where `grow` puts what it was asked for.
    #[serde(default)]
    weight: String,
}

/// Notes the body, or obeys it.
#[stream_fn(window, close = report)]
fn note(record: Record<'_>, seen: &mut Seen, cx: &mut Context) -> Result<()> {
    let text = record.text()?;
    seen.bodies.push(text.to_owned());
    let (word, number) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "emit" => cx.emit_bytes(format!("after {}", seen.bodies.len()).as_bytes()),
        "skip" => Err(Error::skip("bad", "no good")),
        "retry" => Err(Error::retry("busy", "later")),
        "grow" => {
            seen.weight = "x".repeat(number.parse()?);
            Ok(())
        }
        "panic" => panic!("as asked"),
        // The state tells how.
        "after" => Err(Error::retry(
            "after",
            format!("after {}", seen.bodies.join(",")),
        )),
        _ => Ok(()),
    }
}

/// One row of the whole window; refuses to close over `stuck`.
fn report(seen: Seen, cx: &mut Context) -> Result<()> {
    let window = cx.window().or_fatal("no-window", "a window closes")?;
    if seen.bodies.iter().any(|body| body == "stuck") {
        return Err(Error::retry("stuck", "as asked"));
    }
    let (start, end) = (window.start_ms, window.end_ms);
    let how = if window.is_terminated_early {
        "early"
    } else {
        "final"
    };
    let words = format!("{start}..{end} {how}: {}", seen.bodies.join(","));
    // A version of another configuration differs in the end of a window alone.
    let words = match cx.config("sign") {
        Some(sign) => format!("{words} {sign}"),
        None => words,
    };
    cx.row().key("window").bytes(words.as_bytes())
}
