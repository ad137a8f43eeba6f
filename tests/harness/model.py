"""The reference model of a namespace: a tree by S1-S5 and S10, small enough to be seen right.

A directory holds files (objects, symlinks, FIFOs) and directories apart from each other: `a` and `a/b` coexist (S2).
What S3 lists and what the mount shows are two views of the same tree.
"""

from dataclasses import dataclass, field


class File:
    """An inode that is not a directory; hard links share one. `etags` are the ETags that are right for it now."""

    def __init__(self, data, etags, kind="file"):
        self.data, self.etags, self.kind = data, set(etags), kind
        self.past = {}

    def write(self, data, etag):
        """New bytes through the mount. Bytes it had before may have the ETag that they had: nobody need have looked."""
        self.past.setdefault(self.data, set()).update(self.etags)
        self.etags = {etag} | self.past.get(data, set())
        self.data = data


@dataclass
class Dir:
    """A directory: explicit or implicit (S3), with or without content of its own (`dir/`)."""

    explicit: bool = False
    marker: bytes = b""
    files: dict = field(default_factory=dict)
    dirs: dict = field(default_factory=dict)

    @property
    def empty(self):
        return not self.files and not self.dirs and not self.marker


def escaped(name):
    """A key component as the mount shows it (S2)."""
    special = {"": "%@empty", ".": "%@dot", "..": "%@dotdot"}
    return special.get(name) or ("%@" + name if name.startswith("%@") else name)


class Tree:
    """One bucket or a directory of it."""

    def __init__(self):
        self.root = Dir(explicit=True)

    # ---- finding
    def dir(self, path):
        """The directory at these components, or None."""
        here = self.root
        for name in path:
            here = here.dirs.get(name)
            if here is None:
                return None
        return here

    def file(self, path):
        """The file at these components, or None."""
        parent = self.dir(path[:-1])
        return parent and parent.files.get(path[-1])

    def walk(self, path=(), here=None):
        """(path, directory) of every directory, the root first."""
        here = here or self.root
        yield path, here
        for name, below in here.dirs.items():
            yield from self.walk((*path, name), below)

    def all_files(self):
        """(path, file) of every file."""
        return [((*path, name), file) for path, here in self.walk() for name, file in here.files.items()]

    def all_dirs(self):
        """Paths of every directory but the root."""
        return [path for path, _ in self.walk() if path]

    # ---- S3's side
    def make(self, path):
        """The directory at these components, made implicitly where it is not there."""
        here = self.root
        for name in path:
            here = here.dirs.setdefault(name, Dir())
        return here

    def put(self, path, file):
        """PUT of a key: the name gets a new inode."""
        self.make(path[:-1]).files[path[-1]] = file

    def put_marker(self, path, data):
        """PUT of `dir/`."""
        here = self.make(path)
        here.explicit, here.marker = True, data

    def delete(self, path):
        """DELETE of a key; implicit directories that hold nothing go along. S3 does not see FIFOs."""
        file = self.file(path)
        if file and file.kind != "fifo":
            del self.dir(path[:-1]).files[path[-1]]
            self._prune(path[:-1])

    def delete_marker(self, path):
        """DELETE of `dir/`."""
        here = self.dir(path)
        if here:
            here.explicit, here.marker = False, b""
            self._prune(path)

    def _prune(self, path):
        while path and self.dir(path) and self.dir(path).empty and not self.dir(path).explicit:
            del self.dir(path[:-1]).dirs[path[-1]]
            path = path[:-1]

    def listing(self):
        """(key, size, allowed ETags or None) of everything S3 lists, in its order."""
        rows = []
        for path, here in self.walk():
            if path and here.explicit:
                rows.append(("/".join(path) + "/", len(here.marker), None))
            for name, file in here.files.items():
                if file.kind != "fifo":
                    rows.append(("/".join((*path, name)), len(file.data), file.etags))
        return sorted(rows, key=lambda row: row[0].encode())

    # ---- the mount's side
    def shown(self, path):
        """Path of a file on the mount."""
        parent = self.dir(path[:-1])
        name = f"%@object:{path[-1]}" if parent and path[-1] in parent.dirs else escaped(path[-1])
        return "/".join([*map(escaped, path[:-1]), name])

    def shown_dir(self, path):
        """Path of a directory on the mount."""
        return "/".join(map(escaped, path))

    def names(self, here):
        """What readdir gives, sorted."""
        found = {escaped(name) for name in here.dirs}
        found |= {f"%@object:{name}" if name in here.dirs else escaped(name) for name in here.files}
        if here.marker:
            found.add("%@self")
        return sorted(found)

    def take(self, path):
        """Removes a file through the mount: a parent that is left empty becomes explicit (S3)."""
        parent = self.dir(path[:-1])
        file = parent.files.pop(path[-1])
        self._left(parent)
        return file

    def take_dir(self, path):
        """Removes a directory, with what is in it, through the mount."""
        parent = self.dir(path[:-1])
        here = parent.dirs.pop(path[-1])
        self._left(parent)
        return here

    @staticmethod
    def _left(parent):
        if parent.empty:
            parent.explicit = True
