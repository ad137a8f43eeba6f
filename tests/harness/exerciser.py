"""Random operations at both doors on one directory of a bucket, each checked against the model at once."""

import os

from . import cid
from . import s3 as s3c
from .data import composite_etag, md5
from .model import Dir, File, Tree
from .syscalls import RENAME_EXCHANGE, names, read_file, rename2, write_file

NAMES = ["a", "b", "c", "a-", "a.", "a0", "\u00e9", "%@x", "%@", ""]
SIZES = [0, 1, 100, 4096, 5000, 70_000, 300_000, 1_200_000]
WEIGHTS = [2, 2, 6, 2, 4, 3, 2, 1]
OPEN_FILES = 4


class Exerciser:
    """Works below `directory` of a bucket, which nobody else changes. `run` until a time; `log` says what was done."""

    def __init__(self, s3, bucket, mount, directory, rng):
        self.s3, self.bucket, self.rng = s3, bucket, rng
        self.top, self.prefix = mount / bucket / directory, directory + "/"
        os.mkdir(self.top)
        self.tree, self.log, self.steps = Tree(), [], 0
        self.held = []  # (descriptor, File): stay open across whatever happens to their names

    # ---- choosing
    def some_path(self):
        return tuple(self.rng.choice(NAMES) for _ in range(self.rng.choice([1, 1, 2, 2, 3])))

    def some_key(self):
        """Components of a key: not one that ends in an empty one, which would be a marker's."""
        path = self.some_path()
        return path if path[-1] else (*path[:-1], "z")

    def some_file(self, kinds=("file",)):
        files = [(p, f) for p, f in self.tree.all_files() if f.kind in kinds and p[-1]]
        return self.rng.choice(files) if files else (None, None)

    def some_dir(self):
        return self.rng.choice([(), *self.tree.all_dirs()])

    def some_data(self):
        return self.rng.randbytes(self.rng.choices(SIZES, WEIGHTS)[0])

    # ---- places
    def key(self, path):
        return self.prefix + "/".join(path)

    def at(self, path):
        return f"{self.top}/{self.tree.shown(path)}"

    def at_dir(self, path):
        return f"{self.top}/{self.tree.shown_dir(path)}" if path else str(self.top)

    def say(self, *words):
        self.log.append(" ".join(map(str, words)))

    # ---- S3
    def s3_put(self):
        path, data = self.some_key(), self.some_data()
        self.say("PUT", path, len(data))
        answer = self.s3.put_object(Bucket=self.bucket, Key=self.key(path), Body=data)
        assert s3c.etag(answer) == md5(data)
        self.tree.put(path, File(data, {md5(data)}))
        return path

    def s3_put_over(self):
        path, file = self.some_file(("file", "symlink"))
        if file is None:
            return None
        data = self.some_data()
        self.say("PUT over", path, len(data))
        self.s3.put_object(Bucket=self.bucket, Key=self.key(path), Body=data)
        self.tree.put(path, File(data, {md5(data)}))
        return path

    def s3_multipart(self):
        path, data = self.some_key(), self.some_data()
        self.say("multipart", path, len(data))
        at = {"Bucket": self.bucket, "Key": self.key(path)}
        upload = self.s3.create_multipart_upload(**at)["UploadId"]
        etag = self.s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=data)["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        self.s3.complete_multipart_upload(**at, UploadId=upload, MultipartUpload=parts)
        self.tree.put(path, File(data, {composite_etag([data])}))
        return path

    def s3_marker(self):
        path = self.some_key()
        data = b"" if self.rng.random() < 0.6 else self.rng.randbytes(50)
        self.say("PUT marker", path, len(data))
        self.s3.put_object(Bucket=self.bucket, Key=self.key(path) + "/", Body=data)
        self.tree.put_marker(path, data)

    def s3_delete(self):
        path = self.some_file(("file", "symlink", "fifo"))[0] if self.rng.random() < 0.8 else None
        path = path or self.some_key()
        self.say("DELETE", path)
        self.s3.delete_object(Bucket=self.bucket, Key=self.key(path))
        self.tree.delete(path)

    def s3_delete_marker(self):
        path = self.some_dir()
        if path and path[-1]:
            self.say("DELETE marker", path)
            self.s3.delete_object(Bucket=self.bucket, Key=self.key(path) + "/")
            self.tree.delete_marker(path)

    def s3_copy(self):
        source, file = self.some_file()
        path = self.some_key()
        if file is None or source == path:
            return None
        self.say("COPY", source, path)
        from_ = {"Bucket": self.bucket, "Key": self.key(source)}
        answer = self.s3.copy_object(Bucket=self.bucket, Key=self.key(path), CopySource=from_)
        etag = s3c.etag(answer["CopyObjectResult"])
        assert not file.etags or etag in file.etags | {md5(file.data)}
        self.tree.put(path, File(file.data, {etag}, file.kind))
        return path

    # ---- mount
    def _written(self, file, data):
        """After a change of bytes the ETag is the mount's."""
        file.write(data, cid.mount_etag(data))

    def free_name(self):
        """A directory, and a name in it that neither a file nor a directory has."""
        parent = self.some_dir()
        here, name = self.tree.dir(parent), self.rng.choice(NAMES)
        return (None, None) if not name or name in here.files or name in here.dirs else ((*parent, name), here)

    def fs_create(self):
        path, here = self.free_name()
        if path:
            data = self.some_data()
            self.say("create", path, len(data))
            write_file(self.at(path), data)
            here.files[path[-1]] = File(data, {cid.mount_etag(data)})
        return path

    def fs_rewrite(self):
        path, file = self.some_file()
        if file:
            data = self.some_data()
            self.say("rewrite", path, len(data))
            write_file(self.at(path), data)
            self._written(file, data)
        return path

    def fs_write_at(self):
        path, file = self.some_file()
        if file:
            at, piece = self.rng.randrange(len(file.data) + 5000), self.rng.randbytes(self.rng.randrange(1, 9000))
            self.say("write at", path, at, len(piece))
            fd = os.open(self.at(path), os.O_RDWR)
            os.pwrite(fd, piece, at)
            os.close(fd)
            data = file.data.ljust(at, b"\0")
            self._written(file, data[:at] + piece + data[at + len(piece) :])
        return path

    def fs_append(self):
        path, file = self.some_file()
        if file:
            piece = self.rng.randbytes(self.rng.randrange(1, 3000))
            self.say("append", path, len(piece))
            write_file(self.at(path), piece, os.O_WRONLY | os.O_APPEND)
            self._written(file, file.data + piece)
        return path

    def fs_truncate(self):
        path, file = self.some_file()
        if file:
            size = self.rng.choice([0, len(file.data) // 2, len(file.data), len(file.data) + 5000])
            self.say("truncate", path, size)
            os.truncate(self.at(path), size)
            self._written(file, file.data[:size].ljust(size, b"\0"))
        return path

    def fs_unlink(self):
        path, file = self.some_file(("file", "symlink", "fifo"))
        if file:
            self.say("unlink", path)
            os.unlink(self.at(path))
            self.tree.take(path)

    def fs_mkdir(self):
        path, here = self.free_name()
        if path:
            self.say("mkdir", path)
            os.mkdir(self.at_dir(path))
            here.dirs[path[-1]] = Dir(explicit=True)

    def fs_rmdir(self):
        path = self.some_dir()
        if not path:
            return
        self.say("rmdir", path)
        try:
            os.rmdir(self.at_dir(path))
            assert self.tree.dir(path).empty, "rmdir of a directory with something in it"
            self.tree.take_dir(path)
        except OSError as error:
            assert error.strerror == "Directory not empty" and not self.tree.dir(path).empty, error

    def fs_rename(self):
        path, file = self.some_file(("file", "symlink", "fifo"))
        target, here = self.free_name()
        if self.rng.random() < 0.3:
            target, other = self.some_file(("file", "symlink"))
            if other is file:
                return None
            here = target and self.tree.dir(target[:-1])
        if file is None or target is None:
            return None
        self.say("rename", path, target)
        os.rename(self.at(path), self.at(target))
        here.files[target[-1]] = file
        here.explicit |= file.kind == "fifo"
        self.tree.take(path)
        return target

    def fs_rename_dir(self):
        path = self.some_dir()
        target, here = self.free_name()
        if not path or target is None or target[: len(path)] == path:
            return
        self.say("rename directory", path, target)
        os.rename(self.at_dir(path), self.at_dir(target))
        # Attached before it is taken away: `here` may be its own parent, which then does not get empty.
        here.dirs[target[-1]] = self.tree.dir(path)
        self.tree.take_dir(path)

    def fs_exchange(self):
        (one, a), (two, b) = self.some_file(), self.some_file()
        if a and b and a is not b:
            self.say("exchange", one, two)
            rename2(self.at(one), self.at(two), RENAME_EXCHANGE)
            self.tree.dir(one[:-1]).files[one[-1]] = b
            self.tree.dir(two[:-1]).files[two[-1]] = a
        return one

    def fs_link(self):
        path, file = self.some_file()
        target, here = self.free_name()
        if file and target:
            self.say("link", path, target)
            os.link(self.at(path), self.at(target))
            here.files[target[-1]] = file

    def fs_symlink(self):
        path, here = self.free_name()
        if path:
            text = self.rng.choice(["a", "../x", "/nowhere", "\u00e9" * 40])
            self.say("symlink", path, text)
            os.symlink(text, self.at(path))
            here.files[path[-1]] = File(text.encode(), (), "symlink")

    def fs_mkfifo(self):
        path, here = self.free_name()
        if path:
            self.say("mkfifo", path)
            os.mkfifo(self.at(path))
            here.files[path[-1]] = File(b"", (), "fifo")
            here.explicit = True  # what S3 does not list keeps its directory listed (S3)

    # ---- descriptors that stay open
    def hold(self):
        path, file = self.some_file()
        if file and len(self.held) < OPEN_FILES:
            self.say("open", path)
            self.held.append((os.open(self.at(path), os.O_RDWR), file))

    def held_write(self):
        if self.held:
            fd, file = self.rng.choice(self.held)
            at, piece = self.rng.randrange(len(file.data) + 100), self.rng.randbytes(self.rng.randrange(1, 5000))
            self.say("write through an open descriptor", at, len(piece))
            os.pwrite(fd, piece, at)
            os.fsync(fd)
            data = file.data.ljust(at, b"\0")
            self._written(file, data[:at] + piece + data[at + len(piece) :])

    def held_read(self):
        for fd, file in self.held:
            assert os.fstat(fd).st_size == len(file.data), "size of an open descriptor"
            assert os.pread(fd, len(file.data) + 1, 0) == file.data, "bytes of an open descriptor"

    def let_go(self):
        if self.held:
            self.say("close")
            os.close(self.held.pop(self.rng.randrange(len(self.held)))[0])

    # ---- checking
    def check_listing(self):
        """S3's listing: keys in order, sizes, ETags."""
        objects, _ = s3c.list_all(self.s3, self.bucket, Prefix=self.prefix)
        got = [(o["Key"][len(self.prefix) :], o["Size"], s3c.etag(o)) for o in objects if o["Key"] != self.prefix]
        expected = self.tree.listing()
        assert [g[0] for g in got] == [e[0] for e in expected]
        # LIST does not wait for a file that is open for writing (ruling 20): its row may be of an earlier state.
        writing = {id(file) for _, file in self.held}
        late = {"/".join(path) for path, file in self.tree.all_files() if id(file) in writing}
        for (key, size, etag), (_, right, allowed) in zip(got, expected, strict=True):
            if key not in late:
                assert size == right, f"size of {key} in the listing: {size}, right is {right}"
                assert not allowed or etag in allowed, f"ETag of {key} in the listing: {etag}, right are {allowed}"

    def check_names(self):
        """Every directory of the mount, and every size and link count."""
        for path, here in self.tree.walk():
            got = [n.decode() for n in names(self.at_dir(path))]
            assert got == sorted(self.tree.names(here), key=str.encode), f"readdir of {path}"
        links = {}
        for _, file in self.tree.all_files():
            links[id(file)] = links.get(id(file), 0) + 1
        for path, file in self.tree.all_files():
            at = os.lstat(self.at(path))
            assert (at.st_size, at.st_nlink) == (len(file.data), links[id(file)]), f"stat of {path}"

    def check_file(self, path):
        """One file's bytes at both doors, and GET's ETag."""
        file = self.tree.file(path)
        if file is None or file.kind == "fifo":
            return
        on_mount = os.readlink(self.at(path)).encode() if file.kind == "symlink" else read_file(self.at(path))
        assert on_mount == file.data, f"bytes of {path} on the mount: {len(on_mount)}, expected {len(file.data)}"
        got = self.s3.get_object(Bucket=self.bucket, Key=self.key(path))
        body = got["Body"].read()
        assert body == file.data, f"bytes of {path} over S3: {len(body)}, expected {len(file.data)}"
        assert not file.etags or s3c.etag(got) in file.etags, f"GET's ETag of {path}"

    def check_all(self):
        """Everything."""
        self.check_listing()
        self.check_names()
        self.held_read()
        for path, _ in self.tree.all_files():
            self.check_file(path)

    def step(self):
        """One operation and its check."""
        weighted = [
            (self.s3_put, 8), (self.s3_put_over, 5), (self.s3_multipart, 2), (self.s3_marker, 2), (self.s3_delete, 6),
            (self.s3_delete_marker, 2), (self.s3_copy, 3), (self.fs_create, 6), (self.fs_rewrite, 4), (self.fs_write_at, 4),
            (self.fs_append, 3), (self.fs_truncate, 3), (self.fs_unlink, 5), (self.fs_mkdir, 3), (self.fs_rmdir, 4),
            (self.fs_rename, 5), (self.fs_rename_dir, 4), (self.fs_exchange, 1), (self.fs_link, 2), (self.fs_symlink, 1),
            (self.fs_mkfifo, 1), (self.hold, 3), (self.held_write, 4), (self.let_go, 2),
        ]
        calls, weights = zip(*weighted, strict=True)
        touched = self.rng.choices(calls, weights)[0]()
        self.check_listing()
        self.check_names()
        self.held_read()
        if touched:
            self.check_file(touched)
        self.steps += 1
        if self.steps % 40 == 0:
            self.check_all()

    def run(self, more):
        """Steps while `more()` says so, then everything once more."""
        try:
            while more():
                self.step()
            while self.held:
                self.let_go()
            self.check_all()
        except BaseException as error:
            error.add_note(f"step {self.steps} below {self.prefix}; the last operations:\n  " + "\n  ".join(self.log[-30:]))
            raise
