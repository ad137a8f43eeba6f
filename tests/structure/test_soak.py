"""The long soak's own judgment (tests/soak): what it must find, it finds; its pictures are well-formed."""

import random
from types import SimpleNamespace
from xml.etree import ElementTree

from harness.settings import MIB
from soak import pictures
from soak.content import Content, Pool
from soak.sample import FIELDS
from soak.verdict import Pause, growth


def pauses(**fields):
    """Nine pauses; a field is a function of the pause's number."""
    steady = dict.fromkeys(FIELDS, 0) | {"rss": 100 * MIB, "own_descriptors": 100, "threads": 40, "phase": "pause"}
    return [
        Pause(steady | {"seconds": 600 * i} | {name: value(i) for name, value in fields.items()}, 1, 1, 1, 1.0, [])
        for i in range(9)
    ]


def grown(found):
    return [each.name for each in growth(found) if not each.fine]


def test_growth_is_found():
    assert grown(pauses()) == []
    assert grown(pauses(rss=lambda i: (100 + 8 * i) * MIB)) == ["resident memory"]
    assert grown(pauses(rss=lambda i: (100 if i < 2 else 140) * MIB)) == [], "a cache that fills while it warms up"
    assert grown(pauses(own_descriptors=lambda i: 100 + 10 * i)) == ["descriptors"]


def test_each_thing_wrong_at_a_pause_is_found():
    fine = pauses()[0]
    assert fine.problems() == []
    for name in ("deleted_open", "worker_failures", "s3_panics", "log_errors"):
        assert len(pauses(**{name: lambda i: 1})[0].problems()) == 1, name
    assert len(pauses(chunk_bytes=lambda i: 100 * MIB)[0].problems()) == 1
    assert len(pauses(kept_open=lambda i: 5000)[0].problems()) == 1
    fine.wrong = ["the views differ"] * 30
    assert len(fine.problems()) == 21


def test_contents_are_what_files_are():
    """Pieces of the pool behave as bytes do under random writes and truncations."""
    rng, pool = random.Random("contents"), Pool()
    content, data = Content(), b""
    for _ in range(300):
        if rng.random() < 0.3:
            size = rng.randrange(3000)
            content, data = content.truncated(size), data[:size].ljust(size, b"\0")
        else:
            at, more = rng.randrange(3000), pool.fresh(rng, rng.randrange(500))
            if not more.size:
                continue
            content, data = content.written(at, more), data[:at].ljust(at, b"\0") + pool.data(more) + data[at + more.size :]
        assert (content.size, pool.data(content)) == (len(data), data)


def test_pictures_are_well_formed():
    found = pauses()
    row = {"n": 3, "p50": 0.2, "p99": 9.0, "max": 300.0}
    periods = [{"PUT": row, "create, write, close": row}] * len(found)
    soak = SimpleNamespace(periods=periods, pauses=found, samples=[pause.sample for pause in found])
    for svg in pictures.all_of(soak).values():
        root = ElementTree.fromstring(svg)
        assert root.tag.endswith("svg")
        assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) >= 3
