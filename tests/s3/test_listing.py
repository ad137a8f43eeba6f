"""ListObjects V1 and V2, directed cases."""

import pytest

from harness import s3 as s3c
from harness.data import md5
from harness.s3 import refused


def fill(s3, bucket, keys):
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())


def test_rows_of_a_listing(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a/k", Body=b"12345")
    for row in (s3.list_objects_v2(Bucket=bucket)["Contents"][0], s3.list_objects(Bucket=bucket)["Contents"][0]):
        assert row["Key"] == "a/k"
        assert row["Size"] == 5
        assert row["ETag"] == f'"{md5(b"12345")}"'
        assert row["StorageClass"] == "STANDARD"
        assert row["LastModified"].replace(microsecond=0) == s3.head_object(Bucket=bucket, Key="a/k")["LastModified"]


def test_an_empty_bucket(s3, bucket):
    answer = s3.list_objects_v2(Bucket=bucket)
    assert answer["KeyCount"] == 0 and answer["IsTruncated"] is False
    assert "Contents" not in answer and "CommonPrefixes" not in answer
    assert answer["Name"] == bucket and answer["MaxKeys"] == 1000


@pytest.mark.parametrize("names", [["a", "a-", "a-b", "a.", "a.b", "a/", "a/b", "a0", "aa", "b"]])
def test_s4_order_around_the_slash(s3, bucket, names):
    """`-` and `.` sort before `/`, `0` after: a directory `a` sorts as `a/`."""
    fill(s3, bucket, reversed(names))
    assert s3c.keys(s3, bucket) == sorted(names, key=str.encode) == names


def test_s4_order_is_of_bytes(s3, bucket):
    names = ["Z", "a", "\u00e9", "\uffff", "\U00010000", "z\u0301", "\ue000x", "~", "A/1", "A-1", "a/\u00e9", "a/z"]
    fill(s3, bucket, names)
    assert s3c.keys(s3, bucket) == sorted(names, key=str.encode)


def test_delimiter(s3, bucket):
    fill(s3, bucket, ["a", "a/b", "a/c/d", "a-x", "a0", "b/c", "b/", "top"])
    objects, prefixes = s3c.list_all(s3, bucket, Delimiter="/")
    assert [o["Key"] for o in objects] == ["a", "a-x", "a0", "top"]
    assert prefixes == ["a/", "b/"]
    objects, prefixes = s3c.list_all(s3, bucket, Delimiter="/", Prefix="a/")
    assert [o["Key"] for o in objects] == ["a/b"]
    assert prefixes == ["a/c/"]
    objects, prefixes = s3c.list_all(s3, bucket, Delimiter="/", Prefix="b/")
    assert [o["Key"] for o in objects] == ["b/", "b/c"]


@pytest.mark.parametrize("delimiter", ["-", "a", "//", "/b", "ab", "\u00e9", "%"])
def test_ruling27_any_delimiter(s3, bucket, delimiter):
    keys = ["ab/cab", "a//b", "a/b/c", "x-y-z", "x-y", "caf\u00e9/x", "caf\u00e9", "bar", "a%b", "/b/a"]
    fill(s3, bucket, keys)
    objects, prefixes = s3c.list_all(s3, bucket, Delimiter=delimiter)
    expected_prefixes = sorted(
        {k[: k.index(delimiter) + len(delimiter)] for k in keys if delimiter in k}, key=str.encode
    )
    assert prefixes == expected_prefixes
    assert [o["Key"] for o in objects] == sorted((k for k in keys if delimiter not in k), key=str.encode)


def test_pages_v2(s3, bucket):
    keys = [f"p/{i:03}" for i in range(25)]
    fill(s3, bucket, keys)
    got, token, pages = [], None, 0
    while True:
        how = {"ContinuationToken": token} if token else {}
        page = s3.list_objects_v2(Bucket=bucket, MaxKeys=7, **how)
        assert page["KeyCount"] == len(page["Contents"]) <= 7
        assert page["MaxKeys"] == 7
        got += [o["Key"] for o in page["Contents"]]
        pages += 1
        if not page["IsTruncated"]:
            assert "NextContinuationToken" not in page
            break
        token = page["NextContinuationToken"]
    assert got == keys and pages == 4


def test_a_full_last_page_is_not_truncated(s3, bucket):
    fill(s3, bucket, ["a", "b", "c", "d"])
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=4)
    assert page["IsTruncated"] is False
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=2, Prefix="")
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=2, ContinuationToken=page["NextContinuationToken"])
    assert page["IsTruncated"] is False


def test_pages_v1(s3, bucket):
    fill(s3, bucket, ["a", "b/1", "b/2", "c", "d/1", "e"])
    seen, marker = [], ""
    for _ in range(10):
        page = s3.list_objects(Bucket=bucket, Delimiter="/", MaxKeys=2, Marker=marker)
        seen += [o["Key"] for o in page.get("Contents", [])] + [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        if not page["IsTruncated"]:
            break
        marker = page["NextMarker"]
    assert sorted(seen) == ["a", "b/", "c", "d/", "e"]
    page = s3.list_objects(Bucket=bucket, MaxKeys=3)
    assert page["IsTruncated"]
    page = s3.list_objects(Bucket=bucket, Marker=page["Contents"][-1]["Key"])
    assert [o["Key"] for o in page["Contents"]] == ["c", "d/1", "e"]


def test_start_after(s3, bucket):
    fill(s3, bucket, ["a", "b", "b/x", "c"])
    assert s3c.keys(s3, bucket, StartAfter="b") == ["b/x", "c"]
    assert s3c.keys(s3, bucket, StartAfter="bb") == ["c"]
    assert s3c.keys(s3, bucket, StartAfter="z") == []
    assert s3.list_objects_v2(Bucket=bucket, StartAfter="b")["StartAfter"] == "b"
    objects, _ = s3c.list_all(s3, bucket, StartAfter="b/x", Delimiter="/")
    assert [o["Key"] for o in objects] == ["c"]


def test_max_keys_zero(s3, bucket):
    fill(s3, bucket, ["a"])
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert page["KeyCount"] == 0 and page["IsTruncated"] is False and "Contents" not in page


def test_max_keys_is_capped(s3, bucket):
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=5000)
    assert page["MaxKeys"] in (1000, 5000)
    with refused("InvalidArgument", status=400):
        s3.list_objects_v2(Bucket=bucket, MaxKeys=-1)


