"""Checksums: every algorithm, in headers and trailers, of whole objects, of parts and composed."""

import base64
import hashlib

import pytest

from harness import s3 as s3c
from harness import settings, sums
from harness.data import noise
from harness.s3 import refused

PART = settings.MIN_PART
DATA = noise(100_003, "sums")
ALGORITHMS = sorted(sums.RAW)


def shown(s3, bucket, **how):
    """Checksums that HEAD and GET show with ChecksumMode=ENABLED; the two must agree."""
    answers = [call(Bucket=bucket, Key="k", ChecksumMode="ENABLED", **how) for call in (s3.head_object, s3.get_object)]
    answers[1]["Body"].read()  # the SDK compares as well
    found = [{k: v for k, v in a.items() if k.startswith("Checksum")} for a in answers]
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_in_a_header(s3, bucket, algorithm):
    value = sums.value(algorithm, DATA)
    put = s3.put_object(Bucket=bucket, Key="k", Body=DATA, **{sums.parameter(algorithm): value})
    assert put[sums.parameter(algorithm)] == value
    assert shown(s3, bucket) == {sums.parameter(algorithm): value, "ChecksumType": "FULL_OBJECT"}
    plain = s3.head_object(Bucket=bucket, Key="k")
    assert sums.parameter(algorithm) not in plain, "shown only when asked for"
    row = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert row["ChecksumAlgorithm"] == [algorithm] and row["ChecksumType"] == "FULL_OBJECT"


@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a != "MD5"])  # which the SDK does not compute
def test_computed_by_the_sdk(s3, bucket, algorithm):
    """A stream: the SDK sends it chunked with a trailer where the scheme lets it."""
    s3.put_object(Bucket=bucket, Key="k", Body=DATA, ChecksumAlgorithm=algorithm)
    assert shown(s3, bucket)[sums.parameter(algorithm)] == sums.value(algorithm, DATA)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_wrong_one_is_refused(s3, bucket, algorithm):
    wrong = sums.value(algorithm, b"something else")
    with refused("BadDigest", status=400):
        s3.put_object(Bucket=bucket, Key="k", Body=DATA, **{sums.parameter(algorithm): wrong})
    assert s3c.absent(s3, bucket, "k")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_no_checksum_is_refused(raw, bucket, algorithm):
    for bad in ("not base64!", base64.b64encode(b"short").decode(), ""):
        answer = raw.request("PUT", f"/{bucket}/k", headers={sums.header(algorithm): bad}, body=DATA)
        assert answer.status == 400 and answer.code in ("InvalidRequest", "BadDigest", "InvalidArgument"), (bad, answer.body)


def test_two_checksums_are_refused(raw, bucket):
    both = {sums.header(a): sums.value(a, DATA) for a in ("CRC32", "SHA256")}
    answer = raw.request("PUT", f"/{bucket}/k", headers=both, body=DATA)
    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_content_md5(raw, s3, bucket):
    good = base64.b64encode(hashlib.md5(DATA).digest()).decode()
    wrong = base64.b64encode(hashlib.md5(b"else").digest()).decode()
    assert raw.request("PUT", f"/{bucket}/k", headers={"content-md5": wrong}, body=DATA).code == "BadDigest"
    assert raw.request("PUT", f"/{bucket}/k", headers={"content-md5": "!!"}, body=DATA).code == "InvalidDigest"
    assert s3c.absent(s3, bucket, "k")
    assert raw.request("PUT", f"/{bucket}/k", headers={"content-md5": good}, body=DATA).status == 200


def test_payload_hash(raw, s3, bucket):
    wrong = hashlib.sha256(b"else").hexdigest()
    answer = raw.request("PUT", f"/{bucket}/k", body=DATA, payload=wrong)
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    assert s3c.absent(s3, bucket, "k")


def test_a_plain_put_gets_crc64nvme(raw, s3, bucket):
    """Since 2024-12 S3 keeps a CRC64NVME of what comes without a checksum."""
    assert raw.request("PUT", f"/{bucket}/k", body=DATA).status == 200
    assert shown(s3, bucket).get("ChecksumCRC64NVME") == sums.value("CRC64NVME", DATA)


