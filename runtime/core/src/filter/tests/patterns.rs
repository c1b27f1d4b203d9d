//! Section 14: what patterns mean (Lambda ESM specification §14, §20 row 9, §22 row Filter).

use super::{check, matches};

#[test]
fn literals_of_section_14() {
    check(&[
        (
            "literal list: one is enough, types are exact",
            r#"{"a": ["x", 1, true, null]}"#,
            &[
                r#"{"a":"x"}"#,
                r#"{"a":1}"#,
                r#"{"a":true}"#,
                r#"{"a":null}"#,
            ],
            &[
                r#"{"a":"1"}"#,
                r#"{"a":"true"}"#,
                r#"{"a":false}"#,
                r#"{"a":"null"}"#,
                r#"{"a":"X"}"#,
            ],
        ),
        (
            "literal list: a missing field never matches, null is a value",
            r#"{"a": [null]}"#,
            &[r#"{"a":null}"#],
            &[
                r#"{}"#,
                r#"{"b":null}"#,
                r#"{"a":{}}"#,
                r#"{"a":[]}"#,
                r#"{"a":""}"#,
            ],
        ),
        (
            "literal list: \"\" matches the empty string",
            r#"{"a": [""]}"#,
            &[r#"{"a":""}"#],
            &[r#"{"a":" "}"#, r#"{"a":null}"#, r#"{"a":[]}"#],
        ),
        (
            "number literal: numeric equality (section 20 row 9)",
            r#"{"a": [300]}"#,
            &[
                r#"{"a":300}"#,
                r#"{"a":300.0}"#,
                r#"{"a":3.0e2}"#,
                r#"{"a":3E+2}"#,
            ],
            &[r#"{"a":"300"}"#, r#"{"a":300.1}"#, r#"{"a":-300}"#],
        ),
        (
            "number literal: written as a double",
            r#"{"a": [3.0e2, -0.5]}"#,
            &[r#"{"a":300}"#, r#"{"a":-5e-1}"#],
            &[r#"{"a":0.5}"#, r#"{"a":30}"#],
        ),
        (
            "number literal: integers above 2^53 stay apart (ours)",
            r#"{"a": [9007199254740993]}"#,
            &[r#"{"a":9007199254740993}"#],
            &[r#"{"a":9007199254740992}"#, r#"{"a":9007199254740994}"#],
        ),
        (
            "literal list: escapes are the same text",
            r#"{"a": ["é\n😀/"]}"#,
            &[
                r#"{"a":"\u00e9\n\uD83D\uDE00\/"}"#,
                "{\"\\u0061\":\"é\\n😀/\"}",
            ],
            &[r#"{"a":"é\\n😀/"}"#],
        ),
    ]);
}

#[test]
fn operators_of_section_14() {
    check(&[
        (
            "prefix",
            r#"{"a": [{"prefix": "ab"}]}"#,
            &[r#"{"a":"ab"}"#, r#"{"a":"abc"}"#],
            &[
                r#"{"a":"a"}"#,
                r#"{"a":"Abc"}"#,
                r#"{"a":["xab"]}"#,
                r#"{}"#,
            ],
        ),
        (
            "prefix: strings only",
            r#"{"a": [{"prefix": "1"}]}"#,
            &[r#"{"a":"12"}"#],
            &[r#"{"a":12}"#, r#"{"a":null}"#, r#"{"a":true}"#],
        ),
        (
            "prefix with equals-ignore-case",
            r#"{"a": [{"prefix": {"equals-ignore-case": "ÄB"}}]}"#,
            &[r#"{"a":"äbc"}"#, r#"{"a":"ÄB"}"#],
            &[r#"{"a":"ä"}"#, r#"{"a":"xäb"}"#],
        ),
        (
            "suffix",
            r#"{"a": [{"suffix": ".png"}]}"#,
            &[r#"{"a":"x.png"}"#, r#"{"a":".png"}"#],
            &[r#"{"a":"x.PNG"}"#, r#"{"a":"png"}"#, r#"{"a":1}"#],
        ),
        (
            "suffix with equals-ignore-case",
            r#"{"a": [{"suffix": {"equals-ignore-case": ".png"}}]}"#,
            &[r#"{"a":"x.PNG"}"#, r#"{"a":".pNg"}"#],
            &[r#"{"a":"x.jpg"}"#, r#"{"a":"png"}"#],
        ),
        (
            "equals-ignore-case",
            r#"{"a": [{"equals-ignore-case": "Straße"}]}"#,
            &[r#"{"a":"STRAßE"}"#, r#"{"a":"straße"}"#],
            &[r#"{"a":"strasse"}"#, r#"{"a":"straßen"}"#, r#"{"a":null}"#],
        ),
        (
            "numeric =",
            r#"{"a": [{"numeric": ["=", 5]}]}"#,
            &[r#"{"a":5}"#, r#"{"a":5.0}"#],
            &[r#"{"a":"5"}"#, r#"{"a":6}"#],
        ),
        (
            "numeric: two bounds, JSON numbers only",
            r#"{"a": [{"numeric": [">", 0, "<=", 5]}]}"#,
            &[r#"{"a":5}"#, r#"{"a":0.1}"#],
            &[
                r#"{"a":0}"#,
                r#"{"a":5.1}"#,
                r#"{"a":"3"}"#,
                r#"{"a":true}"#,
            ],
        ),
        (
            "numeric: one bound",
            r#"{"a": [{"numeric": ["<", -1e3]}]}"#,
            &[r#"{"a":-1000.5}"#, r#"{"a":-1e400}"#],
            &[r#"{"a":-1000}"#, r#"{"a":0}"#],
        ),
        (
            "cidr: IPv4",
            r#"{"a": [{"cidr": "10.0.0.0/8"}]}"#,
            &[r#"{"a":"10.255.0.1"}"#],
            &[
                r#"{"a":"11.0.0.1"}"#,
                r#"{"a":"::1"}"#,
                r#"{"a":"10.0.0"}"#,
                r#"{"a":10}"#,
            ],
        ),
        (
            "cidr: IPv6, and all addresses",
            r#"{"a": [{"cidr": "2001:db8::/32"}, {"cidr": "0.0.0.0/0"}]}"#,
            &[r#"{"a":"2001:DB8:1::1"}"#, r#"{"a":"255.1.2.3"}"#],
            &[r#"{"a":"2001:db9::"}"#],
        ),
        (
            "wildcard: zero or more characters",
            r#"{"a": [{"wildcard": "a*b*c"}]}"#,
            &[r#"{"a":"abc"}"#, r#"{"a":"axxbxbyc"}"#, r#"{"a":"ab\nc"}"#],
            &[
                r#"{"a":"ac"}"#,
                r#"{"a":"abcd"}"#,
                r#"{"a":"xabc"}"#,
                r#"{"a":1}"#,
            ],
        ),
        (
            "wildcard: escapes",
            r#"{"a": [{"wildcard": "\\*\\\\*"}]}"#,
            &[r#"{"a":"*\\"}"#, r#"{"a":"*\\x"}"#],
            &[r#"{"a":"x\\"}"#, r#"{"a":"*"}"#],
        ),
        (
            "wildcard: more than five stars, and a star alone",
            r#"{"a": [{"wildcard": "*a*b*c*d*e*f*"}], "b": [{"wildcard": "*"}]}"#,
            &[
                r#"{"a":"abcdef","b":""}"#,
                r#"{"a":"-a-b-c-d-e-f-","b":"x"}"#,
            ],
            &[r#"{"a":"abcde","b":""}"#, r#"{"a":"abcdef","b":1}"#],
        ),
        (
            "wildcard: ends do not overlap",
            r#"{"a": [{"wildcard": "aba*ba"}]}"#,
            &[r#"{"a":"ababa"}"#],
            &[r#"{"a":"aba"}"#, r#"{"a":"abba"}"#],
        ),
    ]);
}

#[test]
fn anything_but_and_exists_of_section_14() {
    check(&[
        (
            "anything-but a string: false if missing; null and other types count as present",
            r#"{"a": [{"anything-but": "x"}]}"#,
            &[
                r#"{"a":"y"}"#,
                r#"{"a":1}"#,
                r#"{"a":null}"#,
                r#"{"a":false}"#,
            ],
            &[r#"{"a":"x"}"#, r#"{}"#, r#"{"a":{}}"#, r#"{"a":[]}"#],
        ),
        (
            "anything-but a number",
            r#"{"a": [{"anything-but": 5}]}"#,
            &[r#"{"a":"5"}"#, r#"{"a":5.1}"#],
            &[r#"{"a":5}"#, r#"{"a":5.0}"#],
        ),
        (
            "anything-but a list of strings",
            r#"{"a": [{"anything-but": ["x", "y"]}]}"#,
            &[r#"{"a":"z"}"#],
            &[r#"{"a":"x"}"#, r#"{"a":"y"}"#],
        ),
        (
            "anything-but a list of numbers",
            r#"{"a": [{"anything-but": [1, 2]}]}"#,
            &[r#"{"a":3}"#, r#"{"a":"1"}"#],
            &[r#"{"a":1}"#, r#"{"a":2.0}"#],
        ),
        (
            "anything-but prefix",
            r#"{"a": [{"anything-but": {"prefix": "ab"}}]}"#,
            &[r#"{"a":"b"}"#, r#"{"a":7}"#],
            &[r#"{"a":"abc"}"#, r#"{}"#],
        ),
        (
            "anything-but a list of prefixes",
            r#"{"a": [{"anything-but": {"prefix": ["a", "b"]}}]}"#,
            &[r#"{"a":"c"}"#],
            &[r#"{"a":"ax"}"#, r#"{"a":"bx"}"#],
        ),
        (
            "anything-but suffix",
            r#"{"a": [{"anything-but": {"suffix": [".png", ".jpg"]}}]}"#,
            &[r#"{"a":"x.gif"}"#],
            &[r#"{"a":"x.png"}"#, r#"{"a":"x.jpg"}"#],
        ),
        (
            "anything-but equals-ignore-case",
            r#"{"a": [{"anything-but": {"equals-ignore-case": ["X", "y"]}}]}"#,
            &[r#"{"a":"z"}"#],
            &[r#"{"a":"x"}"#, r#"{"a":"Y"}"#],
        ),
        (
            "anything-but wildcard",
            r#"{"a": [{"anything-but": {"wildcard": "*/tmp/*"}}]}"#,
            &[r#"{"a":"/home/x"}"#],
            &[r#"{"a":"/tmp/x"}"#],
        ),
        (
            "exists true: leaves only",
            r#"{"a": [{"exists": true}]}"#,
            &[r#"{"a":0}"#, r#"{"a":null}"#, r#"{"a":""}"#, r#"{"a":[1]}"#],
            &[
                r#"{}"#,
                r#"{"a":{"b":1}}"#,
                r#"{"a":[]}"#,
                r#"{"a":[{"b":1}]}"#,
            ],
        ),
        (
            "exists false: an object counts as absent, an empty array is absent",
            r#"{"a": [{"exists": false}]}"#,
            &[r#"{}"#, r#"{"a":{"b":1}}"#, r#"{"a":[]}"#, r#"{"a":{}}"#],
            &[r#"{"a":0}"#, r#"{"a":null}"#, r#"{"a":[[1]]}"#],
        ),
        (
            "exists false or a value",
            r#"{"a": [{"exists": false}, "x"], "b": [1]}"#,
            &[r#"{"b":1}"#, r#"{"a":"x","b":1}"#],
            &[r#"{"a":"y","b":1}"#, r#"{"a":"x"}"#, r#"{}"#],
        ),
    ]);
}

#[test]
fn or_of_section_14() {
    check(&[
        (
            "$or beside a field",
            r#"{"c": [3], "$or": [{"a": [1]}, {"b": [2]}]}"#,
            &[r#"{"a":1,"c":3}"#, r#"{"b":2,"c":3}"#],
            &[r#"{"a":1}"#, r#"{"c":3}"#, r#"{"a":2,"b":1,"c":3}"#],
        ),
        (
            "$or below an object, and in an $or",
            r#"{"d": {"$or": [{"a": [1]}, {"$or": [{"b": [2]}, {"b": [3], "c": [4]}]}]}}"#,
            &[
                r#"{"d":{"a":1}}"#,
                r#"{"d":{"b":2}}"#,
                r#"{"d":{"b":3,"c":4}}"#,
            ],
            &[r#"{"d":{"b":3}}"#, r#"{"a":1}"#],
        ),
        (
            "two $or side by side at different depths",
            r#"{"$or": [{"a": [1]}, {"b": [1]}], "d": {"$or": [{"a": [1]}, {"b": [1]}]}}"#,
            &[r#"{"a":1,"d":{"b":1}}"#, r#"{"b":1,"d":{"a":1}}"#],
            &[r#"{"a":1,"b":1}"#, r#"{"d":{"a":1,"b":1}}"#],
        ),
        (
            "$or whose objects have operators for keys is a field",
            r#"{"$or": [{"prefix": "x"}, {"suffix": "y"}]}"#,
            &[r#"{"$or":"xa"}"#, r#"{"$or":"ay"}"#],
            &[r#"{"prefix":"x"}"#, r#"{"$or":"a"}"#],
        ),
        (
            "$or of literals is a field",
            r#"{"$or": ["x", "y"]}"#,
            &[r#"{"$or":"y"}"#],
            &[r#"{"x":"y"}"#],
        ),
        (
            "the same field beside and in $or: both must match",
            r#"{"a": [1, 2], "$or": [{"a": [2, 3]}, {"a": [9]}]}"#,
            &[r#"{"a":2}"#],
            &[r#"{"a":1}"#, r#"{"a":3}"#, r#"{"a":9}"#],
        ),
        (
            "absence as an alternative",
            r#"{"$or": [{"a": [{"exists": false}]}, {"b": [1]}]}"#,
            &[r#"{"b":1,"a":2}"#, r#"{}"#],
            &[r#"{"a":2}"#],
        ),
    ]);
}

#[test]
fn arrays_of_section_14() {
    check(&[
        (
            "several values: one is enough",
            r#"{"a": ["x"]}"#,
            &[
                r#"{"a":["y","x"]}"#,
                r#"{"a":[["x"]]}"#,
                r#"{"a":[{"b":1},"x"]}"#,
            ],
            &[r#"{"a":["y"]}"#, r#"{"a":[{"b":"x"}]}"#],
        ),
        (
            "anything-but: one other value is enough",
            r#"{"a": [{"anything-but": "x"}]}"#,
            &[r#"{"a":["x","y"]}"#],
            &[r#"{"a":["x"]}"#],
        ),
        (
            "fields of one rule: the same element",
            r#"{"a": {"b": [1], "c": [2]}}"#,
            &[
                r#"{"a":[{"b":9},{"b":1,"c":2}]}"#,
                r#"{"a":{"b":[3,1],"c":[2,3]}}"#,
                r#"{"a":[[{"c":2,"b":1}]]}"#,
            ],
            &[
                r#"{"a":[{"b":1},{"c":2}]}"#,
                r#"{"a":[{"b":1,"c":3},{"b":2,"c":2}]}"#,
                r#"{"a":[[{"b":1}],[{"c":2}]]}"#,
            ],
        ),
        (
            "arrays in arrays: one element of each",
            r#"{"a": {"k": [0], "b": {"x": [1], "y": [2]}}}"#,
            &[r#"{"a":[{"k":1},{"k":0,"b":[{"x":2},{"x":1,"y":2}]}]}"#],
            &[
                r#"{"a":[{"k":0},{"k":1,"b":[{"x":1,"y":2}]}]}"#,
                r#"{"a":[{"k":0,"b":[{"x":1},{"y":2}]}]}"#,
            ],
        ),
        (
            "arrays beside each other: chosen apart",
            r#"{"a": {"x": [1]}, "b": {"y": [2]}}"#,
            &[r#"{"a":[{"x":0},{"x":1}],"b":[{"y":2},{"y":0}]}"#],
            &[r#"{"a":[{"x":0,"y":2}],"b":[{"y":2}]}"#],
        ),
        (
            "each alternative chooses its own element",
            r#"{"a": {"$or": [{"x": [1], "y": [1]}, {"x": [2]}]}}"#,
            &[
                r#"{"a":[{"x":1},{"x":2}]}"#,
                r#"{"a":[{"x":3},{"x":1,"y":1}]}"#,
            ],
            &[r#"{"a":[{"x":1},{"y":1}]}"#],
        ),
        (
            "a field that exists in another element is not absent",
            r#"{"a": {"x": [{"exists": false}], "y": [1]}}"#,
            &[r#"{"a":[{"z":1},{"y":1}]}"#],
            &[r#"{"a":[{"x":1},{"y":1}]}"#],
        ),
        (
            "an array at the top of a payload",
            r#"{"x": [1], "y": [2]}"#,
            &[r#"[{"x":1,"y":2}]"#],
            &[r#"[{"x":1},{"y":2}]"#, "[]"],
        ),
    ]);
}

#[test]
fn dotted_and_duplicate_keys_of_section_14() {
    check(&[
        (
            "dotted keys are paths in the pattern",
            r#"{"a.b": [1], "c": {"d.e": [2]}}"#,
            &[
                r#"{"a":{"b":1},"c":{"d":{"e":2}}}"#,
                r#"{"a.b":1,"c.d.e":2}"#,
            ],
            &[r#"{"a":{"b":1},"c":{"d":{"e":1}}}"#],
        ),
        (
            "dotted keys are paths in the record",
            r#"{"a": {"b": [1], "c": [2]}}"#,
            &[r#"{"a.b":1,"a.c":2}"#, r#"{"a":{"b":1},"a.c":2}"#],
            &[r#"{"a.b":1,"a.c":1}"#],
        ),
        (
            "duplicate keys of a pattern: of one path the last counts",
            r#"{"a": [1], "a": [2], "b.c": [1], "b": {"c": [3]}}"#,
            &[r#"{"a":2,"b":{"c":3}}"#],
            &[r#"{"a":1,"b":{"c":3}}"#, r#"{"a":2,"b":{"c":1}}"#],
        ),
        (
            "duplicate keys of a pattern: of one parent all are kept",
            r#"{"d": {"x": [1]}, "d": {"y": [2]}}"#,
            &[r#"{"d":{"x":1,"y":2}}"#],
            &[r#"{"d":{"x":1}}"#, r#"{"d":{"y":2}}"#],
        ),
        (
            "duplicate keys of a record: of one path the last counts",
            r#"{"a": [1]}"#,
            &[r#"{"a":2,"a":1}"#, r#"{"a":1,"a":{"b":3}}"#],
            &[r#"{"a":1,"a":2}"#, r#"{"a":1,"a":[2]}"#],
        ),
        (
            "duplicate keys of a record: of one parent all are kept",
            r#"{"d": {"x": [1], "y": [2]}}"#,
            &[
                r#"{"d":{"x":1},"d":{"y":2}}"#,
                r#"{"d":{"x":1},"e":0,"d.y":2}"#,
            ],
            &[r#"{"d":{"x":1,"y":2},"d":{"y":3}}"#],
        ),
        (
            "elements of an array are no duplicates",
            r#"{"a": {"x": [1]}}"#,
            &[r#"{"a":[{"x":1},{"x":2}]}"#],
            &[r#"{"a":[{"x":1,"x":2}]}"#],
        ),
    ]);
}

#[test]
fn empty_keys_and_keys_with_escapes_are_keys() {
    assert!(matches(r#"{"": [1]}"#, r#"{"":1}"#));
    assert!(matches(r#"{"a\"b": [1]}"#, r#"{"a\"b":1}"#));
    assert!(matches(r#"{"é": [1]}"#, r#"{"\u00e9":1}"#));
    assert!(!matches(r#"{"a": [1]}"#, r#"{"a.":1}"#));
}
