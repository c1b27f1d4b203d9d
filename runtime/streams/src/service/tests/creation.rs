//! What a stream is made with, and what it is refused.

use super::*;

#[test]
fn a_stream_without_a_count_is_on_demand_and_has_four_shards() {
    let api = Api::new();
    for (name, extra) in [
        ("a", json!({})),
        (
            "b",
            json!({"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
        ),
    ] {
        let mut request = json!({"StreamName": name});
        request
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        api.call("CreateStream", request);
        let summary = api.call("DescribeStreamSummary", json!({"StreamName": name}));
        let summary = &summary["StreamDescriptionSummary"];
        assert_eq!(summary["OpenShardCount"], 4);
        let mode = json!({"StreamMode": "ON_DEMAND"});
        assert_eq!(summary["StreamModeDetails"], mode);
        let description = api.call("DescribeStream", json!({"StreamName": name}));
        assert_eq!(description["StreamDescription"]["StreamModeDetails"], mode);
        let list = api.call(
            "ListStreams",
            json!({"ExclusiveStartStreamName": name, "Limit": 1}),
        );
        assert_eq!(list["StreamNames"], json!([]));
        let list = api.call("ListStreams", json!({}));
        assert_eq!(list["StreamSummaries"][0]["StreamModeDetails"], mode);
        api.call("DeleteStream", json!({"StreamName": name}));
    }
}

#[test]
fn creation_refuses_what_it_cannot_keep() {
    let api = Api::new();
    for (extra, expected) in [
        (
            json!({"ShardCount": 0}),
            "Validation: 1 validation error detected: Value '0' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            json!({"StreamModeDetails": {"StreamMode": "X"}}),
            "Validation: 1 validation error detected: Value 'X' at 'streamModeDetails.streamMode' failed to satisfy constraint: Member must satisfy enum value set: [PROVISIONED, ON_DEMAND]",
        ),
        (
            json!({"StreamModeDetails": {"StreamMode": "PROVISIONED"}}),
            "InvalidArgument: ShardCount is required in PROVISIONED mode.",
        ),
        (
            json!({"ShardCount": 1, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
            "InvalidArgument: ShardCount cannot be given in ON_DEMAND mode.",
        ),
        (
            json!({"ShardCount": 1, "MaxRecordSizeInKiB": 1023}),
            "Validation: 1 validation error detected: Value '1023' at 'maxRecordSizeInKiB' failed to satisfy constraint: Member must have value greater than or equal to 1024",
        ),
        (
            json!({"ShardCount": 1, "MaxRecordSizeInKiB": 10_241}),
            "Validation: 1 validation error detected: Value '10241' at 'maxRecordSizeInKiB' failed to satisfy constraint: Member must have value less than or equal to 10240",
        ),
        (
            json!({"ShardCount": 1, "WarmThroughputMiBps": 1}),
            "InvalidArgument: WarmThroughputMiBps is not there yet in fnctl.",
        ),
        (
            json!({"ShardCount": 1, "RecordDistributionStrategy": "AUTO"}),
            "InvalidArgument: RecordDistributionStrategy AUTO is not there yet in fnctl.",
        ),
        (
            json!({"ShardCount": 10_001}),
            "LimitExceeded: This request would exceed the shard limit for the account 000000000000 in eu-west-1. Current shard count for the account: 0. Limit: 10000. Number of additional shards that would have resulted from this request: 10001. Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.",
        ),
    ] {
        let mut request = json!({"StreamName": "s"});
        request
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        assert_eq!(
            api.error("CreateStream", request.clone()),
            expected,
            "{request}"
        );
    }
}

#[test]
fn the_shard_limit_counts_all_streams() {
    let api = Api::with_options(Options {
        shard_limit: 5,
        ..Options::new([3; 32])
    });
    api.call("CreateStream", json!({"StreamName": "a", "ShardCount": 3}));
    let error = api.error("CreateStream", json!({"StreamName": "b", "ShardCount": 3}));
    assert!(
        error.contains(
            "for the account: 3. Limit: 5. Number of additional shards that would have resulted \
             from this request: 3."
        ),
        "{error}"
    );
    api.call("CreateStream", json!({"StreamName": "b", "ShardCount": 2}));
}

fn created(api: &Api, extra: Value) -> Arc<fnctl_core::shard::Stream> {
    let mut request = json!({"StreamName": "s", "ShardCount": 1});
    request
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    api.call("CreateStream", request);
    let name = fnctl_core::id::StreamName::parse("s").unwrap();
    api.log.stream(&name).unwrap()
}

#[test]
fn tags_are_kept() {
    let api = Api::new();
    let stream = created(&api, json!({"Tags": {"team": "größe 1/2", "a:b": ""}}));
    let tags = &stream.options.tags;
    assert_eq!(tags.len(), 2);
    assert_eq!((&*tags["team"], &*tags["a:b"]), ("größe 1/2", ""));
}

#[test]
fn tags_that_break_a_rule_are_refused_whole() {
    let api = Api::new();
    let many: serde_json::Map<_, _> = (0..51).map(|n| (format!("k{n}"), json!("v"))).collect();
    let failed = "Validation: 1 validation error detected: Value";
    let of_keys = "failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]";
    let of_values = "failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 256, Member must have length greater than or equal to 0]";
    let (long_key, long_value) = ("k".repeat(129), "v".repeat(257));
    for (tags, expected) in [
        (
            json!({"a": "b!"}),
            "InvalidArgument: Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.".to_owned(),
        ),
        (
            json!({"<a>": "b"}),
            "InvalidArgument: Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.".to_owned(),
        ),
        (
            Value::Object(many),
            "InvalidArgument: Failed to add tags to stream: a given stream cannot have more than 50 tags associated with it.".to_owned(),
        ),
        (
            json!({}),
            format!("{failed} '{{}}' at 'tags' failed to satisfy constraint: Member must have length greater than or equal to 1"),
        ),
        (
            json!({"": "b"}),
            format!("{failed} '{{=b}}' at 'tags' {of_keys}"),
        ),
        (
            json!({&long_key: "b"}),
            format!("{failed} '{{{long_key}=b}}' at 'tags' {of_keys}"),
        ),
        (
            json!({"a": long_value}),
            format!("{failed} '{{a={long_value}}}' at 'tags' {of_values}"),
        ),
        (
            json!({"a": 1}),
            "Serialization: class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String".to_owned(),
        ),
        (json!("a"), "Serialization: Expected map or null".to_owned()),
    ] {
        let request = json!({"StreamName": "s", "ShardCount": 1, "Tags": tags});
        assert_eq!(api.error("CreateStream", request), expected, "{tags}");
    }
    assert!(api.call("ListStreams", json!({}))["StreamNames"] == json!([]));
}

#[test]
fn a_stream_takes_records_as_large_as_it_was_made_for() {
    let api = Api::new();
    created(&api, json!({"MaxRecordSizeInKiB": 2_048}));
    let summary = api.call("DescribeStreamSummary", json!({"StreamName": "s"}));
    assert_eq!(
        summary["StreamDescriptionSummary"]["MaxRecordSizeInKiB"],
        2_048
    );
    let data = |bytes: usize| base64_simd::STANDARD.encode_to_string(vec![b'x'; bytes]);
    let record = |bytes: usize| json!({"PartitionKey": "k", "Data": data(bytes)});
    let put = |bytes: usize| json!({"StreamName": "s", "PartitionKey": "k", "Data": data(bytes)});
    let most = 2 << 20;
    api.call("PutRecord", put(most - 1));
    let both = json!({"StreamName": "s", "Records": [record(1), record(most - 1)]});
    assert_eq!(api.call("PutRecords", both)["FailedRecordCount"], 0);
    let (read, _) = api.read(&api.iterator("TRIM_HORIZON", json!({})));
    let sizes: Vec<usize> = read.iter().map(String::len).collect();
    assert_eq!(sizes, [most - 1, 1, most - 1]);

    let constraint =
        "failed to satisfy constraint: Member must have length less than or equal to 2097152";
    let value = "Value 'java.nio.HeapByteBuffer[pos=0 lim=2097153 cap=2097153]'";
    assert_eq!(
        api.error("PutRecord", put(most + 1)),
        format!("Validation: 1 validation error detected: {value} at 'data' {constraint}")
    );
    let late = json!({"StreamName": "s", "Records": [record(1), record(most + 1)]});
    assert_eq!(
        api.error("PutRecords", late),
        format!(
            "Validation: 1 validation error detected: {value} at 'records.2.member.data' {constraint}"
        )
    );
    assert_eq!(
        api.error("PutRecord", put(most)),
        "InvalidArgument: Record 1 has 2097153 bytes of data and partition key, above the limit of 2097152."
    );
}

#[test]
fn the_largest_record_of_all_is_ten_mebibytes() {
    let api = Api::new();
    created(&api, json!({"MaxRecordSizeInKiB": 10_240}));
    let put = |bytes: usize| {
        let data = base64_simd::STANDARD.encode_to_string(vec![b'x'; bytes]);
        json!({"StreamName": "s", "PartitionKey": "k", "Data": data})
    };
    let most = 10 << 20;
    api.call("PutRecord", put(most - 1));
    let (read, _) = api.read(&api.iterator("TRIM_HORIZON", json!({})));
    assert_eq!(read[0].len(), most - 1);
    let refused = api.error("PutRecord", put(most + 1));
    assert!(
        refused.ends_with("less than or equal to 10485760"),
        "{refused}"
    );
}
