"""The AWS CLI."""

import json

from . import samples
from .trip import WRONG_SECRET, Trip, expect, fetch, step


class AwsCli(Trip):
    """`aws s3` and `aws s3api`."""

    name = "aws"
    title = "AWS CLI"

    def version(self):
        return self.execute([self.program(), "--version"]).out.split()[0].removeprefix("aws-cli/")

    def prepare(self):
        # The first version of the CLI presigns by SigV2 unless it is told otherwise; Pinfold takes SigV4 alone.
        (self.folder / "aws-config").write_text("[default]\ns3 =\n  signature_version = s3v4\n")

    def aws(self, *words, **how):
        """One command."""
        return self.execute([self.program(), *words], **how)

    def api(self, *words, bucket="", **how):
        """One call of `s3api` on the bucket (with this ending); its document."""
        said = self.aws("s3api", words[0], "--bucket", self.bucket + bucket, *words[1:], **how).out
        return json.loads(said) if said.strip() else {}

    def at(self, key=""):
        return f"s3://{self.bucket}/{key}"

    @step("make a bucket")
    def make(self):
        self.aws("s3", "mb", f"s3://{self.bucket}")
        expect(self.bucket in self.aws("s3", "ls").out, "`ls` does not show it")

    @step("put and get 40 MiB in parts")
    def large(self):
        (self.folder / "large").write_bytes(samples.large())
        self.aws("s3", "cp", "large", self.at("large.bin"), "--no-progress")
        self.in_parts("large.bin")
        self.aws("s3", "cp", self.at("large.bin"), "back", "--no-progress")
        expect((self.folder / "back").read_bytes() == samples.large(), "other bytes came back")

    @step("a tree of odd names up and down")
    def tree(self):
        folder = samples.write(self.fresh("tree"), samples.tree())
        self.aws("s3", "cp", "--recursive", folder, self.at("t/"), "--no-progress")
        self.holds("t/", samples.tree())
        self.aws("s3", "cp", "--recursive", self.at("t/"), self.fresh("down"), "--no-progress")
        self.came(self.folder / "down", samples.tree())

    @step("list: recursive, one level, pages")
    def lists(self):
        lines = self.aws("s3", "ls", "--recursive", self.at("t/")).out.splitlines()
        names = {line.split(maxsplit=3)[3] for line in lines if "  two" not in line}
        missing = {"t/" + name for name in samples.tree() if "  two" not in name} - names
        expect(not missing, f"not listed: {missing}")
        level = self.aws("s3", "ls", self.at("t/")).out
        expect("PRE dir/" in level and "deep" not in level, f"one level: {level}")
        many = self.aws("s3", "ls", "--recursive", f"s3://{self.many}/").out.splitlines()
        expect(len(many) == samples.MANY, f"{len(many)} of {samples.MANY} keys in pages")
        some = self.aws("s3api", "list-objects-v2", "--bucket", self.many, "--page-size", "100", "--query", "length(Contents)")
        expect(int(some.out) == samples.MANY, f"in pages of 100: {some.out}")

    @step("stat, range, metadata, tags")
    def stat(self):
        (self.folder / "f").write_bytes(b"0123456789")
        self.aws("s3", "cp", "f", self.at("m"), "--metadata", "colour=blue", "--content-type", "text/x-test", "--no-progress")
        head = self.api("head-object", "--key", "m")
        expect(head["Metadata"] == {"colour": "blue"} and head["ContentType"] == "text/x-test", f"{head}")
        part = self.api("get-object", "--key", "m", "--range", "bytes=2-5", "part")
        expect((self.folder / "part").read_bytes() == b"2345" and part["ContentRange"] == "bytes 2-5/10", f"{part}")
        self.api("put-object-tagging", "--key", "m", "--tagging", "TagSet=[{Key=a,Value=b c}]")
        expect(self.api("get-object-tagging", "--key", "m")["TagSet"] == [{"Key": "a", "Value": "b c"}], "tags")

    @step("copy and move")
    def copies(self):
        self.aws("s3", "cp", self.at("large.bin"), self.at("copy of +large"), "--no-progress")
        self.aws("s3", "mv", self.at("copy of +large"), self.at("moved %41"), "--no-progress")
        expect(self.stored("moved ") == samples.sums({"%41": samples.large()}), "the moved copy")
        self.aws("s3", "cp", "--recursive", self.at("t/"), self.at("t2/"), "--no-progress")
        self.holds("t2/", samples.tree())

    @step("sync twice")
    def syncs(self):
        folder = self.folder / "tree"
        self.aws("s3", "sync", folder, self.at("s/"), "--no-progress")
        self.holds("s/", samples.tree())
        again = self.aws("s3", "sync", folder, self.at("s/"), "--no-progress").out
        expect(not again, f"the second sync did: {again[:300]}")

    @step("presigned URL")
    def presigned(self):
        url = self.aws("s3", "presign", self.at("t/plus+sign"), "--expires-in", "60").out.strip()
        expect(fetch(url) == (200, b"the bytes of plus+sign"), "the link gives other bytes")
        expect(fetch(url.replace("plus", "minus"))[0] == 403, "the signature of another key is taken")

    @step("versions: list, delete, restore, remove for good")
    def versions(self):
        self.api("create-bucket", bucket="-v")
        self.api("put-bucket-versioning", "--versioning-configuration", "Status=Enabled", bucket="-v")
        first = self.api("put-object", "--key", "v", "--body", "f", bucket="-v")["VersionId"]
        self.aws("s3", "rm", f"s3://{self.bucket}-v/v")
        found = self.api("list-object-versions", bucket="-v")
        expect([each["VersionId"] for each in found["Versions"]] == [first] and len(found["DeleteMarkers"]) == 1, f"{found}")
        self.api("copy-object", "--key", "v", "--copy-source", f"{self.bucket}-v/v?versionId={first}", bucket="-v")
        self.api("get-object", "--key", "v", "restored", bucket="-v")
        expect((self.folder / "restored").read_bytes() == b"0123456789", "the restored bytes")
        found = self.api("list-object-versions", bucket="-v")
        every = [{"Key": "v", "VersionId": each["VersionId"]} for each in [*found["Versions"], *found["DeleteMarkers"]]]
        self.api("delete-objects", "--delete", json.dumps({"Objects": every}), bucket="-v")
        self.api("delete-bucket", bucket="-v")

    @step("multipart upload by hand: list and abort")
    def by_hand(self):
        upload = self.api("create-multipart-upload", "--key", "half")["UploadId"]
        at = ["--key", "half", "--upload-id", upload]
        self.api("upload-part", *at, "--part-number", "1", "--body", "f")
        expect([u["UploadId"] for u in self.api("list-multipart-uploads")["Uploads"]] == [upload], "the upload is listed")
        expect(self.api("list-parts", *at)["Parts"][0]["Size"] == 10, "the part is listed")
        self.api("abort-multipart-upload", *at)
        expect(not self.api("list-multipart-uploads").get("Uploads"), "the upload is gone")

    @step("missing key, bucket that is not empty, wrong secret")
    def refusals(self):
        none = self.aws("s3api", "get-object", "--bucket", self.bucket, "--key", "none", "x", ok=False)
        expect(none.code in (254, 255) and "NoSuchKey" in none.err, f"{none.code}: {none.err}")
        expect(self.aws("s3", "ls", self.at("none"), ok=False).code == 1, "`ls` of nothing")
        expect("404" in self.aws("s3", "cp", self.at("none"), "x", ok=False).err, "`cp` of nothing")
        expect("BucketNotEmpty" in self.aws("s3", "rb", f"s3://{self.bucket}", ok=False).err, "`rb`")
        wrong = self.aws("s3", "ls", env=WRONG_SECRET, ok=False)
        expect("SignatureDoesNotMatch" in wrong.err, wrong.err)

    @step("https with a private authority")
    def https(self):
        node = self.servers.secure
        env = {"AWS_ENDPOINT_URL": node.endpoint, "AWS_CA_BUNDLE": str(self.servers.authority)}
        self.aws("s3", "mb", f"s3://{self.bucket}", env=env)
        self.aws("s3", "cp", "large", self.at("l"), "--no-progress", env=env)
        self.aws("s3", "cp", self.at("l"), self.fresh("tls"), "--no-progress", env=env)
        expect((self.folder / "tls").read_bytes() == samples.large(), "other bytes came back")
        self.aws("s3", "rb", "--force", f"s3://{self.bucket}", env=env)
        no = self.aws("s3", "ls", env={"AWS_ENDPOINT_URL": node.endpoint}, ok=False)
        expect("certificate" in no.err.lower(), f"without the authority: {no.err}")

    @step("delete recursively, remove the bucket")
    def delete(self):
        self.aws("s3", "rm", "--recursive", self.at("t/"))
        self.emptied("t/")
        self.aws("s3", "rb", "--force", f"s3://{self.bucket}")
        self.gone()
