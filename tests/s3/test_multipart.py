"""Multipart uploads in every form that clients send them."""

import pytest

from harness import cid, settings
from harness import s3 as s3c
from harness.data import composite_etag, md5, noise
from harness.s3 import refused

MIB, PART = settings.MIB, settings.MIN_PART
BOGUS = "00000000000000000000000000000000"


def check(s3, bucket, parts, key="k"):
    """The object is the parts one after another, with S3's composite ETag and the CID of the whole."""
    data = b"".join(parts)
    got = s3.get_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == data
    assert s3c.etag(got) == composite_etag(parts)
    head = s3.head_object(Bucket=bucket, Key=key)
    assert head["ContentLength"] == len(data)
    row = s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"][0]
    assert row["Size"] == len(data)
    assert s3c.etag(row) == composite_etag(parts)
    if s3c.header(head, settings.HEADER_CID) or s3c.header(head, "server") == "pinfold":
        assert s3c.cid(head) == cid.of_bytes(data)


@pytest.mark.parametrize(
    "sizes",
    [
        [PART, PART, PART],
        [PART, PART, 1],
        [8 * MIB, 8 * MIB, 3 * MIB + 17],
        [PART + 1, PART + 1, 77],
        [PART, 6 * MIB, PART + 12345, 5],
        [1],
        [PART],
        [7 * MIB + 1],
    ],
    ids=str,
)
def test_s18_parts_of_all_sizes_make_the_canonical_object(s3, bucket, upload, sizes):
    parts = [noise(size, f"part{i}") for i, size in enumerate(sizes)]
    up = upload()
    for number, part in enumerate(parts, 1):
        assert s3c.etag(up.part(number, part)) == md5(part)
    done = up.complete()
    assert s3c.etag(done) == composite_etag(parts)
    assert done["Bucket"] == bucket and done["Key"] == "k"
    check(s3, bucket, parts)


def test_an_empty_part_alone(s3, bucket, upload):
    up = upload()
    up.part(1, b"")
    up.complete()
    assert s3c.body(s3, bucket, "k") == b""
    assert s3c.etag(s3.head_object(Bucket=bucket, Key="k")) == composite_etag([b""])


def test_parts_out_of_order_and_with_gaps(s3, bucket, upload):
    parts = {3: noise(PART, 3), 9000: noise(100, 9000), 1: noise(PART, 1), 77: noise(PART + 5, 77)}
    up = upload()
    for number, part in parts.items():
        up.part(number, part)
    up.complete()
    check(s3, bucket, [parts[n] for n in sorted(parts)])


def test_a_part_uploaded_again_replaces_the_first(s3, bucket, upload):
    up = upload()
    up.part(1, noise(PART, "first"))
    up.part(2, noise(PART, "two"))
    old = up.etags[2]
    up.part(2, noise(PART + 100, "two again"))
    with refused("InvalidPart", status=400):
        up.complete([{"PartNumber": 1, "ETag": up.etags[1]}, {"PartNumber": 2, "ETag": old}])
    up.complete()
    check(s3, bucket, [noise(PART, "first"), noise(PART + 100, "two again")])


def test_a_subset_of_the_parts(s3, bucket, upload):
    up = upload()
    for number in (1, 2, 3):
        up.part(number, noise(PART, number))
    up.complete([p for p in up.listed() if p["PartNumber"] != 2])
    check(s3, bucket, [noise(PART, 1), noise(PART, 3)])


def test_a_small_part_before_the_last_is_refused(s3, bucket, upload):
    up = upload()
    up.part(1, noise(PART - 1, 1))
    up.part(2, noise(10, 2))
    with refused("EntityTooSmall", status=400):
        up.complete()
    assert s3c.absent(s3, bucket, "k")
    up.part(1, noise(PART, 1))
    up.complete()
    check(s3, bucket, [noise(PART, 1), noise(10, 2)])


