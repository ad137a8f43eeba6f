"""Random operations at both doors against the model: alone step by step, and many threads at once.

`--seconds N` sets the length of each run (default 12, with --long 600); `--seed N` repeats one.
"""

import random
import threading
import time

import pytest

from harness import s3 as s3c
from harness.exerciser import Exerciser
from harness.registers import Register


@pytest.fixture
def seconds(request):
    option = request.config.option
    return option.seconds or (600.0 if option.long else 12.0)


@pytest.fixture
def seed(request):
    """Printed, so that a failure can be repeated."""
    value = f"{request.config.option.seed}/{request.node.name}"
    print(f"seed {value}")
    return value


@pytest.mark.timeout(1200)
def test_s1_to_s8_random_operations_one_at_a_time(both, seed, seconds):
    """Bytes, size, ETag, listing and names are equal to the model's after each operation."""
    end = time.monotonic() + seconds
    worker = Exerciser(both.s3, both.bucket, both.node.mnt, "alone", random.Random(seed))
    worker.run(lambda: time.monotonic() < end)
    print(f"{worker.steps} operations")
    assert worker.steps > 20


@pytest.mark.timeout(1200)
def test_s1_to_s8_random_operations_of_many_threads(both, seed, seconds):
    """Three exercisers in directories of their own, six threads on ten shared keys, directory renames beside them."""
    end, problems = time.monotonic() + seconds, []
    registers = [Register(both.s3, both.bucket, both.node.mnt, f"shared-{i}") for i in range(10)]

    def guarded(work, *args):
        try:
            work(*args)
        except BaseException as error:
            problems.append(error)

    def exercise(i):
        client = s3c.client(both.node.endpoint)
        worker = Exerciser(client, both.bucket, both.node.mnt, f"own-{i}", random.Random(f"{seed}/{i}"))
        worker.run(lambda: time.monotonic() < end and not problems)

    def hammer(i):
        rng = random.Random(f"{seed}/shared/{i}")
        while time.monotonic() < end and not problems:
            rng.choice(registers).step(rng)

    threads = [threading.Thread(target=guarded, args=(exercise, i)) for i in range(3)]
    threads += [threading.Thread(target=guarded, args=(hammer, i)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    wrong = [line for register in registers for line in register.check()]
    assert not wrong, "\n".join(wrong[:20])
    print(f"{sum(len(r.events) for r in registers)} operations on shared keys")
