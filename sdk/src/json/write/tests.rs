use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
};

use proptest::prelude::*;
use serde::Serialize;

use super::*;

/// What we write must be what `serde_json` writes, and refused where it refuses.
fn same<T: Serialize + ?Sized>(value: &T) {
    let mut ours = Vec::new();
    let written = write(&mut ours, value);
    match serde_json::to_string(value) {
        Ok(theirs) => {
            written.unwrap();
            assert_eq!(String::from_utf8(ours).unwrap(), theirs);
        }
        Err(error) => assert_eq!(written.unwrap_err().to_string(), error.to_string()),
    }
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Pair(u8, &'static str);

#[derive(Serialize)]
struct Wrapped(Option<i64>);

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    Point,
    #[serde(rename = "a \"quoted\"\n name")]
    Named(i32),
    Line(i32, i32),
    Box {
        #[serde(rename = "w\u{1}")]
        width: u8,
        height: u8,
    },
}

#[derive(Serialize)]
struct Row<'a> {
    id: u64,
    name: &'a str,
    offers: &'static [u32],
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(flatten)]
    more: BTreeMap<&'a str, f64>,
}

#[derive(Serialize)]
struct Bytes<'a>(#[serde(serialize_with = "bytes")] &'a [u8]);

fn bytes<S: serde::Serializer>(value: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(value)
}

#[test]
fn every_kind_of_value_is_written_alike() {
    same(&());
    same(&Unit);
    same(&true);
    same(&Pair(1, "x"));
    same(&Wrapped(None));
    same(&Wrapped(Some(i64::MIN)));
    same(&[
        Shape::Point,
        Shape::Named(-1),
        Shape::Line(1, 2),
        Shape::Box {
            width: 1,
            height: 2,
        },
    ]);
    same(&(
        u64::MAX,
        i128::MIN,
        u128::MAX,
        'é',
        '"',
        1.5f32,
        1e300,
        f64::NAN,
        f32::INFINITY,
        -0.0,
    ));
    same(&Bytes(b"\x00\xff"));
    same(&Ipv4Addr::LOCALHOST);
    same::<[u8]>(&[]);
    let row = Row {
        id: 7,
        name: "O\"Brien",
        offers: &[100, 1000],
        note: None,
        more: BTreeMap::from([("a", 0.1), ("b\t", 2.0)]),
    };
    same(&row);
    same(&serde_json::json!({"a": [1, null, {"b": "c\u{7f}\u{1f}"}], "d": {}}));
    same(&serde_json::value::RawValue::from_string("{\"a\" : 1}".to_owned()).unwrap());
}

#[test]
fn keys_that_have_a_text_are_quoted_and_others_refused() {
    same(&BTreeMap::from([(1u8, 1)]));
    same(&BTreeMap::from([(-1i64, 1)]));
    same(&BTreeMap::from([(true, 1)]));
    same(&BTreeMap::from([('"', 1)]));
    same(&BTreeMap::from([(Shape::Point, 1)]));
    same(&BTreeMap::from([(Some("a"), 1)]));
    same(&BTreeMap::from([(Ipv4Addr::LOCALHOST, 1)]));
    same(&BTreeMap::from([((1, 2), 1)]));
    same(&BTreeMap::from([((), 1)]));
    same(&BTreeMap::from([(None::<u8>, 1)]));
    same(&BTreeMap::from([(Shape::Named(1), 1)]));
    same(&BTreeMap::from([(vec![1], 1)]));
}

#[test]
fn every_byte_is_escaped_alike_at_every_place() {
    for code in 0..=0x100u32 {
        let sign = char::from_u32(code).unwrap();
        for before in 0..40 {
            let text = format!("{}{sign}{}", "a".repeat(before), "b".repeat(40 - before));
            same(text.as_str());
            same(&format!("{}{sign}", "a".repeat(before)));
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_written_alike(text in any::<String>()) {
        same(&text);
    }

    #[test]
    fn texts_full_of_escapes_are_written_alike(text in "[\"\\\\\u{0}-\u{20}a-c\u{80}\u{fffd}]{0,70}") {
        same(&text);
    }

    #[test]
    fn any_numbers_are_written_alike(a in any::<f64>(), b in any::<f32>(), c in any::<i64>(), d in any::<u128>()) {
        same(&(a, b, c, d));
    }

    #[test]
    fn any_map_is_written_alike(map in any::<HashMap<String, Option<Vec<u8>>>>()) {
        same(&map);
    }
}
