"""The Rust SDK, by the program in rust/."""

import base64
import hashlib
import os
import re
from pathlib import Path

from harness import s3 as s3c

from . import samples
from .foreign import Foreign
from .trip import Unavailable, expect, fetch, send, step


class RustSdk(Foreign):
    """`aws-sdk-s3`."""

    name = "rust"
    title = "AWS SDK for Rust"

    def version(self):
        self.command()
        manifest = (Path(__file__).parent / "rust/Cargo.toml").read_text()
        return re.search(r'aws-sdk-s3 = .*"=([^"]+)"', manifest)[1]

    def command(self):
        program = os.environ.get("PINFOLD_CLIENT_RUST")
        if not program:
            raise Unavailable("needs Rust, to build its program")
        return [program]

    @step("make a bucket")
    def make(self):
        expect(self.bucket in self.call("make")["buckets"], "ListBuckets does not show it")

    @step("put and get 40 MiB in parts and in one")
    def large(self):
        said = self.call("large")
        self.in_parts("large.bin")
        wanted = samples.sums({"": samples.large()})[""]
        expect(said["sums"] == [wanted, wanted], f"what came back: {said}")

    @step("a tree of odd names up and down")
    def tree(self):
        self.call("tree")
        self.holds("t/", samples.tree())
        self.came(self.folder / "down", samples.tree())

    @step("list: recursive, one level, pages")
    def lists(self):
        said = self.call("lists")
        expect(set(said["keys"]) == {f"t/{name}" for name in samples.tree()}, "recursive")
        expect("t/dir/" in said["prefixes"] and said["many"] == samples.MANY, f"{said['prefixes']}, {said['many']}")

    @step("stat, range, metadata, tags, checksums")
    def stat(self):
        digest = base64.b64encode(hashlib.sha256(b"0123456789").digest()).decode()
        said = self.call("stat")["seen"]
        expect(said == ["blue", "text/x-test", "2345", "a=b c", digest], f"{said}")

    @step("copy, presigned GET and PUT")
    def copies(self):
        said = self.call("copies")
        expect(self.stored("copied ") == samples.sums({"+%41": b"the bytes of plus+sign"}), "the copy")
        expect(fetch(said["get"]) == (200, b"the bytes of plus+sign"), "GET")
        expect(send(said["put"], b"by a link") == 200 and s3c.body(self.s3, self.bucket, "sent") == b"by a link", "PUT")

    @step("versions: list, delete, restore, remove for good")
    def versions(self):
        expect(self.call("versions") == {"versions": 3, "markers": 1, "restored": "first"}, "versions")

    @step("missing key, conditional write, wrong secret")
    def refusals(self):
        said = self.call("refusals")
        expect(said == {"none": True, "head": True, "second": "PreconditionFailed"}, f"{said}")
        expect(self.call("denied", TRIP_SECRET="wrong") == {"denied": "SignatureDoesNotMatch"}, "a wrong secret")

    @step("delete many, remove the bucket")
    def delete(self):
        self.call("delete")
        self.gone()
