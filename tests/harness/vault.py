"""A real Vault (`vault server -dev`, in memory) with a KV engine of accounts, an AppRole and a transit engine."""

import json
import secrets
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request

from . import fake_vault
from .node import free_port, new_base
from .relay import Relay
from .wait import until

POLICY = """
path "kv-v2/data/pinfold/accounts/*" { capabilities = ["create", "read", "update"] }
path "kv-v2/metadata/pinfold/accounts/*" { capabilities = ["read", "delete", "list"] }
path "kv-v2/metadata/pinfold/accounts" { capabilities = ["list"] }
path "transit/encrypt/pinfold" { capabilities = ["update"] }
path "transit/decrypt/pinfold" { capabilities = ["update"] }
path "transit/rewrap/pinfold" { capabilities = ["update"] }
"""

#: Field of an account → its name there.
NAMES = {
    "access": "access", "secret": "secret", "role": "role", "user_id": "userID", "group_id": "groupID",
    "project_id": "projectID",
}


def program():
    """The server's program; None if it is not installed."""
    return shutil.which("vault")


class Vault:
    """The server, and a relay before it that a node talks to."""

    kind = "vault"

    def __init__(self, cert=None, key=None):
        self.cert = cert
        self._begin(cert, key)
        self.relay = Relay(("127.0.0.1", self.port))
        self._prepare()

    def _begin(self, cert, key):
        self.base = new_base("vault")
        self.root_token = secrets.token_hex(16)
        self.scheme, self.port, plain = "http", free_port(), free_port()
        command = [program(), "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={self.root_token}"]
        if cert:
            # A listener of its own beside the plain one that -dev insists on.
            config = self.base / "config.hcl"
            config.write_text(
                f'listener "tcp" {{ address = "127.0.0.1:{self.port}" tls_cert_file = "{cert}" tls_key_file = "{key}" }}\n'
            )
            self.scheme = "https"
            command += [f"-config={config}", f"-dev-listen-address=127.0.0.1:{plain}"]
        else:
            command += [f"-dev-listen-address=127.0.0.1:{self.port}"]
        log = self.base / "log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        until(self._answers, lambda: f"Vault answers: {log.read_text()}", 60)

    def _answers(self):
        try:
            return self.ask("GET", "sys/health")["initialized"]
        except OSError:
            return False

    def _prepare(self):
        for path, body in [
            ("sys/mounts/kv-v2", {"type": "kv", "options": {"version": "2"}}),
            ("sys/mounts/transit", {"type": "transit"}),
            ("transit/keys/pinfold", {}),
            ("sys/auth/approle", {"type": "approle"}),
            ("sys/policies/acl/pinfold", {"policy": POLICY}),
            ("auth/approle/role/pinfold", {"token_policies": "pinfold", "token_ttl": "1h"}),
        ]:
            self.ask("POST", path, body)
        self.role_id = self.ask("GET", "auth/approle/role/pinfold/role-id")["data"]["role_id"]
        self.role_secret = self.ask("POST", "auth/approle/role/pinfold/secret-id", {})["data"]["secret_id"]

    def ask(self, method, path, body=None):
        """A request as root; None for 404."""
        context = ssl._create_unverified_context() if self.scheme == "https" else None
        request = urllib.request.Request(
            f"{self.scheme}://127.0.0.1:{self.port}/v1/{path}", method=method,
            data=None if body is None else json.dumps(body).encode(), headers={"X-Vault-Token": self.root_token},
        )
        try:
            with urllib.request.urlopen(request, context=context) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise AssertionError(f"{method} {path}: {error.code} {error.read()}") from None

    @property
    def url(self):
        """What a node is told."""
        return f"{self.scheme}://localhost:{self.relay.port}"

    def settings(self):
        """Variables of a node that has its accounts here."""
        env = {
            "PINFOLD_IAM_VAULT_ENDPOINT_URL": self.url,
            "PINFOLD_IAM_VAULT_SECRET_STORAGE_PATH": "pinfold/accounts",
            "PINFOLD_IAM_VAULT_ROLE_ID": self.role_id,
            "PINFOLD_IAM_VAULT_ROLE_SECRET": self.role_secret,
        }
        return env | ({"PINFOLD_IAM_VAULT_SERVER_CERT": str(self.cert)} if self.cert else {})

    def transit_settings(self):
        """Variables of a node whose master key is wrapped here."""
        return {
            "PINFOLD_MASTER_KEY_VAULT_URL": self.url,
            "PINFOLD_MASTER_KEY_VAULT_KEY": "pinfold",
            "PINFOLD_MASTER_KEY_VAULT_ROLE_ID": self.role_id,
            "PINFOLD_MASTER_KEY_VAULT_ROLE_SECRET": self.role_secret,
        }

    def put(self, access, **fields):
        """An account, by another hand; fields that are None are left out."""
        values = {"access": access, "secret": "a-secret", "role": "user", "user_id": 0, "group_id": 0, "project_id": 0} | fields
        account = {NAMES[name]: value for name, value in values.items() if value is not None}
        self.ask("POST", f"kv-v2/data/pinfold/accounts/{access}", {"data": {access: account}})

    def change(self, access, **fields):
        """Other values."""
        account = self.get(access) | fields
        account.pop("access")
        numbers = {name: int(value) for name, value in account.items() if name.endswith("_id")}
        self.put(access, **(account | numbers))

    def remove(self, access):
        """Ends it."""
        self.ask("DELETE", f"kv-v2/metadata/pinfold/accounts/{access}")

    def get(self, access):
        """The account as it is stored: field → text; None if there is none."""
        answer = self.ask("GET", f"kv-v2/data/pinfold/accounts/{access}")
        if answer is None:
            return None
        stored = answer["data"]["data"][access]
        return {field: str(stored[name]) for field, name in NAMES.items() if name in stored}

    def close(self):
        """Ends it."""
        if self.relay.listener is not None:
            self.relay.cut()
        self._end()

    def _end(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.base, ignore_errors=True)


class Fake(Vault):
    """The same before what only speaks as Vault does."""

    def _begin(self, cert, key):
        self.server = fake_vault.Server(cert, key)
        self.scheme, self.port, self.root_token = self.server.scheme, self.server.port, self.server.http.state.root

    def _end(self):
        self.server.close()
