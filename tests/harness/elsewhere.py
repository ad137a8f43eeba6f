"""A node whose accounts are kept elsewhere."""

import subprocess

import pytest

from . import s3 as s3c
from . import settings, slapd, vault
from .node import Node
from .rawhttp import Raw


def need(kind):
    """Skips, aloud, what cannot run here."""
    if kind == "ldap" and slapd.missing():
        pytest.skip(f"needs Debian's slapd and ldap-utils: {', '.join(slapd.missing())} missing")
    if kind == "vault" and vault.program() is None:
        pytest.skip("needs Vault: the program `vault`")


class Served:
    """A node with its accounts in a directory."""

    def __init__(self, directory, **env):
        self.directory = directory
        self.node = Node("iam", mount=False, env=directory.settings() | env)

    def __enter__(self):
        self.node.start()
        return self

    def __exit__(self, *_):
        self.node.close()

    def raw(self, access, secret="a-secret"):
        """Requests of an account."""
        return Raw("127.0.0.1", self.node.s3_port, access=access, secret=secret)

    @property
    def root(self):
        """Requests of the root account."""
        return self.raw(settings.ROOT_ACCESS, settings.ROOT_SECRET)

    def s3(self, access, secret="a-secret"):
        """boto3's client of an account."""
        return s3c.client(self.node.endpoint, access=access, secret=secret)

    def code(self, access, secret="a-secret", target="/"):
        """What an account's GET comes to: an error's code, or 200."""
        answer = self.raw(access, secret).request("GET", target)
        return answer.status if answer.status == 200 else answer.code

    def command(self, *args):
        """`pinfold …` of the operator."""
        return command(self.node, *args)

    def log(self):
        """What the node logged so far."""
        return self.node.log.read_text(errors="replace")


def command(node, *args):
    """`pinfold …` of a node's operator."""
    line = [str(settings.BIN), *args, "--data", str(node.data)]
    return subprocess.run(line, env=node.environment(), text=True, capture_output=True, timeout=120)