def test_a_bad_continuation_token(s3, bucket):
    with refused("InvalidArgument", status=400):
        s3.list_objects_v2(Bucket=bucket, ContinuationToken="not a token of ours \u2603")


def test_encoding_type(raw, s3, bucket):
    fill(s3, bucket, ["sp ace", "a+b", "caf\u00e9/x", "ctrl\x01"])
    answer = raw.request("GET", f"/{bucket}", [("list-type", "2"), ("encoding-type", "url"), ("delimiter", "/")])
    text = answer.body.decode()
    assert "<EncodingType>url</EncodingType>" in text
    assert "<Key>ctrl%01</Key>" in text
    assert "<Key>a%2Bb</Key>" in text
    assert "<Key>sp+ace</Key>" in text or "<Key>sp%20ace</Key>" in text
    assert "<Prefix>caf%C3%A9/</Prefix>" in text or "<Prefix>caf%C3%A9%2F</Prefix>" in text


def test_encoding_type_of_all_that_is_shown(raw, s3, bucket):
    """V1 and V2: keys, prefixes, delimiter and markers, encoded alike; what the SDK decodes is what was put."""
    names = ["a b+/x y", "a b+/x+y", "a b+/z/1", "\u00e9+ ", "%41", "ctrl\x01/x"]
    fill(s3, bucket, names)
    shared = [("encoding-type", "url"), ("prefix", "a b+"), ("delimiter", "/z"), ("max-keys", "1")]
    v1 = raw.request("GET", f"/{bucket}", [*shared, ("marker", "a +")]).body.decode()
    v2 = raw.request("GET", f"/{bucket}", [*shared, ("list-type", "2"), ("start-after", "a +")]).body.decode()
    for text in (v1, v2):
        for piece in ("<Prefix>a%20b%2B</Prefix>", "<Delimiter>/z</Delimiter>", "<Key>a%20b%2B/x%20y</Key>"):
            assert piece in text, text
    assert "<Marker>a%20%2B</Marker>" in v1 and "<NextMarker>a%20b%2B/x%20y</NextMarker>" in v1
    assert "<StartAfter>a%20%2B</StartAfter>" in v2
    assert raw.request("GET", f"/{bucket}", [("encoding-type", "base64")]).code == "InvalidArgument"
    for call in (s3.list_objects, s3.list_objects_v2):
        assert [r["Key"] for r in call(Bucket=bucket)["Contents"]] == sorted(names, key=str.encode), "decoded by the SDK"
        page = call(Bucket=bucket, Delimiter="+", Prefix="a b")
        assert page["CommonPrefixes"] == [{"Prefix": "a b+"}] and page["Delimiter"] == "+"


def test_start_after_is_of_keys(s3, bucket):
    """A prefix that sorts before start-after is shown as long as a key below it comes after."""
    fill(s3, bucket, ["a/1", "a/2", "b", "c/1"])
    page = s3.list_objects_v2(Bucket=bucket, StartAfter="a/1", Delimiter="/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["a/", "c/"] and page["StartAfter"] == "a/1"
    page = s3.list_objects_v2(Bucket=bucket, StartAfter="a/2", Delimiter="/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["c/"]
    page = s3.list_objects_v2(Bucket=bucket, StartAfter="a/", Delimiter="/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["c/"], "a prefix of an earlier answer"
    assert s3c.keys(s3, bucket, StartAfter="a/") == ["a/1", "a/2", "b", "c/1"]
    assert s3c.keys(s3, bucket, StartAfter="zz") == []
    first = s3.list_objects_v2(Bucket=bucket, StartAfter="a/1", MaxKeys=1)
    more = s3.list_objects_v2(
        Bucket=bucket, StartAfter="a/1", MaxKeys=9, ContinuationToken=first["NextContinuationToken"]
    )
    assert [r["Key"] for r in more["Contents"]] == ["b", "c/1"], "a token wins over start-after"


def test_keys_in_xml_are_escaped(s3, bucket):
    keys = ["<a>&amp;", "]]>", "'\"", " lead", "trail ", "tab\tx"]
    fill(s3, bucket, keys)
    assert s3c.keys(s3, bucket) == sorted(keys, key=str.encode)


def test_fetch_owner(s3, bucket):
    fill(s3, bucket, ["a"])
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]["Owner"]["ID"]


def test_a_prefix_is_of_characters_not_of_components(s3, bucket):
    fill(s3, bucket, ["abc/1", "abd/2", "ab", "a/b", "b"])
    assert s3c.keys(s3, bucket, Prefix="ab") == ["ab", "abc/1", "abd/2"]
    assert s3c.keys(s3, bucket, Prefix="abc/1") == ["abc/1"]
    assert s3c.keys(s3, bucket, Prefix="abc/12") == []
    assert s3c.keys(s3, bucket, Prefix="/") == []
