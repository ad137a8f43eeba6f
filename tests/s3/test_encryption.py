"""Server-side encryption over S3: a bucket's default, SSE-S3, SSE-C, in AWS's codes and messages."""

import base64
import hashlib
import random

import pytest

from harness import s3 as s3c
from harness.s3 import refused

MIB = 1 << 20
SIZES = [0, 1, 4096, 4097, 65536, 65537, MIB - 1, MIB, MIB + 1, 3 * MIB + 17]
KEY, OTHER = b"k" * 32, b"o" * 32


def customer(key=KEY, prefix=""):
    """Arguments of the SDK for SSE-C; it adds the key's MD5."""
    return {f"{prefix}SSECustomerAlgorithm": "AES256", f"{prefix}SSECustomerKey": key}


def headers(own=KEY, **change):
    """The same as raw headers."""
    name = "x-amz-server-side-encryption-customer-"
    sent = {
        name + "algorithm": "AES256",
        name + "key": base64.b64encode(own).decode(),
        name + "key-md5": base64.b64encode(hashlib.md5(own).digest()).decode(),
    }
    sent |= {name + part.replace("_", "-"): value for part, value in change.items()}
    return {name: value for name, value in sent.items() if value is not None}


def rules(algorithm="AES256"):
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}]}


@pytest.fixture
def encrypted(s3, bucket):
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules())
    return bucket


def md5(data):
    return f'"{hashlib.md5(data).hexdigest()}"'


def test_a_buckets_default_is_set_shown_and_taken_away(s3, bucket):
    with refused("ServerSideEncryptionConfigurationNotFoundError", status=404):
        s3.get_bucket_encryption(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules())
    shown = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert [rule["ApplyServerSideEncryptionByDefault"] for rule in shown] == [{"SSEAlgorithm": "AES256"}]
    assert s3.put_object(Bucket=bucket, Key="sealed", Body=b"x")["ServerSideEncryption"] == "AES256"
    assert "ServerSideEncryption" not in s3.head_object(Bucket=bucket, Key="plain")
    s3.delete_bucket_encryption(Bucket=bucket)
    with refused("ServerSideEncryptionConfigurationNotFoundError", status=404):
        s3.get_bucket_encryption(Bucket=bucket)
    assert "ServerSideEncryption" not in s3.put_object(Bucket=bucket, Key="later", Body=b"x")
    got = s3.get_object(Bucket=bucket, Key="sealed")
    assert (got["ServerSideEncryption"], got["Body"].read()) == ("AES256", b"x")


def test_what_there_is_no_service_for_is_refused(raw, s3, bucket):
    with refused("NotImplemented", status=501):
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules("aws:kms"))
    with refused("NotImplemented", status=501):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    answer = raw.request("PUT", f"/{bucket}/k", headers={"x-amz-server-side-encryption": "rot13"}, body=b"x")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    s3.put_object(Bucket=bucket, Key="there", Body=b"x")
    for method in ("GET", "HEAD"):
        answer = raw.request(method, f"/{bucket}/there", headers={"x-amz-server-side-encryption": "AES256"})
        assert answer.status == 400
    assert s3c.keys(s3, bucket) == ["there"]


@pytest.mark.parametrize("size", SIZES)
def test_an_encrypted_object_is_like_any_other(s3, encrypted, size):
    data = random.Random(size).randbytes(size)
    put = s3.put_object(Bucket=encrypted, Key="k", Body=data)
    assert put["ETag"] == md5(data), "the plain bytes' MD5"
    head = s3.head_object(Bucket=encrypted, Key="k")
    assert (head["ContentLength"], head["ServerSideEncryption"], head["ETag"]) == (size, "AES256", md5(data))
    assert s3c.body(s3, encrypted, "k") == data
    for start, end in [(0, 0), (size // 2, size // 2 + 5000), (size - 1, size - 1), (MIB - 3, MIB + 3)]:
        if 0 <= start < size:
            got = s3.get_object(Bucket=encrypted, Key="k", Range=f"bytes={start}-{end}")
            assert got["Body"].read() == data[start : end + 1], (start, end)


def test_sse_s3_in_a_bucket_that_does_not_encrypt(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"text", ServerSideEncryption="AES256")
    assert (put["ServerSideEncryption"], put["ETag"]) == ("AES256", md5(b"text"))
    assert s3c.body(s3, bucket, "k") == b"text"
    with refused("ServerSideEncryptionConfigurationNotFoundError", status=404):
        s3.get_bucket_encryption(Bucket=bucket)


@pytest.mark.parametrize("size", [0, 9, 5000, 100_000, 2 * MIB + 5])
def test_a_customers_key_opens_what_it_closed_and_no_other(raw, s3, bucket, size):
    data = random.Random(size).randbytes(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, **customer())
    sum_of_key = base64.b64encode(hashlib.md5(KEY).digest()).decode()
    assert (put["SSECustomerAlgorithm"], put["SSECustomerKeyMD5"]) == ("AES256", sum_of_key)
    assert put["ETag"] != md5(data), "no MD5 of the bytes"
    got = s3.get_object(Bucket=bucket, Key="k", **customer())
    assert (got["Body"].read(), got["SSECustomerKeyMD5"], got["ETag"]) == (data, sum_of_key, put["ETag"])
    assert s3.head_object(Bucket=bucket, Key="k", **customer())["ContentLength"] == size
    with refused("InvalidRequest", status=400) as caught:
        s3.get_object(Bucket=bucket, Key="k")
    assert "The object was stored using a form of Server Side Encryption." in str(caught.value)
    with refused("AccessDenied", status=403):
        s3.get_object(Bucket=bucket, Key="k", **customer(OTHER))
    assert raw.request("HEAD", f"/{bucket}/k").status == 400
    assert raw.request("HEAD", f"/{bucket}/k", headers=headers(OTHER)).status == 403
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    with refused("InvalidRequest", status=400) as caught:
        s3.get_object(Bucket=bucket, Key="plain", **customer())
    assert "The encryption parameters are not applicable to this object." in str(caught.value)


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"algorithm": "AES128"}, "InvalidEncryptionAlgorithmError", "AES256"),
        ({"algorithm": None}, "InvalidArgument", "must provide a valid encryption algorithm"),
        ({"key": None}, "InvalidArgument", "must provide an appropriate secret key"),
        ({"key": "c2hvcnQ="}, "InvalidArgument", "The secret key was invalid for the specified algorithm"),
        ({"key_md5": None}, "InvalidArgument", "must provide the client calculated MD5 of the secret key"),
        ({"key_md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "InvalidArgument", "The calculated MD5 hash of the key did not match"),
    ],
)
def test_half_a_customers_key_is_none(raw, s3, bucket, change, code, says):
    for method, body in (("PUT", b"x"), ("GET", b"")):
        answer = raw.request(method, f"/{bucket}/k", headers=headers(**change), body=body)
        assert (answer.status, answer.code) == (400, code) and says.encode() in answer.body, answer.body
    assert s3c.keys(s3, bucket) == []


