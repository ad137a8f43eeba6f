"""restic, which keeps a repository of encrypted packs in a bucket."""

import json

from harness.data import noise

from . import samples
from .trip import WRONG_SECRET, Trip, expect, step


class Restic(Trip):
    """Backups."""

    name = "restic"
    title = "restic"

    def version(self):
        return self.execute([self.program(), "version"]).out.split()[1]

    def environment(self):
        return super().environment() | {
            "RESTIC_REPOSITORY": f"s3:{self.node.endpoint}/{self.bucket}/repository", "RESTIC_PASSWORD": "a-password",
            "RESTIC_CACHE_DIR": str(self.folder / "cache"), "RESTIC_COMPRESSION": "off", "RESTIC_PACK_SIZE": "16",
        }

    def restic(self, *words, **how):
        """One command."""
        return self.execute([self.program(), *words], **how)

    def documents(self, *words):
        """What one command prints as JSON, line by line."""
        return [json.loads(line) for line in self.restic("--json", *words).out.splitlines() if line]

    @step("init, which makes the bucket")
    def make(self):
        self.restic("init")
        expect(self.stored("repository/config"), "there is no repository")
        expect("already" in self.restic("init", ok=False).err, "a second `init`")

    @step("backup of a tree of odd names and 40 MiB, packs of 16 MiB")
    def backup(self):
        self.files = samples.tree() | {"large.bin": samples.large()}
        samples.write(self.fresh("tree"), self.files)
        self.restic("backup", "tree")
        packs = self.stored("repository/data/")
        expect(len(packs) > 2, f"{len(packs)} packs")
        expect(all(name.rsplit("/", 1)[-1] == digest for name, digest in packs.items()), "a pack's name is not its digest")

    @step("second backup transfers nothing, a changed one little")
    def again(self):
        said = self.documents("backup", "tree")[-1]
        expect(said["files_new"] == said["files_changed"] == said["data_added"] == 0, f"{said}")
        self.files["large.bin"] = samples.large() + noise(100_000, "more")
        (self.folder / "tree/large.bin").write_bytes(self.files["large.bin"])
        said = self.documents("backup", "tree")[-1]
        expect(said["files_changed"] == 1 and said["data_added"] < 20 * samples.MIB, f"{said}")

    @step("check --read-data")
    def check(self):
        expect("no errors were found" in self.restic("check", "--read-data").out, "`check`")

    @step("snapshots, ls, find, dump, stats")
    def looks(self):
        expect(len(self.documents("snapshots")[0]) == 3, "three snapshots")
        listed = {each["path"] for each in self.documents("ls", "latest") if each.get("type") == "file"}
        expect(listed == {f"/tree/{name}" for name in self.files}, "`ls`")
        expect(self.restic("dump", "latest", "/tree/plus+sign").out == "the bytes of plus+sign", "`dump`")
        expect(self.documents("stats", "--mode", "raw-data")[0]["total_blob_count"] > 0, "`stats`")

    @step("restore and compare, without a cache")
    def restore(self):
        self.restic("--no-cache", "restore", "latest", "--verify", "--target", self.fresh("back"))
        self.came(self.folder / "back/tree", self.files)

    @step("forget and prune")
    def prune(self):
        self.restic("forget", "--keep-last", "1", "--prune", "--max-unused", "0")
        self.restic("check", "--read-data")
        self.restic("restore", "latest", "--target", self.fresh("back"))
        self.came(self.folder / "back/tree", self.files)

    @step("a damaged pack is found, missing repository, wrong secret and password")
    def refusals(self):
        pack = max(self.stored("repository/data/"))
        key = f"repository/data/{pack}"
        data = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data[:100] + bytes([data[100] ^ 1]) + data[101:])
        self.restic("check", "--read-data", ok=False)
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)
        self.restic("check", "--read-data")
        none = self.restic("snapshots", env={"RESTIC_REPOSITORY": f"s3:{self.node.endpoint}/{self.bucket}/none"}, ok=False)
        expect(none.code == 10, f"no repository: {none.code} {none.err}")
        expect(self.restic("snapshots", env={"RESTIC_PASSWORD": "other"}, ok=False).code == 12, "a wrong password")
        self.restic("--no-cache", "snapshots", env=WRONG_SECRET | {"RESTIC_TEST_RETRIES": "0"}, ok=False)

    @step("locks are gone; remove all")
    def delete(self):
        expect(not self.stored("repository/locks/"), "locks are left")
        for key in self.stored():
            self.s3.delete_object(Bucket=self.bucket, Key=key)
        self.s3.delete_bucket(Bucket=self.bucket)
        self.gone()
