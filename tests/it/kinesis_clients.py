"""Stock Kinesis clients against a running server: boto3, and the AWS CLI as a process.

Usage: kinesis_clients.py ENDPOINT CASE [ARGUMENT...]   (CASE is the name of a function below)
Exits 0 if everything was as it must be; otherwise the traceback says what was not.
"""

import base64
import datetime
import hashlib
import json
import os
import subprocess
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = sys.argv[1]
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
SHARD = "shardId-%012d"


def client(region="eu-west-1", key="key", secret="secret"):
    return boto3.client(
        "kinesis",
        endpoint_url=ENDPOINT,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 1}, connect_timeout=10, read_timeout=30),
    )


def refused(code, call, **arguments):
    """Calls what must be refused with `code`; the message."""
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status == (500 if code == "InternalFailure" else 400), status
        return error.response["Error"]["Message"]
    raise AssertionError(f"{call.__name__} was not refused")


def iterator(kinesis, kind, shard=0, stream="s", **more):
    return kinesis.get_shard_iterator(
        StreamName=stream, ShardId=SHARD % shard, ShardIteratorType=kind, **more
    )["ShardIterator"]


def read(kinesis, token):
    return kinesis.get_records(ShardIterator=token)["Records"]


def options():
    """What a stream is made with is told again, and holds."""
    kinesis = client()
    kinesis.create_stream(
        StreamName="od",
        StreamModeDetails={"StreamMode": "ON_DEMAND"},
        Tags={"team": "sign ups", "cost": ""},
    )
    described = kinesis.describe_stream(StreamName="od")["StreamDescription"]
    assert described["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert len(described["Shards"]) == 4
    message = refused(
        "InvalidArgumentException", kinesis.create_stream, StreamName="t", ShardCount=1,
        Tags={"team": "a;b"},
    )
    assert message.startswith("Some tags contain invalid characters."), message
    kinesis.create_stream(StreamName="large", ShardCount=1, MaxRecordSizeInKiB=10240)
    summary = kinesis.describe_stream_summary(StreamName="large")["StreamDescriptionSummary"]
    assert summary["MaxRecordSizeInKiB"] == 10240
    data = b"x" * ((10 << 20) - 1)
    kinesis.put_record(StreamName="large", PartitionKey="k", Data=data)
    message = refused(
        "ValidationException", kinesis.put_record, StreamName="large", PartitionKey="k",
        Data=data + b"yz",
    )
    assert message.endswith("Member must have length less than or equal to 10485760"), message
    [record] = read_all(kinesis, "large", 0)
    assert record["Data"] == data


def read_all(kinesis, stream, shard):
    token = iterator(kinesis, "TRIM_HORIZON", shard, stream)
    records = []
    while True:
        page = kinesis.get_records(ShardIterator=token)
        records += page["Records"]
        if not page["Records"]:
            assert page["MillisBehindLatest"] == 0
            return records
        token = page["NextShardIterator"]


def made(kinesis, shards, name="s"):
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    kinesis.get_waiter("stream_exists").wait(
        StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 5}
    )
    return kinesis


def streams():
    kinesis = made(client(), 3)
    described = kinesis.describe_stream(StreamName="s")["StreamDescription"]
    assert described["StreamStatus"] == "ACTIVE"
    assert described["StreamARN"] == "arn:aws:kinesis:eu-west-1:000000000000:stream/s"
    assert described["RetentionPeriodHours"] == 24
    assert described["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    age = datetime.datetime.now(datetime.timezone.utc) - described["StreamCreationTimestamp"]
    assert abs(age.total_seconds()) < 60, age
    ranges = [shard["HashKeyRange"] for shard in described["Shards"]]
    assert ranges[0]["StartingHashKey"] == "0"
    assert ranges[2]["EndingHashKey"] == str(2**128 - 1)
    for before, after in zip(ranges, ranges[1:]):
        assert int(before["EndingHashKey"]) + 1 == int(after["StartingHashKey"])

    by_arn = kinesis.describe_stream_summary(StreamARN=described["StreamARN"])
    assert by_arn["StreamDescriptionSummary"]["OpenShardCount"] == 3
    message = refused("ResourceInUseException", kinesis.create_stream, StreamName="s", ShardCount=1)
    assert message == "Stream s under account 000000000000 already exists.", message

    for name in ("a", "b", "z"):
        made(kinesis, 1, name)
    pages = kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 2})
    assert [name for page in pages for name in page["StreamNames"]] == ["a", "b", "s", "z"]
    # By hand: boto3's paginator sends name and token together, which Kinesis refuses.
    first = kinesis.list_shards(StreamName="s", MaxResults=2)
    second = kinesis.list_shards(NextToken=first["NextToken"])
    assert [shard["ShardId"] for shard in first["Shards"] + second["Shards"]] == [
        SHARD % number for number in range(3)
    ]
    assert "NextToken" not in second
    pages = kinesis.get_paginator("describe_stream").paginate(
        StreamName="s", PaginationConfig={"PageSize": 1}
    )
    assert sum(len(page["StreamDescription"]["Shards"]) for page in pages) == 3

    kinesis.increase_stream_retention_period(StreamName="s", RetentionPeriodHours=48)
    message = refused(
        "InvalidArgumentException",
        kinesis.increase_stream_retention_period,
        StreamName="s",
        RetentionPeriodHours=8761,
    )
    assert message.startswith("Maximum allowed retention period is 8760 hours."), message
    kinesis.decrease_stream_retention_period(StreamName="s", RetentionPeriodHours=24)

    kinesis.delete_stream(StreamName="s")
    kinesis.get_waiter("stream_not_exists").wait(
        StreamName="s", WaiterConfig={"Delay": 1, "MaxAttempts": 5}
    )
    message = refused("ResourceNotFoundException", kinesis.describe_stream, StreamName="s")
    assert message == "Stream s under account 000000000000 not found.", message
    # The name is free again, for another stream.
    made(kinesis, 1)


