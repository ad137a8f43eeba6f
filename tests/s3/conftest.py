"""Multipart helper of the S3 suite."""

import pytest

from harness.node import Node


class Upload:
    """One multipart upload of key `k`."""

    def __init__(self, s3, bucket, key="k", **how):
        self.s3, self.bucket, self.key = s3, bucket, key
        self.id = s3.create_multipart_upload(Bucket=bucket, Key=key, **how)["UploadId"]
        self.etags = {}
        self.sums = {}

    @property
    def at(self):
        return {"Bucket": self.bucket, "Key": self.key, "UploadId": self.id}

    def _keep(self, number, answer):
        self.etags[number] = answer["ETag"]
        self.sums[number] = {k: v for k, v in answer.items() if k.startswith("Checksum") and k != "ChecksumType"}
        return answer

    def part(self, number, data, **how):
        return self._keep(number, self.s3.upload_part(**self.at, PartNumber=number, Body=data, **how))

    def copy(self, number, source, **how):
        answer = self.s3.upload_part_copy(**self.at, PartNumber=number, CopySource=source, **how)
        return self._keep(number, answer["CopyPartResult"])

    def listed(self, with_sums=False):
        """The part list for Complete, in order."""
        extra = self.sums if with_sums else {}
        return [{"PartNumber": n, "ETag": self.etags[n]} | extra.get(n, {}) for n in sorted(self.etags)]

    def complete(self, parts=None, **how):
        parts = self.listed() if parts is None else parts
        return self.s3.complete_multipart_upload(**self.at, MultipartUpload={"Parts": parts}, **how)

    def abort(self):
        return self.s3.abort_multipart_upload(**self.at)


@pytest.fixture
def upload(s3, bucket):
    """Begins an upload: `upload()`; keywords go to CreateMultipartUpload."""
    return lambda key="k", **how: Upload(s3, bucket, key, **how)


@pytest.fixture
def own_node():
    """A node for one test, to be stopped or looked at."""
    with Node("own", mount=False) as node:
        yield node
