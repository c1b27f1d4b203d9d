//! A function without the SDK that answers what no SDK would: the first record's body says which lie.
#![cfg(target_os = "wasi")]

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "stream-function" });
}

use bindings::{
    exports::fnctl::function::handler::{Failure, Guest, ItemFailure, Records},
    fnctl::function::{
        context, emit, metrics, state,
        types::{ByteColumn, FailureKind},
    },
};

struct Raw;

impl Guest for Raw {
    fn handle(records: Records) -> Result<Vec<ItemFailure>, Failure> {
        let first = records.data.ends.first().map_or(0, |end| *end as usize);
        let word = String::from_utf8_lossy(&records.data.bytes[..first]).into_owned();
        let count = records.data.ends.len() as u32;
        match word.as_str() {
            "falling-ends" => send(vec![0, 0], None, column(b"abc", &[3, 1], &[])),
            "end-beyond-bytes" => send(vec![0], None, column(b"abc", &[4], &[])),
            "huge-end" => send(vec![0], None, column(b"abc", &[u32::MAX], &[])),
            "uncovered-bytes" => send(vec![0], None, column(b"abc", &[2], &[])),
            "bytes-without-ends" => send(vec![], None, column(b"abc", &[], &[])),
            "more-sources" => send(vec![0, 0], None, column(b"abc", &[3], &[])),
            "fewer-keys" => send(
                vec![0, 0],
                Some(column(b"k", &[1], &[])),
                column(b"ab", &[1, 2], &[]),
            ),
            "falling-key-ends" => send(
                vec![0, 0],
                Some(column(b"kk", &[2, 1], &[])),
                column(b"ab", &[1, 2], &[]),
            ),
            "null-beyond" => send(vec![0], None, column(b"a", &[1], &[1])),
            "null-twice" => send(vec![0], None, column(b"", &[0], &[0, 0])),
            "null-with-bytes" => send(vec![0], None, column(b"a", &[1], &[0])),
            "bad-source" => send(vec![count], None, column(b"a", &[1], &[])),
            "unknown-output" => {
                let rows = emit::Rows {
                    sources: vec![0],
                    keys: None,
                    data: column(b"a", &[1], &[]),
                };
                let _ = emit::emit(u16::MAX, &rows);
            }
            "unbound-output" => {
                // Asking is no failure.
                if emit::find_output("never-bound").is_ok() {
                    return Err(failure("bound", "never-bound"));
                }
            }
            "bad-forward" => {
                let output = emit::find_output("default").unwrap_or_default();
                let _ = emit::forward(output, &[count]);
            }
            "no-rows" => send(vec![], None, column(b"", &[], &[])),
            "failure-beyond" => return Ok(vec![item(count)]),
            "failure-twice" => return Ok(vec![item(0), item(0)]),
            "failures-descending" => return Ok((0..count).rev().map(item).collect()),
            "odd-code" => {
                let mut item = item(0);
                item.failure.code = "Not A Code!".repeat(20);
                item.failure.message = "m".repeat(1 << 20);
                return Ok(vec![item]);
            }
            "no-code" => {
                let mut item = item(0);
                item.failure.code = String::new();
                return Ok(vec![item]);
            }
            "attempt-beyond" => {
                context::attempt(count);
            }
            "panic-elsewhere" => {
                bindings::fnctl::function::log::panicking(count + 7, "panicked at nowhere: lies");
                std::process::abort();
            }
            "state-get" => {
                let mut answer = state::get();
                let span = state::window().map(|window| format!(" in {window:?}"));
                answer.extend_from_slice(span.unwrap_or_default().as_bytes());
                send(vec![0], None, column(&answer, &[answer.len() as u32], &[]));
            }
            // Goes on whatever the host says.
            "state-huge" => drop(state::set(&vec![0; (4 << 20) + 1])),
            set if set.starts_with("state-set ") => {
                drop(state::set(&set.as_bytes()["state-set ".len()..]));
                let now = state::get();
                send(vec![0], None, column(&now, &[now.len() as u32], &[]));
            }
            "metric-lies" => {
                metrics::add(7, 1.0);
                let owned = |label: &str| (label.to_owned(), "v".to_owned());
                let five: Vec<_> = ["a", "b", "c", "d", "e"].map(owned).into();
                let refused = [
                    metrics::series(metrics::Kind::Counter, &"n".repeat(1 << 20), &[]),
                    metrics::series(metrics::Kind::Gauge, "lies_total", &[]),
                    metrics::series(metrics::Kind::Gauge, "lies", &[owned("function")]),
                    metrics::series(metrics::Kind::Gauge, "lies", &five),
                ];
                let refused = refused.iter().filter(|series| series.is_err()).count();
                let counter = metrics::series(metrics::Kind::Counter, "lies", &[]).unwrap_or(9);
                for amount in [-1.0, f64::NAN, f64::INFINITY, 0.5] {
                    metrics::add(counter, amount);
                    metrics::set(counter, amount);
                }
                let words = format!("{refused} refused, then {counter}");
                send(
                    vec![0],
                    None,
                    column(words.as_bytes(), &[words.len() as u32], &[]),
                );
            }
            // An import without rows of its own: what the host refuses must not be lost unnoticed.
            _ => send(
                vec![0],
                None,
                column(word.as_bytes(), &[word.len() as u32], &[]),
            ),
        }
        Ok(Vec::new())
    }
}

/// Emits, and goes on whatever the host says.
fn send(sources: Vec<u32>, keys: Option<ByteColumn>, data: ByteColumn) {
    let output = emit::find_output("default").unwrap_or_default();
    let _ = emit::emit(
        output,
        &emit::Rows {
            sources,
            keys,
            data,
        },
    );
}

fn column(bytes: &[u8], ends: &[u32], nulls: &[u32]) -> ByteColumn {
    ByteColumn {
        bytes: bytes.to_vec(),
        ends: ends.to_vec(),
        nulls: nulls.to_vec(),
    }
}

fn item(index: u32) -> ItemFailure {
    ItemFailure {
        index,
        failure: failure("raw", "as asked"),
    }
}

fn failure(code: &str, message: &str) -> Failure {
    Failure {
        kind: FailureKind::Skip,
        retry_after_ms: None,
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

bindings::export!(Raw with_types_in bindings);
