"""boto3 clients, and the few S3 idioms that every suite uses."""

import contextlib
import os
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from . import settings


def client(endpoint, *, access=settings.ROOT_ACCESS, secret=settings.ROOT_SECRET, verify=None, style="path", **config):
    """A boto3 client of this endpoint that does not retry: a failure is a failure."""
    config = {"retries": {"total_max_attempts": 1, "mode": "standard"}, "max_pool_connections": 64} | config
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        region_name=settings.REGION,
        verify=verify,
        config=Config(s3={"addressing_style": style}, signature_version="s3v4", read_timeout=120, **config),
    )


def fresh_name(prefix="t"):
    """A bucket name that is not taken."""
    return f"{prefix}-{uuid.uuid4().hex[:16]}"


@contextlib.contextmanager
def refused(*codes, status=None):
    """The block must be refused with one of these S3 error codes (HEAD has only a status, as text)."""
    with pytest.raises(ClientError) as caught:
        yield caught
    got = caught.value.response["Error"]["Code"]
    assert got in codes, f"expected {' or '.join(codes)}, got {got}: {caught.value}"
    if status:
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def body(s3, bucket, key, **how):
    """All bytes of a GET."""
    return s3.get_object(Bucket=bucket, Key=key, **how)["Body"].read()


def etag(answer):
    """The ETag without its quotes (which must be there)."""
    value = answer["ETag"]
    assert value.startswith('"') and value.endswith('"'), f"an ETag has quotes: {value}"
    return value[1:-1]


def list_all(s3, bucket, **how):
    """All pages of ListObjectsV2: (objects, common prefixes)."""
    objects, prefixes = [], []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **how):
        objects += page.get("Contents", [])
        prefixes += [p["Prefix"] for p in page.get("CommonPrefixes", [])]
    return objects, prefixes


def keys(s3, bucket, **how):
    """All keys."""
    return [o["Key"] for o in list_all(s3, bucket, **how)[0]]


def absent(s3, bucket, key):
    """Whether HEAD says 404."""
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404, error
        return True
    return False


def cid(answer):
    """The CID that a HEAD or GET says in its header."""
    return answer["ResponseMetadata"]["HTTPHeaders"][settings.HEADER_CID]


def header(answer, name):
    """One response header, or None."""
    return answer["ResponseMetadata"]["HTTPHeaders"].get(name)


def environment(endpoint, home, *, access=settings.ROOT_ACCESS, secret=settings.ROOT_SECRET):
    """Environment for command-line clients: these credentials, no file of the user's."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    return env | {
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": access,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": settings.REGION,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_CONFIG_FILE": str(home / "aws-config"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
    }
