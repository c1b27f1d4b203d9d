use fnctl_core::id::{Ordinal, ShardNumber};

use super::*;
use crate::sequence;

/// Puts `1`, `2`, … a second apart.
fn put_seconds_apart(api: &Api, count: usize) -> Vec<String> {
    (1..=count)
        .map(|number| {
            api.advance(1_000);
            let answer = api.put(&[("k", &number.to_string())]);
            answer["Records"][0]["SequenceNumber"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn each_kind_of_iterator_begins_where_it_says() {
    let api = Api::with_stream(1);
    let numbers = put_seconds_apart(&api, 4);
    let at_ms = |ms: u64| json!({"Timestamp": (START_MS + ms) as f64 / 1_000.0});
    for (kind, extra, expected) in [
        ("TRIM_HORIZON", json!({}), &["1", "2", "3", "4"][..]),
        ("LATEST", json!({}), &[]),
        (
            "AT_SEQUENCE_NUMBER",
            json!({"StartingSequenceNumber": numbers[1]}),
            &["2", "3", "4"],
        ),
        (
            "AFTER_SEQUENCE_NUMBER",
            json!({"StartingSequenceNumber": numbers[1]}),
            &["3", "4"],
        ),
        (
            "AFTER_SEQUENCE_NUMBER",
            json!({"StartingSequenceNumber": numbers[3]}),
            &[],
        ),
        ("AT_TIMESTAMP", at_ms(0), &["1", "2", "3", "4"]),
        ("AT_TIMESTAMP", at_ms(2_000), &["2", "3", "4"]),
        ("AT_TIMESTAMP", at_ms(2_001), &["3", "4"]),
        ("AT_TIMESTAMP", at_ms(4_000), &["4"]),
    ] {
        assert_eq!(
            api.read(&api.iterator(kind, extra.clone())).0,
            expected,
            "{kind} {extra}"
        );
    }
    let start = sequence::start_of_shard(Timestamp(START_MS), ShardNumber(0));
    for kind in ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"] {
        let token = api.iterator(kind, json!({"StartingSequenceNumber": start}));
        assert_eq!(api.read(&token).0.len(), 4, "{kind}");
    }
}

#[test]
fn a_time_after_the_last_record_means_latest() {
    let api = Api::with_stream(1);
    put_seconds_apart(&api, 1);
    api.advance(10_000);
    let token = api.iterator("AT_TIMESTAMP", json!({"Timestamp": START_MS / 1_000 + 5}));
    assert!(api.read(&token).0.is_empty());
    api.put(&[("k", "new")]);
    assert_eq!(api.read(&token).0, ["new"]);
}

#[test]
fn latest_is_fixed_when_it_is_issued() {
    let api = Api::with_stream(1);
    put_seconds_apart(&api, 2);
    let token = api.iterator("LATEST", json!({}));
    api.put(&[("k", "new")]);
    assert_eq!(api.read(&token).0, ["new"]);
}

#[test]
fn readers_go_on_from_page_to_page() {
    let api = Api::with_stream(1);
    put_seconds_apart(&api, 8);
    let mut token = api.iterator("TRIM_HORIZON", json!({}));
    let mut pages = Vec::new();
    for _ in 0..5 {
        let (data, answer) = api.read_at_most(&token, 3);
        let next = answer["NextShardIterator"].as_str().unwrap().to_owned();
        assert_ne!(next, token);
        assert!(answer.get("ChildShards").is_none());
        pages.push((data, answer["MillisBehindLatest"].as_u64().unwrap()));
        token = next;
    }
    let page = |data: &[&str], behind| (data.iter().map(ToString::to_string).collect(), behind);
    assert_eq!(
        pages,
        [
            page(&["1", "2", "3"], 5_000),
            page(&["4", "5", "6"], 2_000),
            page(&["7", "8"], 0),
            page(&[], 0),
            page(&[], 0),
        ]
    );
}

#[test]
fn a_record_is_read_as_it_was_put() {
    let api = Api::with_stream(1);
    api.advance(7);
    let put = api.put(&[("a \u{1f600}\n", "da\"ta"), ("b", "")]);
    let (_, answer) = api.read(&api.iterator("TRIM_HORIZON", json!({})));
    assert_eq!(
        answer["Records"][0],
        json!({
            "SequenceNumber": put["Records"][0]["SequenceNumber"],
            "ApproximateArrivalTimestamp": 1_700_000_000.13,
            "Data": "ZGEidGE=",
            "PartitionKey": "a \u{1f600}\n",
        })
    );
    assert_eq!(answer["Records"][1]["Data"], "");
    assert_eq!(
        answer["Records"][1]["SequenceNumber"],
        put["Records"][1]["SequenceNumber"]
    );
}

#[test]
fn a_page_is_bounded_in_bytes_but_never_empty_for_that() {
    let api = Api::with_stream(1);
    let large = "x".repeat((1 << 20) - 1);
    for _ in 0..12 {
        api.put(&[("k", &large)]);
    }
    let (data, answer) = api.read(&api.iterator("TRIM_HORIZON", json!({})));
    assert_eq!(data.len(), 10);
    let (data, _) = api.read(answer["NextShardIterator"].as_str().unwrap());
    assert_eq!(data.len(), 2);
}

#[test]
fn what_retention_took_is_passed_over() {
    let api = Api::with_stream(1);
    let numbers = put_seconds_apart(&api, 5);
    let old = api.iterator(
        "AT_SEQUENCE_NUMBER",
        json!({"StartingSequenceNumber": numbers[0]}),
    );
    api.log.trim("s", 0, 4);
    for token in [
        old,
        api.iterator("TRIM_HORIZON", json!({})),
        api.iterator("AT_TIMESTAMP", json!({"Timestamp": START_MS / 1_000})),
    ] {
        assert_eq!(api.read(&token).0, ["4", "5"]);
    }
    api.log.trim("s", 0, 6);
    let (data, answer) = api.read(&api.iterator("TRIM_HORIZON", json!({})));
    assert!(data.is_empty());
    assert_eq!(answer["MillisBehindLatest"], 0);
    assert!(answer["NextShardIterator"].is_string());
}

#[test]
fn a_closed_shard_ends_with_its_children() {
    let api = Api::with_stream(1);
    put_seconds_apart(&api, 3);
    let token = api.iterator("TRIM_HORIZON", json!({}));
    api.log.split("s");
    let (data, answer) = api.read_at_most(&token, 2);
    assert_eq!(data, ["1", "2"]);
    assert!(answer["NextShardIterator"].is_string());
    assert!(answer.get("ChildShards").is_none());
    let (data, answer) = api.read(answer["NextShardIterator"].as_str().unwrap());
    assert_eq!(data, ["3"]);
    assert!(answer.get("NextShardIterator").is_none());
    let children = answer["ChildShards"].as_array().unwrap();
    assert_eq!(children.len(), 2);
    assert_eq!(children[0]["ShardId"], "shardId-000000000001");
    assert_eq!(children[0]["ParentShards"], json!(["shardId-000000000000"]));
    assert_eq!(
        children[1]["HashKeyRange"]["EndingHashKey"],
        u128::MAX.to_string()
    );

    api.advance(4_000);
    let (data, answer) = api.read(&api.iterator("LATEST", json!({})));
    assert!(data.is_empty());
    assert_eq!(answer["MillisBehindLatest"], 4_000);
}

#[test]
fn an_iterator_request_must_make_sense() {
    let api = Api::with_stream(6);
    let invalid = |number: &str, why: &str| {
        format!(
            "InvalidArgument: StartingSequenceNumber {number} used in GetShardIterator on shard \
             shardId-000000000000 in stream s under account 000000000000 is invalid{why}."
        )
    };
    let mismatch = |given: &str| {
        format!(
            "InvalidArgument: Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER \
             and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no \
             StartingSequenceNumber. Request specified {given}."
        )
    };
    let number =
        |created_ms, shard| sequence::start_of_shard(Timestamp(created_ms), ShardNumber(shard));
    let (own, other) = (number(START_MS, 0), number(START_MS, 5));
    let foreign = number(START_MS - 1_000, 0);
    let high = sequence::encode(Timestamp(1), ShardNumber(0), Ordinal(1), Timestamp(1));
    let nonsense = "9".repeat(129);
    let at = "AT_SEQUENCE_NUMBER";
    for (kind, extra, expected) in [
        ("LATEST", json!({"StartingSequenceNumber": own}), mismatch("LATEST and also a StartingSequenceNumber")),
        ("TRIM_HORIZON", json!({"StartingSequenceNumber": own}), mismatch("TRIM_HORIZON and also a StartingSequenceNumber")),
        (at, json!({}), mismatch("AT_SEQUENCE_NUMBER and no StartingSequenceNumber")),
        ("AFTER_SEQUENCE_NUMBER", json!({}), mismatch("AFTER_SEQUENCE_NUMBER and no StartingSequenceNumber")),
        (at, json!({"StartingSequenceNumber": nonsense}), invalid(&nonsense, "")),
        (at, json!({"StartingSequenceNumber": foreign}), invalid(&foreign, " because it did not come from this stream")),
        (at, json!({"StartingSequenceNumber": high}), invalid(&high, " because it did not come from this stream")),
        (at, json!({"StartingSequenceNumber": other}), "InvalidArgument: Invalid StartingSequenceNumber. It encodes shardId-000000000005, while it was used in a call to a shard with shardId-000000000000".into()),
        (at, json!({"StartingSequenceNumber": "5"}), "InvalidArgument: Invalid StartingSequenceNumber. It encodes shardId-000000000005, while it was used in a call to a shard with shardId-000000000000".into()),
        (at, json!({"StartingSequenceNumber": "0"}), "InternalFailure".into()),
        ("AT_TIMESTAMP", json!({}), "InvalidArgument: Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.".into()),
        ("AT_TIMESTAMP", json!({"Timestamp": 1_700_000_001.5}), "InvalidArgument: The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: 1700000001500, currentTimestampInMillis: 1700000000123".into()),
        ("AT", json!({}), "Validation: 1 validation error detected: Value 'AT' at 'shardIteratorType' failed to satisfy constraint: Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]".into()),
        ("LATEST", json!({"ShardId": "6"}), "ResourceNotFound: Shard shardId-000000000006 in stream s under account 000000000000 does not exist".into()),
        ("LATEST", json!({"ShardId": "x"}), "ResourceNotFound: Could not find shard x in stream s under account 000000000000.".into()),
        ("LATEST", json!({"StreamName": "t"}), "ResourceNotFound: Shard shardId-000000000000 in stream t under account 000000000000 does not exist".into()),
    ] {
        let mut request = json!({
            "StreamName": "s", "ShardId": "shardId-0", "ShardIteratorType": kind,
        });
        request.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        assert_eq!(api.error("GetShardIterator", request), expected, "{kind} {extra}");
    }
}

#[test]
fn an_iterator_expires_and_a_forged_one_is_refused() {
    let api = Api::with_stream(1);
    let token = api.iterator("LATEST", json!({}));
    assert_eq!(
        api.error("GetRecords", json!({"ShardIterator": "AAAAAAAAAAE="})),
        "InvalidArgument: Invalid ShardIterator."
    );
    api.advance(300_000);
    api.read(&token);
    api.advance(1_000);
    assert_eq!(
        api.error("GetRecords", json!({"ShardIterator": token})),
        "ExpiredIterator: Iterator expired. The iterator was created at time \
         Tue Nov 14 22:13:20 UTC 2023 while right now it is Tue Nov 14 22:18:21 UTC 2023 which is \
         further in the future than the tolerated delay of 300000 milliseconds."
    );
}

#[test]
fn an_iterator_does_not_outlive_its_stream() {
    let api = Api::with_stream(2);
    let token = |shard: u32| {
        let answer = api.call(
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": shard.to_string(), "ShardIteratorType": "LATEST"}),
        );
        json!({"ShardIterator": answer["ShardIterator"]})
    };
    let (first, second) = (token(0), token(1));
    api.call("DeleteStream", json!({"StreamName": "s"}));
    let gone = "ResourceNotFound: Shard shardId-000000000001 in stream s under account 000000000000 does not exist";
    assert_eq!(api.error("GetRecords", second.clone()), gone);
    api.call("CreateStream", json!({"StreamName": "s", "ShardCount": 1}));
    assert_eq!(api.error("GetRecords", second), gone);
    assert_eq!(api.error("GetRecords", first), "InternalFailure");
}
