"""Bucket notifications: a target on the loopback is told of what either door does, in order, and later if it was away."""

import http.server
import json
import threading
from types import SimpleNamespace
from urllib.parse import unquote_plus

import pytest

from harness import s3 as s3c
from harness.node import Node
from harness.s3 import refused
from harness.wait import until

ARN = "arn:pinfold:sqs:::hook"


class Receiver:
    """An HTTP server that keeps what it is sent; `status` is what it answers."""

    def __init__(self):
        self.messages, self.status = [], 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.status == 200:
                    outer.messages.append(json.loads(body))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/events"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self):
        records = [record for message in self.messages for record in message.get("Records", [])]
        return [(r["eventName"], unquote_plus(r["s3"]["object"]["key"])) for r in records]


@pytest.fixture(scope="module")
def at():
    receiver = Receiver()
    env = {"PINFOLD_NOTIFICATION_TARGET": f"{ARN}={receiver.url}"}
    with Node("notify", env=env) as node:
        yield SimpleNamespace(node=node, s3=s3c.client(node.endpoint), receiver=receiver)
    receiver.server.shutdown()


def queue(name="r", events=("s3:ObjectCreated:*", "s3:ObjectRemoved:*"), arn=ARN, **filters):
    rules = [{"Name": name, "Value": value} for name, value in filters.items()]
    more = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
    return {"Id": name, "QueueArn": arn, "Events": list(events)} | more


@pytest.fixture
def bucket(at):
    name = s3c.fresh_name("notify")
    at.s3.create_bucket(Bucket=name)
    at.receiver.messages.clear()
    return name


def put(at, bucket, *queues):
    at.s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": list(queues)}
    )
    until(lambda: sum(m.get("Event") == "s3:TestEvent" for m in at.receiver.messages) == len(queues), "a test of each rule")
    at.receiver.messages.clear()


def test_a_target_is_told(at, bucket):
    put(at, bucket, queue())
    etag = at.s3.put_object(Bucket=bucket, Key="a b/ü", Body=b"12345")["ETag"]
    at.s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a b/ü"})
    at.s3.delete_object(Bucket=bucket, Key="copy")
    (at.node.mnt / bucket / "file").write_bytes(b"of the mount")
    at.s3.head_object(Bucket=bucket, Key="file")
    expected = [
        ("ObjectCreated:Put", "a b/ü"), ("ObjectCreated:Copy", "copy"), ("ObjectRemoved:Delete", "copy"),
        ("ObjectCreated:Put", "file"),
    ]
    until(lambda: at.receiver.events() == expected, "all four events")
    record = at.receiver.messages[0]["Records"][0]
    assert (record["eventVersion"], record["eventSource"], record["awsRegion"]) == ("2.1", "aws:s3", "us-east-1")
    assert record["s3"]["object"]["size"] == 5 and f'"{record["s3"]["object"]["eTag"]}"' == etag
    assert record["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{bucket}" and record["s3"]["configurationId"] == "r"
    assert at.node.metric(f'pinfold_node_notifications_total{{target="{ARN}"}}') >= 5


def test_filters_and_events(at, bucket):
    put(at, bucket, queue("tags", ["s3:ObjectTagging:*"]), queue("jpg", ["s3:ObjectCreated:Put"], prefix="in/", suffix=".jpg"))
    for key in ("in/x.jpg", "in/x.png", "out/x.jpg"):
        at.s3.put_object(Bucket=bucket, Key=key, Body=b"")
    at.s3.put_object_tagging(Bucket=bucket, Key="in/x.png", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    at.s3.delete_object_tagging(Bucket=bucket, Key="in/x.png")
    at.s3.delete_object(Bucket=bucket, Key="in/x.jpg")
    expected = [("ObjectCreated:Put", "in/x.jpg"), ("ObjectTagging:Put", "in/x.png"), ("ObjectTagging:Delete", "in/x.png")]
    until(lambda: at.receiver.events() == expected, "three events")


def test_a_configuration_comes_back(at, bucket):
    assert "QueueConfigurations" not in at.s3.get_bucket_notification_configuration(Bucket=bucket)
    wanted = queue("r", ["s3:ObjectCreated:*"], prefix="a/", suffix=".b")
    put(at, bucket, wanted)
    assert at.s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"] == [wanted]
    at.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    assert "QueueConfigurations" not in at.s3.get_bucket_notification_configuration(Bucket=bucket)
    for bad, words in (
        (queue(arn="arn:aws:sqs:::nobody"), "Unable to validate the following destination configurations"),
        (queue(events=["s3:Unheard:Of"]), "not supported"),
    ):
        with refused("InvalidArgument") as caught:
            put(at, bucket, bad)
        assert words in caught.value.response["Error"]["Message"]


def test_a_target_that_was_away_is_told_later(at, bucket):
    put(at, bucket, queue())
    at.receiver.status = 503
    at.s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    at.s3.delete_object(Bucket=bucket, Key="k")
    failures = f'pinfold_node_notification_failures_total{{target="{ARN}"}}'
    until(lambda: f"\n{failures.split('{')[0]}" in "\n" + at.node.admin("/metrics")[1], "a failure is counted")
    at.node.kill()
    at.node.start()
    assert at.receiver.events() == []
    at.receiver.status = 200
    until(lambda: at.receiver.events() == [("ObjectCreated:Put", "k"), ("ObjectRemoved:Delete", "k")], "both events, in order")
