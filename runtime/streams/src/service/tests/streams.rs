use super::*;

#[test]
fn a_stream_is_active_once_created_and_gone_once_deleted() {
    let api = Api::new();
    let (response, body) = api.send_body("CreateStream", r#"{"StreamName":"s","ShardCount":3}"#);
    assert_eq!((response.status().as_u16(), body.len()), (200, 0));
    assert_eq!(
        api.error("CreateStream", json!({"StreamName": "s", "ShardCount": 1})),
        "ResourceInUse: Stream s under account 000000000000 already exists."
    );
    let description = api.call("DescribeStream", json!({"StreamName": "s"}));
    let description = &description["StreamDescription"];
    assert_eq!(description["StreamStatus"], "ACTIVE");
    let summary = api.call("DescribeStreamSummary", json!({"StreamName": "s"}));
    assert_eq!(
        summary["StreamDescriptionSummary"],
        json!({
            "StreamName": "s",
            "StreamARN": "arn:aws:kinesis:eu-west-1:000000000000:stream/s",
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": "PROVISIONED"},
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": 1_700_000_000.123,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": "NONE",
            "OpenShardCount": 3,
            "ConsumerCount": 0,
            "MaxRecordSizeInKiB": 1024,
        })
    );
    assert_eq!(
        api.call("DeleteStream", json!({"StreamName": "s"})),
        json!({})
    );
    assert_eq!(
        api.error("DescribeStream", json!({"StreamName": "s"})),
        "ResourceNotFound: Stream s under account 000000000000 not found."
    );
    assert_eq!(
        api.error("DeleteStream", json!({"StreamName": "s"})),
        "ResourceNotFound: Stream s under account 000000000000 not found."
    );
}

#[test]
fn shards_show_ranges_and_first_numbers() {
    let api = Api::with_stream(3);
    let shards = api.call("ListShards", json!({"StreamName": "s"}))["Shards"].clone();
    let starts = shards.as_array().unwrap().iter();
    let starts: Vec<_> = starts
        .map(|shard| shard["HashKeyRange"]["StartingHashKey"].as_str().unwrap())
        .collect();
    assert_eq!(
        starts,
        [
            "0",
            "113427455640312821154458202477256070485",
            "226854911280625642308916404954512140970"
        ]
    );
    let last = &shards[2];
    assert_eq!(last["ShardId"], "shardId-000000000002");
    assert_eq!(
        last["HashKeyRange"]["EndingHashKey"],
        "340282366920938463463374607431768211455"
    );
    let start = last["SequenceNumberRange"]["StartingSequenceNumber"]
        .as_str()
        .unwrap();
    let decoded = crate::sequence::decode(start).unwrap();
    assert_eq!((decoded.shard, decoded.index), (2, 0));
    assert_eq!(decoded.created_s, START_MS / 1_000);
    assert!(last.get("ParentShardId").is_none());
    assert!(
        last["SequenceNumberRange"]
            .get("EndingSequenceNumber")
            .is_none()
    );
}

#[test]
fn an_arn_names_a_stream_as_well_as_its_name() {
    let api = Api::with_stream(1);
    let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/s";
    for request in [
        json!({"StreamARN": arn}),
        json!({"StreamARN": arn, "StreamName": "s"}),
    ] {
        api.call("DescribeStreamSummary", request);
    }
    assert_eq!(
        api.error(
            "DescribeStreamSummary",
            json!({"StreamARN": arn, "StreamName": "t"})
        ),
        format!("InvalidArgument: StreamName t and StreamARN {arn} do not name the same stream.")
    );
    assert_eq!(
        api.error(
            "DescribeStreamSummary",
            json!({"StreamARN": format!("{arn}/x")})
        ),
        "ResourceNotFound: Stream s/x under account 000000000000 not found."
    );
}

#[test]
fn internal_streams_do_not_exist_for_clients() {
    let api = Api::with_stream(1);
    let token = api.iterator("LATEST", json!({}));
    api.log.make_internal("s");
    let listed = api.call("ListStreams", json!({}));
    assert_eq!(listed["StreamNames"], json!([]));
    let not_found = "ResourceNotFound: Stream s under account 000000000000 not found.";
    let shard_not_found = "ResourceNotFound: Shard shardId-000000000000 in stream s under account 000000000000 does not exist";
    let record = json!({"PartitionKey": "k", "Data": ""});
    for (operation, request, expected) in [
        ("DescribeStream", json!({"StreamName": "s"}), not_found),
        (
            "DescribeStreamSummary",
            json!({"StreamName": "s"}),
            not_found,
        ),
        ("ListShards", json!({"StreamName": "s"}), not_found),
        ("DeleteStream", json!({"StreamName": "s"}), not_found),
        (
            "IncreaseStreamRetentionPeriod",
            json!({"StreamName": "s", "RetentionPeriodHours": 48}),
            not_found,
        ),
        (
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": "k", "Data": ""}),
            not_found,
        ),
        (
            "PutRecords",
            json!({"StreamName": "s", "Records": [record]}),
            not_found,
        ),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "LATEST"}),
            shard_not_found,
        ),
        (
            "GetRecords",
            json!({"ShardIterator": token}),
            shard_not_found,
        ),
    ] {
        assert_eq!(api.error(operation, request), expected, "{operation}");
    }
}

