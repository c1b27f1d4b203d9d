use fnctl_core::id::{Ordinal, ShardNumber};

use super::*;
use crate::sequence;

fn place(record: &Value) -> (String, u64) {
    let number = record["SequenceNumber"].as_str().unwrap();
    assert_eq!(number.len(), 56);
    (
        record["ShardId"].as_str().unwrap().to_owned(),
        sequence::decode(number).unwrap().index,
    )
}

#[test]
fn records_go_where_their_keys_say_and_numbers_rise_by_one() {
    let api = Api::with_stream(3);
    let answer = api.put(&[("a", "1"), ("b", "2"), ("e", "3"), ("f", "4"), ("b", "5")]);
    assert_eq!(answer["FailedRecordCount"], 0);
    let places: Vec<_> = answer["Records"]
        .as_array()
        .unwrap()
        .iter()
        .map(place)
        .collect();
    let shard = |number| format!("shardId-{number:012}");
    assert_eq!(
        places,
        [
            (shard(0), 1),
            (shard(1), 1),
            (shard(2), 1),
            (shard(1), 2),
            (shard(1), 3)
        ]
    );
    let one = json!({"StreamName": "s", "PartitionKey": "f", "Data": "AAAA"});
    assert_eq!(place(&api.call("PutRecord", one)), (shard(1), 4));
}

#[test]
fn a_sequence_number_says_where_and_when() {
    let api = Api::with_stream(1);
    api.advance(5_000);
    let answer = api.put(&[("a", "1")]);
    assert_eq!(
        answer["Records"][0]["SequenceNumber"],
        json!(sequence::encode(
            Timestamp(START_MS),
            ShardNumber(0),
            Ordinal(1),
            Timestamp(START_MS + 5_000)
        ))
    );
    assert!(answer["Records"][0].get("EncryptionType").is_none());
}

#[test]
fn an_explicit_hash_key_replaces_the_keys_own() {
    let api = Api::with_stream(2);
    let high = "340282366920938463463374607431768211455";
    let record = |key: &str| json!({"PartitionKey": "a", "Data": "", "ExplicitHashKey": key});
    let answer = api.call(
        "PutRecords",
        json!({"StreamName": "s", "Records": [record("0"), record(high)]}),
    );
    assert_eq!(answer["Records"][0]["ShardId"], "shardId-000000000000");
    assert_eq!(answer["Records"][1]["ShardId"], "shardId-000000000001");
    let too_high = "340282366920938463463374607431768211456";
    let expected = format!(
        "InvalidArgument: Invalid ExplicitHashKey. ExplicitHashKey must be in the range: \
         [0, 2^128-1]. Specified value was {too_high}"
    );
    let records = json!({"StreamName": "s", "Records": [record("0"), record(too_high)]});
    assert_eq!(api.error("PutRecords", records), expected);
    let mut single = record(too_high);
    single["StreamName"] = json!("s");
    assert_eq!(api.error("PutRecord", single), expected);
    assert_eq!(
        api.read(&api.iterator("TRIM_HORIZON", json!({}))).0.len(),
        1
    );
}

/// Every way to write the same request gives the same answer, whichever path reads it.
#[test]
fn unusual_spellings_mean_the_same() {
    for body in [
        r#"{"StreamName":"s","Records":[{"Data":"YWI=","PartitionKey":"é\""}]}"#,
        "{\"Records\" : [ {\"PartitionKey\":\"\\u00e9\\\"\" ,\n\"Data\":\"YWI\\u003d\"} ] , \"StreamName\":\"s\"} ",
        r#"{"StreamName":"s","Other":[1,{}],"Records":[{"Data":"YWI=","PartitionKey":"é\"","X":1}]}"#,
        r#"{"StreamName":"s","Records":[{"Data":"YWI=","PartitionKey":"é\"","ExplicitHashKey":null}]}"#,
        r#"{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s","Records":[{"Data":"YWI=","PartitionKey":"é\""}]}"#,
        r#"{"StreamName":"no","StreamName":"s","Records":[{"Data":"YWI=","PartitionKey":"é\""}]}"#,
    ] {
        let api = Api::with_stream(1);
        let (response, answer) = api.send_body("PutRecords", body);
        assert_eq!(response.status(), 200, "{body} {answer:?}");
        let (data, page) = api.read(&api.iterator("TRIM_HORIZON", json!({})));
        assert_eq!(data, ["ab"], "{body}");
        assert_eq!(page["Records"][0]["PartitionKey"], "é\"", "{body}");
    }
}

