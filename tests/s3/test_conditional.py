"""Conditional headers on reads, writes, copies and deletes."""

import datetime
import threading

import pytest

from harness import s3 as s3c
from harness.data import md5
from harness.s3 import refused

WRONG = '"00000000000000000000000000000000"'


@pytest.fixture
def put(s3, bucket):
    """An object `k` with body `one`: its quoted ETag and time."""
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"one")["ETag"]
    return etag, s3.head_object(Bucket=bucket, Key="k")["LastModified"]


def reads(s3, bucket, **conditions):
    """The same conditions on GET and HEAD; both must answer alike: 'ok', 304 or 412."""
    verdicts = []
    for call in (s3.get_object, s3.head_object):
        try:
            call(Bucket=bucket, Key="k", **conditions)
            verdicts.append("ok")
        except s3.exceptions.ClientError as error:
            verdicts.append(error.response["ResponseMetadata"]["HTTPStatusCode"])
    assert verdicts[0] == verdicts[1], f"GET and HEAD differ: {verdicts}"
    return verdicts[0]


def test_if_match_on_reads(s3, bucket, put):
    etag, _ = put
    assert reads(s3, bucket, IfMatch=etag) == "ok"
    assert reads(s3, bucket, IfMatch=etag.strip('"')) == "ok", "AWS takes an ETag without quotes"
    assert reads(s3, bucket, IfMatch="*") == "ok"
    assert reads(s3, bucket, IfMatch=WRONG) == 412


def test_if_none_match_on_reads(s3, bucket, put):
    etag, _ = put
    assert reads(s3, bucket, IfNoneMatch=etag) == 304
    assert reads(s3, bucket, IfNoneMatch="*") == 304
    assert reads(s3, bucket, IfNoneMatch=WRONG) == "ok"


def test_times_on_reads(s3, bucket, put):
    _, at = put
    before, after = at - datetime.timedelta(hours=1), at + datetime.timedelta(seconds=1)
    assert reads(s3, bucket, IfModifiedSince=before) == "ok"
    assert reads(s3, bucket, IfModifiedSince=at) == 304
    assert reads(s3, bucket, IfUnmodifiedSince=at) == "ok"
    assert reads(s3, bucket, IfUnmodifiedSince=after) == "ok"
    assert reads(s3, bucket, IfUnmodifiedSince=before) == 412


def test_etags_win_over_times_on_reads(s3, bucket, put):
    etag, at = put
    before = at - datetime.timedelta(hours=1)
    assert reads(s3, bucket, IfMatch=etag, IfUnmodifiedSince=before) == "ok"
    assert reads(s3, bucket, IfNoneMatch=WRONG, IfModifiedSince=at) == "ok"
    assert reads(s3, bucket, IfNoneMatch=etag, IfModifiedSince=before) == 304


