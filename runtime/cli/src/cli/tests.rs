use clap::{CommandFactory, Parser};
use fnctl_core::spec::MappingSpec;

use super::*;

fn refusal(words: &[&str]) -> (u8, String, String) {
    let object = refused(words);
    (object.exit_code, object.code, object.message)
}

fn refused(words: &[&str]) -> fnctl_core::error_code::ErrorObject {
    let all = std::iter::once("fnctl").chain(words.iter().copied());
    let error = Cli::try_parse_from(all).expect_err("the words are refused");
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let CliError::Told(object) = slips::explain(&error, &words) else {
        panic!()
    };
    *object
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
        "promote f",
        "promote f --canary 50% --rollback-errors off --rollback-age 5m",
        "deploy f.wasm --canary 10% --rollback-errors 5% --rollback-age off",
        "logs f -f --since 15m",
        "doctor",
        "deploy x.wasm --wait=30s",
        "deploy x.wasm --wait",
        "tail s --from 15m --count 3 --timeout 10s",
        "filter test --pattern {} --file f --on-unparsable pass",
        "mapping update m --filter default --batch-size 3",
    ] {
        let words = std::iter::once("fnctl").chain(words.split(' '));
        if let Err(error) = Cli::try_parse_from(words.clone()) {
            panic!("{:?}: {error}", words.collect::<Vec<_>>());
        }
    }
}

#[test]
fn every_command_of_a_later_version_is_refused_by_name_until_it_is_there() {
    let mut root = Cli::command();
    root.build();
    for (noun, command) in later::all_commands() {
        let parent = match noun {
            "" => &root,
            noun => root.find_subcommand(noun).expect("the noun is there"),
        };
        if parent.find_subcommand(command).is_some() {
            continue;
        }
        let words: Vec<&str> = noun.split_whitespace().chain([command]).collect();
        let (exit, code, message) = refusal(&words);
        assert_eq!((exit, code.as_str()), (2, "FN1003"), "{words:?} {message}");
        let name = format!("`{}`", words.join(" "));
        assert!(message.starts_with(&name), "{message}");
    }
}

#[test]
fn every_flag_of_a_later_version_is_refused_by_name() {
    for flag in later::all_flags() {
        for words in [
            &["deploy", "x.wasm", flag.as_str(), "x"][..],
            &["streams", "create", "s", &format!("{flag}=x")],
        ] {
            let (exit, code, message) = refusal(words);
            assert_eq!((exit, code.as_str()), (2, "FN1003"), "{words:?} {message}");
            assert!(message.starts_with(&format!("`{flag}`")), "{message}");
        }
    }
    // A slip of one is meant to be one.
    let (exit, code, message) = refusal(&["deploy", "x.wasm", "--log-leve", "x"]);
    assert_eq!((exit, code.as_str()), (2, "FN1003"), "{message}");
    assert!(message.starts_with("`--log-level`"), "{message}");
}

#[test]
fn slips_are_usage_errors_in_our_words_with_the_help_of_their_command() {
    for (words, message, fix) in [
        (&["deplyo"][..], "unknown command `deplyo`", "fnctl deploy"),
        (&["xyz"], "unknown command `xyz`", "fnctl --help"),
        (
            &["put"],
            "<STREAM> is missing",
            "fnctl put [OPTIONS] <STREAM> [DATA]...",
        ),
        (
            &["dlq", "show"],
            "<MAPPING> and <ID> are missing",
            "fnctl dlq show [OPTIONS] <MAPPING> <ID>",
        ),
        (
            &["server", "--tls-cert", "c.pem"],
            "--tls-key <F> is missing",
            "give it, too: --tls-key <F>",
        ),
        (
            &["tail", "s", "--timeout", "10"],
            "--timeout: 10 has no unit: write 10ms or 10s",
            "fnctl tail --help",
        ),
        (
            &["mappings"],
            "a command is missing after `fnctl mappings`",
            "fnctl mappings --help",
        ),
        (&[], "a command is missing after `fnctl`", "fnctl --help"),
        (
            &["mappings", "lits"],
            "unknown command `lits`",
            "fnctl mappings list",
        ),
        (
            &["-o", "json", "stream", "descrbe"],
            "unknown command `descrbe`",
            "fnctl streams describe",
        ),
        (
            &["-o", "yaml", "version"],
            "--output: `yaml` is none of: text, json, raw",
            "fnctl version --help",
        ),
        (
            &["tail", "s", "--form", "x"],
            "`fnctl tail` has no flag `--form`",
            "fnctl tail --help",
        ),
        (
            &["tail", "s", "t"],
            "`fnctl tail` does not take the word `t`",
            "fnctl tail --help",
        ),
        (
            &["mappings", "update", "m", "--circuit-breaker", "off"],
            "`--circuit-breaker off` is written with `=`",
            "--circuit-breaker=off",
        ),
        (
            &["mappings", "update", "m", "--allow-loop"],
            "`fnctl mappings update` has no flag `--allow-loop`",
            "fnctl deploy --name FUNCTION --allow-loop",
        ),
        (
            &["mappings", "update", "m", "--starting-position=latest"],
            "`fnctl mappings update` has no flag `--starting-position`",
            "fnctl deploy --name FUNCTION --starting-position VALUE",
        ),
        (
            &["deploy", "--secret", "a=b"],
            "--secret: a secret's value does not belong on a command line: put it into a file, --secret a=@FILE",
            "fnctl deploy --help",
        ),
    ] {
        let error = refused(words);
        assert_eq!(
            (error.exit_code, error.code.as_str()),
            (2, "FN1001"),
            "{words:?}"
        );
        assert_eq!(error.message, message, "{words:?}");
        assert_eq!(error.fix.as_deref(), Some(fix), "{words:?}");
    }
    for words in [
        &["deploy", "--batch-size"][..],
        &["put", "s", "--key", "a", "--key-field", "b"],
    ] {
        let error = refused(words);
        assert_eq!(
            (error.exit_code, error.code.as_str()),
            (2, "FN1001"),
            "{words:?}"
        );
        assert!(
            !error.message.is_empty() && !error.message.starts_with("error"),
            "{words:?}"
        );
    }
    assert_eq!(
        refused(&["tail", "s", "--form", "x"]).why.as_deref(),
        Some("did you mean `--from`?")
    );
}

