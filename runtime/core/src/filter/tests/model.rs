//! The compiled filter against a plain model: the record as a `serde_json` value, flattened; every
//! pattern as the rules it stands for; every choice of values tried.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::filter::json::Scanner;

/// A field of a rule: its path, and what its array holds.
type Field = (Vec<String>, Vec<Value>);

/// The rules of an object of a pattern.
fn rules(object: &Map<String, Value>, path: &[String]) -> Vec<Vec<Field>> {
    let mut rules = vec![Vec::new()];
    for (key, value) in object {
        let mut below = path.to_vec();
        below.extend(key.split('.').map(str::to_owned));
        let more = match value {
            Value::Array(branches) if key == "$or" => branches
                .iter()
                .flat_map(|branch| self::rules(branch.as_object().unwrap(), path))
                .collect(),
            Value::Array(items) => vec![vec![(below, items.clone())]],
            Value::Object(object) => self::rules(object, &below),
            _ => unreachable!("the strategy makes no such pattern"),
        };
        let pairs = rules
            .iter()
            .flat_map(|rule| more.iter().map(move |more| [&rule[..], more].concat()));
        rules = pairs.collect();
    }
    rules
}

/// A value that holds no other: its path, and the element of each array around it.
#[derive(Debug)]
struct Leaf<'a> {
    path: Vec<String>,
    elements: BTreeMap<usize, usize>,
    value: &'a Value,
}

fn flatten<'a>(
    value: &'a Value,
    path: &[String],
    elements: &BTreeMap<usize, usize>,
    arrays: &mut usize,
    leaves: &mut Vec<Leaf<'a>>,
) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = [path, std::slice::from_ref(key)].concat();
                flatten(value, &path, elements, arrays, leaves);
            }
        }
        Value::Array(items) => {
            let array = *arrays;
            *arrays += 1;
            for (index, item) in items.iter().enumerate() {
                let mut elements = elements.clone();
                elements.insert(array, index);
                flatten(item, path, &elements, arrays, leaves);
            }
        }
        _ => leaves.push(Leaf {
            path: path.to_vec(),
            elements: elements.clone(),
            value,
        }),
    }
}

/// Whether values can be chosen for the fields so that two in one array are in one element.
fn is_met(fields: &[Field], leaves: &[Leaf<'_>], chosen: &BTreeMap<usize, usize>) -> bool {
    let Some(((path, asked), rest)) = fields.split_first() else {
        return true;
    };
    let mut here = leaves.iter().filter(|leaf| leaf.path == *path).peekable();
    if here.peek().is_none() {
        return asked.contains(&json!({"exists": false})) && is_met(rest, leaves, chosen);
    }
    here.any(|leaf| {
        let agrees =
            |(array, index): (&usize, &usize)| chosen.get(array).is_none_or(|other| other == index);
        let is_one = asked.iter().any(|one| matches(one, leaf.value));
        let chosen = || {
            chosen
                .iter()
                .chain(&leaf.elements)
                .map(|(a, i)| (*a, *i))
                .collect()
        };
        is_one && leaf.elements.iter().all(agrees) && is_met(rest, leaves, &chosen())
    })
}

fn matches(asked: &Value, value: &Value) -> bool {
    let Some((operator, operand)) = asked.as_object().and_then(|object| object.iter().next())
    else {
        return equals(asked, value);
    };
    let (text, of) = (value.as_str(), operand.as_str());
    match operator.as_str() {
        "exists" => operand == &json!(true),
        "prefix" => text.is_some_and(|text| text.starts_with(of.unwrap())),
        "suffix" => text.is_some_and(|text| text.ends_with(of.unwrap())),
        "equals-ignore-case" => text.is_some_and(|text| text.eq_ignore_ascii_case(of.unwrap())),
        "wildcard" => text.is_some_and(|text| is_like(of.unwrap().as_bytes(), text.as_bytes())),
        "numeric" => value.as_f64().is_some_and(|number| {
            let pairs = operand.as_array().unwrap().chunks(2);
            pairs.into_iter().all(|pair| {
                let bound = pair[1].as_f64().unwrap();
                match pair[0].as_str().unwrap() {
                    "=" => number == bound,
                    "<" => number < bound,
                    "<=" => number <= bound,
                    ">" => number > bound,
                    _ => number >= bound,
                }
            })
        }),
        "anything-but" => match operand {
            Value::Array(list) => !list.iter().any(|one| equals(one, value)),
            Value::Object(_) => !matches(operand, value),
            one => !equals(one, value),
        },
        other => unreachable!("the strategy makes no {other}"),
    }
}

fn equals(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| is_like(rest, &text[at..])),
        Some((one, rest)) => text
            .split_first()
            .is_some_and(|(first, behind)| first == one && is_like(rest, behind)),
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (0..4_i64).prop_map(Value::from),
        (0..4_i32).prop_map(|half| json!(f64::from(half) / 2.0)),
        "[abA]{0,3}".prop_map(Value::from),
    ]
}