@pytest.mark.parametrize("algorithm", sums.COMPOSITE)
def test_composite_of_parts(s3, bucket, upload, algorithm):
    parts = [noise(PART, 1), noise(999, 2)]
    up = upload(ChecksumAlgorithm=algorithm, ChecksumType="COMPOSITE")
    for number, part in enumerate(parts, 1):
        answer = up.part(number, part, **{sums.parameter(algorithm): sums.value(algorithm, part)})
        assert answer[sums.parameter(algorithm)] == sums.value(algorithm, part)
    listed = s3.list_parts(**up.at)
    assert listed["ChecksumAlgorithm"] == algorithm and listed["ChecksumType"] == "COMPOSITE"
    assert [p[sums.parameter(algorithm)] for p in listed["Parts"]] == [sums.value(algorithm, p) for p in parts]
    done = up.complete(up.listed(with_sums=True))
    expected = sums.composite(algorithm, parts) + "-2"
    assert done[sums.parameter(algorithm)] == expected and done["ChecksumType"] == "COMPOSITE"
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[sums.parameter(algorithm)] == expected and head["ChecksumType"] == "COMPOSITE"


@pytest.mark.parametrize("algorithm", sums.FULL_OBJECT)
def test_full_object_of_parts(s3, bucket, upload, algorithm):
    parts = [noise(PART, 1), noise(999, 2)]
    whole = sums.value(algorithm, b"".join(parts))
    up = upload(ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
    for number, part in enumerate(parts, 1):
        up.part(number, part, **{sums.parameter(algorithm): sums.value(algorithm, part)})
    with refused("BadDigest", "InvalidRequest", status=400):
        up.complete(up.listed(with_sums=True), **{sums.parameter(algorithm): sums.value(algorithm, b"else")})
    done = up.complete(up.listed(with_sums=True), ChecksumType="FULL_OBJECT", **{sums.parameter(algorithm): whole})
    assert done[sums.parameter(algorithm)] == whole
    assert shown(s3, bucket) == {sums.parameter(algorithm): whole, "ChecksumType": "FULL_OBJECT"}


WRONG_TYPES = [("CRC64NVME", "COMPOSITE")]
WRONG_TYPES += [(a, "FULL_OBJECT") for a in sums.RAW if a not in sums.FULL_OBJECT]


@pytest.mark.parametrize(("algorithm", "kind"), WRONG_TYPES)
def test_types_that_do_not_exist(upload, algorithm, kind):
    with refused("InvalidRequest", status=400):
        upload(ChecksumAlgorithm=algorithm, ChecksumType=kind)


def test_a_part_with_a_wrong_checksum(upload):
    up = upload(ChecksumAlgorithm="SHA256")
    with refused("BadDigest", status=400):
        up.part(1, b"x", ChecksumSHA256=sums.value("SHA256", b"y"))
    assert "Parts" not in up.s3.list_parts(**up.at)


def test_complete_with_a_wrong_part_checksum(upload):
    up = upload(ChecksumAlgorithm="SHA256")
    up.part(1, b"x", ChecksumSHA256=sums.value("SHA256", b"x"))
    with refused("InvalidPart", "BadDigest", status=400):
        up.complete([{"PartNumber": 1, "ETag": up.etags[1], "ChecksumSHA256": sums.value("SHA256", b"y")}])
    up.complete(up.listed(with_sums=True))


def test_a_copy_keeps_or_computes(s3, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=DATA, ChecksumSHA256=sums.value("SHA256", DATA))
    s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "from"})
    assert shown(s3, bucket) == {"ChecksumSHA256": sums.value("SHA256", DATA), "ChecksumType": "FULL_OBJECT"}
    s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "from"}, ChecksumAlgorithm="CRC32C")
    assert shown(s3, bucket) == {"ChecksumCRC32C": sums.value("CRC32C", DATA), "ChecksumType": "FULL_OBJECT"}


def test_s12_an_overwrite_leaves_no_old_checksum(s3, raw, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=DATA, ChecksumSHA1=sums.value("SHA1", DATA))
    assert raw.request("PUT", f"/{bucket}/k", body=b"new").status == 200
    assert "ChecksumSHA1" not in shown(s3, bucket)


def test_a_range_has_no_checksum_of_the_whole(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=DATA, ChecksumCRC32=sums.value("CRC32", DATA))
    got = s3.get_object(Bucket=bucket, Key="k", Range="bytes=1-5", ChecksumMode="ENABLED")
    assert got["Body"].read() == DATA[1:6]
