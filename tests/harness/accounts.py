"""Accounts for tests, made by VersityGW's admin API, and requests that nobody signs."""

import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import boto3
import botocore
from botocore.config import Config

from . import s3 as s3c
from .rawhttp import Raw


@dataclass
class Account:
    """An account: its name, its boto3 client, its hand-made requests."""

    name: str
    secret: str
    s3: object
    raw: Raw


def document(**fields):
    """`<Account>` of the admin API."""
    root = ET.Element("Account")
    for name, value in fields.items():
        ET.SubElement(root, name).text = str(value)
    return ET.tostring(root)


def make(server, raw, role="user", name=None, secret="a-secret", **ids):
    """Creates an account."""
    name = name or f"acc-{uuid.uuid4().hex[:12]}"
    body = document(Access=name, Secret=secret, Role=role, **({"UserID": 0, "GroupID": 0, "ProjectID": 0} | ids))
    answer = raw.request("PATCH", "/create-user", body=body)
    assert answer.status == 201, answer.body
    client = s3c.client(server.endpoint, access=name, secret=secret)
    return Account(name, secret, client, Raw(server.host, server.port, access=name, secret=secret))


def anonymous(server):
    """A boto3 client that signs nothing."""
    config = Config(
        signature_version=botocore.UNSIGNED, s3={"addressing_style": "path"}, retries={"max_attempts": 0},
        request_checksum_calculation="when_required",
    )
    return boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1", config=config)


def unsigned(raw, method, target, headers=None, body=b""):
    """A request without any signature."""
    return raw.send(method, target, {"host": raw.authority} | (headers or {}), body)