#[test]
fn faults_of_a_batch_are_told_and_nothing_of_it_is_put() {
    let element = "com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry@c965e310";
    let good = json!({"PartitionKey": "k", "Data": ""});
    let long_key = "k".repeat(257);
    let large = base64_simd::STANDARD.encode_to_string(vec![0; (1 << 20) + 1]);
    let nearly = base64_simd::STANDARD.encode_to_string(vec![0; 1 << 20]);
    let failed = "failed to satisfy constraint: ";
    for (records, expected) in [
        (
            json!([]),
            format!("Validation: 1 validation error detected: Value '[]' at 'records' {failed}Member must have length greater than or equal to 1"),
        ),
        (
            json!(vec![good.clone(); 501]),
            format!(
                "Validation: 1 validation error detected: Value '[{}]' at 'records' {failed}Member must have length less than or equal to 500",
                vec![element; 501].join(", ")
            ),
        ),
        (
            json!([good, {}]),
            format!("Validation: 2 validation errors detected: Value null at 'records.2.member.partitionKey' {failed}Member must not be null; Value null at 'records.2.member.data' {failed}Member must not be null"),
        ),
        (
            json!([{"PartitionKey": "", "Data": ""}]),
            format!("Validation: 1 validation error detected: Value '' at 'records.1.member.partitionKey' {failed}Member must have length greater than or equal to 1"),
        ),
        (
            json!([{"PartitionKey": long_key, "Data": ""}]),
            format!("Validation: 1 validation error detected: Value '{long_key}' at 'records.1.member.partitionKey' {failed}Member must have length less than or equal to 256"),
        ),
        (
            json!([{"PartitionKey": "k", "Data": large}]),
            format!("Validation: 1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1048577 cap=1048577]' at 'records.1.member.data' {failed}Member must have length less than or equal to 1048576"),
        ),
        (
            json!([good, {"PartitionKey": "k", "Data": nearly}]),
            "InvalidArgument: Record 2 has 1048577 bytes of data and partition key, above the limit of 1048576.".to_owned(),
        ),
        (
            json!([{"PartitionKey": "k", "Data": "", "ExplicitHashKey": "01"}]),
            format!(r"Validation: 1 validation error detected: Value '01' at 'records.1.member.explicitHashKey' {failed}Member must satisfy regular expression pattern: 0|([1-9]\d{{0,38}})"),
        ),
        (
            json!([good, {"PartitionKey": "k", "Data": "AAB="}]),
            "Serialization: 'AAB=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected".to_owned(),
        ),
        (json!({}), "Serialization: Start of structure or map found where not expected.".to_owned()),
        (json!(["a"]), "Serialization: Expected null".to_owned()),
    ] {
        let api = Api::with_stream(1);
        assert_eq!(api.error("PutRecords", json!({"StreamName": "s", "Records": records})), expected);
        assert!(api.read(&api.iterator("TRIM_HORIZON", json!({}))).0.is_empty());
    }
}

#[test]
fn a_key_is_counted_in_characters() {
    let api = Api::with_stream(1);
    let key = "é".repeat(256);
    api.put(&[(&key, "a")]);
    let (_, page) = api.read(&api.iterator("TRIM_HORIZON", json!({})));
    assert_eq!(page["Records"][0]["PartitionKey"], key);
}

#[test]
fn a_batch_is_bounded_as_a_whole() {
    let api = Api::with_stream(1);
    let data = base64_simd::STANDARD.encode_to_string(vec![0; 1_000_000]);
    let records = |count| vec![json!({"PartitionKey": "k", "Data": data}); count];
    let request = |count| json!({"StreamName": "s", "Records": records(count)});
    assert_eq!(
        api.error("PutRecords", request(11)),
        "InvalidArgument: Records size exceeds 10 MB limit"
    );
    assert_eq!(api.call("PutRecords", request(10))["FailedRecordCount"], 0);
}

#[test]
fn a_number_to_order_by_must_be_one_of_the_past() {
    let api = Api::with_stream(1);
    let number = |arrival_ms| {
        sequence::encode(
            Timestamp(START_MS),
            ShardNumber(0),
            Ordinal(7),
            Timestamp(arrival_ms),
        )
    };
    let request = |number: &str| {
        json!({
            "StreamName": "s", "PartitionKey": "k", "Data": "",
            "SequenceNumberForOrdering": number,
        })
    };
    api.call("PutRecord", request(&number(START_MS)));
    api.call("PutRecord", request("0"));
    let future = number(START_MS + 1_000);
    for bad in [future.as_str(), &"9".repeat(129)] {
        assert_eq!(
            api.error("PutRecord", request(bad)),
            format!(
                "InvalidArgument: ExclusiveMinimumSequenceNumber {bad} used in PutRecord on \
                 stream s under account 000000000000 is invalid."
            )
        );
    }
}

#[test]
fn a_full_disk_throttles() {
    let api = Api::with_stream(2);
    api.log.fill();
    let words =
        "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000.";
    let answer = api.put(&[("a", "1"), ("b", "2")]);
    assert_eq!(answer["FailedRecordCount"], 2);
    assert_eq!(
        answer["Records"][0],
        json!({"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": words})
    );
    let one = json!({"StreamName": "s", "PartitionKey": "a", "Data": ""});
    assert_eq!(
        api.error("PutRecord", one),
        format!("ProvisionedThroughputExceeded: {words}")
    );
}

#[test]
fn a_dry_run_changes_nothing() {
    let api = Api::with_stream(1);
    let record = json!({"PartitionKey": "a", "Data": ""});
    let many = json!({"StreamName": "s", "DryRun": true, "Records": [record]});
    let one = json!({"StreamName": "s", "DryRun": true, "PartitionKey": "a", "Data": ""});
    let token = api.iterator("TRIM_HORIZON", json!({}));
    for (operation, request) in [
        ("PutRecords", many),
        ("PutRecord", one),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "LATEST", "DryRun": true}),
        ),
        (
            "GetRecords",
            json!({"ShardIterator": token, "DryRun": true}),
        ),
    ] {
        assert!(
            api.error(operation, request)
                .starts_with("DryRunOperation: "),
            "{operation}"
        );
    }
    assert!(api.read(&token).0.is_empty());
}
