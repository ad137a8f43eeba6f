"""Listing against a sorted list: random keys around `/`, random prefixes, delimiters, starting points, page sizes."""

from harness import s3 as s3c

#: Letters chosen so that keys collide, nest and sort around the slash.
ALPHABET = ["a", "b", "/", "/", "//", "-", ".", "0", "\u00e9", "\u65e5", "\U0001f980", " ", "%", "+", "~", "A"]


def random_keys(rng, count):
    found = set()
    while len(found) < count:
        key = "".join(rng.choice(ALPHABET) for _ in range(rng.randrange(1, 9)))
        # Components `.` and `..` go by hand-made requests only: SDKs tidy them away (test_objects.py).
        if not {".", ".."} & set(key.split("/")):
            found.add(key)
    return sorted(found, key=str.encode)


def model(keys, prefix, delimiter, after):
    """What S3 says the whole listing is: rows in order, each a key or a rolled-up prefix."""
    rows = []
    for key in keys:
        if not key.startswith(prefix):
            continue
        row = (key, False)
        if delimiter and delimiter in key[len(prefix) :]:
            row = (key[: key.index(delimiter, len(prefix)) + len(delimiter)], True)
        # start-after compares whole keys; a prefix whose keys are all before it does not come.
        if key.encode() <= after.encode():
            continue
        if not rows or rows[-1] != row:
            rows.append(row)
    return rows


def pages(s3, bucket, prefix, delimiter, after, size):
    """The listing as it comes in pages; every page but the last is full."""
    rows, token = [], None
    while True:
        how = {"Prefix": prefix, "MaxKeys": size}
        how |= {"Delimiter": delimiter} if delimiter else {}
        how |= {"ContinuationToken": token} if token else ({"StartAfter": after} if after else {})
        page = s3.list_objects_v2(Bucket=bucket, **how)
        got = [(o["Key"], False) for o in page.get("Contents", [])]
        got += [(p["Prefix"], True) for p in page.get("CommonPrefixes", [])]
        assert page["KeyCount"] == len(got) <= size
        rows += sorted(got, key=lambda row: row[0].encode())
        if not page["IsTruncated"]:
            return rows
        assert len(got) == size, f"a page with {len(got)} of {size} rows says there is more"
        token = page["NextContinuationToken"]


def pick(rng, keys):
    """A string near the keys: a piece of one, one itself, one of the alphabet, nothing."""
    key = rng.choice(keys)
    return rng.choice([key, key[: rng.randrange(len(key) + 1)], rng.choice(ALPHABET), key + rng.choice(ALPHABET), ""])


def test_s4_listing_agrees_with_a_sorted_list(s3, bucket, rng):
    keys = random_keys(rng, 150)
    order = keys[:]
    rng.shuffle(order)
    for key in order:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert s3c.keys(s3, bucket) == keys
    for _ in range(120):
        prefix, after = pick(rng, keys), rng.choice(["", pick(rng, keys)])
        delimiter = rng.choice(["", "/", "/", "-", "a", "//", "\u00e9", "b/"])
        size = rng.choice([1, 2, 3, 7, 1000])
        if size < 3 and not prefix:
            size = 7
        if after in {row for row, rolled_up in model(keys, prefix, delimiter, "") if rolled_up}:
            continue  # whether a start at a rolled-up prefix skips what is below it, S3 does not say
        got = pages(s3, bucket, prefix, delimiter, after, size)
        assert got == model(keys, prefix, delimiter, after), (prefix, delimiter, after, size)


def test_s4_listing_while_keys_come_and_go(s3, bucket, rng):
    """Keys are deleted and put in random order; the listing is right after each step."""
    keys, there = random_keys(rng, 40), set()
    for step in range(160):
        key = rng.choice(keys)
        if key in there:
            s3.delete_object(Bucket=bucket, Key=key)
            there.remove(key)
        else:
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
            there.add(key)
        if step % 4 == 0:
            expected = model(sorted(there, key=str.encode), "", "/", "")
            assert pages(s3, bucket, "", "/", "", 1000) == expected, step
    assert set(s3c.keys(s3, bucket)) == there
    for key in there:
        s3.delete_object(Bucket=bucket, Key=key)
    s3.delete_bucket(Bucket=bucket)