def parts_of(sizes):
    return [random.Random(f"{n}/{size}").randbytes(size) for n, size in enumerate(sizes)]


@pytest.mark.parametrize("sizes", [[5 * MIB, 5 * MIB, 77], [5 * MIB + 1, 6 * MIB + 9, MIB], [100]])
@pytest.mark.parametrize("how", [{}, {"ServerSideEncryption": "AES256"}, customer()], ids=["default", "s3", "c"])
def test_parts_become_one_encrypted_object(s3, encrypted, upload, sizes, how):
    key = {name: value for name, value in how.items() if name.startswith("SSECustomer")}
    up = upload(**how)
    data = parts_of(sizes)
    for number, body in enumerate(data, 1):
        up.part(number, body, **key)
    done = up.complete()
    whole = b"".join(data)
    if not key:
        digest = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in data)).hexdigest()
        assert done["ETag"] == f'"{digest}-{len(data)}"'
        assert done["ServerSideEncryption"] == "AES256"
    assert s3.get_object(Bucket=encrypted, Key="k", **key)["Body"].read() == whole
    at = len(data[0]) - 3
    got = s3.get_object(Bucket=encrypted, Key="k", Range=f"bytes={max(at, 0)}-{at + 9}", **key)
    assert got["Body"].read() == whole[max(at, 0) : at + 10], "across the seam"
    got = s3.get_object(Bucket=encrypted, Key="k", PartNumber=len(sizes), **key)
    assert got["Body"].read() == data[-1]


def test_each_part_brings_the_uploads_key(s3, bucket, upload):
    up = upload(**customer())
    with refused("InvalidRequest", status=400) as caught:
        up.part(1, b"x")
    assert "Subsequent part requests must include the appropriate" in str(caught.value)
    with refused("InvalidArgument", status=400) as caught:
        up.part(1, b"x", **customer(OTHER))
    assert "did not match the ones used originally" in str(caught.value)
    up.part(1, b"x", **customer())
    up.complete()
    plain = upload("other")
    with refused("InvalidRequest", status=400):
        plain.part(1, b"x", **customer())


def test_copies_change_hands(s3, bucket, encrypted):
    """From each kind to each kind; the bytes stay, what opens them does not."""
    kinds = {"s3": {"ServerSideEncryption": "AES256"}, "c": customer(), "d": customer(OTHER)}
    data = random.Random(1).randbytes(MIB + 4321)
    for name, how in kinds.items():
        s3.put_object(Bucket=bucket, Key=name, Body=data, **how)
    for source, opens in kinds.items():
        given = {f"CopySource{n}": v for n, v in opens.items() if n.startswith("SSECustomer")}
        for target, how in kinds.items():
            key = f"{source}-to-{target}"
            s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": source}, **how, **given)
            opened = {n: v for n, v in how.items() if n.startswith("SSECustomer")}
            got = s3.get_object(Bucket=bucket, Key=key, **opened)
            assert got["Body"].read() == data, key
            if not opened:
                assert got["ETag"] == md5(data), key
    with refused("InvalidRequest", status=400):
        s3.copy_object(Bucket=bucket, Key="x", CopySource={"Bucket": bucket, "Key": "c"})
    with refused("AccessDenied", status=403):
        s3.copy_object(Bucket=bucket, Key="x", CopySource={"Bucket": bucket, "Key": "c"}, **customer(OTHER, "CopySource"))
    # With another checksum the bytes are read again; onto itself it changes the key.
    s3.copy_object(
        Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "c"}, ChecksumAlgorithm="SHA256",
        **customer(KEY, "CopySource"), **customer(OTHER),
    )
    assert s3.get_object(Bucket=bucket, Key="c", **customer(OTHER))["Body"].read() == data


def test_a_part_may_be_copied_from_a_sealed_object(s3, bucket, upload):
    data = random.Random(2).randbytes(6 * MIB)
    s3.put_object(Bucket=bucket, Key="source", Body=data, **customer())
    up = upload("target", ServerSideEncryption="AES256")
    up.copy(1, {"Bucket": bucket, "Key": "source"}, **customer(KEY, "CopySource"))
    up.complete()
    assert s3c.body(s3, bucket, "target") == data
