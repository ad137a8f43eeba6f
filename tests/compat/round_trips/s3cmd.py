"""s3cmd."""

from harness import settings

from . import samples
from .trip import Trip, expect, fetch, step

CONFIG = """[default]
access_key = {access}
secret_key = {secret}
host_base = {host}
host_bucket = {host}
use_https = False
signature_v2 = False
progress_meter = False
max_retries = 1
"""
#: Without it a copy sets the source's list on the new object, which AWS refuses too where object ownership is enforced.
PRIVATE = "--acl-private"


class S3cmd(Trip):
    """The old Python client, with HTTP and XML of its own."""

    name = "s3cmd"
    title = "s3cmd"

    def version(self):
        return self.execute([self.program(), "--version"]).out.split()[-1]

    def prepare(self):
        for name, secret in (("config", settings.ROOT_SECRET), ("wrong", "wrong")):
            text = CONFIG.format(access=settings.ROOT_ACCESS, secret=secret, host=self.node.s3_addr)
            (self.folder / name).write_text(text)

    def s3cmd(self, *words, config="config", **how):
        """One command."""
        # Without a locale it cannot spell the names.
        env = {"LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore"}
        return self.execute([self.program(), "-c", self.folder / config, *words], env=env, **how)

    def at(self, key=""):
        return f"s3://{self.bucket}/{key}"

    @step("make a bucket")
    def make(self):
        self.s3cmd("mb", f"s3://{self.bucket}")
        expect(self.bucket in self.s3cmd("ls").out, "`ls` does not show it")

    @step("put and get 40 MiB in parts")
    def large(self):
        (self.folder / "large").write_bytes(samples.large())
        self.s3cmd("put", "large", self.at("large.bin"))
        self.in_parts("large.bin")
        self.s3cmd("get", self.at("large.bin"), "back")
        expect((self.folder / "back").read_bytes() == samples.large(), "other bytes came back")

    @step("a tree of odd names up and down")
    def tree(self):
        folder = samples.write(self.fresh("tree"), samples.tree())
        self.s3cmd("put", "--recursive", f"{folder}/", self.at("t/"))
        self.holds("t/", samples.tree())
        down = self.fresh("down")
        down.mkdir()
        self.s3cmd("get", "--recursive", self.at("t/"), f"{down}/")
        self.came(down, samples.tree())

    @step("list: recursive, one level, pages")
    def lists(self):
        lines = self.s3cmd("ls", "--recursive", self.at("t/")).out.splitlines()
        names = {line.split(self.at("t/"), 1)[1] for line in lines}
        expect(names == set(samples.tree()), f"listed: {names ^ set(samples.tree())}")
        level = self.s3cmd("ls", self.at("t/")).out
        expect("DIR" in level and "deep" not in level, f"one level: {level}")
        many = self.s3cmd("ls", "--recursive", f"s3://{self.many}/").out.splitlines()
        expect(len(many) == samples.MANY, f"{len(many)} of {samples.MANY} keys in pages")

    @step("stat, resumed download, metadata, usage")
    def stat(self):
        (self.folder / "f").write_bytes(b"0123456789")
        self.s3cmd("put", "--add-header=x-amz-meta-colour:blue", "--mime-type=text/x-test", "f", self.at("m"))
        said = self.s3cmd("info", self.at("m")).out
        expect("x-amz-meta-colour: blue" in said and "text/x-test" in said, said)
        (self.folder / "part").write_bytes(b"0123")
        self.s3cmd("get", "--continue", self.at("m"), "part")
        expect((self.folder / "part").read_bytes() == b"0123456789", "a download that goes on")
        self.s3cmd("modify", PRIVATE, "--add-header=x-amz-meta-colour:red", self.at("m"))
        expect(self.s3.head_object(Bucket=self.bucket, Key="m")["Metadata"]["colour"] == "red", "changed metadata")
        expect("10" in self.s3cmd("du", self.at("m")).out, "`du`")

    @step("copy and move (with `--acl-private`)")
    def copies(self):
        self.s3cmd("cp", PRIVATE, self.at("large.bin"), self.at("copy of +large"))
        self.s3cmd("mv", PRIVATE, self.at("copy of +large"), self.at("moved %41"))
        expect(self.stored("moved ") == samples.sums({"%41": samples.large()}), "the moved copy")
        self.s3cmd("cp", PRIVATE, "--recursive", self.at("t/"), self.at("t2/"))
        self.holds("t2/", samples.tree())

    @step("sync twice")
    def syncs(self):
        self.s3cmd("sync", f"{self.folder / 'tree'}/", self.at("s/"))
        self.holds("s/", samples.tree())
        again = self.s3cmd("sync", f"{self.folder / 'tree'}/", self.at("s/")).out
        expect("upload:" not in again and "remote copy:" not in again, f"the second sync did: {again[:300]}")

    @step("presigned URL (SigV2) is refused in words")
    def presigned(self):
        url = self.s3cmd("signurl", self.at("t/five"), "+60").out.strip()
        status, said = fetch(url)
        expect(status == 400 and b"AWS4-HMAC-SHA256" in said, f"{status}: {said}")

    @step("CORS, uploads")
    def others(self):
        (self.folder / "cors").write_text(
            "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>"
            "</CORSConfiguration>"
        )
        self.s3cmd("setcors", "cors", f"s3://{self.bucket}")
        expect("CORS" in self.s3cmd("info", f"s3://{self.bucket}").out, "`info` of the bucket")
        self.s3cmd("multipart", f"s3://{self.bucket}")

    @step("missing key, bucket that is not empty, wrong secret")
    def refusals(self):
        expect(self.s3cmd("get", self.at("none"), "x", ok=False).code in (12, 64), "a missing key")
        expect(self.s3cmd("info", self.at("none"), ok=False).code == 12, "`info` of a missing key")
        expect("BucketNotEmpty" in self.s3cmd("rb", f"s3://{self.bucket}", ok=False).err, "`rb`")
        wrong = self.s3cmd("ls", config="wrong", ok=False)
        expect(wrong.code == 77 and "SignatureDoesNotMatch" in wrong.err, f"{wrong.code}: {wrong.err}")

    @step("delete recursively, remove the bucket")
    def delete(self):
        self.s3cmd("del", "--recursive", "--force", self.at("t/"))
        self.emptied("t/")
        self.s3cmd("rb", "--recursive", "--force", f"s3://{self.bucket}")
        self.gone()