def test_complete_refuses_wrong_lists(s3, bucket, upload):
    up = upload()
    up.part(1, noise(PART, 1))
    up.part(2, noise(PART, 2))
    one, two = up.listed()
    with refused("InvalidPartOrder", status=400):
        up.complete([two, one])
    with refused("InvalidPartOrder", "InvalidPart", status=400):
        up.complete([one, one])
    with refused("InvalidPart", status=400):
        up.complete([one, {"PartNumber": 3, "ETag": two["ETag"]}])
    with refused("InvalidPart", status=400):
        up.complete([one, {"PartNumber": 2, "ETag": f'"{BOGUS}"'}])
    with refused("MalformedXML", "InvalidRequest", status=400):
        up.complete([])
    assert s3c.absent(s3, bucket, "k")
    up.complete()
    check(s3, bucket, [noise(PART, 1), noise(PART, 2)])


def test_uploads_that_are_not_there(s3, bucket, upload):
    for bad in ("no-such-id", BOGUS, BOGUS * 2):
        at = {"Bucket": bucket, "Key": "k", "UploadId": bad}
        with refused("NoSuchUpload", status=404):
            s3.upload_part(**at, PartNumber=1, Body=b"x")
        with refused("NoSuchUpload", status=404):
            s3.list_parts(**at)
        with refused("NoSuchUpload", status=404):
            s3.abort_multipart_upload(**at)
        with refused("NoSuchUpload", status=404):
            s3.complete_multipart_upload(**at, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": BOGUS}]})
    up = upload()
    with refused("NoSuchUpload", status=404):
        s3.upload_part(Bucket=bucket, Key="other", UploadId=up.id, PartNumber=1, Body=b"x")


def test_part_numbers(s3, bucket, upload, raw):
    up = upload()
    for bad in ("0", "10001", "-1", "x", "99999999999999999999"):
        answer = raw.request("PUT", f"/{bucket}/k", [("partNumber", bad), ("uploadId", up.id)], body=b"x")
        assert (answer.status, answer.code) == (400, "InvalidArgument"), (bad, answer.body)
    up.part(10000, b"the last there is")
    up.complete()
    assert s3c.body(s3, bucket, "k") == b"the last there is"


def test_abort_forgets_everything(s3, bucket, upload):
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    up = upload()
    up.part(1, noise(PART, 1))
    assert up.abort()["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("NoSuchUpload"):
        up.part(2, b"x")
    with refused("NoSuchUpload"):
        up.complete()
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert s3c.body(s3, bucket, "k") == b"before"


def test_nothing_is_seen_before_complete(s3, bucket, upload):
    up = upload("deep/k")
    up.part(1, noise(PART, 1))
    assert s3c.keys(s3, bucket) == []
    assert s3c.absent(s3, bucket, "deep/k")
    up.complete()
    assert s3c.keys(s3, bucket) == ["deep/k"]


def test_two_uploads_of_one_key(s3, bucket, upload):
    first, second = upload(), upload()
    assert first.id != second.id
    first.part(1, b"first")
    second.part(1, b"second")
    second.complete()
    assert s3c.body(s3, bucket, "k") == b"second"
    first.complete()
    assert s3c.body(s3, bucket, "k") == b"first"


def test_a_bucket_with_only_uploads_can_go(s3, bucket, upload):
    up = upload()
    up.part(1, b"x")
    s3.delete_bucket(Bucket=bucket)
    with refused("NoSuchBucket", "NoSuchUpload"):
        up.part(2, b"x")


def test_headers_tags_and_metadata_of_an_upload(s3, bucket, upload):
    up = upload(ContentType="video/mp4", CacheControl="no-cache", Metadata={"a": "1"}, Tagging="t=v&u=w")
    up.part(1, b"x")
    up.complete()
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ContentType"] == "video/mp4" and head["CacheControl"] == "no-cache"
    assert head["Metadata"] == {"a": "1"}
    tags = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert sorted((t["Key"], t["Value"]) for t in tags) == [("t", "v"), ("u", "w")]


def test_list_parts_in_pages(s3, bucket, upload):
    up = upload()
    numbers = [1, 2, 5, 7, 100, 9999]
    for number in numbers:
        up.part(number, noise(number, number))
    seen, marker = [], 0
    while True:
        page = s3.list_parts(**up.at, MaxParts=2, PartNumberMarker=marker)
        assert len(page["Parts"]) <= 2
        for part in page["Parts"]:
            assert part["Size"] == part["PartNumber"]
            assert s3c.etag(part) == md5(noise(part["PartNumber"], part["PartNumber"]))
            assert part["LastModified"]
        seen += [p["PartNumber"] for p in page["Parts"]]
        if not page["IsTruncated"]:
            break
        assert page["NextPartNumberMarker"] == seen[-1]
        marker = page["NextPartNumberMarker"]
    assert seen == numbers


def test_list_uploads(s3, bucket, upload):
    keys = ["a/1", "a/2", "b", "b", "c/x/y"]
    ups = [upload(key) for key in keys]
    everything = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [u["Key"] for u in everything] == sorted(keys)
    assert {u["UploadId"] for u in everything} == {u.id for u in ups}
    assert [u["Key"] for u in s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")["Uploads"]] == ["a/1", "a/2"]
    page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["a/", "c/"]
    assert [u["Key"] for u in page["Uploads"]] == ["b", "b"]
    seen, markers = [], {}
    for _ in range(10):
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=2, **markers)
        seen += [(u["Key"], u["UploadId"]) for u in page["Uploads"]]
        if not page["IsTruncated"]:
            break
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert sorted(seen) == sorted((u.key, u.id) for u in ups)
    assert len(set(seen)) == len(ups)


def test_list_uploads_agrees_with_a_sorted_list(s3, bucket, rng):
    """Every prefix, delimiter and page size: each upload and each common prefix once, in order."""
    made = []
    for _ in range(50):
        key = "".join(rng.choice(["a", "b", "/", "-", "\u00e9", "a/b", "%"]) for _ in range(rng.randint(1, 5)))
        made.append((key, s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]))
    made.sort(key=lambda pair: (pair[0].encode(), pair[1]))
    for _ in range(60):
        prefix, delimiter = rng.choice(["", "a", "b", "a/", "/", "\u00e9"]), rng.choice(["", "/", "a", "-", "b/", "\u00e9"])
        size = rng.randint(1, 7)
        ask = {"Bucket": bucket, "Prefix": prefix, "MaxUploads": size} | ({"Delimiter": delimiter} if delimiter else {})
        uploads, prefixes, markers = [], [], {}
        while True:
            page = s3.list_multipart_uploads(**ask, **markers)
            found, rolled = page.get("Uploads", []), page.get("CommonPrefixes", [])
            assert len(found) + len(rolled) <= size
            uploads += [(u["Key"], u["UploadId"]) for u in found]
            prefixes += [p["Prefix"] for p in rolled]
            if not page["IsTruncated"]:
                break
            assert len(found) + len(rolled) == size, "a page that is not the last is full"
            markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
        plain, common = [], []
        for key, upload in made:
            if key.startswith(prefix):
                at = key.find(delimiter, len(prefix)) if delimiter else -1
                if at < 0:
                    plain.append((key, upload))
                elif key[: at + len(delimiter)] not in common:
                    common.append(key[: at + len(delimiter)])
        assert (uploads, prefixes) == (plain, common), ask


def test_list_uploads_shows_what_was_asked(raw, s3, bucket, upload):
    upload("caf\u00e9/a b+")
    upload("z")
    ask = [("uploads", ""), ("encoding-type", "url"), ("delimiter", "/"), ("key-marker", "A b"), ("max-uploads", "1")]
    text = raw.request("GET", f"/{bucket}", ask).body.decode()
    for piece in (
        "<EncodingType>url</EncodingType>", "<KeyMarker>A%20b</KeyMarker>", "<Prefix>caf%C3%A9/</Prefix>",
        "<NextKeyMarker>caf%C3%A9/</NextKeyMarker>", "<IsTruncated>true</IsTruncated>", "<MaxUploads>1</MaxUploads>",
    ):
        assert piece in text, text
    for name, value in (("encoding-type", "base64"), ("max-uploads", "-1")):
        assert raw.request("GET", f"/{bucket}", [("uploads", ""), (name, value)]).code == "InvalidArgument"
    wrong = [("uploads", ""), ("key-marker", "a"), ("upload-id-marker", "nonsense")]
    assert raw.request("GET", f"/{bucket}", wrong).code == "InvalidArgument"


def test_list_parts_at_the_bounds(raw, s3, bucket, upload):
    up = upload()
    up.part(1, b"x")
    up.part(10000, b"y")
    path, at = f"/{bucket}/k", ("uploadId", up.id)
    assert b"<PartNumber>" not in raw.request("GET", path, [at, ("max-parts", "0")]).body
    assert raw.request("GET", path, [at, ("part-number-marker", "10000")]).body.count(b"<PartNumber>") == 0
    assert raw.request("GET", path, [at, ("part-number-marker", "2147483647")]).status == 200
    assert raw.request("GET", path, [at, ("max-parts", "5000")]).body.count(b"<PartNumber>") == 2
    for name, value in (("max-parts", "-1"), ("part-number-marker", "-1"), ("max-parts", "x")):
        assert raw.request("GET", path, [at, (name, value)]).code == "InvalidArgument", (name, value)


def test_part_number_reads(s3, bucket, upload):
    parts = [noise(PART, 1), noise(PART + 7, 2), noise(9, 3)]
    up = upload()
    for number, part in enumerate(parts, 1):
        up.part(number, part)
    up.complete()
    at = 0
    for number, part in enumerate(parts, 1):
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert got["Body"].read() == part
        assert got["PartsCount"] == 3
        assert got["ContentRange"] == f"bytes {at}-{at + len(part) - 1}/{sum(map(len, parts))}"
        head = s3.head_object(Bucket=bucket, Key="k", PartNumber=number)
        assert head["ContentLength"] == len(part) and head["PartsCount"] == 3
        at += len(part)
    with refused("InvalidPartNumber", "InvalidPart", "InvalidRange", status=416):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=4)