def test_if_range(raw, s3, bucket, put):
    """A part of the same state, or all of the new one: never a part of another."""
    etag, at = put
    date = at.strftime("%a, %d %b %Y %H:%M:%S GMT")
    earlier = (at - datetime.timedelta(seconds=5)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    for value, status, body in [
        (etag, 206, b"ne"), (date, 206, b"ne"), (WRONG, 200, b"one"), (earlier, 200, b"one"), (f"W/{etag}", 200, b"one"),
        ("nonsense", 200, b"one"),
    ]:
        headers = {"range": "bytes=1-2", "if-range": value}
        got = raw.request("GET", f"/{bucket}/k", headers=headers)
        assert (got.status, got.body) == (status, body), value
        head = raw.request("HEAD", f"/{bucket}/k", headers=headers)
        assert (head.status, head.headers["content-length"]) == (status, str(len(body))), value
    beyond = raw.request("GET", f"/{bucket}/k", headers={"range": "bytes=9-", "if-range": WRONG})
    assert beyond.status == 200, "a range that does not count cannot be wrong"


def test_304_has_the_etag_and_no_body(raw, bucket, put):
    answer = raw.request("GET", f"/{bucket}/k", headers={"if-none-match": put[0]})
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == put[0]


def test_if_none_match_star_creates_once(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", IfNoneMatch="*")
    with refused("PreconditionFailed", status=412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
    assert s3c.body(s3, bucket, "k") == b"first"
    s3.delete_object(Bucket=bucket, Key="k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"third", IfNoneMatch="*")
    assert s3c.body(s3, bucket, "k") == b"third"


def test_if_none_match_beside_a_directory(s3, bucket):
    """`a` and `a/b` are two keys: one does not stand in for the other."""
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"x")
    s3.put_object(Bucket=bucket, Key="a", Body=b"y", IfNoneMatch="*")
    with refused("PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="a/b", Body=b"y", IfNoneMatch="*")


def test_if_match_on_put(s3, bucket, put):
    etag, _ = put
    with refused("PreconditionFailed", status=412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"two", IfMatch=WRONG)
    assert s3c.body(s3, bucket, "k") == b"one"
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"two", IfMatch=etag)["ETag"]
    with refused("PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"three", IfMatch=etag)
    s3.put_object(Bucket=bucket, Key="k", Body=b"three", IfMatch=second)
    assert s3c.body(s3, bucket, "k") == b"three"


def test_if_match_on_put_of_nothing(s3, bucket):
    with refused("NoSuchKey", "PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="none", Body=b"x", IfMatch=WRONG)
    assert s3c.absent(s3, bucket, "none")


@pytest.mark.parametrize("good", [True, False])
def test_conditions_on_complete_multipart(s3, bucket, put, good):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"parted")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}

    def complete(**how):
        return s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts, **how)

    with refused("PreconditionFailed", status=412):
        complete(IfNoneMatch="*")
    with refused("PreconditionFailed", status=412):
        complete(IfMatch=WRONG)
    assert s3c.body(s3, bucket, "k") == b"one"
    if good:
        complete(IfMatch=put[0])
        assert s3c.body(s3, bucket, "k") == b"parted"
    else:
        s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
        assert s3c.body(s3, bucket, "k") == b"one"


def test_copy_source_conditions(s3, bucket, put):
    etag, at = put
    source = {"Bucket": bucket, "Key": "k"}
    before = at - datetime.timedelta(hours=1)

    def copy(**how):
        return s3.copy_object(Bucket=bucket, Key="to", CopySource=source, **how)

    for bad in (
        {"CopySourceIfMatch": WRONG}, {"CopySourceIfNoneMatch": etag},
        {"CopySourceIfModifiedSince": at}, {"CopySourceIfUnmodifiedSince": before},
    ):
        unchanged = "CopySourceIfNoneMatch" in bad or "CopySourceIfModifiedSince" in bad
        with refused("304", status=304) if unchanged else refused("PreconditionFailed", status=412):
            copy(**bad)
        assert s3c.absent(s3, bucket, "to"), bad
    copy(CopySourceIfMatch=etag, CopySourceIfUnmodifiedSince=before)
    copy(CopySourceIfNoneMatch=WRONG)
    assert s3c.body(s3, bucket, "to") == b"one"


def test_conditional_delete(s3, bucket, put):
    etag, _ = put
    with refused("PreconditionFailed", status=412):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=WRONG)
    assert s3c.body(s3, bucket, "k") == b"one"
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)
    assert s3c.absent(s3, bucket, "k")


def test_s9_one_of_many_creators_wins(s3, bucket):
    """Eight at once with If-None-Match: * on one key, 12 times: exactly one 200 each time, and its bytes stay."""
    for turn in range(12):
        wins, start = [], threading.Barrier(8)

        def create(i, turn=turn, wins=wins, start=start):
            start.wait()
            try:
                s3.put_object(Bucket=bucket, Key=f"race{turn}", Body=f"writer {i}".encode(), IfNoneMatch="*")
                wins.append(i)
            except s3.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"), error

        threads = [threading.Thread(target=create, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(wins) == 1, f"turn {turn}: {wins} all got 200"
        assert s3c.body(s3, bucket, f"race{turn}") == f"writer {wins[0]}".encode()


def test_s9_compare_and_swap_loses_no_update(s3, bucket):
    """Six threads add 1 to a number 10 times each by GET and PUT with If-Match: no addition is lost."""
    s3.put_object(Bucket=bucket, Key="n", Body=b"0")
    failures = []

    def add():
        done = 0
        while done < 10:
            got = s3.get_object(Bucket=bucket, Key="n")
            value = int(got["Body"].read())
            try:
                s3.put_object(Bucket=bucket, Key="n", Body=str(value + 1).encode(), IfMatch=got["ETag"])
                done += 1
            except s3.exceptions.ClientError as error:
                if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
                    failures.append(error)
                    return

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert s3c.body(s3, bucket, "n") == b"60"
    assert s3c.etag(s3.head_object(Bucket=bucket, Key="n")) == md5(b"60")
