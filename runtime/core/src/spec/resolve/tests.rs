use serde_json::json;

use super::*;
use crate::{
    mapping::Ordering,
    spec::{
        StreamSpec,
        setting::{SettingValue, Switch},
    },
};

fn manifest_problems(value: serde_json::Value) -> Vec<(String, String)> {
    let manifest: super::super::Manifest = serde_json::from_value(value).unwrap();
    super::manifest(&manifest)
        .into_iter()
        .map(|p| (p.path, p.message))
        .collect()
}

fn mapping_spec(value: serde_json::Value) -> MappingSpec {
    serde_json::from_value(value).unwrap()
}

#[test]
fn all_problems_of_one_input_come_together() {
    let problems = manifest_problems(json!({
        "function": {"memory": "128", "timeout": "20m", "tiemout": "1s", "log_level": "debug"},
        "mapping": [
            {"stream": "a b", "batch_size": 20000, "batch_window": 5, "filter": "x", "max_attempts": 0},
            {"ordering": "none", "on_failure": "https://u:p@example.com", "on_fatal": "go-on"},
        ],
        "streams": {"s": {"shards": 0, "retention": "1s", "ack": "never"}},
        "maping": {},
    }));
    let paths: Vec<&str> = problems.iter().map(|(path, _)| path.as_str()).collect();
    for path in [
        "maping",
        "function.memory",
        "function.timeout",
        "function.tiemout",
        "function.log_level",
        "mapping[0].stream",
        "mapping[0].batch_size",
        "mapping[0].batch_window",
        "mapping[0].filter[0]",
        "mapping[0].max_attempts",
        "mapping[1].stream",
        "mapping[1].ordering",
        "mapping[1].on_failure",
        "mapping[1].on_fatal",
        "streams.s.shards",
        "streams.s.retention",
        "streams.s.ack",
    ] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
    assert_eq!(paths.len(), 17, "{problems:?}");
}

