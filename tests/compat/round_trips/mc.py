"""MinIO's client."""

import json
import re

from harness import settings

from . import samples
from .trip import Trip, expect, fetch, send_form, step


class Mc(Trip):
    """`mc`, on MinIO's Go SDK."""

    name = "mc"
    title = "mc"

    def version(self):
        # A module's version without a tag: v0.0.0-DAYandTIME-COMMIT.
        found = re.fullmatch(r"v0\.0\.0-(\d{8})\d+-(\w+)", self.pinned() or "")
        return f"{found[1]} ({found[2]})" if found else self.pinned() or self.mc("--version").out.split()[2]

    def environment(self):
        host = self.node.s3_addr
        return super().environment() | {
            "MC_HOST_p": f"http://{settings.ROOT_ACCESS}:{settings.ROOT_SECRET}@{host}",
            "MC_HOST_wrong": f"http://{settings.ROOT_ACCESS}:wrong-secret@{host}",
            "MC_CONFIG_DIR": str(self.folder / "mc"), "MC_NO_COLOR": "1", "MC_QUIET": "1", "MC_UPDATE": "off",
        }

    def mc(self, *words, **how):
        """One command."""
        return self.execute([self.program(), *words], **how)

    def lines(self, *words, **how):
        """The JSON documents that one command prints."""
        return [json.loads(line) for line in self.mc("--json", *words, **how).out.splitlines() if line.startswith("{")]

    def at(self, key=""):
        return f"p/{self.bucket}/{key}"

    @step("make a bucket")
    def make(self):
        self.mc("mb", f"p/{self.bucket}")
        expect(any(each["key"] == f"{self.bucket}/" for each in self.lines("ls", "p")), "`ls` does not show it")

    @step("put and get 40 MiB in parts")
    def large(self):
        (self.folder / "large").write_bytes(samples.large())
        self.mc("put", "--part-size", "16MiB", "large", self.at("large.bin"))
        self.in_parts("large.bin")
        self.mc("cp", self.at("large.bin"), "back")
        expect((self.folder / "back").read_bytes() == samples.large(), "other bytes came back")
        self.mc("pipe", self.at("piped"), stdin=samples.large())
        self.in_parts("piped")

    @step("a tree of odd names up and down")
    def tree(self):
        folder = samples.write(self.fresh("tree"), samples.tree())
        self.mc("cp", "--recursive", f"{folder}/", self.at("t/"))
        self.holds("t/", samples.tree())
        self.mc("cp", "--recursive", self.at("t/"), f"{self.fresh('down')}/")
        self.came(self.folder / "down", samples.tree())

    @step("list: recursive, one level, pages")
    def lists(self):
        names = {each["key"] for each in self.lines("ls", "--recursive", self.at("t/"))}
        expect(names == set(samples.tree()), f"listed: {names ^ set(samples.tree())}")
        level = [each["key"] for each in self.lines("ls", self.at("t/"))]
        expect("dir/" in level and "dir/deep/er/file" not in level, f"one level: {level}")
        many = self.lines("ls", "--recursive", f"p/{self.many}/")
        expect(len(many) == samples.MANY, f"{len(many)} of {samples.MANY} keys in pages")
        found = self.lines("find", self.at("t/"), "--name", "*.txt")
        expect(len(found) == sum(name.endswith(".txt") for name in samples.tree()), f"`find`: {found}")

    @step("stat, range, metadata, tags")
    def stat(self):
        (self.folder / "f").write_bytes(b"0123456789")
        self.mc("cp", "--attr", "colour=blue;Content-Type=text/x-test", "f", self.at("m"))
        said = self.lines("stat", self.at("m"))[0]
        expect(said["size"] == 10 and said["metadata"].get("X-Amz-Meta-Colour") == "blue", f"{said}")
        expect(self.mc("cat", "--offset", "4", self.at("m")).out == "456789", "`cat` from an offset")
        expect(self.mc("head", "--lines", "1", self.at("m")).out.strip() == "0123456789", "`head`")
        self.mc("tag", "set", self.at("m"), "a=b c&d=e")
        expect(self.lines("tag", "list", self.at("m"))[0]["tagset"] == {"a": "b c", "d": "e"}, "tags")
        self.mc("tag", "remove", self.at("m"))

    @step("copy and move")
    def copies(self):
        self.mc("cp", self.at("large.bin"), self.at("copy of +large"))
        self.mc("mv", self.at("copy of +large"), self.at("moved %41"))
        expect(self.stored("moved ") == samples.sums({"%41": samples.large()}), "the moved copy")
        self.mc("cp", "--recursive", self.at("t/"), self.at("t2/"))
        self.holds("t2/", samples.tree())

    @step("mirror twice, diff")
    def syncs(self):
        folder = self.folder / "tree"
        self.mc("mirror", folder, self.at("s"))
        self.holds("s/", samples.tree())
        again = [each for each in self.lines("mirror", folder, self.at("s")) if each.get("target")]
        expect(not again, f"the second mirror did: {again[:3]}")
        differ = self.lines("diff", f"{folder}/", self.at("s/"))
        expect(not differ, f"`diff`: {differ[:3]}")

    @step("presigned GET and form")
    def presigned(self):
        url = self.lines("share", "download", "--expire", "1m", self.at("t/plus+sign"))[0]["share"]
        expect(fetch(url) == (200, b"the bytes of plus+sign"), "the link gives other bytes")
        form = self.lines("share", "upload", "--expire", "1m", self.at("formed"))[0]["share"]
        words = form.split(" -F ")
        fields = dict(word.strip().strip("'").split("=", 1) for word in words[1:])
        del fields["file"]
        status = send_form(words[0].split()[-1], fields, b"formed")
        expect(status == 204 and self.stored("formed") == samples.sums({"": b"formed"}), f"the form: {status}")

    @step("versions: list, delete, undo, remove for good")
    def versions(self):
        bucket = f"p/{self.bucket}-v"
        self.mc("mb", bucket)
        self.mc("version", "enable", bucket)
        for text in (b"first", b"second"):
            self.mc("pipe", f"{bucket}/v", stdin=text)
        expect(len(self.lines("ls", "--versions", bucket)) == 2, "two versions")
        self.mc("rm", f"{bucket}/v")
        self.mc("stat", f"{bucket}/v", ok=False)
        self.mc("undo", f"{bucket}/v")
        expect(self.mc("cat", f"{bucket}/v").out == "second", "the deletion undone")
        oldest = self.lines("ls", "--versions", bucket)[-1]["versionId"]
        expect(self.mc("cat", "--version-id", oldest, f"{bucket}/v").out == "first", "the first version")
        self.mc("rm", "--recursive", "--force", "--versions", bucket)
        self.mc("rb", bucket)

    @step("object lock: retention and legal hold")
    def locks(self):
        bucket = f"p/{self.bucket}-l"
        self.mc("mb", "--with-lock", bucket)
        self.mc("retention", "set", "--default", "governance", "1d", bucket)
        self.mc("pipe", f"{bucket}/k", stdin=b"kept")
        expect(self.lines("retention", "info", f"{bucket}/k")[0]["mode"] == "GOVERNANCE", "the default retention")
        self.mc("legalhold", "set", f"{bucket}/k")
        expect(self.lines("legalhold", "info", f"{bucket}/k")[0]["legalhold"] == "ON", "the legal hold")
        self.mc("rm", "--versions", "--force", f"{bucket}/k", ok=False)
        self.mc("legalhold", "clear", f"{bucket}/k")
        self.mc("rm", "--versions", "--force", "--bypass", f"{bucket}/k")
        self.mc("rb", bucket)

    @step("policy for everybody")
    def public(self):
        self.mc("anonymous", "set", "download", self.at("t"))
        expect(fetch(f"{self.node.endpoint}/{self.bucket}/t/five") == (200, b"12345"), "what everybody may read")
        expect(fetch(f"{self.node.endpoint}/{self.bucket}/m")[0] == 403, "what nobody may read")
        self.mc("anonymous", "set", "private", self.at("t"))
        expect(fetch(f"{self.node.endpoint}/{self.bucket}/t/five")[0] == 403, "after it was taken away")

    @step("missing key, bucket that is not empty, wrong secret")
    def refusals(self):
        none = self.mc("stat", self.at("none"), ok=False)
        expect("Object does not exist" in none.err, none.err)
        expect("not empty" in self.mc("rb", f"p/{self.bucket}", ok=False).err, "`rb`")
        wrong = self.mc("ls", "wrong", ok=False)
        expect("signature" in wrong.err, wrong.err)

    @step("delete recursively, remove the bucket")
    def delete(self):
        self.mc("rm", "--recursive", "--force", self.at("t/"))
        self.emptied("t/")
        self.mc("rb", "--force", f"p/{self.bucket}")
        self.gone()