def records():
    kinesis = made(client(), 3)
    keys = {"a": 0, "b": 1, "e": 2, "f": 1, "clé \u4e16 \U0001f600": None}
    payloads = [bytes(range(256)), b"", b"\x00" * 1000, "text é".encode(), b"x" * 70000]
    put = []
    for key, shard in keys.items():
        for payload in payloads:
            answer = kinesis.put_record(StreamName="s", PartitionKey=key, Data=payload)
            assert shard is None or answer["ShardId"] == SHARD % shard, (key, answer)
            assert len(answer["SequenceNumber"]) == 56
            put.append((answer["ShardId"], answer["SequenceNumber"], key, payload))
    batch = [{"PartitionKey": f"user-{n}", "Data": b"%d" % n} for n in range(500)]
    answer = kinesis.put_records(StreamName="s", Records=batch)
    assert answer["FailedRecordCount"] == 0
    for record, placed in zip(batch, answer["Records"]):
        hash_key = int(hashlib.md5(record["PartitionKey"].encode()).hexdigest(), 16)
        assert placed["ShardId"] == SHARD % min(hash_key // (2**128 // 3), 2), placed
        put.append(
            (placed["ShardId"], placed["SequenceNumber"], record["PartitionKey"], record["Data"])
        )
    for shard in range(3):
        found = read_all(kinesis, "s", shard)
        numbers = [int(record["SequenceNumber"]) for record in found]
        assert numbers == sorted(set(numbers))
        expected = [entry for entry in put if entry[0] == SHARD % shard]
        assert [
            (SHARD % shard, record["SequenceNumber"], record["PartitionKey"], record["Data"])
            for record in found
        ] == expected
        for record in found:
            age = datetime.datetime.now(datetime.timezone.utc) - record["ApproximateArrivalTimestamp"]
            assert abs(age.total_seconds()) < 60, age


def iterators():
    kinesis = made(client(), 1)
    numbers = []
    for number in range(4):
        answer = kinesis.put_record(StreamName="s", PartitionKey="k", Data=b"%d" % number)
        numbers.append(answer["SequenceNumber"])
    found = read(kinesis, iterator(kinesis, "TRIM_HORIZON"))
    assert [record["Data"] for record in found] == [b"0", b"1", b"2", b"3"]
    times = [record["ApproximateArrivalTimestamp"] for record in found]

    def data(kind, **more):
        return [record["Data"] for record in read(kinesis, iterator(kinesis, kind, **more))]

    assert data("AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1]) == [b"1", b"2", b"3"]
    assert data("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1]) == [b"2", b"3"]
    # boto3 sends whole seconds.
    second = times[2].replace(microsecond=0)
    since = [record["Data"] for record, at in zip(found, times) if at >= second]
    assert data("AT_TIMESTAMP", Timestamp=second) == since
    assert data("AT_TIMESTAMP", Timestamp=datetime.datetime(2020, 1, 1)) == [b"0", b"1", b"2", b"3"]
    latest = iterator(kinesis, "LATEST")
    assert read(kinesis, latest) == []
    kinesis.put_record(StreamName="s", PartitionKey="k", Data=b"4")
    assert [record["Data"] for record in read(kinesis, latest)] == [b"4"]

    page = kinesis.get_records(ShardIterator=iterator(kinesis, "TRIM_HORIZON"), Limit=2)
    assert len(page["Records"]) == 2 and page["MillisBehindLatest"] >= 0
    page = kinesis.get_records(ShardIterator=page["NextShardIterator"])
    assert [record["Data"] for record in page["Records"]] == [b"2", b"3", b"4"]
    following = kinesis.get_records(ShardIterator=page["NextShardIterator"])
    assert following["NextShardIterator"] != page["NextShardIterator"]


def errors():
    kinesis = made(client(), 1)
    cases = [
        (
            "ResourceNotFoundException",
            kinesis.put_record,
            dict(StreamName="no", PartitionKey="k", Data=b""),
            "Stream no under account 000000000000 not found.",
        ),
        (
            "ResourceNotFoundException",
            kinesis.get_shard_iterator,
            dict(StreamName="s", ShardId=SHARD % 9, ShardIteratorType="LATEST"),
            f"Shard {SHARD % 9} in stream s under account 000000000000 does not exist",
        ),
        (
            "InvalidArgumentException",
            kinesis.get_records,
            dict(ShardIterator="AAAA"),
            "Invalid ShardIterator.",
        ),
        (
            "InvalidArgumentException",
            kinesis.put_record,
            dict(StreamName="s", PartitionKey="k", Data=b"", ExplicitHashKey=str(2**128)),
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. "
            f"Specified value was {2**128}",
        ),
        (
            "ValidationException",
            kinesis.put_record,
            dict(StreamName="s s", PartitionKey="k" * 257, Data=b""),
            f"2 validation errors detected: Value '{'k' * 257}' at 'partitionKey' failed to "
            "satisfy constraint: Member must have length less than or equal to 256; Value 's s' at "
            "'streamName' failed to satisfy constraint: Member must satisfy regular expression "
            "pattern: [a-zA-Z0-9_.-]+",
        ),
        (
            "ValidationException",
            kinesis.put_record,
            dict(StreamName="s", PartitionKey="k", Data=b"x" * ((1 << 20) + 1)),
            "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1048577 "
            "cap=1048577]' at 'data' failed to satisfy constraint: Member must have length less "
            "than or equal to 1048576",
        ),
        (
            "UnknownOperationException",
            kinesis.list_stream_consumers,
            dict(StreamARN="arn:aws:kinesis:eu-west-1:000000000000:stream/s"),
            "ListStreamConsumers is not there yet in fnctl.",
        ),
    ]
    for code, call, arguments, expected in cases:
        message = refused(code, call, **arguments)
        assert message == expected, message
    # What was refused left nothing behind, and the server serves on.
    assert read_all(kinesis, "s", 0) == []


def too_large():
    """A body that is refused unread is refused in words that the client shows, not by a broken pipe."""
    kinesis = made(client(), 1)
    for mib in (12, 30):
        try:
            kinesis.put_record(StreamName="s", PartitionKey="k", Data=b"x" * (mib << 20))
        except ClientError as error:
            assert error.response["Error"]["Code"] == "RequestEntityTooLargeException", error
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 413, error
            assert "14680064 bytes" in error.response["Error"]["Message"], error
        else:
            raise AssertionError(f"{mib} MiB are taken")
    assert read_all(kinesis, "s", 0) == []


def put_for_restart(path):
    """Puts until killed; writes down what was acknowledged, before the next put."""
    kinesis = made(client(), 2)
    with open(path, "w", encoding="utf-8") as acknowledged:
        number = 0
        while True:
            batch = [
                {"PartitionKey": str(number + n), "Data": b"%d" % (number + n)} for n in range(20)
            ]
            try:
                answer = kinesis.put_records(StreamName="s", Records=batch)
            except Exception:
                return
            for record, placed in zip(batch, answer["Records"]):
                line = [placed["ShardId"], placed["SequenceNumber"], record["PartitionKey"]]
                acknowledged.write(json.dumps(line) + "\n")
            acknowledged.flush()
            number += len(batch)
            print(number, flush=True)


def read_after_restart(path):
    kinesis = client()
    found = {
        (SHARD % shard, record["SequenceNumber"]): record["PartitionKey"]
        for shard in range(2)
        for record in read_all(kinesis, "s", shard)
    }
    with open(path, encoding="utf-8") as acknowledged:
        lines = [json.loads(line) for line in acknowledged]
    assert lines
    for shard, number, key in lines:
        assert found[shard, number] == key, (shard, number, key)
    assert len(found) == len(set(found.values())), "a record is in the stream twice"
    last = max(int(number) for _, number, _ in lines)
    answer = kinesis.put_record(StreamName="s", PartitionKey=lines[-1][2], Data=b"")
    assert int(answer["SequenceNumber"]) > min(last, int(lines[-1][1]))


def command_line():
    environment = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL_KINESIS": ENDPOINT}

    def aws(*arguments, stdin=None):
        program = [sys.executable, "-m", "awscli", "kinesis", *arguments, "--output", "json"]
        done = subprocess.run(
            program, env=environment, capture_output=True, text=True, timeout=120, input=stdin
        )
        return done.returncode, done.stdout, done.stderr

    def answer(*arguments, stdin=None):
        code, stdout, stderr = aws(*arguments, stdin=stdin)
        assert code == 0, (arguments, stderr)
        return json.loads(stdout) if stdout.strip() else None

    stream = ["--stream-name", "s"]
    assert answer("create-stream", *stream, "--shard-count", "2") is None
    answer("wait", "stream-exists", *stream)
    assert answer("list-streams")["StreamNames"] == ["s"]
    # This command line takes data as it is and shows it in base64.
    data = "from the command line"
    put = answer("put-record", *stream, "--partition-key", "a", "--data", data)
    batch = json.dumps([{"Data": data, "PartitionKey": "a"}])
    assert answer("put-records", *stream, "--records", batch)["FailedRecordCount"] == 0
    token = answer(
        "get-shard-iterator", *stream, "--shard-id", put["ShardId"],
        "--shard-iterator-type", "AT_SEQUENCE_NUMBER",
        "--starting-sequence-number", put["SequenceNumber"],
    )["ShardIterator"]
    found = answer("get-records", "--shard-iterator", token)["Records"]
    shown = base64.b64encode(data.encode()).decode()
    assert [record["Data"] for record in found] == [shown, shown]
    assert found[0]["SequenceNumber"] == put["SequenceNumber"]
    # The README's form, which both versions of the command line read alike.
    piped = answer(
        "put-record", *stream, "--partition-key", "a", "--data", "fileb:///dev/stdin", stdin=data
    )
    token = answer(
        "get-shard-iterator", *stream, "--shard-id", piped["ShardId"],
        "--shard-iterator-type", "AT_SEQUENCE_NUMBER",
        "--starting-sequence-number", piped["SequenceNumber"],
    )["ShardIterator"]
    found = answer("get-records", "--shard-iterator", token)["Records"]
    assert [record["Data"] for record in found] == [shown]
    answer("increase-stream-retention-period", *stream, "--retention-period-hours", "36")
    summary = answer("describe-stream-summary", *stream)["StreamDescriptionSummary"]
    assert summary["RetentionPeriodHours"] == 36 and summary["OpenShardCount"] == 2
    assert len(answer("list-shards", *stream)["Shards"]) == 2
    answer("delete-stream", *stream)
    code, _, stderr = aws("describe-stream", *stream)
    assert code != 0 and "Stream s under account 000000000000 not found." in stderr, stderr


def signatures(key, secret, writer, writer_secret):
    """Keys that are known may do what their scope includes, all others nothing; over TLS (AWS_CA_BUNDLE)."""
    kinesis = client(key=key, secret=secret)
    kinesis.create_stream(StreamName="s", ShardCount=1)
    # Bytes of every value, so that the body that is hashed is the one that was sent.
    kinesis.put_record(StreamName="s", PartitionKey="a b/\u00e9", Data=bytes(range(256)))
    token = iterator(kinesis, "TRIM_HORIZON")
    assert read(kinesis, token)[0]["Data"] == bytes(range(256))
    code = "InvalidSignatureException"
    message = refused(code, client(key=key, secret=secret + "x").list_streams)
    assert message.startswith("The request signature we calculated does not match"), message
    code = "UnrecognizedClientException"
    refused(code, client(key="nobody", secret=secret).list_streams)
    writer = client(key=writer, secret=writer_secret)
    writer.put_record(StreamName="s", PartitionKey="a", Data=b"more")
    writer.put_records(StreamName="s", Records=[{"PartitionKey": "a", "Data": b"most"}])
    message = refused("AccessDeniedException", writer.delete_stream, StreamName="s")
    assert "kinesis:DeleteStream" in message, message
    assert len(read(kinesis, token)) == 3
    # Who asks on for what their key may not do is told less, and slowed down in nothing else.
    codes = set()
    for _ in range(25):
        try:
            writer.delete_stream(StreamName="s")
        except ClientError as error:
            codes.add(error.response["Error"]["Code"])
    assert codes == {"AccessDeniedException", "ThrottlingException"}, codes
    writer.put_record(StreamName="s", PartitionKey="a", Data=b"still")
    assert len(read(kinesis, token)) == 4
    kinesis.create_stream(StreamName="end", ShardCount=1)


if __name__ == "__main__":
    globals()[sys.argv[2]](*sys.argv[3:])
