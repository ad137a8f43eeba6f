"""s5cmd."""

import json

from . import samples
from .trip import WRONG_SECRET, Trip, expect, fetch, step


class S5cmd(Trip):
    """The fast Go client, on the first AWS SDK for Go."""

    name = "s5cmd"
    title = "s5cmd"

    def version(self):
        return self.pinned() or self.s5("version").out.split()[0]

    def s5(self, *words, **how):
        """One command."""
        return self.execute([self.program(), "--endpoint-url", self.node.endpoint, "--retry-count", "0", *words], **how)

    def lines(self, *words):
        """The JSON documents that one command prints."""
        return [json.loads(line) for line in self.s5("--json", *words).out.splitlines()]

    def at(self, key=""):
        return f"s3://{self.bucket}/{key}"

    @step("make a bucket")
    def make(self):
        self.s5("mb", f"s3://{self.bucket}")
        expect(self.bucket in self.s5("ls").out, "`ls` does not show it")

    @step("put and get 40 MiB in parts")
    def large(self):
        (self.folder / "large").write_bytes(samples.large())
        self.s5("cp", "--part-size", "8", "large", self.at("large.bin"))
        self.in_parts("large.bin")
        self.s5("cp", "--part-size", "8", self.at("large.bin"), "back")
        expect((self.folder / "back").read_bytes() == samples.large(), "other bytes came back")
        self.s5("pipe", self.at("piped"), stdin=samples.large())
        expect(self.stored("piped") == samples.sums({"": samples.large()}), "through a pipe")

    @step("a tree of odd names up and down")
    def tree(self):
        folder = samples.write(self.fresh("tree"), samples.tree())
        self.s5("cp", f"{folder}/", self.at("t/"))
        self.holds("t/", samples.tree())
        self.s5("cp", self.at("t/*"), f"{self.fresh('down')}/")
        self.came(self.folder / "down", samples.tree())

    @step("list: recursive, one level, pages, usage")
    def lists(self):
        names = {each["key"].removeprefix(self.at("t/")) for each in self.lines("ls", self.at("t/*"))}
        expect(names == set(samples.tree()), f"listed: {names ^ set(samples.tree())}")
        level = [each["key"] for each in self.lines("ls", self.at("t/"))]
        expect(self.at("t/dir/") in level and not any("deep" in key for key in level), f"one level: {level}")
        many = self.lines("ls", f"s3://{self.many}/*")
        expect(len(many) == samples.MANY, f"{len(many)} of {samples.MANY} keys in pages")
        expect(self.lines("du", f"s3://{self.many}/*")[0]["size"] == samples.MANY, "`du`")

    @step("stat, metadata")
    def stat(self):
        (self.folder / "f").write_bytes(b"0123456789")
        self.s5("cp", "--metadata", "colour=blue", "--content-type", "text/x-test", "f", self.at("m"))
        head = self.s3.head_object(Bucket=self.bucket, Key="m")
        expect(head["Metadata"] == {"colour": "blue"} and head["ContentType"] == "text/x-test", f"{head}")
        expect(self.lines("head", self.at("m"))[0]["size"] == 10, "`head`")
        expect(self.s5("cat", self.at("m")).out == "0123456789", "`cat`")

    @step("copy and move")
    def copies(self):
        self.s5("cp", self.at("large.bin"), self.at("copy of +large"))
        self.s5("mv", self.at("copy of +large"), self.at("moved %41"))
        expect(self.stored("moved ") == samples.sums({"%41": samples.large()}), "the moved copy")
        self.s5("cp", self.at("t/*"), self.at("t2/"))
        self.holds("t2/", samples.tree())

    @step("sync twice")
    def syncs(self):
        # It quotes names as Go does before it copies, and then does not find one with a zero-width joiner.
        files = {name: data for name, data in samples.tree().items() if name.isprintable()}
        folder = samples.write(self.fresh("printable"), files)
        self.s5("sync", f"{folder}/", self.at("s/"))
        self.holds("s/", files)
        again = self.s5("sync", f"{folder}/", self.at("s/")).out
        expect(not again, f"the second sync did: {again[:300]}")

    @step("presigned URL")
    def presigned(self):
        url = self.s5("presign", "--expire", "1m", self.at("t/plus+sign")).out.strip()
        expect(fetch(url) == (200, b"the bytes of plus+sign"), "the link gives other bytes")

    @step("versions: list, delete, read, remove for good")
    def versions(self):
        bucket = f"s3://{self.bucket}-v"
        self.s5("mb", bucket)
        self.s5("bucket-version", "--set", "Enabled", bucket)
        for text in (b"first", b"second"):
            self.s5("pipe", f"{bucket}/v", stdin=text)
        self.s5("rm", f"{bucket}/v")
        found = self.lines("ls", "--all-versions", f"{bucket}/v")
        expect(len(found) == 3, f"two versions and a marker: {found}")
        self.s5("rm", "--all-versions", f"{bucket}/*")
        self.s5("rb", bucket)

    @step("many commands at once")
    def run(self):
        (self.folder / "commands").write_text("".join(f"cp {self.at('t/five')} {self.at(f'r/{n}')}\n" for n in range(300)))
        self.s5("run", "commands")
        self.holds("r/", {str(n): b"12345" for n in range(300)})

    @step("missing key, bucket that is not empty, wrong secret")
    def refusals(self):
        none = self.s5("cp", self.at("none"), "x", ok=False)
        expect("NoSuchKey" in none.err or "404" in none.err, none.err)
        expect("no object found" in self.s5("ls", self.at("none"), ok=False).err, "`ls` of nothing")
        expect("BucketNotEmpty" in self.s5("rb", f"s3://{self.bucket}", ok=False).err, "`rb`")
        wrong = self.s5("ls", env=WRONG_SECRET, ok=False)
        expect("SignatureDoesNotMatch" in wrong.err, wrong.err)

    @step("delete recursively, remove the bucket")
    def delete(self):
        self.s5("rm", self.at("t/*"))
        self.emptied("t/")
        self.s5("rm", self.at("*"))
        self.s5("rb", f"s3://{self.bucket}")
        self.gone()
