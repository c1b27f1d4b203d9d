use serde_json::json;

use super::*;
use crate::protocol::member::Pattern;

const INNER: &[Member] = &[
    Member {
        name: "Key",
        kind: Kind::String,
        rules: &[Rule::NotNull, Rule::LengthMax(3)],
    },
    Member {
        name: "Blob",
        kind: Kind::Blob,
        rules: &[Rule::LengthMax(2)],
    },
];
const MEMBERS: &[Member] = &[
    Member {
        name: "Count",
        kind: Kind::Integer,
        rules: &[Rule::ValueMin(1), Rule::ValueMax(10)],
    },
    Member {
        name: "Type",
        kind: Kind::String,
        rules: &[Rule::OneOf(&["B", "A"])],
    },
    Member {
        name: "Records",
        kind: Kind::List {
            members: INNER,
            element: "com.example.Entry@1",
        },
        rules: &[Rule::LengthMin(1), Rule::LengthMax(2)],
    },
    Member {
        name: "Mode",
        kind: Kind::Structure(INNER),
        rules: &[],
    },
    Member {
        name: "Tags",
        kind: Kind::Map,
        rules: &[
            Rule::LengthMin(1),
            Rule::KeyLengths(1, 2),
            Rule::ValueLengths(0, 1),
        ],
    },
    Member {
        name: "HashKey",
        kind: Kind::String,
        rules: &[Rule::Matches(Pattern::HashKey)],
    },
    STREAM_NAME,
    STREAM_ARN,
];

/// What checking a request says; empty if it is fine. A stream's name is added unless given.
fn complaint(mut request: Value) -> String {
    let object = request.as_object_mut().unwrap();
    object.entry("StreamName").or_insert(json!("s"));
    match check_constraints(Checked(object), MEMBERS) {
        Ok(()) => String::new(),
        Err(error) => {
            assert_eq!(error.code, ErrorCode::Validation);
            error.message.unwrap().into_owned()
        }
    }
}

#[test]
fn broken_constraints_are_told_in_the_words_of_kinesis() {
    for (request, expected) in [
        (
            json!({"Count": 0}),
            "Value '0' at 'count' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            json!({"Count": 99_999_999_999_i64}),
            "Value '2147483647' at 'count' failed to satisfy constraint: Member must have value less than or equal to 10",
        ),
        (
            json!({"Count": 0.9}),
            "Value '0' at 'count' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            json!({"Type": "C"}),
            "Value 'C' at 'type' failed to satisfy constraint: Member must satisfy enum value set: [B, A]",
        ),
        (
            json!({"Records": []}),
            "Value '[]' at 'records' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            json!({"Records": [{"Key": "a"}, {"Key": "a"}, {"Key": "a"}]}),
            "Value '[com.example.Entry@1, com.example.Entry@1, com.example.Entry@1]' at 'records' failed to satisfy constraint: Member must have length less than or equal to 2",
        ),
        (
            json!({"Records": [{"Key": "a"}, {}]}),
            "Value null at 'records.2.member.key' failed to satisfy constraint: Member must not be null",
        ),
        (
            json!({"Records": [{"Key": "a"}, null]}),
            "Value null at 'records.2.member' failed to satisfy constraint: Member must not be null",
        ),
        (
            json!({"Records": [{"Key": "a", "Blob": "AAAA"}]}),
            "Value 'java.nio.HeapByteBuffer[pos=0 lim=3 cap=3]' at 'records.1.member.blob' failed to satisfy constraint: Member must have length less than or equal to 2",
        ),
        (
            json!({"Mode": {"Key": "ääää"}}),
            "Value 'ääää' at 'mode.key' failed to satisfy constraint: Member must have length less than or equal to 3",
        ),
        (
            json!({"Tags": {}}),
            "Value '{}' at 'tags' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            json!({"Tags": {"aaa": "b"}}),
            "Value '{aaa=b}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 2, Member must have length greater than or equal to 1]",
        ),
        (
            json!({"Tags": {"a": "bb"}}),
            "Value '{a=bb}' at 'tags' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 1, Member must have length greater than or equal to 0]",
        ),
        (
            json!({"HashKey": "-1"}),
            r"Value '-1' at 'hashKey' failed to satisfy constraint: Member must satisfy regular expression pattern: 0|([1-9]\d{0,38})",
        ),
        (
            json!({"StreamName": null}),
            "Value null at 'streamName' failed to satisfy constraint: Member must not be null",
        ),
        (
            json!({"StreamARN": "arn"}),
            r"Value 'arn' at 'streamARN' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\d{12}:stream/\S+",
        ),
    ] {
        let whole = format!("1 validation error detected: {expected}");
        assert_eq!(complaint(request.clone()), whole, "{request}");
    }
}

#[test]
fn several_errors_come_together_in_the_operations_order() {
    assert_eq!(
        complaint(json!({"StreamName": "", "Count": 0})),
        "3 validation errors detected: \
         Value '0' at 'count' failed to satisfy constraint: \
         Member must have value greater than or equal to 1; \
         Value '' at 'streamName' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; \
         Value '' at 'streamName' failed to satisfy constraint: \
         Member must have length greater than or equal to 1"
    );
}

#[test]
fn at_most_ten_errors_are_told() {
    let records = vec![json!({}); 12];
    let complaint = complaint(json!({"Records": records}));
    assert!(
        complaint.starts_with("10 validation errors detected: "),
        "{complaint}"
    );
    assert_eq!(complaint.matches("failed to satisfy").count(), 10);
}

#[test]
fn an_arn_stands_in_for_a_name() {
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    assert_eq!(complaint(json!({"StreamName": null, "StreamARN": arn})), "");
}

#[test]
fn what_keeps_its_constraints_passes() {
    for request in [
        json!({"Count": 10}),
        json!({"Type": "A"}),
        json!({"Records": [{"Key": "abc", "Blob": "AAA="}]}),
        json!({"Tags": {"a": ""}}),
        json!({"HashKey": "0"}),
        json!({"Unknown": {}}),
    ] {
        assert_eq!(complaint(request.clone()), "", "{request}");
    }
}
