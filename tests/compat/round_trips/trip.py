"""One client's round trip: steps in their order, each of which passes or fails by itself."""

import hashlib
import os
import shutil
import subprocess
import traceback
import urllib.error
import urllib.request
from dataclasses import dataclass, field

from harness import s3 as s3c
from harness import settings

from . import samples

#: Seconds that one command of a client may take.
TIMEOUT = 300


class Failed(Exception):
    """A step did not do what it should."""


class Unavailable(Exception):
    """The client cannot be had here; the text says what it needs."""


@dataclass
class Result:
    """What came of one client."""

    client: str
    version: str = "–"
    #: Why it did not run at all, or None.
    skipped: str | None = None
    #: Titles of the steps that passed.
    passed: list = field(default_factory=list)
    #: {title of a step: message}.
    failed: dict = field(default_factory=dict)
    #: {title of a step: what it needs}: steps that could not run here.
    left_out: dict = field(default_factory=dict)


@dataclass
class Ran:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def both(self):
        return self.out + self.err


def step(title):
    """Marks a method as a step; a class's steps run in the order in which they are written."""

    def mark(method):
        method.step = title
        return method

    return mark


def expect(fine, message):
    """Fails the step where something is not so."""
    if not fine:
        raise Failed(message)


class Trip:
    """A client's steps are methods with `@step`. `many` is a bucket with more keys than a page holds."""

    name = ""
    #: What the page says it is.
    title = ""

    def __init__(self, servers, folder, many):
        self.servers, self.folder, self.many = servers, folder, many
        self.node = servers.plain
        self.s3 = s3c.client(self.node.endpoint)
        self.bucket = s3c.fresh_name(f"trip-{self.name}")

    def version(self):
        """The client's version; `Unavailable` where it is not there."""
        raise NotImplementedError

    def go(self):
        """Runs all steps."""
        result = Result(self.title)
        try:
            result.version = self.version()
            self.prepare()
        except Unavailable as why:
            result.skipped = str(why)
            return result
        for method in [m for m in vars(type(self)).values() if hasattr(m, "step")]:
            try:
                method(self)
                result.passed.append(method.step)
            except Unavailable as why:
                result.left_out[method.step] = str(why)
            except (Failed, AssertionError, subprocess.TimeoutExpired) as why:
                result.failed[method.step] = str(why)
            except Exception:  # a library's own error is a failed step too; the next ones still run
                result.failed[method.step] = traceback.format_exc(limit=-4)
        return result

    def prepare(self):
        """What has to be there before the first step."""

    # ---- programs
    def program(self):
        """Path of the client's program: PINFOLD_CLIENT_NAME, else on the PATH."""
        found = os.environ.get(f"PINFOLD_CLIENT_{self.name.upper()}") or shutil.which(self.name)
        if not found or not os.path.exists(found):
            raise Unavailable(f"needs {self.name}, which cannot be installed here")
        return found

    def pinned(self):
        """The version that its folder in the cache names, or None."""
        return self.program().partition(f"/tools/{self.name}-")[2].partition("/")[0] or None

    def environment(self):
        """Environment of its commands: the root account, nothing of the user's own."""
        return s3c.environment(self.node.endpoint, self.folder)

    def execute(self, words, *, ok=True, env=None, stdin=None, cwd=None):
        """Runs a command; it must end with 0 (`ok`), with another code (`ok=False`), or anyhow (`ok=None`)."""
        done = subprocess.run(
            [str(word) for word in words], env={**self.environment(), **(env or {})}, input=stdin, cwd=cwd or self.folder,
            stdin=None if stdin is not None else subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False,
        )
        ran = Ran(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        shown = " ".join(map(str, words[1:]))[:200]
        expect(ok is None or ok == (ran.code == 0), f"`{shown}` ended with {ran.code}: {ran.err[-1200:] or ran.out[-1200:]}")
        return ran

    def fresh(self, name):
        """A path below the trip's folder that does not exist."""
        path = self.folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        return path

    # ---- what the node has, seen by another client
    def stored(self, prefix="", bucket=None):
        """{key without prefix: SHA-256} of all keys that do not end in a slash."""
        bucket = bucket or self.bucket
        keys = [key for key in s3c.keys(self.s3, bucket, Prefix=prefix) if not key.endswith("/")]
        return {key[len(prefix):]: hashlib.sha256(s3c.body(self.s3, bucket, key)).hexdigest() for key in keys}

    def holds(self, prefix, files):
        """The bucket has these files below a prefix, and no others."""
        said = samples.difference(self.stored(prefix), samples.sums(files))
        expect(not said, f"in the bucket below {prefix!r}: {said}")

    def came(self, folder, files):
        """A folder has these files, and no others."""
        said = samples.difference(samples.read(folder), samples.sums(files))
        expect(not said, f"what came back: {said}")

    def in_parts(self, key):
        """The object was uploaded in parts, and whole."""
        head = self.s3.head_object(Bucket=self.bucket, Key=key)
        expect("-" in head["ETag"], f"{key} was not uploaded in parts: {head['ETag']}")
        expect(s3c.body(self.s3, self.bucket, key) == samples.large(), f"{key} has other bytes")

    def sent(self):
        """Bytes of objects that the node has sent so far."""
        return self.node.metric('pinfold_s3_sent_bytes_total{operation="GetObject"}')

    def gone(self):
        """The bucket does not exist any more."""
        names = [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]]
        expect(self.bucket not in names, "the bucket is still there")

    def emptied(self, prefix=""):
        """Nothing is left below a prefix."""
        left = s3c.keys(self.s3, self.bucket, Prefix=prefix)
        expect(not left, f"left: {left[:8]}")


def fetch(url, headers=None):
    """(status, bytes) of a plain GET, as a browser makes it."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def send(url, data, headers=None, method="PUT"):
    """Status of a plain request with a body."""
    request = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def send_form(url, fields, data):
    """Status of a browser's form with these fields and a file `f`."""
    parts = [("", value, name) for name, value in fields.items()] + [('; filename="f"', data.decode(), "file")]
    head = "--a-boundary\r\nContent-Disposition: form-data; name="
    body = "".join(f'{head}"{name}"{more}\r\n\r\n{value}\r\n' for more, value, name in parts)
    kind = {"Content-Type": "multipart/form-data; boundary=a-boundary"}
    return send(url, f"{body}--a-boundary--\r\n".encode(), kind, method="POST")


WRONG_SECRET = {"AWS_SECRET_ACCESS_KEY": settings.ROOT_SECRET[::-1]}
