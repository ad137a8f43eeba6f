"""awscli, as people use it: cp, sync, mv, rm, ls, presign."""

import hashlib
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from harness import s3 as s3c
from harness import settings
from harness.data import noise

AWS = Path(sys.executable).parent / "aws"


@pytest.fixture
def aws(server, tmp_path):
    """Runs `aws …`; returns what it printed."""
    env = s3c.environment(server.endpoint, tmp_path, access=server.access, secret=server.secret)
    settings_of_s3 = ["addressing_style = path", "signature_version = s3v4", "max_concurrent_requests = 4"]
    (tmp_path / "aws-config").write_text("\n  ".join(["[default]\ns3 =", *settings_of_s3]) + "\n")

    def run(*args, ok=True, stdin=None):
        done = subprocess.run([str(AWS), *map(str, args)], env=env, input=stdin, capture_output=True, timeout=240)
        assert (done.returncode == 0) == ok, f"aws {args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return (done.stdout if ok else done.stderr).decode()

    return run


def test_cp_both_ways_and_ls(aws, bucket, tmp_path):
    data = noise(20 * settings.MIB + 3, "cp")  # above 8 MiB it is a multipart upload
    (tmp_path / "up").write_bytes(data)
    aws("s3", "cp", tmp_path / "up", f"s3://{bucket}/dir/big.bin", "--no-progress")
    aws("s3", "cp", f"s3://{bucket}/dir/big.bin", tmp_path / "down", "--no-progress")
    assert hashlib.sha256((tmp_path / "down").read_bytes()).digest() == hashlib.sha256(data).digest()
    assert f"{len(data)} big.bin" in aws("s3", "ls", f"s3://{bucket}/dir/")
    assert "PRE dir/" in aws("s3", "ls", f"s3://{bucket}/")


def test_cp_from_and_to_a_pipe(aws, bucket):
    aws("s3", "cp", "-", f"s3://{bucket}/piped", stdin=b"through a pipe")
    assert aws("s3", "cp", f"s3://{bucket}/piped", "-") == "through a pipe"


def test_sync_is_a_sync(aws, s3, bucket, tmp_path):
    tree = tmp_path / "tree"
    files = {f"d{i % 3}/sub {i}/f{i}.txt": noise(100 + i, i) for i in range(12)} | {"caf\u00e9.txt": b"x", "empty": b""}
    for name, data in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(data)
        # sync compares whole seconds with the file's own time: one in the same second would go up again.
        os.utime(tree / name, (1_700_000_000, 1_700_000_000))
    aws("s3", "sync", tree, f"s3://{bucket}/t/", "--no-progress")
    assert s3c.keys(s3, bucket) == sorted((f"t/{n}" for n in files), key=str.encode)
    assert "upload" not in aws("s3", "sync", tree, f"s3://{bucket}/t/", "--no-progress"), "a second run has nothing to do"
    (tree / "empty").unlink()
    (tree / "new").write_bytes(b"new")
    done = aws("s3", "sync", tree, f"s3://{bucket}/t/", "--delete", "--no-progress")
    assert "delete" in done and "t/empty" in done
    back = tmp_path / "back"
    aws("s3", "sync", f"s3://{bucket}/t/", back, "--no-progress")
    assert {p.relative_to(back).as_posix(): p.read_bytes() for p in back.rglob("*") if p.is_file()} == {
        p.relative_to(tree).as_posix(): p.read_bytes() for p in tree.rglob("*") if p.is_file()
    }


def test_mv_and_rm(aws, s3, bucket):
    for i in range(5):
        s3.put_object(Bucket=bucket, Key=f"from/{i}", Body=b"x")
    aws("s3", "mv", f"s3://{bucket}/from/", f"s3://{bucket}/to/", "--recursive")
    assert s3c.keys(s3, bucket) == [f"to/{i}" for i in range(5)]
    aws("s3", "rm", f"s3://{bucket}/to/", "--recursive")
    assert s3c.keys(s3, bucket) == []


def test_presign(aws, s3, bucket):
    s3.put_object(Bucket=bucket, Key="secret/f", Body=b"for whom has the link")
    url = aws("s3", "presign", f"s3://{bucket}/secret/f", "--expires-in", "60").strip()
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.read() == b"for whom has the link"


def test_mb_and_rb(aws, s3):
    name = s3c.fresh_name("cli")
    aws("s3", "mb", f"s3://{name}")
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    assert "BucketNotEmpty" in aws("s3", "rb", f"s3://{name}", ok=False)
    aws("s3", "rb", f"s3://{name}", "--force")
    assert name not in aws("s3", "ls")


def test_s3api_with_checksums(aws, bucket, tmp_path):
    (tmp_path / "f").write_bytes(b"checked")
    at = ["--bucket", bucket, "--key", "k"]
    put = aws("s3api", "put-object", *at, "--body", tmp_path / "f", "--checksum-algorithm", "SHA256")
    assert "ChecksumSHA256" in put
    head = aws("s3api", "head-object", *at, "--checksum-mode", "ENABLED")
    assert "ChecksumSHA256" in head
