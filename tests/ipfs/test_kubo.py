"""A real Kubo pins what Pinfold has: it finds the node by delegated routing and pulls block by block."""

from harness import cid


def test_a_small_object(kubo, stored, rng):
    data = rng.randbytes(3000)
    name = stored("small", data)
    kubo.pin(name)
    assert kubo.cat(name) == data


def test_an_object_of_64_mib(kubo, stored, rng):
    data = rng.randbytes(64 << 20)
    name = stored("large", data)
    assert name == cid.of_bytes(data)
    kubo.pin(name)
    assert kubo.cat(name) == data
