"""boto3 with its transfer manager, as it is set up by default."""

import importlib.metadata

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from harness import s3 as s3c
from harness import settings

from . import samples
from .trip import Trip, expect, fetch, send, send_form, step


class Boto(Trip):
    """The Python SDK."""

    name = "boto3"
    title = "boto3"

    def version(self):
        return importlib.metadata.version("boto3")

    def client(self, node=None, secret=settings.ROOT_SECRET, **more):
        """A client with boto3's own settings but for the endpoint and SigV4."""
        return boto3.client(
            "s3", endpoint_url=(node or self.node).endpoint, aws_access_key_id=settings.ROOT_ACCESS,
            aws_secret_access_key=secret, region_name=settings.REGION, config=Config(signature_version="s3v4"), **more,
        )

    def prepare(self):
        self.mine = self.client()

    @step("make a bucket")
    def make(self):
        self.mine.create_bucket(Bucket=self.bucket)
        self.mine.get_waiter("bucket_exists").wait(Bucket=self.bucket)

    @step("put and get 40 MiB in parts")
    def large(self):
        (self.folder / "large").write_bytes(samples.large())
        self.mine.upload_file(str(self.folder / "large"), self.bucket, "large.bin")
        self.in_parts("large.bin")
        self.mine.download_file(self.bucket, "large.bin", str(self.folder / "back"))
        expect((self.folder / "back").read_bytes() == samples.large(), "other bytes came back")

    @step("odd names and control characters")
    def tree(self):
        files = {f"t/{name}": data for name, data in samples.tree().items()}
        files |= {"t/new\nline\ttab": b"control", "t//two///slashes": b"slashes", "t/ends in a slash/": b""}
        for key, data in files.items():
            self.mine.put_object(Bucket=self.bucket, Key=key, Body=data)
        expect(s3c.keys(self.mine, self.bucket, Prefix="t/") == sorted(files, key=str.encode), "the listing")
        for key, data in files.items():
            expect(s3c.body(self.mine, self.bucket, key) == data, f"bytes of {key!r}")

    @step("list: one level, pages")
    def lists(self):
        objects, prefixes = s3c.list_all(self.mine, self.many, Delimiter="/")
        expect(len(objects) == samples.MANY // 2 and prefixes == ["half/"], f"{len(objects)}, {prefixes}")
        expect(len(s3c.keys(self.mine, self.many)) == samples.MANY, "all pages")
        expect(len(s3c.keys(self.mine, self.many, PaginationConfig={"PageSize": 7})) == samples.MANY, "pages of 7")

    @step("stat, range, metadata, tags")
    def stat(self):
        at = {"Bucket": self.bucket, "Key": "m"}
        more = {"Metadata": {"colour": "blue"}, "Tagging": "a=b%20c", "ContentType": "text/x-test"}
        self.mine.put_object(**at, Body=b"0123456789", **more)
        head = self.mine.head_object(**at)
        expect(head["Metadata"] == {"colour": "blue"} and head["ContentType"] == "text/x-test", f"{head}")
        expect(s3c.body(self.mine, self.bucket, "m", Range="bytes=2-5") == b"2345", "range")
        expect(self.mine.get_object_tagging(**at)["TagSet"] == [{"Key": "a", "Value": "b c"}], "tags")

    @step("copy in one and in parts")
    def copies(self):
        source = {"Bucket": self.bucket, "Key": "large.bin"}
        self.mine.copy_object(Bucket=self.bucket, Key="one +%41", CopySource=source)
        self.mine.copy(source, self.bucket, "parts +%41")
        expect(set(self.stored("one ").values()) == set(self.stored("parts ").values()), "the copies differ")
        expect(set(self.stored("one ").values()) == {samples.sums({"": samples.large()})[""]}, "the copies' bytes")

    @step("presigned GET, PUT and form")
    def presigned(self):
        get = self.mine.generate_presigned_url("get_object", Params={"Bucket": self.bucket, "Key": "t/plus+sign"})
        expect(fetch(get) == (200, b"the bytes of plus+sign"), "GET")
        put = self.mine.generate_presigned_url("put_object", Params={"Bucket": self.bucket, "Key": "sent"})
        expect(send(put, b"by a link") == 200 and s3c.body(self.s3, self.bucket, "sent") == b"by a link", "PUT")
        form = self.mine.generate_presigned_post(self.bucket, "form/${filename}")
        status = send_form(form["url"], form["fields"], b"hello")
        expect(status == 204 and s3c.body(self.s3, self.bucket, "form/f") == b"hello", f"form: {status}")

    @step("versions: list, delete, restore, remove for good")
    def versions(self):
        bucket = boto3.resource(
            "s3", endpoint_url=self.node.endpoint, aws_access_key_id=settings.ROOT_ACCESS,
            aws_secret_access_key=settings.ROOT_SECRET, region_name=settings.REGION,
        ).create_bucket(Bucket=self.bucket + "-v")
        bucket.Versioning().enable()
        first = bucket.put_object(Key="v", Body=b"first").version_id
        bucket.put_object(Key="v", Body=b"second")
        bucket.Object("v").delete()
        bucket.Object("v").copy_from(CopySource={"Bucket": bucket.name, "Key": "v", "VersionId": first})
        expect(bucket.Object("v").get()["Body"].read() == b"first", "the restored bytes")
        expect(len(list(bucket.object_versions.all())) == 4, "four versions")
        bucket.object_versions.delete()
        bucket.delete()

    @step("missing key, wrong secret")
    def refusals(self):
        try:
            self.mine.get_object(Bucket=self.bucket, Key="none")
            raise AssertionError("a missing key was got")
        except self.mine.exceptions.NoSuchKey:
            pass
        try:
            self.client(secret="wrong").list_buckets()
            raise AssertionError("a wrong secret is taken")
        except ClientError as error:
            expect(error.response["Error"]["Code"] == "SignatureDoesNotMatch", f"{error}")

    @step("https with a private authority")
    def https(self):
        secure = self.client(self.servers.secure, verify=str(self.servers.authority))
        secure.create_bucket(Bucket=self.bucket)
        secure.upload_file(str(self.folder / "large"), self.bucket, "l")
        expect(s3c.body(secure, self.bucket, "l") == samples.large(), "other bytes came back")
        secure.delete_object(Bucket=self.bucket, Key="l")
        secure.delete_bucket(Bucket=self.bucket)

    @step("delete many, remove the bucket")
    def delete(self):
        keys = s3c.keys(self.mine, self.bucket)
        said = self.mine.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in keys]})
        expect(not said.get("Errors") and len(said["Deleted"]) == len(keys), f"{said.get('Errors')}")
        self.mine.delete_bucket(Bucket=self.bucket)
        self.gone()
