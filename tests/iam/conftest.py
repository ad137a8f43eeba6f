"""Accounts that are kept elsewhere: a real slapd, a real Vault, and a node before each."""

import subprocess

import pytest

from harness import slapd, vault
from harness.elsewhere import Served, need

KINDS = {"ldap": slapd.Slapd, "vault": vault.Vault, "fake-vault": vault.Fake}


@pytest.fixture(params=list(KINDS))
def directory(request):
    """A directory without accounts."""
    need(request.param)
    server = KINDS[request.param]()
    yield server
    server.close()


@pytest.fixture(params=["vault", "fake-vault"])
def vault_kind(request):
    """A kind of Vault."""
    need(request.param)
    return KINDS[request.param]


@pytest.fixture
def vault_server(vault_kind):
    """A Vault."""
    server = vault_kind()
    yield server
    server.close()


@pytest.fixture
def certificate(tmp_path):
    """A certificate of `localhost` that is its own authority, and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )
    return cert, key


@pytest.fixture
def serve(directory):
    """Starts nodes on the directory: `with serve(NAME=VALUE):`."""
    return lambda **env: Served(directory, **env)
