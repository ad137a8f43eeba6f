"""Every name the product fixes and the suites rely on: environment, flags, headers, attributes. One place to change."""

import os
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]

#: The binary under test.
BIN = Path(os.environ.get("PINFOLD_BIN") or Path(os.environ.get("CARGO_TARGET_DIR") or REPO / "target") / "release/pinfold")

ROOT_ACCESS = "pinfold-root"
ROOT_SECRET = "a-secret-of-the-test-run"

ENV_ROOT_ACCESS = "PINFOLD_ROOT_ACCESS_KEY"
ENV_ROOT_SECRET = "PINFOLD_ROOT_SECRET_KEY"
#: `off` makes a mount go through the daemon even where the kernel could pass through.
ENV_PASSTHROUGH = "PINFOLD_MOUNT_PASSTHROUGH"
#: `sled` or `fjall`.
ENV_ENGINE = "PINFOLD_ENGINE"
ENV_S3_DOMAIN = "PINFOLD_S3_DOMAIN"
ENV_WEBSITE_DOMAIN = "PINFOLD_WEBSITE_DOMAIN"
ENV_RESERVE = "PINFOLD_RESERVE"
ENV_PUBLISH_AFTER = "PINFOLD_PUBLISH_AFTER"
ENV_TLS_CERT = "PINFOLD_S3_TLS_CERT"
ENV_TLS_KEY = "PINFOLD_S3_TLS_KEY"

READY = "/health/ready"
LIVE = "/health/live"
METRICS = "/metrics"

REGION = "us-east-1"
HEADER_CID = "x-pinfold-cid"

XATTR_CID = "user.pinfold.cid"
XATTR_ETAG = "user.pinfold.etag"
XATTR_VERSION = "user.pinfold.version"
XATTR_PINS = "user.pinfold.pins"
XATTR_LOCAL = "user.pinfold.local"
XATTR_CONTENT_TYPE = "user.s3.content-type"
XATTR_META = "user.s3.meta."
XATTR_TAG = "user.s3.tag."

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
#: Chunk of the default profile, in bytes.
CHUNK = MIB
#: The smallest part of a multipart upload but the last, in bytes.
MIN_PART = 5 * MIB
#: S14: close without fsync is durable within this many seconds (default).
COMMIT_INTERVAL = 1.0

#: Engines of the replica that keep it on the disk.
DISK_ENGINES = ("sled", "fjall")

#: Folders within the data directory (docs/FORMAT.md).
REPLICA_FOLDER = "replica"
LOG_FOLDER = "log"
