"""What was acknowledged, for checks after a crash: each name has its last acknowledged value, or one tried since."""

from .data import stamp_of, stamped

#: The name is not there.
GONE = None


class Entry:
    """One name: `durable` is what must survive, `since` what was tried after it and may have come through."""

    def __init__(self):
        self.durable, self.since, self.turn = GONE, [], 0

    def allowed(self):
        """Values that are right after a crash."""
        return [self.durable, *self.since]


class Ledger:
    """The names of one writer. Only its thread writes; the checks run while it does not."""

    def __init__(self, owner):
        self.owner, self.entries = owner, {}

    def entry(self, name):
        return self.entries.setdefault(name, Entry())

    def value(self, name, size):
        """A new value for a name: (tag, bytes)."""
        entry = self.entry(name)
        entry.turn += 1
        tag = f"{self.owner}/{name}/{entry.turn}"
        return tag, stamped(tag, size)

    def trying(self, name, tag):
        """It may come through from now on."""
        self.entry(name).since.append(tag)

    def acknowledged(self, name, tag):
        """It must survive from now on, and nothing older may come back."""
        entry = self.entry(name)
        entry.durable, entry.since = tag, []

    def settle(self, name, data):
        """After a crash: `data` (None where the name is gone) must be whole and allowed; it is the truth from now on."""
        tag = GONE if data is None else "" if data == b"" else stamp_of(data)
        allowed = self.entry(name).allowed()
        assert tag in allowed, f"{self.owner}: {name} is {tag!r} after the crash; right would be {allowed}"
        self.acknowledged(name, tag)
