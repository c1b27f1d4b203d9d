"""Splits and merges of shards against a running server, with boto3, and reading that follows them.

Usage: as kinesis_clients.py
"""

import sys

sys.dont_write_bytecode = True  # no folder beside the sources

from kinesis_clients import SHARD, client, made, refused


def consume(kinesis, stream):
    """Every record by shard, read as consumers do: a parent to its end, then the children it names."""
    seen, done = {}, set()
    listed = kinesis.list_shards(StreamName=stream)["Shards"]
    parents = {
        shard["ShardId"]: {
            shard.get(parent)
            for parent in ("ParentShardId", "AdjacentParentShardId")
            if shard.get(parent)
        }
        for shard in listed
    }
    order = []
    while len(seen) < len(parents):
        due = [shard for shard in parents if shard not in seen and parents[shard] <= done]
        assert due, (parents, done)
        for shard in due:
            token = kinesis.get_shard_iterator(
                StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            seen[shard] = []
            while token:
                answer = kinesis.get_records(ShardIterator=token, Limit=1000)
                seen[shard] += answer["Records"]
                order += answer["Records"]
                token = answer.get("NextShardIterator")
                if token:
                    assert "ChildShards" not in answer
                    if not answer["Records"]:
                        break
                else:
                    for child in answer["ChildShards"]:
                        assert set(child["ParentShards"]) == parents[child["ShardId"]]
                    done.add(shard)
    return seen, order


def resharding():
    """Splits, merges and counts of shards, and what reads see of them."""
    kinesis = made(client(), 1)
    put_keyed(kinesis, "s", 0, 40)
    half = str(2**127)
    kinesis.split_shard(StreamName="s", ShardToSplit=SHARD % 0, NewStartingHashKey=half)
    summary = kinesis.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]
    assert (summary["StreamStatus"], summary["OpenShardCount"]) == ("ACTIVE", 2)
    put_keyed(kinesis, "s", 40, 40)
    kinesis.merge_shards(
        StreamName="s", ShardToMerge=SHARD % 1, AdjacentShardToMerge=SHARD % 2
    )
    put_keyed(kinesis, "s", 80, 40)
    answer = kinesis.update_shard_count(
        StreamName="s", TargetShardCount=2, ScalingType="UNIFORM_SCALING"
    )
    assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (1, 2)
    put_keyed(kinesis, "s", 120, 40)

    shards = kinesis.list_shards(StreamName="s")["Shards"]
    described = kinesis.describe_stream(StreamName="s")["StreamDescription"]["Shards"]
    assert shards == described and len(shards) == 6
    is_closed = ["EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in shards]
    assert is_closed == [True, True, True, True, False, False]
    merged = shards[3]
    assert merged["ParentShardId"] == SHARD % 1
    assert merged["AdjacentParentShardId"] == SHARD % 2
    assert [shard["ShardId"] for shard in filtered(kinesis, "AT_LATEST")] == [SHARD % 4, SHARD % 5]
    assert [shard["ShardId"] for shard in filtered(kinesis, "AT_TRIM_HORIZON")] == [SHARD % 0]
    assert len(filtered(kinesis, "FROM_TRIM_HORIZON")) == 6
    after = filtered(kinesis, "AFTER_SHARD_ID", ShardId=SHARD % 3)
    assert [shard["ShardId"] for shard in after] == [SHARD % 4, SHARD % 5]

    seen, order = consume(kinesis, "s")
    assert [len(seen[SHARD % shard]) for shard in (0, 3)] == [40, 40]
    in_order(order, 160)
    for shard, records in seen.items():
        range_of = next(s for s in shards if s["ShardId"] == shard)["SequenceNumberRange"]
        numbers = [int(record["SequenceNumber"]) for record in records]
        assert numbers == sorted(numbers)
        if numbers:
            assert int(range_of["StartingSequenceNumber"]) < numbers[0]
            assert numbers[-1] < int(range_of.get("EndingSequenceNumber", 10**56))

    account = "under account 000000000000"
    closed = f"Shard {SHARD % 0} in stream s {account} has already been merged or split, and thus is not eligible for merging or splitting."
    message = refused(
        "InvalidArgumentException",
        kinesis.split_shard,
        StreamName="s",
        ShardToSplit=SHARD % 0,
        NewStartingHashKey="9",
    )
    assert message == closed, message
    message = refused(
        "LimitExceededException",
        kinesis.update_shard_count,
        StreamName="s",
        TargetShardCount=5,
        ScalingType="UNIFORM_SCALING",
    )
    assert message.startswith("UpdateShardCount cannot scale up over double"), message


def filtered(kinesis, kind, **more):
    return kinesis.list_shards(StreamName="s", ShardFilter={"Type": kind, **more})["Shards"]


KEYS = 20


def put_keyed(kinesis, stream, first, count):
    """Puts numbered records, number modulo KEYS as key; all of them must be taken."""
    records = [
        {"Data": str(number).encode(), "PartitionKey": f"key-{number % KEYS}"}
        for number in range(first, first + count)
    ]
    answer = kinesis.put_records(StreamName=stream, Records=records)
    assert answer["FailedRecordCount"] == 0, answer


def in_order(records, count):
    """Numbers 0 to count are there once, those of each key in order."""
    numbers = [int(record["Data"]) for record in records]
    assert sorted(numbers) == list(range(count)), len(numbers)
    for key in range(KEYS):
        of_key = [number for number in numbers if number % KEYS == key]
        assert of_key == sorted(of_key), (key, of_key)


def reshard_under_load(first, last):
    """Puts records while shards of both streams split and merge."""
    kinesis = client()
    for number in range(int(first), int(last), 50):
        put_keyed(kinesis, "in", number, 50)
        if number % 250 == 0:
            for stream in ("in", "out"):
                shards = kinesis.list_shards(
                    StreamName=stream, ShardFilter={"Type": "AT_LATEST"}
                )["Shards"]
                shards.sort(key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
                if len(shards) >= 4:
                    at = number // 250 % (len(shards) - 1)
                    kinesis.merge_shards(
                        StreamName=stream,
                        ShardToMerge=shards[at]["ShardId"],
                        AdjacentShardToMerge=shards[at + 1]["ShardId"],
                    )
                else:
                    shard = shards[number // 250 % len(shards)]
                    low = int(shard["HashKeyRange"]["StartingHashKey"])
                    high = int(shard["HashKeyRange"]["EndingHashKey"])
                    kinesis.split_shard(
                        StreamName=stream,
                        ShardToSplit=shard["ShardId"],
                        NewStartingHashKey=str((low + high) // 2),
                    )
    kinesis.update_shard_count(
        StreamName="in", TargetShardCount=4, ScalingType="UNIFORM_SCALING"
    )


def read_resharded(stream, count):
    """What a stream holds, read parents first, is whole and in order per key."""
    seen, order = consume(client(), stream)
    in_order(order, int(count))
    closed = len(seen) - 4
    assert closed > 8, seen.keys()


if __name__ == "__main__":
    globals()[sys.argv[2]](*sys.argv[3:])
