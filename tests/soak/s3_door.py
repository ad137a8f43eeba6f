"""Operations of one writer over S3, each answer checked."""

from harness import s3 as s3c
from harness.data import composite_etag, md5
from harness.settings import MIN_PART

from .options import OWN

PAGE = 50


class S3Door:
    """Works on the keys of one writer."""

    def __init__(self, s3, keys):
        self.s3, self.keys, self.rng = s3, keys, keys.rng

    def operations(self):
        """Each with how often."""
        return {self.put: 12, self.get: 12, self.part: 4, self.head: 6, self.delete: 4, self.list: 3, self.copy: 4,
                self.multipart: 0.5}

    @staticmethod
    def at(name):
        return {"Bucket": OWN, "Key": name}

    def put(self):
        name, content = self.keys.any_name(), self.keys.pool.fresh(self.rng)
        data = self.keys.pool.data(content)
        with self.keys.timed("PUT", len(data)):
            answer = self.s3.put_object(**self.at(name), Body=data)
        assert s3c.etag(answer) == md5(data), f"PUT of {name} answers ETag {answer['ETag']}"
        self.keys.is_now(name, content)

    def get(self):
        name = self.keys.some()
        if name is None:
            return
        with self.keys.timed("GET", self.keys.contents[name].size):
            data = s3c.body(self.s3, **self._words(name))
        self.keys.same(name, data, "GET")

    def part(self):
        name = self.keys.some()
        size = self.keys.contents[name].size if name else 0
        if not size:
            return
        first = self.rng.randrange(size)
        last = min(size - 1, first + self.rng.randrange(100_000))
        with self.keys.timed("GET range"):
            data = s3c.body(self.s3, **self._words(name), Range=f"bytes={first}-{last}")
        assert data == self.keys.data(name)[first : last + 1], f"GET of {name}, bytes {first} to {last}: not what was written"

    @staticmethod
    def _words(name):
        return {"bucket": OWN, "key": name}

    def head(self):
        name = self.keys.any_name()
        content = self.keys.contents.get(name)
        with self.keys.timed("HEAD"):
            size = None if s3c.absent(self.s3, OWN, name) else -1
        if content is not None and size is not None:
            size = self.s3.head_object(**self.at(name))["ContentLength"]
        assert size == (content.size if content else None), f"HEAD of {name}: {size}, right is {content and content.size}"

    def delete(self):
        name = self.keys.some() or self.keys.any_name()
        with self.keys.timed("DELETE"):
            self.s3.delete_object(**self.at(name))
        self.keys.is_now(name, None)

    def list(self):
        after = self.keys.any_name()
        with self.keys.timed("LIST page"):
            answer = self.s3.list_objects_v2(Bucket=OWN, Prefix=f"{self.keys.top}/", StartAfter=after, MaxKeys=PAGE)
        got = [(each["Key"], each["Size"]) for each in answer.get("Contents", [])]
        want = [row for row in self.keys.listed() if row[0].encode() > after.encode()][:PAGE]
        assert got == want, f"LIST after {after}: {sorted(set(got) ^ set(want))} differ"

    def copy(self):
        source, name = self.keys.some(), self.keys.any_name()
        if source is None or source == name:
            return
        with self.keys.timed("COPY"):
            self.s3.copy_object(**self.at(name), CopySource=self.at(source))
        self.keys.is_now(name, self.keys.contents[source])

    def multipart(self):
        """Of two parts; every third one is given up."""
        name, content = self.keys.any_name(), self.keys.pool.fresh(self.rng, MIN_PART + self.rng.randrange(1, 3_000_000))
        data = self.keys.pool.data(content)
        with self.keys.timed("create upload"):
            upload = {**self.at(name), "UploadId": self.s3.create_multipart_upload(**self.at(name))["UploadId"]}
        parts, bodies = [], [data[:MIN_PART], data[MIN_PART:]]
        for number, body in enumerate(bodies, 1):
            with self.keys.timed("part of an upload", len(body)):
                etag = self.s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
            parts.append({"PartNumber": number, "ETag": etag})
        if self.rng.random() < 1 / 3:
            with self.keys.timed("abort upload"):
                self.s3.abort_multipart_upload(**upload)
            return
        with self.keys.timed("complete upload"):
            answer = self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        assert s3c.etag(answer) == composite_etag(bodies), f"the upload of {name} answers ETag {answer['ETag']}"
        self.keys.is_now(name, content)
