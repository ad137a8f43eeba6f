"""Waiting for what happens in its own time: poll with a deadline, never a bare sleep."""

import time

#: Long enough for two busy cores; a test that waits this long has failed.
DEADLINE = 60.0


def until(probe, what, deadline=DEADLINE, interval=0.02):
    """Calls `probe` until it returns something true, and returns that; after `deadline` seconds fails with `what`
    (text, or a function that makes it then)."""
    end = time.monotonic() + deadline
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"after {deadline:g} s still not so: {what() if callable(what) else what}")
        time.sleep(interval)
