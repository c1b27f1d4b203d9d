use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::spec::{Manifest, request::DeployRequest};

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Small {
    to: Option<u64>,
    is_dry: bool,
    names: Vec<String>,
    values: BTreeMap<String, u8>,
}

fn problems<T: DeserializeOwned>(json: &str) -> (Option<T>, Vec<String>) {
    let (value, problems) = read(serde_json::from_str(json).unwrap());
    let all = problems.into_iter();
    (
        value,
        all.map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect(),
    )
}

#[test]
fn every_misfit_is_named_by_its_place_its_kind_and_what_is_allowed() {
    let (value, all) = problems::<Small>(
        r#"{"to":"hunter2","is_dry":3,"names":["a",7,"b",null],"values":{"x":300,"y":1.5,"z":9},"too":1}"#,
    );
    assert_eq!(
        all,
        [
            "to: text where a whole number, at least 0, is expected",
            "is_dry: a number where true or false is expected",
            "names[1]: a number where text is expected",
            "names[3]: `null` where text is expected",
            "values.x: 300 is out of range: a whole number from 0 to 255 is expected",
            "values.y: a number with a point where a whole number from 0 to 255 is expected",
            "too: is not known; did you mean `to`?",
        ]
    );
    let rest = Small {
        names: vec!["a".into(), "b".into()],
        values: BTreeMap::from([("z".into(), 9)]),
        ..Small::default()
    };
    assert_eq!(value, Some(rest));
}

#[test]
fn what_nothing_can_stand_for_ends_the_reading() {
    let (value, all) = problems::<DeployRequest>(r#"{"dry_run":"yes"}"#);
    assert_eq!(value, None);
    assert_eq!(
        all,
        [
            "dry_run: text where true or false is expected",
            "function: is missing"
        ]
    );
    let (value, all) = problems::<Small>("[1]");
    assert_eq!(
        (value, all),
        (None, vec![": a list where a table is expected".to_owned()])
    );
    // What does not fit is told, and not that it is missing then.
    let (value, all) = problems::<DeployRequest>(r#"{"function":3}"#);
    assert_eq!(value, None);
    assert_eq!(all, ["function: a number where a table is expected"]);
    let (_, all) = problems::<Small>(r#"{"to":1,"to":2}"#);
    assert_eq!(all, ["to: is given twice"]);
}

#[test]
fn an_input_of_nothing_but_misfits_is_not_read_for_ever() {
    let (value, all) = problems::<Small>(&format!("{{\"names\":[{}1]}}", "1,".repeat(50_000)));
    assert_eq!((value, all.len()), (None, limits::MISFITS_MAX));
}

#[test]
fn the_value_of_a_secret_is_never_said() {
    let form = "is no place of a secret, and its value does not belong here";
    for secrets in [
        r#"{"a":"hunter2"}"#,
        r#"{"a":8152025}"#,
        r#"{"a":81520.25}"#,
        r#"{"a":["hunter2"]}"#,
        r#"{"a":{"hunter2":1}}"#,
        r#"{"a":{"value":"hunter2"}}"#,
        r#"{"a":{"file":"f","env":"hunter2"}}"#,
        r#"{"a":{"file":["hunter2"]}}"#,
        r#"{"a":{"file":8152025}}"#,
        r#"{"a":{}}"#,
        r#"{"a":null}"#,
        r#"{"a":true}"#,
    ] {
        let text = format!(r#"{{"function":{{"secrets":{secrets},"memory":"128"}}}}"#);
        let (manifest, all) = problems::<Manifest>(&text);
        let [one] = all.as_slice() else {
            panic!("{all:?}")
        };
        assert!(one.starts_with("function.secrets.a: "), "{one}");
        assert!(one.contains(form), "{one}");
        assert!(!one.contains("hunter2") && !one.contains("81520"), "{one}");
        // The rest is read: its problems come with this one.
        assert!(manifest.unwrap().function.memory.is_some());
    }
    for secrets in [r#""hunter2""#, r#"["hunter2"]"#, "8152025"] {
        for text in [
            format!(r#"{{"function":{{"secrets":{secrets}}}}}"#),
            format!(r#"{{"function":{{}},"secrets":{secrets}}}"#),
            format!(r#"{{"function":{{}},"secrets":{{"a":[{secrets}]}}}}"#),
        ] {
            let (_, all) = problems::<DeployRequest>(&text);
            let [one] = all.as_slice() else {
                panic!("{all:?}")
            };
            assert!(!one.contains("hunter2") && !one.contains("81520"), "{one}");
        }
    }
}
