"""The JavaScript SDK, by the program javascript/round_trip.mjs."""

import base64
import hashlib
import json
import os
import shutil
from pathlib import Path

from . import samples
from .foreign import Foreign
from .trip import Unavailable, expect, fetch, step


class JavaScript(Foreign):
    """`@aws-sdk/client-s3`, `lib-storage`, `s3-request-presigner`."""

    name = "javascript"
    title = "AWS SDK for JavaScript"

    def home(self):
        """The folder with its packages."""
        root = os.environ.get("PINFOLD_CLIENT_JAVASCRIPT")
        if not root or not shutil.which("node"):
            raise Unavailable("needs Node.js with npm")
        return Path(root)

    def version(self):
        return json.loads((self.home() / "node_modules/@aws-sdk/client-s3/package.json").read_text())["version"]

    def prepare(self):
        super().prepare()
        # Beside its packages, where imports look for them.
        self.script = self.home() / f"round_trip-{os.getpid()}.mjs"
        shutil.copy(Path(__file__).parent / "javascript/round_trip.mjs", self.script)

    def command(self):
        return ["node", self.script]

    @step("make a bucket")
    def make(self):
        expect(self.bucket in self.call("make")["buckets"], "ListBuckets does not show it")

    @step("put and get 40 MiB in parts (lib-storage), from a stream of unknown length too")
    def large(self):
        said = self.call("large")
        self.in_parts("large.bin")
        self.in_parts("streamed")
        expect(said["sum"] == samples.sums({"": samples.large()})[""], f"what came back: {said}")

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
        said = self.call("stat")
        expect(said["metadata"] == {"colour": "blue"} and said["type"] == "text/x-test" and said["range"] == "2345", f"{said}")
        expect(said["tags"] == [{"Key": "a", "Value": "b c"}], f"{said['tags']}")
        digest = base64.b64encode(hashlib.sha256(b"0123456789").digest()).decode()
        expect(said["sha256"] == digest, f"{said['sha256']}")

    @step("copy, presigned GET and PUT")
    def copies(self):
        said = self.call("copies")
        expect(self.stored("copied ") == samples.sums({"+%41": b"the bytes of plus+sign"}), "the copy")
        expect(fetch(said["get"]) == (200, b"the bytes of plus+sign") and said["put"] == 200, f"{said}")

    @step("versions: list, delete, restore, remove for good")
    def versions(self):
        expect(self.call("versions") == {"versions": 3, "markers": 1, "restored": "first"}, "versions")

    @step("missing key, conditional write, wrong secret")
    def refusals(self):
        said = self.call("refusals")
        expect(said == {"none": "NoSuchKey", "head": "NotFound", "second": "PreconditionFailed"}, f"{said}")
        expect(self.call("denied", TRIP_SECRET="wrong") == {"denied": "SignatureDoesNotMatch"}, "a wrong secret")

    @step("delete many, remove the bucket")
    def delete(self):
        self.call("delete")
        self.gone()
        self.script.unlink()
