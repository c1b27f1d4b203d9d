//! SplitShard, MergeShards and UpdateShardCount, and what reads see of closed shards.

use super::*;

const ACCOUNT: &str = "under account 000000000000";
const HALF: &str = "170141183460469231731687303715884105728";

fn split(shard: u32, at: &str) -> Value {
    let shard = format!("shardId-{shard:012}");
    json!({"StreamName": "s", "ShardToSplit": shard, "NewStartingHashKey": at})
}

fn merge(shard: &str, adjacent: &str) -> Value {
    json!({"StreamName": "s", "ShardToMerge": shard, "AdjacentShardToMerge": adjacent})
}

fn resize(target: i64) -> Value {
    json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"})
}

fn open_shards(api: &Api) -> u64 {
    let summary = api.call("DescribeStreamSummary", json!({"StreamName": "s"}));
    summary["StreamDescriptionSummary"]["OpenShardCount"]
        .as_u64()
        .unwrap()
}

fn shards(api: &Api) -> Vec<Value> {
    let answer = api.call("ListShards", json!({"StreamName": "s"}));
    answer["Shards"].as_array().unwrap().clone()
}

#[test]
fn a_split_and_a_merge_are_done_when_they_are_answered() {
    let api = Api::with_stream(1);
    let (response, body) = api.send_body("SplitShard", split(0, HALF).to_string());
    assert_eq!((response.status().as_u16(), body.len()), (200, 0));
    assert_eq!(open_shards(&api), 2);
    let described = api.call("DescribeStream", json!({"StreamName": "s"}));
    assert_eq!(described["StreamDescription"]["StreamStatus"], "ACTIVE");
    let list = shards(&api);
    assert_eq!(described["StreamDescription"]["Shards"], json!(list));
    let range = |shard: usize, end: &str| {
        list[shard]["HashKeyRange"][end]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(range(1, "StartingHashKey"), "0");
    assert_eq!(
        range(1, "EndingHashKey"),
        "170141183460469231731687303715884105727"
    );
    assert_eq!(range(2, "StartingHashKey"), HALF);
    for child in &list[1..] {
        assert_eq!(child["ParentShardId"], "shardId-000000000000");
        assert!(child.get("AdjacentParentShardId").is_none());
        assert!(
            child["SequenceNumberRange"]
                .get("EndingSequenceNumber")
                .is_none()
        );
    }

    // Short ids are read as Kinesis reads them.
    let (response, body) = api.send_body("MergeShards", merge("1", "shardId-2").to_string());
    assert_eq!((response.status().as_u16(), body.len()), (200, 0));
    let list = shards(&api);
    assert_eq!(list[3]["ParentShardId"], "shardId-000000000001");
    assert_eq!(list[3]["AdjacentParentShardId"], "shardId-000000000002");
    assert_eq!(list[3]["HashKeyRange"], list[0]["HashKeyRange"]);
    assert_eq!(open_shards(&api), 1);
}

#[test]
fn what_cannot_be_split_or_merged_is_refused_in_kinesis_words() {
    let api = Api::with_stream(3);
    let invalid = |words: &str| format!("InvalidArgument: {words}");
    let missing = |shard: &str| {
        format!("ResourceNotFound: Could not find shard {shard} in stream s {ACCOUNT}.")
    };
    let point = |at: &str| {
        invalid(&format!(
            "NewStartingHashKey {at} used in SplitShard() on shard shardId-000000000000 in stream s \
             {ACCOUNT} is not both greater than one plus the shard's StartingHashKey 0 and less than \
             the shard's EndingHashKey 113427455640312821154458202477256070484."
        ))
    };
    let apart = |first: u32, second: u32| {
        invalid(&format!(
            "Shards shardId-{first:012} and shardId-{second:012} in stream s {ACCOUNT} are not an \
             adjacent pair of shards eligible for merging"
        ))
    };
    let above = "999999999999999999999999999999999999999";
    for (operation, request, expected) in [
        ("SplitShard", split(3, "5"), missing("shardId-000000000003")),
        ("SplitShard", split(0, "0"), point("0")),
        ("SplitShard", split(0, "1"), point("1")),
        (
            "SplitShard",
            split(0, "113427455640312821154458202477256070484"),
            point("113427455640312821154458202477256070484"),
        ),
        ("SplitShard", split(0, above), point(above)),
        ("MergeShards", merge("x", "1"), missing("x")),
        (
            "MergeShards",
            merge("0", "7"),
            missing("shardId-000000000007"),
        ),
        ("MergeShards", merge("1", "0"), apart(1, 0)),
        ("MergeShards", merge("0", "2"), apart(0, 2)),
        ("MergeShards", merge("0", "0"), apart(0, 0)),
        (
            "SplitShard",
            json!({"StreamName": "t", "ShardToSplit": "0", "NewStartingHashKey": "5"}),
            format!("ResourceNotFound: Stream t {ACCOUNT} not found."),
        ),
    ] {
        assert_eq!(
            api.error(operation, request.clone()),
            expected,
            "{operation} {request}"
        );
    }
    api.call("SplitShard", split(0, "2"));
    let closed = invalid(&format!(
        "Shard shardId-000000000000 in stream s {ACCOUNT} has already been merged or split, and thus \
         is not eligible for merging or splitting."
    ));
    assert_eq!(api.error("SplitShard", split(0, "9")), closed);
    assert_eq!(api.error("MergeShards", merge("0", "1")), closed);
    assert_eq!(
        api.error(
            "SplitShard",
            json!({"StreamName": "s", "NewStartingHashKey": "01"})
        ),
        "Validation: 2 validation errors detected: Value '01' at 'newStartingHashKey' failed to \
         satisfy constraint: Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38}); \
         Value null at 'shardToSplit' failed to satisfy constraint: Member must not be null"
    );
}

#[test]
fn a_shard_count_is_reached_at_once_within_double_and_half() {
    let api = Api::with_stream(4);
    let answer = api.call("UpdateShardCount", resize(5));
    assert_eq!(
        answer,
        json!({
            "StreamName": "s",
            "StreamARN": "arn:aws:kinesis:eu-west-1:000000000000:stream/s",
            "CurrentShardCount": 4,
            "TargetShardCount": 5,
        })
    );
    assert_eq!((open_shards(&api), shards(&api).len()), (5, 15));
    let scale = |direction: &str, target| {
        format!(
            "LimitExceeded: UpdateShardCount cannot scale {direction} your current open shard count. \
             Current open shard count: 5 Target shard count: {target}"
        )
    };
    assert_eq!(
        api.error("UpdateShardCount", resize(11)),
        scale("up over double", 11)
    );
    assert_eq!(
        api.error("UpdateShardCount", resize(2)),
        scale("down below half", 2)
    );
    api.call("UpdateShardCount", resize(3));
    assert_eq!(open_shards(&api), 3);
    let wrong = json!({"StreamName": "s", "TargetShardCount": 0, "ScalingType": "X"});
    assert_eq!(
        api.error("UpdateShardCount", wrong),
        "Validation: 2 validation errors detected: Value '0' at 'targetShardCount' failed to satisfy \
         constraint: Member must have value greater than or equal to 1; Value 'X' at 'scalingType' \
         failed to satisfy constraint: Member must satisfy enum value set: [UNIFORM_SCALING]"
    );
}

#[test]
fn open_shards_of_the_account_are_limited() {
    let api = Api::with_options(Options {
        shard_limit: 3,
        ..Options::new([7; 32])
    });
    api.call("CreateStream", json!({"StreamName": "s", "ShardCount": 2}));
    api.call("SplitShard", split(0, "5"));
    for (operation, request, more) in [
        ("SplitShard", split(1, HALF), 1),
        ("UpdateShardCount", resize(5), 2),
    ] {
        let error = api.error(operation, request);
        assert!(
            error.starts_with("LimitExceeded: This request would exceed the shard limit"),
            "{error}"
        );
        let words = format!(
            "Limit: 3. Number of additional shards that would have resulted from this request: {more}."
        );
        assert!(error.contains(&words), "{error}");
    }
    api.call("MergeShards", merge("2", "3"));
}

#[test]
fn on_demand_streams_are_not_resharded_by_hand() {
    let api = Api::new();
    api.call("CreateStream", json!({"StreamName": "s"}));
    let expected =
        format!("Validation: Request is invalid. Stream s {ACCOUNT} is in On-Demand mode.");
    for (operation, request) in [
        ("SplitShard", split(0, "5")),
        ("MergeShards", merge("0", "1")),
        ("UpdateShardCount", resize(8)),
    ] {
        assert_eq!(api.error(operation, request), expected);
    }
}

/// As consumers of the KCL kind read: a parent to its end, then the children it names.
#[test]
fn reading_parents_before_children_keeps_the_order_of_each_key() {
    let api = Api::with_stream(1);
    let keys = ["a", "b", "e", "f"];
    let put = |number: usize| {
        let key = keys[number % keys.len()];
        let data = number.to_string();
        api.put(&[(key, data.as_str())]);
    };
    (0..8).for_each(put);
    api.call("SplitShard", split(0, HALF));
    (8..16).for_each(put);
    api.call("MergeShards", merge("1", "2"));
    (16..24).for_each(put);

    let read_all = |shard: &str| {
        let request = json!({
            "StreamName": "s", "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON",
        });
        let mut token = api.call("GetShardIterator", request)["ShardIterator"].clone();
        let mut all = Vec::new();
        loop {
            let (data, answer) = api.read_at_most(token.as_str().unwrap(), 3);
            let is_empty = data.is_empty();
            all.extend(data);
            token = answer["NextShardIterator"].clone();
            if token.is_null() || is_empty {
                return (all, answer);
            }
        }
    };
    let (parent, answer) = read_all("shardId-000000000000");
    assert_eq!(
        parent,
        (0..8).map(|number| number.to_string()).collect::<Vec<_>>()
    );
    assert_eq!(answer["ChildShards"].as_array().unwrap().len(), 2);
    let (low, answer) = read_all("shardId-000000000001");
    let parents = &answer["ChildShards"][0]["ParentShards"];
    assert_eq!(
        *parents,
        json!(["shardId-000000000001", "shardId-000000000002"])
    );
    let (high, answer) = read_all("shardId-000000000002");
    assert_eq!(answer["ChildShards"][0]["ShardId"], "shardId-000000000003");
    let (child, answer) = read_all("shardId-000000000003");
    assert!(answer["NextShardIterator"].is_string());
    for (at, _) in keys.iter().enumerate() {
        let of_key = |shard: &[String]| -> Vec<usize> {
            let numbers = shard.iter().map(|data| data.parse::<usize>().unwrap());
            numbers.filter(|number| number % keys.len() == at).collect()
        };
        let seen = [of_key(&parent), of_key(&low), of_key(&high), of_key(&child)].concat();
        let expected: Vec<usize> = (0..6).map(|turn| turn * keys.len() + at).collect();
        assert_eq!(seen, expected);
    }
}

#[test]
fn a_forgotten_shard_is_listed_and_read_no_more() {
    let api = Api::with_stream(1);
    api.put(&[("k", "a")]);
    let token = api.iterator("TRIM_HORIZON", json!({}));
    api.call("SplitShard", split(0, HALF));
    api.log.forget("s", 1);
    let list = shards(&api);
    assert_eq!(list.len(), 2);
    // The children still say where they came from.
    assert_eq!(list[0]["ParentShardId"], "shardId-000000000000");
    let at_horizon = json!({"StreamName": "s", "ShardFilter": {"Type": "AT_TRIM_HORIZON"}});
    let at_horizon = api.call("ListShards", at_horizon)["Shards"].clone();
    assert_eq!(at_horizon, json!(list));
    let gone = format!(
        "ResourceNotFound: Shard shardId-000000000000 in stream s {ACCOUNT} does not exist"
    );
    assert_eq!(
        api.error("GetRecords", json!({"ShardIterator": token})),
        gone
    );
    let request = json!({
        "StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST",
    });
    assert_eq!(api.error("GetShardIterator", request), gone);
    // Numbers of records in the shards that are left are their own.
    let answer = api.put(&[("b", "x")]);
    let number = answer["Records"][0]["SequenceNumber"].as_str().unwrap();
    assert_eq!(crate::sequence::decode(number).unwrap().shard, 2);
}