def test_completing_twice_gives_the_same_answer_or_no_such_upload(s3, bucket, upload):
    """A client whose connection broke asks again: S3 answers 200 for a while; NoSuchUpload is the other honest answer."""
    up = upload()
    up.part(1, b"x")
    first = up.complete()
    try:
        assert up.complete()["ETag"] == first["ETag"]
    except s3.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchUpload"
    assert s3c.body(s3, bucket, "k") == b"x"


def test_complete_checks_the_size_the_client_says(s3, bucket, upload):
    up = upload()
    up.part(1, b"four")
    with refused("InvalidRequest", "InvalidArgument", status=400):
        up.complete(MpuObjectSize=5)
    up.complete(MpuObjectSize=4)
    assert s3c.body(s3, bucket, "k") == b"four"


def test_ruling6_a_thousand_parts(s3, bucket, upload):
    """Many rows at once: the last number wins the list, nothing is lost (parts after the first are small on purpose:
    the refusal names EntityTooSmall; then the legal form with one part goes through)."""
    up = upload()
    for number in range(1, 1001):
        up.part(number, b"p%d" % number)
    listed = []
    for page in s3.get_paginator("list_parts").paginate(**up.at):
        listed += [p["PartNumber"] for p in page["Parts"]]
    assert listed == list(range(1, 1001))
    with refused("EntityTooSmall"):
        up.complete()
    up.complete([{"PartNumber": 1000, "ETag": up.etags[1000]}])
    assert s3c.body(s3, bucket, "k") == b"p1000"
