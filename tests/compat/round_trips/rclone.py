"""rclone."""

import json

from harness import settings

from . import samples
from .trip import Trip, expect, fetch, step


class Rclone(Trip):
    """Copies between file systems; its S3 backend is on the second AWS SDK for Go."""

    name = "rclone"
    title = "rclone"

    def version(self):
        return self.pinned() or self.execute([self.program(), "version"]).out.split()[1]

    def environment(self):
        remotes = {"P": (self.node, settings.ROOT_SECRET), "WRONG": (self.node, "wrong")}
        env = super().environment() | {"RCLONE_CONFIG": str(self.folder / "rclone.conf")}
        # The two spellings of an e with an accent are two names.
        env["RCLONE_NO_UNICODE_NORMALIZATION"] = "true"
        for name, (node, secret) in remotes.items():
            env |= self.remote(name, node, secret)
        return env

    def remote(self, name, node, secret):
        """A remote as environment variables."""
        options = {
            "TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": node.endpoint, "REGION": settings.REGION,
            "ACCESS_KEY_ID": settings.ROOT_ACCESS, "SECRET_ACCESS_KEY": secret,
        }
        return {f"RCLONE_CONFIG_{name}_{option}": value for option, value in options.items()}

    def rclone(self, *words, **how):
        """One command, without second tries."""
        return self.execute([self.program(), *words, "--retries", "1", "--low-level-retries", "1"], **how)

    def listed(self, *words):
        """What `lsjson` shows: {path: entry}."""
        return {each["Path"]: each for each in json.loads(self.rclone("lsjson", *words).out)}

    def at(self, key=""):
        return f"P:{self.bucket}/{key}"

    @step("make a bucket")
    def make(self):
        (self.folder / "rclone.conf").touch()
        self.rclone("mkdir", f"P:{self.bucket}")
        expect(self.bucket in self.rclone("lsd", "P:").out, "`lsd` does not show it")

    @step("put and get 40 MiB in parts")
    def large(self):
        (self.folder / "large").write_bytes(samples.large())
        parts = ["--s3-upload-cutoff", "10M", "--s3-chunk-size", "8M"]
        self.rclone("copyto", "large", self.at("large.bin"), *parts)
        self.in_parts("large.bin")
        self.rclone("copyto", self.at("large.bin"), "back", "--multi-thread-cutoff", "8M")
        expect((self.folder / "back").read_bytes() == samples.large(), "other bytes came back")
        self.rclone("rcat", self.at("piped"), *parts, "--streaming-upload-cutoff", "1M", stdin=samples.large())
        expect(self.stored("piped") == samples.sums({"": samples.large()}), "through a pipe")

    @step("a tree of odd names up and down, check")
    def tree(self):
        folder = samples.write(self.fresh("tree"), samples.tree())
        self.rclone("copy", folder, self.at("t"))
        self.holds("t/", samples.tree())
        self.rclone("copy", self.at("t"), self.fresh("down"))
        self.came(self.folder / "down", samples.tree())
        times = {int((self.folder / "down" / name).stat().st_mtime) for name in samples.tree()}
        expect(times == {samples.MTIME}, f"times came back as {times}")
        self.rclone("check", folder, self.at("t"))
        self.rclone("check", "--download", folder, self.at("t"))

    @step("list: recursive, one level, pages, size")
    def lists(self):
        found = self.listed("--recursive", "--files-only", self.at("t"))
        expect(found.keys() == samples.tree().keys(), f"listed: {found.keys() ^ samples.tree().keys()}")
        level = self.listed(self.at("t"))
        expect(level["dir"]["IsDir"] and "dir/deep/er/file" not in level, "one level")
        many = self.listed("--recursive", "--files-only", f"P:{self.many}", "--s3-list-chunk", "100")
        expect(len(many) == samples.MANY, f"{len(many)} of {samples.MANY} keys in pages")
        sized = json.loads(self.rclone("size", "--json", f"P:{self.many}", "--fast-list").out)
        expect(sized["count"] == samples.MANY, f"{sized}")

    @step("stat, range, metadata, hashes")
    def stat(self):
        (self.folder / "f").write_bytes(b"0123456789")
        self.rclone("copyto", "f", self.at("m"), "--metadata", "--metadata-set", "colour=blue")
        said = self.listed("--metadata", "--hash", self.at("m"))["m"]
        expect(said["Metadata"]["colour"] == "blue" and said["Size"] == 10, f"{said}")
        expect(said["Hashes"]["md5"] == "781e5e245d69b566979b86e28d23f2c7", f"{said}")
        expect(self.rclone("cat", "--offset", "2", "--count", "4", self.at("m")).out == "2345", "range")

    @step("copy and move")
    def copies(self):
        self.rclone("copyto", self.at("large.bin"), self.at("copy of +large"))
        self.rclone("moveto", self.at("copy of +large"), self.at("moved %41"))
        expect(self.stored("moved ") == samples.sums({"%41": samples.large()}), "the moved copy")
        parts = ["--s3-copy-cutoff", "10M", "--s3-upload-cutoff", "10M", "--s3-chunk-size", "8M"]
        self.rclone("copyto", self.at("large.bin"), self.at("in parts"), *parts)
        expect(self.stored("in parts") == samples.sums({"": samples.large()}), "a copy in parts")
        self.rclone("copy", self.at("t"), self.at("t2"))
        self.holds("t2/", samples.tree())

    @step("sync twice, with deletions")
    def syncs(self):
        folder = self.folder / "tree"
        self.rclone("sync", folder, self.at("s"))
        self.holds("s/", samples.tree())
        again = self.rclone("sync", "--use-json-log", "--verbose", "--stats-log-level", "NOTICE", folder, self.at("s")).err
        expect("Copied" not in again and "Updated" not in again, f"the second sync did: {again[:600]}")
        self.rclone("sync", self.folder / "tree" / "dir", self.at("s"))
        below = {name[4:]: data for name, data in samples.tree().items() if name.startswith("dir/")}
        self.holds("s/", below)

    @step("presigned URL")
    def presigned(self):
        url = self.rclone("link", "--expire", "1m", self.at("t/plus+sign")).out.strip()
        expect(fetch(url) == (200, b"the bytes of plus+sign"), "the link gives other bytes")

    @step("versions: list, read, clean up")
    def versions(self):
        bucket = f"P:{self.bucket}-v"
        self.rclone("mkdir", bucket)
        self.rclone("backend", "versioning", bucket, "Enabled")
        for text in (b"first", b"second"):
            self.rclone("rcat", f"{bucket}/v.txt", stdin=text)
        self.rclone("deletefile", f"{bucket}/v.txt")
        expect(not self.listed(bucket), "a deleted file is shown")
        old = self.listed("--s3-versions", bucket)
        texts = {self.rclone("cat", "--s3-versions", f"{bucket}/{name}").out for name in old}
        expect(texts == {"first", "second"}, f"{old.keys()}: {texts}")
        self.rclone("backend", "cleanup-hidden", bucket)
        expect(not self.listed("--s3-versions", bucket), "versions are left")
        self.rclone("rmdir", bucket)

    @step("crypt over it")
    def crypt(self):
        env = {
            "RCLONE_CONFIG_C_TYPE": "crypt", "RCLONE_CONFIG_C_REMOTE": self.at("secret"),
            "RCLONE_CONFIG_C_PASSWORD": self.rclone("obscure", "a-password").out.strip(),
        }
        files = {name: data for name, data in samples.tree().items() if len(name) < 140}
        folder = samples.write(self.fresh("short"), files)
        self.rclone("copy", folder, "C:", env=env)
        self.rclone("cryptcheck", folder, "C:", env=env)
        self.rclone("copy", "C:", self.fresh("clear"), env=env)
        self.came(self.folder / "clear", files)

    @step("missing key, bucket that is not empty, wrong secret")
    def refusals(self):
        none = self.rclone("deletefile", self.at("none"), ok=False)
        expect(none.code == 4, f"a missing key: {none.code} {none.err}")
        expect(self.rclone("lsf", "P:no-such-bucket-here", ok=False).code == 3, "a missing bucket")
        expect("BucketNotEmpty" in self.rclone("rmdir", f"P:{self.bucket}", ok=False).err, "`rmdir`")
        wrong = self.rclone("lsd", "WRONG:", ok=False)
        expect("SignatureDoesNotMatch" in wrong.err, wrong.err)

    @step("https with a private authority")
    def https(self):
        env = self.remote("P", self.servers.secure, settings.ROOT_SECRET)
        trust = ["--ca-cert", self.servers.authority]
        self.rclone("copyto", "large", self.at("l"), *trust, env=env)
        self.rclone("copyto", self.at("l"), self.fresh("tls"), *trust, env=env)
        expect((self.folder / "tls").read_bytes() == samples.large(), "other bytes came back")
        self.rclone("purge", f"P:{self.bucket}", *trust, env=env)
        expect("certificate" in self.rclone("lsd", "P:", env=env, ok=False).err, "without the authority")

    @step("delete recursively, remove the bucket")
    def delete(self):
        self.rclone("purge", self.at("t"))
        self.emptied("t/")
        self.rclone("purge", f"P:{self.bucket}")
        self.gone()
