//! Section 14, "refused patterns": each with its place, all at once (Lambda ESM specification §14, §22 row
//! Filter).

use super::*;

fn mistakes(patterns: &[&str]) -> Vec<String> {
    let mistakes = Filter::parse(patterns).expect_err(patterns[0]);
    mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_refused_pattern_names_path_and_byte() {
    let rows: &[(&str, &[&str])] = &[
        // Not JSON, not an object, empty ones.
        (
            r#"{"data": {"a" [1]}}"#,
            &["not JSON: a colon is expected (byte 14)"],
        ),
        (
            "",
            &["not JSON: the text ends where a value is expected (byte 0)"],
        ),
        (
            r#"["a"]"#,
            &["an array where an object is expected (byte 0)"],
        ),
        (
            "{}",
            &["an empty object: name a field, `{\"data\": {…}}` (byte 0)"],
        ),
        (
            r#"{"data": {"a": []}}"#,
            &["`data.a`: an empty array: nothing would match (byte 15)"],
        ),
        (
            r#"{"data": {"a": {}}}"#,
            &[
                "`data.a`: an empty object: name a field in it, or write `[{\"exists\": true}]` (byte 15)",
            ],
        ),
        // A value that is not in an array.
        (
            r#"{"data": {"a": "x"}}"#,
            &["`data.a`: text where an array is expected: write the values in brackets (byte 15)"],
        ),
        // Unknown operator, two operators, none.
        (
            r#"{"data": {"a": [{"prefx": "x"}]}}"#,
            &["`data.a[0].prefx`: `prefx` is not an operator; did you mean `prefix`? (byte 26)"],
        ),
        (
            r#"{"data": {"a": [1, {"prefix": "x", "suffix": "y"}]}}"#,
            &[
                "`data.a[1].suffix`: two operators in one object: write an object for each (byte 45)",
            ],
        ),
        (
            r#"{"data": {"a": [{}]}}"#,
            &["`data.a[0]`: an empty object: an operator is expected (byte 16)"],
        ),
        (
            r#"{"data": {"a": [["x"]]}}"#,
            &[
                "`data.a[0]`: an array in the array of a field: write its values side by side (byte 16)",
            ],
        ),
        // Operands.
        (
            r#"{"data": {"a": [{"exists": "yes"}]}}"#,
            &["`data.a[0].exists`: text where true or false is expected (byte 27)"],
        ),
        (
            r#"{"data": {"a": [{"prefix": 1}]}}"#,
            &["`data.a[0].prefix`: a number where text is expected (byte 27)"],
        ),
        (
            r#"{"data": {"a": [{"wildcard": "a**"}]}}"#,
            &["`data.a[0].wildcard`: `**` says no more than `*`: write one star (byte 29)"],
        ),
        (
            r#"{"data": {"a": [{"wildcard": "a\\b"}]}}"#,
            &[
                "`data.a[0].wildcard`: a backslash is followed by `*` or by another backslash (byte 29)",
            ],
        ),
        (
            r#"{"data": {"a": [{"cidr": "10.0.0.0/33"}]}}"#,
            &[
                "`data.a[0].cidr`: not a range of addresses: write 10.0.0.0/8 or 2001:db8::/32 (byte 25)",
            ],
        ),
        (
            r#"{"data": {"a": [{"numeric": [">", 5, "<", 5]}]}}"#,
            &["`data.a[0].numeric`: the upper bound is not above the lower one (byte 42)"],
        ),
        (
            r#"{"data": {"a": [{"numeric": ["<", 5, ">", 1]}]}}"#,
            &[
                "`data.a[0].numeric`: of two bounds the first is the lower one (\">\", \">=\"), the second the \
               upper one (\"<\", \"<=\") (byte 37)",
            ],
        ),
        (
            r#"{"data": {"a": [{"numeric": [">", "5"]}]}}"#,
            &["`data.a[0].numeric`: a number is expected behind a comparison (byte 34)"],
        ),
        (
            r#"{"data": {"a": [{"numeric": []}]}}"#,
            &[
                "`data.a[0].numeric`: one or two bounds are expected, each a comparison and a number (byte 28)",
            ],
        ),
        (
            r#"{"data": {"a": [{"anything-but": null}]}}"#,
            &[
                "`data.a[0].anything-but`: `null` where text, a number, a list of either or an operator is \
               expected (byte 33)",
            ],
        ),
        (
            r#"{"data": {"a": [{"anything-but": ["x", 1]}]}}"#,
            &[
                "`data.a[0].anything-but[1]`: texts and numbers in one list: write an `anything-but` for \
               texts alone or for numbers alone (byte 39)",
            ],
        ),
        (
            r#"{"data": {"a": [{"anything-but": [true]}]}}"#,
            &[
                "`data.a[0].anything-but[0]`: true or false where text or a number is expected (byte 34)",
            ],
        ),
        (
            r#"{"data": {"a": [{"anything-but": {"numeric": ["=", 1]}}]}}"#,
            &[
                "`data.a[0].anything-but.numeric`: `numeric` does not go into `anything-but`: prefix, suffix, \
               equals-ignore-case, wildcard (byte 45)",
            ],
        ),
        // `$or` that is no choice is a field; one object in it is an operator's.
        (
            r#"{"data": {"$or": [{"a": [1]}]}}"#,
            &[
                "`data.$or[0].a`: `a` is not an operator; one of prefix, suffix, equals-ignore-case, \
               anything-but, numeric, exists, cidr, wildcard (byte 24)",
            ],
        ),
        (
            r#"{"data": {"$or": [{"a": [1]}, {}]}}"#,
            &["`data.$or[1]`: an empty object (byte 30)"],
        ),
        // The envelope.
        (
            r#"{"partitionkey": ["x"]}"#,
            &[
                "`partitionkey`: a record has no field `partitionkey`; did you mean `partitionKey`? (byte 17)",
            ],
        ),
        (
            r#"{"kinesis": {"data": {"a": [1]}}}"#,
            &[
                "`kinesis`: a record has no field `kinesis`; the payload is `data`, the others are \
               partitionKey, sequenceNumber, approximateArrivalTimestamp, shardId, eventID (byte 12)",
            ],
        ),
        (
            r#"{"partitionKey": {"a": ["x"]}}"#,
            &[
                "`partitionKey`: `partitionKey` holds no fields: write its values in brackets (byte 17)",
            ],
        ),
        // All at once.
        (
            r#"{"data": {"a": "x", "b": [{"cidr": 1}]}, "who": [1]}"#,
            &[
                "`data.a`: text where an array is expected: write the values in brackets (byte 15)",
                "`data.b[0].cidr`: a number where text is expected (byte 35)",
                "`who`: a record has no field `who`; the payload is `data`, the others are partitionKey, \
                 sequenceNumber, approximateArrivalTimestamp, shardId, eventID (byte 48)",
            ],
        ),
    ];
    for (pattern, expected) in rows {
        assert_eq!(mistakes(&[pattern]), *expected, "{pattern}");
    }
}

#[test]
fn mistakes_of_several_patterns_are_told_together_each_with_its_number() {
    let mistakes = Filter::parse(["{", r#"{"data": {"a": [1]}}"#, "1"]).unwrap_err();
    let patterns: Vec<_> = mistakes.iter().map(|one| one.pattern).collect();
    assert_eq!(patterns, [0, 2]);
    let problem = mistakes[1].problem("mapping[0].filter");
    assert_eq!(problem.path, "mapping[0].filter[2]");
    assert_eq!(
        problem.message,
        "a number where an object is expected (byte 0)"
    );
}

#[test]
fn patterns_are_bounded_in_number_length_and_what_they_multiply_to() {
    let one = r#"{"data": {"a": [1]}}"#;
    let many = vec![one; limits::FILTER_PATTERNS_MAX + 1];
    assert!(mistakes(&many)[0].starts_with("more than 20 patterns"));
    assert!(Filter::parse(&many[1..]).is_ok());
    let long = format!(
        r#"{{"data": {{"a": ["{}"]}}}}"#,
        "x".repeat(limits::FILTER_PATTERN_BYTES_MAX)
    );
    assert!(mistakes(&[&long])[0].contains("are above the limit of 16384"));
    let choice =
        |key: &str| format!(r#""{key}": {{"$or": [{{"a": [1]}}, {{"b": [2]}}, {{"c": [3]}}]}}"#);
    let choices = |count: usize| {
        let all: Vec<_> = (0..count).map(|n| choice(&format!("k{n}"))).collect();
        format!(r#"{{"data": {{{}}}}}"#, all.join(", "))
    };
    assert!(Filter::parse([choices(6)]).is_ok());
    assert!(mistakes(&[&choices(7)])[0].contains("multiply to more than 8192 fields"));
    assert!(mistakes(&[&choices(40)])[0].contains("multiply"));
}

#[test]
fn a_mistake_in_what_aws_wraps_is_told_in_the_pattern_itself() {
    let good = r#"{"data": {"a": [1]}}"#;
    let criteria = r#"{"Filters": [{"Pattern": "{\"data\": {\"a\": [1]}}"}, {"Pattern": "{\"data\": {\"a\": 1}}"}]}"#;
    let found = Filter::parse([good, criteria]).expect_err("the second of the second");
    assert_eq!((found.len(), found[0].pattern), (1, 1));
    assert_eq!(
        found[0].to_string(),
        "in `Filters[1].Pattern`, `data.a`: a number where an array is expected: write the values in brackets (byte 15)"
    );
    let empty = mistakes(&[r#"{"Pattern": "{}"}"#]);
    assert_eq!(
        empty,
        ["in `Pattern`, an empty object: name a field, `{\"data\": {…}}` (byte 0)"]
    );
    // Not as AWS wraps them: a field that no record has.
    let refused = mistakes(&[r#"{"Filters": [{"prefix": "a"}]}"#]);
    assert!(refused[0].contains("`Filters`"), "{refused:?}");
    let refused = mistakes(&[r#"{"Filters": [{"Pattern": {"data": {"a": [1]}}}]}"#]);
    assert!(refused[0].contains("`Filters`"), "{refused:?}");
}
