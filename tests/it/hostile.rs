//! Functions that lie, flood or recurse: each ends as a dead letter with its cause, and the one beside it on
//! the same stream does not notice.

use serde_json::Value;

use crate::support::{all, drained, guest, one, put, server, tail};

fn letters_of(words: &[&str], function: &str, options: &[&str]) -> Vec<Value> {
    let server = server();
    let wasm = guest(function);
    let mut deploy = vec!["deploy", &wasm, "--stream", "in", "--to", "out"];
    deploy.extend_from_slice(options);
    deploy.extend_from_slice(&["--max-attempts", "1", "--batch-size", "1"]);
    one(&server, &deploy);
    one(
        &server,
        &["deploy", &guest("echo"), "--stream", "in", "--to", "beside"],
    );
    let lines: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    put(&server, "in", &lines, &[]);
    drained(&server, function);
    let letters = all(&server, &["dlq", "list", function]);
    assert_eq!(letters.len(), words.len(), "{letters:?}");
    assert_eq!(tail(&server, "beside", words.len()).len(), words.len());
    // It works still, for whoever asks for something sensible.
    put(&server, "in", &["ok".to_owned()], &[]);
    assert_eq!(tail(&server, "out", 1)[0]["data"], "ok");
    letters
}

#[track_caller]
fn one_of(letters: &[Value], data: &str, kind: &str, words: &str) {
    let letter = letters
        .iter()
        .find(|letter| letter["data"] == data)
        .unwrap_or_else(|| panic!("no letter of {data}: {letters:?}"));
    assert_eq!(letter["error_kind"], kind, "{letter}");
    let error = letter["error"].as_str().unwrap_or_default();
    assert!(error.contains(words), "{letter}");
}

#[test]
fn offsets_out_of_range_are_the_functions_error() {
    let cases = [
        ("falling-ends", "end 1 lies before"),
        ("end-beyond-bytes", "the ends cover 4 bytes of 3"),
        ("huge-end", "the ends cover 4294967295 bytes of 3"),
        ("bad-source", "there is no record 1"),
        ("unknown-output", "there is no output 65535"),
        ("failure-beyond", "there is no record 1"),
    ];
    let letters = letters_of(&cases.map(|(word, _)| word), "raw", &[]);
    for (word, words) in cases {
        one_of(&letters, word, "error", words);
    }
}

#[test]
fn an_output_without_end_is_too_large_and_a_recursion_a_trap() {
    let words = ["emit 60", "emit 1024", "rows 200000", "recurse", "exit 0"];
    let options = ["--to", "side=none", "--memory", "1GiB", "--timeout", "30s"];
    let letters = letters_of(&words, "hostile", &options);
    for word in ["emit 60", "emit 1024", "rows 200000"] {
        one_of(&letters, word, "output-too-large", "");
    }
    one_of(&letters, "recurse", "trap", "stack overflow");
    one_of(&letters, "exit 0", "trap", "called exit(0)");
}
