use clap::{CommandFactory, Parser};

use super::*;

fn refusal(words: &[&str]) -> (u8, String, String) {
    let words = std::iter::once("fnctl").chain(words.iter().copied());
    let error = later::explain(&Cli::try_parse_from(words).expect_err("the words are refused"));
    let code = error.exit_code();
    let CliError::Told(object) = error else {
        panic!()
    };
    (code, object.code, object.message)
}

#[test]
fn the_words_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn nouns_and_verbs_have_their_other_spellings() {
    for words in [
        "streams list",
        "stream ls",
        "streams rm s --yes",
        "function describe f",
        "functions ls",
        "mapping rm m",
        "mappings pause m",
        "dlq ls m --all",
        "dlq show m 3",
        "tail s -o raw",
        "put s a b",
        "deploy --name f --memory default",
        "--server http://x:1 version",
        "version -o json",
        "rollback f --to 3",
        "logs f -f --since 15m",
        "doctor",
        "deploy x.wasm --wait=30s",
        "deploy x.wasm --wait",
        "tail s --from 15m --count 3 --timeout 10s",
    ] {
        let words = std::iter::once("fnctl").chain(words.split(' '));
        if let Err(error) = Cli::try_parse_from(words.clone()) {
            panic!("{:?}: {error}", words.collect::<Vec<_>>());
        }
    }
}

#[test]
fn words_of_later_versions_are_refused_by_name() {
    for (words, name) in [
        (&["deploy", "x.wasm", "--filter", "{}"][..], "--filter"),
        (
            &["deploy", "x.wasm", "--bisect-on-error=off"],
            "--bisect-on-error",
        ),
        (
            &["deploy", "x.wasm", "--max-record-age", "1h"],
            "--max-record-age",
        ),
        (&["status"], "status"),
        (&["mappings", "seek", "m"], "seek"),
        (&["dlq", "redrive", "m"], "redrive"),
        (&["streams", "split", "s"], "split"),
        (&["explain", "FN2003"], "explain"),
        (&["completion"], "completion"),
    ] {
        let (exit, code, message) = refusal(words);
        assert_eq!((exit, code.as_str()), (2, "FN1003"), "{words:?} {message}");
        assert!(message.contains(&format!("`{name}`")), "{message}");
    }
    let (exit, _, message) = refusal(&["deploy", "x", "--ordering", "shard"]);
    assert!(exit == 2 && message.contains("not there yet"), "{message}");
}

#[test]
fn slips_are_usage_errors_in_our_words() {
    for words in [
        &["deplyo"][..],
        &["put"],
        &["tail", "s", "--count", "0"],
        &["tail", "s", "--timeout", "10"],
        &["mappings"],
        &["deploy", "--batch-size"],
        &["put", "s", "--key", "a", "--key-field", "b"],
        &[],
        &["mappings", "li"],
        &["-o", "yaml", "version"],
    ] {
        let (exit, code, message) = refusal(words);
        assert_eq!((exit, code.as_str()), (2, "FN1001"), "{words:?}");
        assert!(
            !message.is_empty() && !message.starts_with("error"),
            "{words:?}: {message}"
        );
    }
    assert!(
        refusal(&["tail", "s", "--timeout", "10"])
            .2
            .contains("10ms or 10s")
    );
}

#[test]
fn json_is_asked_for_in_any_of_its_spellings() {
    let asks = |words: &[&str]| asks_for_json(words.iter().map(|word| (*word).to_owned()));
    for words in [
        &["-o", "json"][..],
        &["--output", "json"],
        &["-ojson"],
        &["--output=json"],
        &["x", "-o=json"],
    ] {
        assert!(asks(words), "{words:?}");
    }
    assert!(!asks(&["-o", "text", "json"]));
}
