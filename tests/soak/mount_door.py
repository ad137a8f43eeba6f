"""Operations of one writer on the mount, each result checked; some look at the other door at once."""

import os
import stat

from harness import s3 as s3c
from harness.settings import XATTR_META
from harness.syscalls import opened, read_file

from .options import OWN

ANEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class MountDoor:
    """Works on the keys of one writer."""

    def __init__(self, s3, mount, keys):
        self.s3, self.keys, self.rng = s3, keys, keys.rng
        self.top = mount / OWN
        self.made = 0
        for name in [keys.top, *keys.directories]:
            os.mkdir(self.at(name))

    def operations(self):
        """Each with how often."""
        return {self.write: 8, self.synced: 2, self.replace: 4, self.append: 4, self.in_place: 3, self.truncate: 2,
                self.read: 12, self.stat: 6, self.names: 2, self.rename: 3, self.unlink: 4, self.xattr: 2, self.directory: 1}

    def at(self, name):
        return self.top / name

    def _fill(self, fd, data):
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    def _write(self, name, content, sync=False):
        data = self.keys.pool.data(content)
        with self.keys.timed("create, write, close" + (", with fsync" if sync else ""), len(data)):
            with opened(self.at(name), ANEW) as fd:
                self._fill(fd, data)
                if sync:
                    os.fsync(fd)

    def write(self, sync=False):
        name, content = self.keys.any_name(), self.keys.pool.fresh(self.rng)
        self._write(name, content, sync)
        self.keys.is_now(name, content)

    def synced(self):
        self.write(sync=True)

    def replace(self):
        """Written aside, synced, renamed over: as editors do."""
        name, content = self.keys.any_name(), self.keys.pool.fresh(self.rng)
        aside = f"{name}.new"
        self._write(aside, content, sync=True)
        with self.keys.timed("rename"):
            os.rename(self.at(aside), self.at(name))
        self.keys.is_now(name, content)

    def _changed(self, what, flags, at, more):
        """Writes `more` into a file that is there, at an offset or, for None, its end."""
        name = self.keys.some()
        if name is None:
            return
        before = self.keys.contents[name]
        at = before.size if at is None else self.rng.randrange(before.size + 1)
        with self.keys.timed(what):
            with opened(self.at(name), flags) as fd:
                os.lseek(fd, at, os.SEEK_SET)
                self._fill(fd, self.keys.pool.data(more))
        self.keys.is_now(name, before.written(at, more))

    def append(self):
        self._changed("append", os.O_WRONLY | os.O_APPEND, None, self.keys.pool.fresh(self.rng, self.rng.randrange(1, 5000)))

    def in_place(self):
        self._changed("write in place", os.O_RDWR, 0, self.keys.pool.fresh(self.rng, self.rng.randrange(1, 20_000)))

    def truncate(self):
        name = self.keys.some()
        if name is None:
            return
        before = self.keys.contents[name]
        size = self.rng.randrange(before.size + 10_000)
        with self.keys.timed("truncate"):
            os.truncate(self.at(name), size)
        self.keys.is_now(name, before.truncated(size))

    def read(self):
        name = self.keys.some()
        if name is None:
            return
        with self.keys.timed("read", self.keys.contents[name].size):
            data = read_file(self.at(name))
        self.keys.same(name, data, "read")

    def stat(self):
        name = self.keys.any_name()
        content = self.keys.contents.get(name)
        with self.keys.timed("stat"):
            there = os.path.exists(self.at(name))
        assert there == (content is not None), f"stat: {name} is {'there' if there else 'not there'}"
        if there:
            found = os.stat(self.at(name))
            assert stat.S_ISREG(found.st_mode), f"stat: {name} has mode {found.st_mode:o}"
            assert found.st_size == content.size, f"stat: {name} has {found.st_size} bytes, right are {content.size}"

    def names(self):
        directory = self.rng.choice(self.keys.directories)
        with self.keys.timed("readdir with stat"):
            found = {entry.name: entry.stat().st_size for entry in os.scandir(self.at(directory))}
        want = self.keys.within(directory)
        assert found == want, f"readdir of {directory}: {sorted(set(found.items()) ^ set(want.items()))} differ"

    def rename(self):
        source, name = self.keys.some(), self.keys.any_name()
        if source is None or source == name:
            return
        with self.keys.timed("rename"):
            os.rename(self.at(source), self.at(name))
        content = self.keys.contents[source]
        self.keys.is_now(source, None)
        self.keys.is_now(name, content)

    def unlink(self):
        name = self.keys.some()
        if name is None:
            return
        with self.keys.timed("unlink"):
            os.unlink(self.at(name))
        self.keys.is_now(name, None)

    def xattr(self):
        """User metadata set here is seen there at once."""
        name = self.keys.some()
        if name is None:
            return
        value = f"{self.rng.randrange(10**9)}"
        with self.keys.timed("setxattr"):
            os.setxattr(self.at(name), XATTR_META + "soak", value.encode())
        assert os.getxattr(self.at(name), XATTR_META + "soak") == value.encode()
        found = self.s3.head_object(Bucket=OWN, Key=name)["Metadata"].get("soak")
        assert found == value, f"the metadata of {name} is {found} over S3, right is {value}"

    def directory(self):
        """A directory's life: made here, filled at both doors, renamed, seen there, emptied at both, removed."""
        self.made += 1
        old, new = (f"{self.keys.top}/{kind}{self.made}" for kind in ("making", "made"))
        body = self.rng.randbytes(50)
        with self.keys.timed("mkdir"):
            os.mkdir(self.at(old))
        self.s3.put_object(Bucket=OWN, Key=f"{old}/there", Body=body)
        with opened(self.at(f"{old}/here"), ANEW) as fd:
            self._fill(fd, body)
        with self.keys.timed("rename of a directory"):
            os.rename(self.at(old), self.at(new))
        found = s3c.keys(self.s3, OWN, Prefix=f"{new}/")
        assert found == [f"{new}/", f"{new}/here", f"{new}/there"], f"the renamed directory lists {found}"
        assert s3c.keys(self.s3, OWN, Prefix=f"{old}/") == [], f"{old} is still listed"
        assert read_file(self.at(f"{new}/there")) == s3c.body(self.s3, OWN, f"{new}/here") == body
        os.unlink(self.at(f"{new}/here"))
        self.s3.delete_object(Bucket=OWN, Key=f"{new}/there")
        with self.keys.timed("rmdir"):
            os.rmdir(self.at(new))