#[test]
fn streams_are_listed_by_pages() {
    let api = Api::new();
    let names: Vec<_> = (0..105).map(|index| format!("s{index:03}")).collect();
    for name in &names {
        api.call("CreateStream", json!({"StreamName": name, "ShardCount": 1}));
    }
    let first = api.call("ListStreams", json!({"Limit": 10_000}));
    assert_eq!(first["StreamNames"], json!(names[..100]));
    assert_eq!(first["HasMoreStreams"], true);
    assert_eq!(first["StreamSummaries"][0]["StreamStatus"], "ACTIVE");
    let token = &first["NextToken"];
    let second = api.call("ListStreams", json!({"NextToken": token}));
    assert_eq!(second["StreamNames"], json!(names[100..]));
    assert_eq!(second["HasMoreStreams"], false);
    assert!(second.get("NextToken").is_none());
    let named = api.call(
        "ListStreams",
        json!({"ExclusiveStartStreamName": "s001", "Limit": 2}),
    );
    assert_eq!(named["StreamNames"], json!(["s002", "s003"]));

    assert_eq!(
        api.error("ListStreams", json!({"NextToken": "x"})),
        "InvalidArgument: Invalid NextToken."
    );
    api.advance(300_001);
    assert!(
        api.error("ListStreams", json!({"NextToken": token}))
            .starts_with("ExpiredNextToken: ")
    );
}

#[test]
fn shards_are_described_and_listed_by_pages() {
    let api = Api::with_stream(103);
    let ids = |answer: &Value| -> Vec<String> {
        let shards = answer["Shards"].as_array().unwrap().iter();
        shards
            .map(|shard| shard["ShardId"].as_str().unwrap().to_owned())
            .collect()
    };
    let all: Vec<_> = (0..103)
        .map(|index| format!("shardId-{index:012}"))
        .collect();

    let first = api.call("DescribeStream", json!({"StreamName": "s"}))["StreamDescription"].clone();
    assert_eq!(ids(&first), all[..100]);
    assert_eq!(first["HasMoreShards"], true);
    let request = json!({"StreamName": "s", "ExclusiveStartShardId": all[99]});
    let second = api.call("DescribeStream", request)["StreamDescription"].clone();
    assert_eq!(ids(&second), all[100..]);
    assert_eq!(second["HasMoreShards"], false);

    let first = api.call("ListShards", json!({"StreamName": "s", "MaxResults": 60}));
    assert_eq!(ids(&first), all[..60]);
    let second = api.call("ListShards", json!({"NextToken": first["NextToken"]}));
    assert_eq!(ids(&second), all[60..]);
    assert!(second.get("NextToken").is_none());
    let after = json!({"StreamName": "s", "ExclusiveStartShardId": "shardId-100"});
    assert_eq!(ids(&api.call("ListShards", after)), all[101..]);
    assert_eq!(
        api.error(
            "DescribeStream",
            json!({"StreamName": "s", "ExclusiveStartShardId": "x"})
        ),
        "ResourceNotFound: Could not find shard x in stream s under account 000000000000."
    );
}

