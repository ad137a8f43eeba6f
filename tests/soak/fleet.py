"""The processes of the load: told to go, to pause and to end; what goes wrong in one is heard at once."""

import faulthandler
import multiprocessing
import os
import signal
import time
import traceback

from .content import Pool
from .options import WRITERS, say
from .writers import Hammer, Owner

#: A system call or a request that takes longer hangs.
HANGS = 180.0


class LoadFailed(Exception):
    """A read that was wrong, an operation that failed, a call that hangs."""


def serve(pipe, make):
    """The process: steps while it may, answers when it is paused."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.register(signal.SIGUSR1)
    try:
        worker, running = make(), False
        pipe.send(("made", None))
        while True:
            if running and not pipe.poll(0):
                time.sleep(worker.step())
                continue
            command = pipe.recv()
            if command == "end":
                return
            running = command == "go"
            if not running:
                pipe.send(("paused", worker.paused()))
    except BaseException:
        pipe.send(("failed", traceback.format_exc()))


class Process:
    """One of them."""

    def __init__(self, context, name, make):
        self.name = name
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, make), name=name, daemon=True)
        self.process.start()
        theirs.close()

    def hear(self, seconds):
        """Its next word, or None."""
        if not self.pipe.poll(seconds):
            return None
        try:
            word, value = self.pipe.recv()
        except EOFError:
            raise LoadFailed(f"{self.name} ended with {self.process.exitcode}") from None
        if word == "failed":
            raise LoadFailed(f"{self.name}: {value}")
        return word, value

    def answer(self, word):
        """Waits for this word."""
        heard = self.hear(HANGS)
        if heard is None:
            os.kill(self.process.pid, signal.SIGUSR1)
            raise LoadFailed(f"{self.name} hangs; where, stands on standard error")
        assert heard[0] == word, heard
        return heard[1]


class Fleet:
    """All of them. Made before any thread of this process, since they are forks of it."""

    def __init__(self, node, seed):
        pool, context = Pool(), multiprocessing.get_context("fork")
        kinds = [(f"w{i}", Owner) for i in range(WRITERS)] + [("hammer", Hammer)]
        self.processes = [
            Process(context, name, lambda kind=kind, name=name: kind(name, node, pool, seed)) for name, kind in kinds
        ]
        for process in self.processes:
            process.answer("made")

    def _tell(self, word):
        for process in self.processes:
            try:
                process.pipe.send(word)
            except OSError:
                process.hear(1)

    def run(self, seconds, meanwhile):
        """Load for so long; `meanwhile` is called about every second."""
        end = time.monotonic() + seconds
        self._tell("go")
        while time.monotonic() < end:
            for process in self.processes:
                process.hear(0)
            meanwhile()
            time.sleep(min(1.0, max(0.0, end - time.monotonic())))

    def pause(self):
        """Stops the load; what each says of it."""
        self._tell("pause")
        return [process.answer("paused") for process in self.processes]

    def end(self):
        """Ends the processes, however they stand."""
        for process in self.processes:
            try:
                process.pipe.send("end")
            except OSError:
                say(f"{process.name} is gone already")
        for process in self.processes:
            process.process.join(10)
            process.process.kill()
