use clap::Parser;
use serde_json::json;

use super::*;

#[derive(Parser)]
struct Words {
    #[command(flatten)]
    args: Args,
}

fn request(words: &[&str], mut request: DeployRequest) -> Result<serde_json::Value, CliError> {
    let words = std::iter::once("deploy").chain(words.iter().copied());
    let parsed = Words::try_parse_from(words).unwrap();
    parsed.args.apply(&mut request)?;
    Ok(serde_json::to_value(&request).unwrap())
}

#[test]
fn flags_are_the_keys_of_the_manifest() {
    let sent = request(
        &[
            "enrich.wasm",
            "--stream",
            "signups",
            "--name",
            "enrich",
            "--to",
            "enriched",
            "--to",
            "rejected=none",
            "--batch-size",
            "100",
            "--batch-window",
            "200ms",
            "--parallelization-factor",
            "4",
            "--max-attempts",
            "unlimited",
            "--config",
            "a=b=c",
            "--starting-position",
            "latest",
            "--timeout",
            "30s",
            "--memory",
            "128MiB",
            "--isolation",
            "fresh",
            "--concurrency",
            "default",
            "--allow-loop",
            "--wait",
            "--shards",
            "2",
            "--unset",
            "x",
        ],
        DeployRequest::default(),
    )
    .unwrap();
    assert_eq!(
        sent["function"],
        json!({"name": "enrich", "memory": "128MiB", "timeout": "30s", "isolation": "fresh", "concurrency": "default", "config": {"a": "b=c"}})
    );
    assert_eq!(
        sent["mappings"],
        json!([{
            "stream": "signups", "outputs": {"default": "enriched", "rejected": "none"}, "batch_size": 100,
            "batch_window": "200ms", "parallelization_factor": 4, "max_attempts": "unlimited", "starting_position": "latest"
        }])
    );
    assert_eq!(sent["wait_ms"], json!(60_000));
    assert_eq!(sent["new_streams"], json!({"shards": 2}));
    assert_eq!(
        (&sent["allow_loop"], &sent["unset"]),
        (&json!(true), &json!(["x"]))
    );
}

#[test]
fn words_that_cannot_be_read_are_refused_at_once() {
    for words in [
        ["--batch-window", "5"],
        ["--memory", "128"],
        ["--batch-size", "ten"],
        ["--max-attempts", "many"],
        ["--ordering", "none"],
        ["--on-failure", "nowhere"],
        ["--on-fatal", "go-on"],
        ["--secret", "k=value"],
        ["--config", "novalue"],
        ["--starting-position", "LATEST"],
        ["--wait=5", "x"],
    ] {
        assert!(
            Words::try_parse_from(["deploy"].into_iter().chain(words)).is_err(),
            "{words:?}"
        );
    }
}

#[test]
fn what_is_not_allowed_is_kept_and_told_together() {
    let words = "deploy x.wasm --stream s --max-attempts 0 --batch-size 0 --batch-window=-1s --to a!b \
                 --timeout 0s --shards -1 --memory 99999999999TiB";
    let words = words.split_whitespace();
    let mut request = DeployRequest::default();
    let parsed = Words::try_parse_from(words).unwrap();
    parsed.args.apply(&mut request).unwrap();
    let CliError::Told(error) = check(&request).unwrap_err() else {
        panic!()
    };
    assert_eq!((error.exit_code, error.problems.len()), (7, 7), "{error:?}");
}

#[test]
fn flags_win_over_the_manifest_and_touch_nothing_else() {
    let manifest: DeployRequest = serde_json::from_value(json!({
        "function": {"name": "f", "memory": "64MiB", "timeout": "1s"},
        "mappings": [{"stream": "a", "batch_size": 1, "batch_window": "1s"}], "is_manifest": true,
    }))
    .unwrap();
    let sent = request(&[".", "--memory", "256MiB", "--batch-size", "9"], manifest).unwrap();
    assert_eq!(
        sent["function"],
        json!({"name": "f", "memory": "256MiB", "timeout": "1s"})
    );
    assert_eq!(
        sent["mappings"],
        json!([{"stream": "a", "batch_size": 9, "batch_window": "1s"}])
    );
}

#[test]
fn of_several_mappings_one_must_be_named() {
    let manifest: DeployRequest = serde_json::from_value(json!({
        "function": {"name": "f"}, "mappings": [{"stream": "a"}, {"stream": "b"}],
    }))
    .unwrap();
    assert_eq!(
        request(&[".", "--batch-size", "9"], manifest.clone())
            .unwrap_err()
            .exit_code(),
        2
    );
    let sent = request(
        &[".", "--batch-size", "9", "--stream", "b"],
        manifest.clone(),
    )
    .unwrap();
    assert_eq!(
        sent["mappings"],
        json!([{"stream": "a"}, {"stream": "b", "batch_size": 9}])
    );
    assert_eq!(
        request(&["."], manifest).unwrap()["mappings"],
        json!([{"stream": "a"}, {"stream": "b"}])
    );
}
