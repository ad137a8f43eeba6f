"""What a process of the load does: keys of its own, or keys that many threads write at both doors."""

import random
import threading

from harness import s3 as s3c
from harness.registers import Event, Register

from .keys import Keys
from .mount_door import MountDoor
from .options import HAMMERS, REGISTERS, SHARED, THINK
from .s3_door import S3Door


class Owner:
    """One writer's keys, each read compared with what was written."""

    def __init__(self, name, node, pool, seed):
        rng = random.Random(f"{seed}/{name}")
        self.keys, s3 = Keys(name, pool, rng), s3c.client(node.endpoint)
        self.s3, self.mount = S3Door(s3, self.keys), MountDoor(s3, node.mnt, self.keys)
        self.operations = self.s3.operations() | self.mount.operations()

    def step(self):
        if self.keys.full:
            self.keys.rng.choice([self.s3.delete, self.mount.unlink])()
        else:
            self.keys.rng.choices(list(self.operations), list(self.operations.values()))[0]()
        self.keys.steps += 1
        return self.keys.rng.expovariate(1 / THINK)

    def paused(self):
        """What it did since the last pause, and what must be there now."""
        steps, self.keys.steps = self.keys.steps, 0
        return {"steps": steps, "latencies": self.keys.taken(), "expected": self.keys.expected()}


class Hammer:
    """Threads on a few keys: each key's history must be that of one register. Not timed."""

    #: Operations of each thread at a time, and how many such batches are judged together: histories stay short.
    BATCH, JUDGED = 20, 100

    def __init__(self, name, node, pool, seed):
        s3 = s3c.client(node.endpoint)
        self.registers = [Register(s3, SHARED, node.mnt, f"key-{i}") for i in range(REGISTERS)]
        self.rngs = [random.Random(f"{seed}/{name}/{i}") for i in range(HAMMERS)]
        self.steps = self.batches = 0

    def step(self):
        problems = []

        def hammer(rng):
            try:
                for _ in range(self.BATCH):
                    rng.choice(self.registers).step(rng)
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=hammer, args=(rng,)) for rng in self.rngs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]
        self.steps += self.BATCH * HAMMERS
        self.batches += 1
        if self.batches % self.JUDGED == 0:
            self.judge()
        return THINK * 10

    def judge(self):
        """Judges the histories, and begins new ones with what is there. No thread may be at work."""
        wrong = [line for register in self.registers for line in register.check()]
        assert not wrong, "\n".join(wrong[:20])
        for register in self.registers:
            register.events = [Event("write", "start", self._tag(register), 0.0, 0.0)]

    def paused(self):
        """Judges what is not judged yet."""
        self.judge()
        steps, self.steps = self.steps, 0
        return {"steps": steps, "latencies": {}, "expected": None}

    @staticmethod
    def _tag(register):
        register.events = []
        register.read(None)
        return register.events[0].value
