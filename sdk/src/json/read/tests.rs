use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt::Debug,
};

use proptest::prelude::*;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use super::*;

/// What is read here is what `serde_json` reads, and errors are its own. Says whether it was read here.
fn same<'de, T: Deserialize<'de> + PartialEq + Debug>(text: &'de str) -> bool {
    let theirs = serde_json::from_str::<T>(text);
    let ours = read::<T>(text.as_bytes());
    match (&theirs, &ours) {
        (Ok(theirs), Ok(ours)) => assert_eq!(theirs, ours, "{text}"),
        (Err(theirs), Err(ours)) => assert_eq!(theirs.to_string(), ours.to_string(), "{text}"),
        _ => panic!("{text}: {theirs:?}, but {ours:?}"),
    }
    let quick = quickly::<T>(text);
    assert!(
        quick.is_none() || theirs.is_ok(),
        "{text}: read what is none"
    );
    quick.is_some()
}

#[derive(Deserialize, PartialEq, Debug)]
struct Signup<'a> {
    user_id: u64,
    #[serde(borrow)]
    name: Cow<'a, str>,
    age: Option<u8>,
    score: f64,
    ratio: Option<f32>,
    tags: Vec<Cow<'a, str>>,
    plan: Option<Plan>,
    #[serde(default)]
    depth: i32,
    pair: Option<(i8, bool)>,
    #[serde(default)]
    more: BTreeMap<String, i64>,
    nothing: Option<()>,
    letter: Option<char>,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(rename_all = "kebab-case")]
enum Plan {
    Basic,
    Fiber(u32),
    Dual(u8, u8),
    Custom { up: u32, down: u32 },
}

#[derive(Deserialize, PartialEq, Debug)]
struct Flat {
    id: u32,
    #[serde(flatten)]
    more: HashMap<String, Value>,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(untagged)]
enum Either {
    Number(u8),
    Text(String),
    List(Vec<Either>),
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(tag = "type")]
enum Tagged {
    A { x: i32 },
    B,
}

/// A type that swallows errors and goes on.
#[derive(Deserialize, PartialEq, Debug)]
struct Lenient {
    #[serde(deserialize_with = "or_zero")]
    a: i128,
    b: u8,
}

fn or_zero<'de, D: de::Deserializer<'de>>(from: D) -> Result<i128, D::Error> {
    Ok(i128::deserialize(from).unwrap_or_default())
}

const RECORD: &str = r#"{"user_id":7,"name":"Ada","age":36,"score":0.321,"ratio":-1.5,"tags":["a","\"b\""],"plan":"basic","depth":-12,"pair":[1,true],"more":{"x":123456789012},"nothing":null,"letter":"é","extra":{"a":[1,2.5,{"b":"c\\\u00e9\ud800"}],"d":null,"e":[],"f":{}}}"#;