#[test]
fn a_list_of_shards_needs_a_stream_or_a_token() {
    let api = Api::with_stream(1);
    let token = "x";
    for (request, expected) in [
        (
            json!({}),
            "InvalidArgument: Either NextToken or StreamName should be provided.",
        ),
        (
            json!({"StreamName": "s", "NextToken": token}),
            "InvalidArgument: NextToken and StreamName cannot be provided together.",
        ),
        (
            json!({"NextToken": token}),
            "InvalidArgument: Invalid NextToken.",
        ),
        (
            json!({"StreamName": "s", "StreamCreationTimestamp": 1}),
            "ResourceNotFound: Stream s under account 000000000000 not found.",
        ),
        (
            json!({"StreamName": "s", "ShardFilter": {}}),
            "Validation: 1 validation error detected: Value null at 'shardFilter.type' failed to satisfy constraint: Member must not be null",
        ),
        (
            json!({"StreamName": "s", "ShardFilter": {"Type": "AT_TIMESTAMP"}}),
            "InvalidArgument: ShardFilter of type AT_TIMESTAMP requires Timestamp.",
        ),
    ] {
        assert_eq!(
            api.error("ListShards", request.clone()),
            expected,
            "{request}"
        );
    }
    let created = json!({"StreamName": "s", "StreamCreationTimestamp": START_MS / 1_000});
    assert_eq!(
        api.call("ListShards", created)["Shards"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_split_shard_names_its_end_and_its_children_name_it() {
    let api = Api::with_stream(1);
    api.put(&[("k", "a")]);
    api.log.split("s");
    let shards = api.call("ListShards", json!({"StreamName": "s"}))["Shards"].clone();
    let end = shards[0]["SequenceNumberRange"]["EndingSequenceNumber"]
        .as_str()
        .unwrap();
    assert_eq!(
        crate::sequence::decode(end).unwrap().index,
        crate::sequence::INDEX_END
    );
    assert_eq!(shards[1]["ParentShardId"], "shardId-000000000000");
    let open = json!({"StreamName": "s", "ShardFilter": {"Type": "AT_LATEST"}});
    assert_eq!(
        api.call("ListShards", open)["Shards"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn retention_moves_within_a_day_and_a_year() {
    let api = Api::with_stream(1);
    let increase = "IncreaseStreamRetentionPeriod";
    let decrease = "DecreaseStreamRetentionPeriod";
    let request = |hours: i64| json!({"StreamName": "s", "RetentionPeriodHours": hours});
    let now = || {
        let summary = api.call("DescribeStreamSummary", json!({"StreamName": "s"}));
        summary["StreamDescriptionSummary"]["RetentionPeriodHours"]
            .as_u64()
            .unwrap()
    };
    api.call(increase, request(24));
    api.call(increase, request(48));
    assert_eq!(now(), 48);
    for (operation, hours, expected) in [
        (
            increase,
            23,
            "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.",
        ),
        (
            decrease,
            -1,
            "Minimum allowed retention period is 24 hours. Requested retention period (-1 hours) is too short.",
        ),
        (
            increase,
            8_761,
            "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.",
        ),
        (
            increase,
            47,
            "Requested retention period (47 hours) for stream s can not be shorter than existing retention period (48 hours). Use DecreaseRetentionPeriod API.",
        ),
        (
            decrease,
            49,
            "Requested retention period (49 hours) for stream s can not be longer than existing retention period (48 hours). Use IncreaseRetentionPeriod API.",
        ),
    ] {
        assert_eq!(
            api.error(operation, request(hours)),
            format!("InvalidArgument: {expected}"),
            "{operation} {hours}"
        );
    }
    api.call(decrease, request(48));
    api.call(decrease, request(24));
    assert_eq!(now(), 24);
    api.call(increase, request(8_760));
    assert_eq!(now(), 8_760);
}
