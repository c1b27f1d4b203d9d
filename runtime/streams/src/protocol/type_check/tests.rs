use serde_json::json;

use super::*;

const INNER: &[Member] = &[Member::name("Inner")];
const MEMBERS: &[Member] = &[
    Member {
        name: "Boolean",
        kind: Kind::Boolean,
        rules: &[],
    },
    Member {
        name: "Integer",
        kind: Kind::Integer,
        rules: &[],
    },
    Member {
        name: "String",
        kind: Kind::String,
        rules: &[],
    },
    Member {
        name: "Blob",
        kind: Kind::Blob,
        rules: &[],
    },
    Member {
        name: "Timestamp",
        kind: Kind::Timestamp,
        rules: &[],
    },
    Member {
        name: "Structure",
        kind: Kind::Structure(INNER),
        rules: &[],
    },
    Member {
        name: "List",
        kind: Kind::List {
            members: INNER,
            element: "E",
        },
        rules: &[],
    },
    Member {
        name: "Map",
        kind: Kind::Map,
        rules: &[],
    },
];

/// What checking a request with one member says; empty if it is fine.
fn complaint(name: &str, value: &Value) -> String {
    let request = json!({ name: value });
    match check_types(Checked(request.as_object().unwrap()), MEMBERS) {
        Ok(()) => String::new(),
        Err(error) => {
            assert_eq!(error.code, ErrorCode::Serialization);
            error.message.unwrap().into_owned()
        }
    }
}

#[test]
fn wrong_types_are_told_in_the_words_of_kinesis() {
    let list = "Start of list found where not expected";
    let structure = "Start of structure or map found where not expected.";
    let number = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber";
    for (name, value, expected) in [
        ("Boolean", json!(1), format!("{number} can not be converted to an Boolean")),
        ("Boolean", json!("no, no"), "'NO, NO' can not be converted to an Boolean".into()),
        ("Boolean", json!([]), list.into()),
        ("Boolean", json!({}), structure.into()),
        ("Integer", json!("1"), "class java.lang.String can not be converted to an Integer".into()),
        (
            "Integer",
            json!(true),
            "class java.lang.Boolean can not be converted to an Integer".into(),
        ),
        ("Integer", json!([]), list.into()),
        ("Integer", json!({}), structure.into()),
        ("String", json!(true), "class java.lang.Boolean can not be converted to an String".into()),
        ("String", json!(23), format!("{number} can not be converted to an String")),
        ("String", json!([]), list.into()),
        ("String", json!({}), structure.into()),
        ("Blob", json!(true), "class java.lang.Boolean can not be converted to a Blob".into()),
        ("Blob", json!(1), format!("{number} can not be converted to a Blob")),
        (
            "Blob",
            json!("A"),
            "'A' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 1".into(),
        ),
        (
            "Blob",
            json!("A!AA"),
            "'A!AA' can not be converted to a Blob: Invalid Base64 character: '!'".into(),
        ),
        ("Blob", json!([]), list.into()),
        ("Blob", json!({}), structure.into()),
        (
            "Timestamp",
            json!(true),
            "class java.lang.Boolean can not be converted to milliseconds since epoch".into(),
        ),
        (
            "Timestamp",
            json!("now"),
            "class java.lang.String can not be converted to milliseconds since epoch".into(),
        ),
        ("Timestamp", json!([]), list.into()),
        ("Timestamp", json!({}), structure.into()),
        ("Structure", json!("a"), "Expected null".into()),
        ("Structure", json!(1), "Expected null".into()),
        ("Structure", json!([]), list.into()),
        (
            "Structure",
            json!({"Inner": true}),
            "class java.lang.Boolean can not be converted to an String".into(),
        ),
        ("List", json!("a"), "Expected list or null".into()),
        ("List", json!(false), "Expected list or null".into()),
        ("List", json!({}), structure.into()),
        ("List", json!(["a"]), "Expected null".into()),
        ("List", json!([[]]), list.into()),
        ("Map", json!("a"), "Expected map or null".into()),
        ("Map", json!([]), list.into()),
        ("Map", json!({"a": 1}), format!("{number} can not be converted to an String")),
    ] {
        assert_eq!(complaint(name, &value), expected, "{name} {value}");
    }
}

#[test]
fn right_types_nulls_and_unknown_members_pass() {
    for (name, value) in [
        ("Boolean", json!(true)),
        ("Integer", json!(1.7)),
        ("String", json!("a")),
        ("Blob", json!("AAA=")),
        ("Timestamp", json!(1.5)),
        ("Structure", json!({"Inner": null, "Other": 1})),
        ("List", json!([{"Inner": "a"}, null])),
        ("Map", json!({"a": "b", "c": null})),
        ("Boolean", json!(null)),
        ("List", json!(null)),
        ("Unknown", json!(1)),
    ] {
        assert_eq!(complaint(name, &value), "", "{name} {value}");
    }
}

#[test]
fn the_first_member_in_the_operations_order_answers() {
    let request = json!({ "Timestamp": "a", "Boolean": 1 });
    let error = check_types(Checked(request.as_object().unwrap()), MEMBERS).unwrap_err();
    assert!(error.message.unwrap().ends_with("an Boolean"));
}