/// Every flag that takes a number, a duration or a size: a word that cannot be read and a value that is
/// not allowed. Those without the second have no bound that is known before the server is asked.
#[test]
fn values_that_cannot_be_read_exit_2_and_values_that_are_not_allowed_7() {
    let count = ("ten", "-1");
    let positive = ("ten", "0");
    let duration = ("10", "-1s");
    let size = ("10", "99999999999TiB");
    for (command, flag, (unreadable, not_allowed)) in [
        (&["tail", "s"][..], "--count", positive),
        (&["tail", "s"], "--timeout", duration),
        (
            &["tail", "s"],
            "--from",
            ("yesterday", "99999999999999999999d"),
        ),
        (&["logs", "f"], "--tail", count),
        (&["logs", "f"], "--since", duration),
        (&["put", "s"], "--rate", positive),
        (&["put", "s"], "--from-line", positive),
        (&["put", "s"], "--key-field", ("a..b", "")),
        (&["rollback", "f"], "--to", positive),
        (&["dlq", "list", "m"], "--limit", positive),
        (&["invoke", "f"], "--timeout", duration),
        (&["invoke", "f"], "--memory", size),
        (&["streams", "create", "s"], "--shards", count),
        (&["streams", "create", "s"], "--retention", duration),
        (&["server"], "--listen", ("here", "127.0.0.1:99999")),
        (&["server"], "--kinesis-listen", ("here", "127.0.0.1:99999")),
        (&["dev"], "--listen", ("here", "127.0.0.1:99999")),
        (&["dev"], "--kinesis-listen", ("here", "127.0.0.1:99999")),
        (&["deploy", "x"], "--shards", count),
        (&["deploy", "x"], "--canary", ("ten", "0%")),
        (&["promote", "f"], "--canary", ("10", "101%")),
        (&["deploy", "x"], "--batch-size", count),
        (&["deploy", "x"], "--parallelization-factor", count),
        (&["deploy", "x"], "--concurrency", count),
        (&["deploy", "x"], "--max-attempts", ("many", "0")),
        (&["deploy", "x"], "--batch-window", duration),
        (&["deploy", "x"], "--backoff-initial", duration),
        (&["deploy", "x"], "--backoff-max", duration),
        (&["deploy", "x"], "--max-record-age", duration),
        (&["deploy", "x"], "--timeout", duration),
        (&["deploy", "x"], "--wait", duration),
        (&["deploy", "x"], "--memory", size),
        (&["deploy", "x"], "--batch-bytes", size),
        (
            &["deploy", "x"],
            "--starting-position",
            ("LATEST", "99999999999999999999d"),
        ),
    ] {
        for (value, exit, code) in [(unreadable, 2, "FN1001"), (not_allowed, 7, "FN1020")] {
            if value.is_empty() {
                continue;
            }
            let word = format!("{flag}={value}");
            let words = [command, &[word.as_str()]].concat();
            // A setting that is not allowed is told together with all others, behind the parser.
            let has_settings = matches!(command[0], "deploy" | "invoke" | "promote" | "streams");
            if exit == 7 && has_settings && flag != "--wait" {
                let all = std::iter::once("fnctl").chain(words.iter().copied());
                assert!(Cli::try_parse_from(all).is_ok(), "{words:?}");
                continue;
            }
            let error = refused(&words);
            assert_eq!(
                (error.exit_code, error.code.as_str()),
                (exit, code),
                "{words:?}: {}",
                error.message
            );
            assert!(
                error.message.starts_with(&format!("{flag}: ")),
                "{}",
                error.message
            );
            assert_eq!(error.place.as_deref(), Some(flag), "{words:?}");
        }
    }
    assert_eq!(refusal(&["put", "s", "--key", ""]).0, 7);
    assert_eq!(
        refusal(&["tail", "s", "--count", "-3"]).0,
        7,
        "not taken for a flag"
    );
}

#[test]
fn json_is_asked_for_in_any_of_its_spellings() {
    let asks = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        asks_for_json(&words)
    };
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

#[test]
fn a_mapping_is_updated_by_the_flags_it_is_deployed_with() {
    let command = Cli::command();
    let flags = |path: &[&str]| {
        let found = path.iter().fold(&command, |command, word| {
            command.find_subcommand(word).expect("a command")
        });
        let flags = found.get_arguments().filter_map(clap::Arg::get_long);
        flags.map(str::to_owned).collect::<Vec<_>>()
    };
    let (update, deploy) = (flags(&["mappings", "update"]), flags(&["deploy"]));
    for flag in &update {
        assert!(deploy.contains(flag), "--{flag}");
    }
    // What is fixed when a mapping is made, and outputs, whose flag is `--to`.
    let others = ["stream", "outputs", "starting_position"];
    for key in MappingSpec::KEYS.iter().filter(|key| !others.contains(key)) {
        assert!(update.contains(&key.replace('_', "-")), "{key}");
    }
    assert!(update.contains(&"to".to_owned()));
}
