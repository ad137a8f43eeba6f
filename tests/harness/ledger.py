"""What was acknowledged, for checks after a crash: each name has its last acknowledged value, or one tried since."""

from .data import stamp_of, stamped

#: The name is not there.
GONE = None


class Moment:
    """The moment of a power cut. A sync that races it may return although it did nothing: such acknowledgments, a few
    milliseconds about it, are counted apart. Before that they bind, and after it they bind too: nothing may be acknowledged
    by a disk that is dead."""

    def __init__(self):
        #: `sure`, `racing`, `dead`.
        self.state = "sure"
        #: What was acknowledged while racing and lost.
        self.raced = 0

    @property
    def racing(self):
        return self.state == "racing"


class Entry:
    """One name: `durable` is what must survive, `since` what was tried after it and may have come through. From
    `since[racing]` on is what would be right had the acknowledgments about a power cut counted."""

    def __init__(self):
        self.durable, self.since, self.racing, self.turn = GONE, [], None, 0

    def allowed(self):
        """Values that are right after a crash."""
        return [self.durable, *self.since]


class Ledger:
    """The names of one writer. Only its thread writes; the checks run while it does not."""

    def __init__(self, owner):
        self.owner, self.entries, self.moment = owner, {}, Moment()

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
        # Deleting what a lost deletion has deleted already writes nothing: that may be acknowledged with the disk dead.
        again = tag is GONE and entry.racing is not None
        if self.moment.racing or again:
            entry.racing = len(entry.since) - 1
        else:
            self._is(entry, tag)

    @staticmethod
    def _is(entry, tag):
        entry.durable, entry.since, entry.racing = tag, [], None

    def settle(self, name, data):
        """After a crash: `data` (None where the name is gone) must be whole and allowed; it is the truth from now on."""
        tag = GONE if data is None else "" if data == b"" else stamp_of(data)
        entry = self.entry(name)
        allowed = entry.allowed()
        assert tag in allowed, f"{self.owner}: {name} is {tag!r} after the crash; right would be {allowed}"
        if entry.racing is not None and tag not in entry.since[entry.racing :]:
            self.moment.raced += 1
        self._is(entry, tag)
