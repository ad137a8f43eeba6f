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
    """A certificate of `localhost`, with its authority behind it, and its key."""
    ca, ca_key, cert, key, request = (tmp_path / name for name in ("ca", "ca.key", "cert.pem", "key.pem", "request"))
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = tmp_path / "names"
    names.write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    for command in (
        [*new, "-x509", "-days", "2", "-keyout", ca_key, "-out", ca, "-subj", "/CN=authority"],
        [*new, "-keyout", key, "-out", request, "-subj", "/CN=localhost"],
        ["openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2",
         "-extfile", names, "-out", cert],
    ):
        subprocess.run(command, check=True, capture_output=True)
    cert.write_text(cert.read_text() + ca.read_text())
    return cert, key


@pytest.fixture
def serve(directory):
    """Starts nodes on the directory: `with serve(NAME=VALUE):`."""
    return lambda **env: Served(directory, **env)