#[test]
fn a_usual_record_is_read_here() {
    assert!(same::<Signup<'_>>(RECORD));
    let spaced = RECORD
        .replace(":", " : ")
        .replace(",", "\n,\t")
        .replace("{", "{ \r");
    assert!(same::<Signup<'_>>(&format!(" {spaced} ")));
    for plan in [
        r#"{"fiber":1000}"#,
        r#"{"dual":[1,2]}"#,
        r#"{"custom":{"up":1,"down":2}}"#,
        "null",
    ] {
        let record = RECORD.replace(r#""basic""#, plan);
        assert!(same::<Signup<'_>>(&record), "{plan}");
    }
    let Signup { name, .. } = read(RECORD.as_bytes()).unwrap();
    assert!(matches!(name, Cow::Borrowed("Ada")));
}

#[test]
fn every_cut_and_every_other_byte_is_judged_alike() {
    let signs = b"\"\\{}[]:,-.0eE tfn\x01\x7f/u";
    for at in 0..RECORD.len() {
        let Some(cut) = RECORD.get(..at) else {
            continue;
        };
        same::<Signup<'_>>(cut);
        same::<IgnoredAnyValue>(cut);
        for sign in signs {
            let mut other = RECORD.as_bytes().to_vec();
            other[at] = *sign;
            if let Ok(other) = String::from_utf8(other) {
                same::<Signup<'_>>(&other);
                same::<IgnoredAnyValue>(&other);
                same::<Value>(&other);
            }
        }
    }
}

#[derive(Deserialize, Debug)]
struct IgnoredAnyValue(#[allow(dead_code, reason = "it is the reading that counts")] IgnoredAny);

impl PartialEq for IgnoredAnyValue {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[test]
fn numbers_are_read_alike() {
    let numbers = [
        "0",
        "-0",
        "00",
        "01",
        "-01",
        "-",
        "1",
        "12345678",
        "123456789",
        "1234567890123456789",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "-9223372036854775809",
        "999999999999999999",
        "1.",
        ".1",
        "1.5",
        "-0.0",
        "0.1",
        "0.30000000000000004",
        "123456.789",
        "1e5",
        "1E-5",
        "1.5e300",
        "1e400",
        "123456789012345.6",
        "99999999.99999999",
        "1.0000000",
        "0.000000000000001",
        "16777217",
        "16777217.0",
        "3.4028236e38",
        "0.1234567",
        "1x",
        "12 ",
        "256",
        "-129",
        "1.23456789",
    ];
    for number in numbers {
        same::<u8>(number);
        same::<i8>(number);
        same::<u64>(number);
        same::<i64>(number);
        same::<f32>(number);
        same::<f64>(number);
        same::<i128>(number);
        same::<u128>(number);
        same::<Value>(number);
        same::<Option<f64>>(number);
        same::<IgnoredAnyValue>(number);
    }
    for number in [
        "0",
        "12345678",
        "999999999999999999",
        "-123456789",
        "0.321",
        "12345.678901",
    ] {
        assert!(same::<f64>(number), "{number}");
    }
}

#[test]
fn texts_are_read_alike() {
    let texts = [
        r#""""#,
        r#""a""#,
        r#""a"#,
        r#"""#,
        r#""\""#,
        r#""\n\t\r\b\f\/\\\"""#,
        r#""\x""#,
        r#""\u00e9""#,
        r#""\u00E""#,
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\ud83dx""#,
        r#""\ude00""#,
        r#""\ud83d\u0041""#,
        r#""\ud83d\n""#,
        "\"a\u{1}\"",
        "\"\u{7f}é😀\"",
        r#""twenty letters and \"more\" than that""#,
        "\"tab\there\"",
    ];
    for text in texts {
        same::<String>(text);
        same::<Cow<'_, str>>(text);
        same::<&str>(text);
        same::<char>(text);
        same::<Value>(text);
        same::<IgnoredAnyValue>(text);
        same::<Vec<u8>>(text);
        same::<Plan>(text);
        let record = format!("[{text},{text}]");
        same::<Vec<String>>(&record);
        same::<(String, IgnoredAnyValue)>(&record);
    }
    assert!(same::<String>(r#""O\"Brien \ud83d\ude00""#));
}

#[test]
fn other_shapes_are_read_alike() {
    let texts = [
        r#"{"id":1,"a":[1,-2,0.5],"b":{"c":null}}"#,
        r#"{"id":1,"id":2}"#,
        r#"{"a":1,}"#,
        r#"[1,]"#,
        r#"[1,2"#,
        r#"[]"#,
        r#"{}"#,
        r#"{"type":"A","x":3}"#,
        r#"{"x":3,"type":"A"}"#,
        r#"{"type":"B"}"#,
        r#"{"1":2}"#,
        r#"{"true":2}"#,
        r#"{"a":170141183460469231731687303715884105727,"b":1}"#,
        r#"{"a":"x","b":1}"#,
        r#"{"a":5,"b":1}"#,
        "null",
        "nul",
        "true",
        "tru",
        "false x",
        "1 2",
        "",
        " ",
        r#"{"basic":null}"#,
        r#"{"fiber":1,"x":2}"#,
        r#"{"a" 1}"#,
        r#"[7,"Ada"]"#,
        r#"["x",[1,["y"]]]"#,
        "[1 2]",
        r#"{,"a":1}"#,
        "[,1]",
    ];
    for text in texts {
        same::<Flat>(text);
        same::<Either>(text);
        same::<Vec<Either>>(text);
        same::<Tagged>(text);
        same::<Plan>(text);
        same::<Lenient>(text);
        same::<Value>(text);
        same::<bool>(text);
        same::<()>(text);
        same::<Option<Vec<u64>>>(text);
        same::<(u8, Cow<'_, str>)>(text);
        same::<HashMap<u8, u8>>(text);
        same::<HashMap<bool, u8>>(text);
        same::<BTreeMap<String, Value>>(text);
        same::<IgnoredAnyValue>(text);
    }
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        for depth in [10, 63, 64, 65, 127, 128, 129] {
            let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            same::<Value>(&text);
            same::<IgnoredAnyValue>(&text);
        }
    }
    let raw: &RawValue = read(b" {\"a\" : 1} ").unwrap();
    assert_eq!(raw.get(), "{\"a\" : 1}");
}

#[test]
fn bytes_that_are_no_text_are_judged_alike() {
    for body in [
        &b"{\"a\":\"\xff\"}"[..],
        b"\xff",
        b"{\"id\":1,\"b\":\"\xe9\"}",
    ] {
        let ours = read::<Value>(body).map_err(|error| error.to_string());
        let theirs = serde_json::from_slice(body).map_err(|error| error.to_string());
        assert_eq!(ours, theirs);
        let ours = read::<IgnoredAny>(body)
            .map_err(|error| error.to_string())
            .is_ok();
        assert_eq!(ours, serde_json::from_slice::<IgnoredAny>(body).is_ok());
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<u16>().prop_map(|hundredths| Value::from(f64::from(hundredths) / 100.0)),
        any::<String>().prop_map(Value::from),
        "[a-z\"\\\\\u{0}-\u{1f}]{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map("[a-z\"é]{0,20}", inner, 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_read_alike(value in value(), is_pretty in any::<bool>()) {
        let text = if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.unwrap();
        same::<Value>(&text);
        same::<IgnoredAnyValue>(&text);
        same::<Either>(&text);
    }

    #[test]
    fn any_change_is_judged_alike(
        value in value(), at in any::<prop::sample::Index>(), sign in any::<char>(), length in 0usize..3,
    ) {
        let text = value.to_string();
        let letters: Vec<char> = text.chars().collect();
        let at = at.index(letters.len());
        let behind = (at + length).min(letters.len());
        let other: String =
            letters[..at].iter().chain([&sign]).chain(&letters[behind..]).collect();
        same::<Value>(&other);
        same::<IgnoredAnyValue>(&other);
    }

    #[test]
    fn any_float_is_read_alike(value in any::<f64>(), single in any::<f32>(), small in -10_000_000i64..10_000_000, power in 0usize..8) {
        same::<f64>(&value.to_string());
        same::<f32>(&single.to_string());
        let digits = format!("{:08}", small.unsigned_abs());
        let (whole, rest) = digits.split_at(8 - power);
        let sign = if small < 0 { "-" } else { "" };
        let whole = whole.trim_start_matches('0');
        let text = format!("{sign}{}.{rest}0", if whole.is_empty() { "0" } else { whole });
        same::<f64>(&text);
        same::<f32>(&text);
    }
}