#[test]
fn problems_say_what_and_which_bound() {
    for (key, value, message) in [
        ("batch_size", json!(20000), "20000 is above 10000"),
        ("batch_size", json!(0), "0 is below 1"),
        (
            "batch_size",
            json!(-1),
            "-1 is below 0: 1 to 10000 is allowed",
        ),
        (
            "batch_size",
            json!(u64::MAX),
            "18446744073709551615 is far out of range: 1 to 10000 is allowed",
        ),
        (
            "batch_window",
            json!("-1s"),
            "-1s is below 0: 0s to 5m is allowed",
        ),
        ("batch_size", json!("ten"), "`ten` is not a number"),
        ("batch_size", json!(1.5), "1.5 is not a whole number"),
        ("batch_size", json!([1]), "a list is not a value for this"),
        ("batch_size", json!(true), "`true` is not a value for this"),
        ("batch_window", json!("301s"), "301s is above 5m"),
        ("batch_bytes", json!("13MiB"), "13MiB is above 12MiB"),
        ("batch_bytes", json!(6), "6 has no unit: write 6KiB or 6MiB"),
        ("parallelization_factor", json!(257), "257 is above 256"),
        (
            "max_attempts",
            json!(-1),
            "-1 is Lambda's spelling: write \"unlimited\"",
        ),
        ("tumbling_window", json!("901s"), "901s is above 15m"),
        (
            "tumbling_window",
            json!(60),
            "60 has no unit: write 60ms or 60s",
        ),
        ("key_groups", json!(0), "0 is below 1"),
        ("key_groups", json!(5000), "5000 is above 4096"),
        (
            "bisect_on_error",
            json!("maybe"),
            "`maybe` is neither on nor off",
        ),
        ("max_record_age", json!("0s"), "0s is below 1ms"),
        ("max_record_age", json!("9000h"), "375d is above 365d"),
        (
            "batch_sise",
            json!(1),
            "unknown key `batch_sise`; did you mean `batch_size`?",
        ),
    ] {
        let problems = manifest_problems(json!({"mapping": [{"stream": "s", key: value}]}));
        assert_eq!(
            problems,
            [(format!("mapping[0].{key}"), message.to_owned())]
        );
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused_naming_both() {
    for (mut settings, key, message) in [
        (
            json!({"ordering": "shard", "parallelization_factor": 2}),
            "parallelization_factor",
            "2 lanes keep no order within a shard: ordering = \"shard\" has 1",
        ),
        (
            json!({"ordering": "shard", "key_groups": 2, "tumbling_window": "1m"}),
            "key_groups",
            "2 groups of keys would each go on by themselves: ordering = \"shard\" has 1",
        ),
        (
            json!({"backoff_initial": "2s", "backoff_max": "1s"}),
            "backoff_max",
            "1s is below backoff_initial, 2s",
        ),
        (
            json!({"max_record_age": "5s", "batch_window": "5s"}),
            "max_record_age",
            "5s is not above batch_window, 5s: a record that waits for its batch to fill would be given up before \
             its first call",
        ),
    ] {
        settings["stream"] = json!("s");
        let problems = manifest_problems(json!({"mapping": [settings]}));
        assert_eq!(
            problems,
            [(format!("mapping[0].{key}"), message.to_owned())]
        );
    }
    for mut settings in [
        json!({"ordering": "shard", "key_groups": 1, "tumbling_window": "1m"}),
        json!({"ordering": "shard", "key_groups": "default"}),
        json!({"ordering": "key", "key_groups": 2}),
        json!({"max_record_age": "5001ms", "batch_window": "5s"}),
    ] {
        settings["stream"] = json!("s");
        let problems = manifest_problems(json!({"mapping": [settings]}));
        assert!(problems.is_empty(), "{problems:?}");
    }
}

#[test]
fn a_contradiction_of_an_earlier_version_holds_no_other_change_up() {
    let live = MappingSettings {
        ordering: Ordering::Shard,
        key_groups: 8,
        batch_window_ms: 1_000,
        max_record_age_ms: Some(500),
        ..MappingSettings::default()
    };
    let refused = |spec| {
        let mut problems = Problems::default();
        mapping(&live, &mapping_spec(spec), "m", &mut problems);
        problems.0.into_iter().map(|p| p.path).collect::<Vec<_>>()
    };
    assert_eq!(refused(json!({"batch_size": 7})), [""; 0]);
    assert_eq!(refused(json!({"key_groups": 4})), ["m.key_groups"]);
    assert_eq!(refused(json!({"batch_window": "2s"})), ["m.max_record_age"]);
    assert_eq!(refused(json!({"batch_window": "0s"})), [""; 0]);
}

#[test]
fn a_switch_is_read_in_any_case() {
    for (text, is_on) in [("ON", true), ("Off", false), ("OFF", false), ("True", true)] {
        assert_eq!(Switch::from_text(text), Ok(Switch(is_on)), "{text}");
    }
    let refused = Switch::from_text("of").expect_err("a slip");
    assert_eq!(refused.words(), "`of` is neither on nor off");
}

#[test]
fn an_empty_layer_means_the_defaults() {
    let mut problems = Problems::default();
    let settings = mapping(
        &MappingSettings::default(),
        &MappingSpec::default(),
        "m",
        &mut problems,
    );
    assert_eq!(settings, MappingSettings::default());
    let function = function(
        &FunctionSettings::default(),
        &FunctionSpec::default(),
        &[],
        &mut problems,
    );
    assert_eq!(
        (function.memory_bytes, function.timeout_ms),
        (128 << 20, 30_000)
    );
    assert_eq!(
        stream(&StreamSpec::default(), "", &mut problems).retention_ms,
        86_400_000
    );
    assert_eq!(problems.0, []);
}

#[test]
fn a_layer_changes_only_what_it_names_and_default_resets() {
    let live = MappingSettings {
        batch_size: 7,
        batch_window_ms: 9,
        ..Default::default()
    };
    let mut problems = Problems::default();
    let spec = mapping_spec(json!({"batch_window": "default", "max_attempts": "unlimited"}));
    let settings = mapping(&live, &spec, "m", &mut problems);
    assert_eq!(settings.batch_size, 7);
    assert_eq!(settings.batch_window_ms, 0);
    assert_eq!(settings.max_attempts, MaxAttempts::Unlimited);
    assert_eq!(problems.0, []);
}

#[test]
fn the_top_layer_wins_where_it_speaks() {
    let bottom = mapping_spec(
        json!({"batch_size": 1, "batch_window": "1s", "outputs": {"default": "a", "b": "c"}}),
    );
    let top = mapping_spec(json!({"batch_size": 2, "outputs": {"default": "none"}}));
    let both = bottom.overlay(top);
    assert_eq!(
        both,
        mapping_spec(
            json!({"batch_size": 2, "batch_window": "1s", "outputs": {"default": "none", "b": "c"}})
        )
    );
}

#[test]
fn a_layer_is_written_as_it_is_read() {
    let value = json!({
        "stream": "s", "outputs": {"default": "none", "rejected": "r"}, "starting_position": "latest",
        "batch_size": 5, "batch_window": "200ms", "batch_bytes": "1MiB", "max_attempts": "unlimited",
        "parallelization_factor": "default", "ordering": "key", "on_failure": "dlq", "on_fatal": "stop",
        "max_record_age": "1h", "bisect_on_error": false, "partial_failures": true,
        "on_failure_full": "drop-and-count",
    });
    assert_eq!(
        serde_json::to_value(mapping_spec(value.clone())).unwrap(),
        value
    );
}

#[test]
fn configuration_is_merged_unset_and_text_alone() {
    let live = FunctionSettings {
        config: BTreeMap::from([
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), "2".to_owned()),
        ]),
        ..Default::default()
    };
    let mut problems = Problems::default();
    let spec: FunctionSpec = serde_json::from_value(json!({"config": {"c": "default"}})).unwrap();
    let settings = function(&live, &spec, &["a".to_owned()], &mut problems);
    assert_eq!(settings.config.keys().collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(settings.config["c"], "default");
    let spec: FunctionSpec = serde_json::from_value(json!({"config": {"n": 21}})).unwrap();
    function(&live, &spec, &[], &mut problems);
    assert_eq!(
        problems.0[0].message,
        "21 is a number, text is expected: write \"21\""
    );
}

#[test]
fn order_within_a_shard_has_one_lane() {
    for (spec, live, is_refused) in [
        (json!({"ordering": "shard"}), 1, false),
        (json!({"ordering": "shard"}), 4, true),
        (
            json!({"ordering": "shard", "parallelization_factor": 2}),
            1,
            true,
        ),
        (
            json!({"ordering": "shard", "parallelization_factor": "default"}),
            4,
            false,
        ),
        (json!({"ordering": "key"}), 4, false),
    ] {
        let live = MappingSettings {
            parallelization_factor: live,
            ..MappingSettings::default()
        };
        let mut problems = Problems::default();
        mapping(&live, &mapping_spec(spec.clone()), "m", &mut problems);
        let paths: Vec<&str> = problems.0.iter().map(|p| p.path.as_str()).collect();
        let expected: &[&str] = if is_refused {
            &["m.parallelization_factor"]
        } else {
            &[]
        };
        assert_eq!(paths, expected, "{spec}");
    }
}