fn event() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    })
}

fn asked() -> impl Strategy<Value = Value> {
    let text = || "[abA]{0,2}";
    prop_oneof![
        4 => scalar(),
        1 => any::<bool>().prop_map(|is| json!({"exists": is})),
        1 => text().prop_map(|text| json!({"prefix": text})),
        1 => text().prop_map(|text| json!({"suffix": text})),
        1 => text().prop_map(|text| json!({"equals-ignore-case": text})),
        1 => "[ab]{0,1}(\\*[ab]{1,2}){0,2}".prop_map(|text| json!({"wildcard": text})),
        1 => (0..3, 1..3).prop_map(|(low, more)| json!({"numeric": [">=", low, "<", low + more]})),
        1 => (0..4).prop_map(|bound| json!({"numeric": ["<=", bound]})),
        1 => text().prop_map(|text| json!({"anything-but": text})),
        1 => text().prop_map(|text| json!({"anything-but": {"prefix": text}})),
        1 => prop::collection::vec(0..3, 1..3).prop_map(|list| json!({"anything-but": list})),
    ]
}

/// An object of a pattern. No path is named twice within one object: which of them counts is a table's
/// matter.
fn fields() -> impl Strategy<Value = Value> {
    let leaf = prop::collection::vec(asked(), 1..3)
        .prop_map(Value::from)
        .boxed();
    let object = |value: BTreeMap<String, Value>| Value::Object(value.into_iter().collect());
    let flat = prop::collection::btree_map("[a-c]", leaf.clone(), 1..3).prop_map(object);
    flat.prop_recursive(3, 16, 3, move |inner| {
        let field = prop_oneof![leaf.clone(), inner.clone()];
        let many = prop::collection::btree_map("[a-c]", field, 1..4);
        let either = prop::option::of(prop::collection::vec(inner, 2..4));
        (many, either).prop_map(|(fields, either)| {
            let mut object: Map<String, Value> = fields.into_iter().collect();
            if let Some(either) = either {
                object.insert("$or".to_owned(), Value::from(either));
            }
            Value::Object(object)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_compiled_filter_says_what_the_plain_model_says(
        patterns in prop::collection::vec(fields(), 1..3),
        event in event(),
    ) {
        let texts = patterns.iter().map(|fields| json!({"data": fields}).to_string());
        let Ok(filter) = Filter::parse(texts) else {
            // Alternatives that multiply beyond the bound.
            return Ok(());
        };
        let mut leaves = Vec::new();
        flatten(&event, &[], &BTreeMap::new(), &mut 0, &mut leaves);
        let expected = patterns.iter().any(|fields| {
            let rules = rules(fields.as_object().unwrap(), &[]);
            rules.iter().any(|rule| is_met(rule, &leaves, &BTreeMap::new()))
        });
        let data = event.to_string();
        let verdict = filter.verdict(&record(data.as_bytes()), &mut FilterScratch::default());
        let expected = if expected { FilterVerdict::Match } else { FilterVerdict::NoMatch };
        prop_assert_eq!(verdict, expected);
        let (told, unmet) = filter.explain(&record(data.as_bytes()));
        prop_assert_eq!(told, expected);
        prop_assert_eq!(unmet.is_empty(), expected == FilterVerdict::Match);
    }

    /// What is JSON is decided as `serde_json` decides it.
    #[test]
    fn json_is_what_another_reader_takes_for_json(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just("\"a\""),
                Just("\"\\u00e9\\\""), Just("\\"), Just("\""), Just("-"), Just("0"), Just("12"), Just("."),
                Just("e+"), Just("E"), Just("true"), Just("null"), Just("fals"), Just(" "), Just("\n"),
                Just("\u{1}"), Just("é"), Just("\"a\":1"), Just("[1,2]"),
            ],
            0..10,
        ),
    ) {
        let text = pieces.concat();
        let mut scanner = Scanner::new(&text);
        let ours = scanner
            .start()
            .and_then(|start| scanner.skip(start, 0))
            .and_then(|()| scanner.end());
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}: {:?} {:?}", text, ours, theirs);
    }

    /// Strings come out as another reader decodes them.
    #[test]
    fn texts_are_decoded_as_another_reader_decodes_them(text in any::<String>()) {
        let written = serde_json::to_string(&text).unwrap();
        let escaped: String = text
            .encode_utf16()
            .map(|unit| format!("\\u{unit:04x}"))
            .collect();
        for written in [written, format!("\"{escaped}\"")] {
            let json::Start::Text(raw) = Scanner::new(&written).start().unwrap() else {
                panic!("{written} is text");
            };
            let mut buffer = String::new();
            prop_assert_eq!(raw.decoded(&mut buffer), text.as_str());
        }
    }
}
