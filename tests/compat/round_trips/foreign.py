"""What the SDKs of other languages have in common."""

import json

from harness import settings

from . import samples
from .trip import Failed, Trip


class Foreign(Trip):
    """An SDK of another language: its program does one step a call and says in JSON what it saw.

    The program is called with the step's name; it finds the bucket in TRIP_BUCKET, the bucket of many keys in TRIP_MANY, a tree
    of files in TRIP_TREE, one of 40 MiB in TRIP_LARGE, and a folder to write into in TRIP_DOWN.
    """

    def command(self):
        """The program's command line."""
        raise NotImplementedError

    def prepare(self):
        samples.write(self.folder / "tree", samples.tree())
        (self.folder / "large").write_bytes(samples.large())
        (self.folder / "down").mkdir()

    def environment(self):
        return super().environment() | {
            "TRIP_ENDPOINT": self.node.endpoint, "TRIP_ACCESS": settings.ROOT_ACCESS, "TRIP_SECRET": settings.ROOT_SECRET,
            "TRIP_BUCKET": self.bucket, "TRIP_MANY": self.many, "TRIP_TREE": str(self.folder / "tree"),
            "TRIP_LARGE": str(self.folder / "large"), "TRIP_DOWN": str(self.folder / "down"),
        }

    def call(self, what, **env):
        """What the program saw in one step."""
        said = self.execute([*self.command(), what], env=env).out.strip().splitlines()
        try:
            return json.loads(said[-1])
        except (IndexError, ValueError):
            raise Failed(f"{what} said {said}") from None
