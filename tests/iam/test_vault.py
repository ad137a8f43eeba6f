"""What is Vault's alone: logins that end, TLS, and the master key that its transit engine wraps."""

import base64

import pytest

from harness import s3 as s3c
from harness import settings
from harness.elsewhere import Served, command
from harness.node import Node
from harness.wait import until

pytestmark = pytest.mark.pinfold


def test_a_token_that_ended_is_got_anew(vault_server):
    vault_server.put("alice")
    with Served(vault_server, PINFOLD_IAM_CACHE_DISABLE="on") as served:
        assert served.code("alice") == 200
        for token in vault_server.ask("LIST", "auth/token/accessors")["data"]["keys"]:
            found = vault_server.ask("POST", "auth/token/lookup-accessor", {"accessor": token})["data"]
            if "pinfold" in found["policies"]:
                vault_server.ask("POST", "auth/token/revoke-accessor", {"accessor": token})
        assert served.code("alice") == 200
        assert "does not answer" not in served.log()


def test_a_token_instead_of_an_approle(vault_server, tmp_path):
    vault_server.put("alice")
    file = tmp_path / "token"
    file.write_text(vault_server.root_token + "\n")
    file.chmod(0o600)
    env = vault_server.settings()
    vault_server.settings = lambda: {
        name: value for name, value in env.items() if "ROLE" not in name
    } | {"PINFOLD_IAM_VAULT_ROOT_TOKEN_FILE": str(file)}
    with Served(vault_server) as served:
        assert served.code("alice") == 200
        assert vault_server.root_token not in served.log()


def test_vaults_certificate_is_checked(certificate, vault_kind):
    server = vault_kind(*certificate)
    try:
        server.put("alice")
        with Served(server) as served:
            assert served.code("alice") == 200
        server.cert = None
        with Served(server) as served:
            assert served.code("alice") == "ServiceUnavailable"
    finally:
        server.close()


@pytest.fixture
def sealed(vault_server):
    """A node whose master key is wrapped by Vault, not started yet."""
    node = Node("transit", mount=False, env=vault_server.transit_settings())
    yield node
    node.close()


def encrypted_bucket(node):
    s3 = s3c.client(node.endpoint)
    s3.create_bucket(Bucket="secret")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket="secret", ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_object(Bucket="secret", Key="k", Body=b"plain" * 4000)
    return s3


def read(s3):
    return s3.get_object(Bucket="secret", Key="k")["Body"].read() == b"plain" * 4000


def lines(node):
    text = (node.data / "master-key").read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_master_key_is_nowhere_plain_and_an_outage_stops_nothing(vault_server, sealed):
    sealed.start()
    (line,) = lines(sealed)
    assert line.startswith("vault:v1:")
    s3 = encrypted_bucket(sealed)
    opened = vault_server.ask("POST", "transit/decrypt/pinfold", {"ciphertext": line})["data"]["plaintext"]
    key = base64.b64decode(opened).decode()
    assert len(key) == 64
    for file in sealed.data.rglob("*"):
        if file.is_file():
            assert key.encode() not in file.read_bytes() and bytes.fromhex(key) not in file.read_bytes(), file
    vault_server.relay.cut()
    assert read(s3)
    s3.put_object(Bucket="secret", Key="during", Body=b"an outage")
    s3.create_bucket(Bucket="another")
    # What needs Vault says so, and changes nothing.
    failed = command(sealed, "key", "rotate")
    assert failed.returncode != 0 and "Vault" in failed.stderr, failed.stderr
    assert lines(sealed) == [line]
    vault_server.relay.mend()
    sealed.restart()
    assert read(s3)
    log = sealed.log.read_text()
    for text in (key, vault_server.role_secret):
        assert text not in log


def test_a_start_waits_for_vault_and_then_gives_up(vault_server, sealed):
    sealed.start()
    s3 = encrypted_bucket(sealed)
    sealed.stop()
    vault_server.relay.cut()
    sealed.launch()
    until(lambda: "the master key waits for Vault" in sealed.log.read_text(), lambda: "it says so", 30)
    vault_server.relay.mend()
    until(lambda: sealed.admin_status(settings.READY) == 200, sealed.log_tail, 60)
    assert read(s3)
    sealed.stop()
    vault_server.relay.cut()
    sealed.launch()
    assert sealed.process.wait(120) != 0
    sealed.process = None
    assert "Vault cannot be asked" in sealed.log.read_text()


def test_both_keys_rotate_without_touching_data(vault_server, sealed):
    sealed.start()
    s3 = encrypted_bucket(sealed)
    first = lines(sealed)
    vault_server.ask("POST", "transit/keys/pinfold/rotate", {})
    done = command(sealed, "key", "rotate", "--json")
    assert done.returncode == 0, done.stderr
    now = lines(sealed)
    assert len(now) == 2 and all(line.startswith("vault:v2:") for line in now)
    # Vault may forget the version that wrapped the first.
    vault_server.ask("POST", "transit/keys/pinfold/config", {"min_decryption_version": 2, "min_encryption_version": 2})
    assert read(s3)
    sealed.restart()
    assert read(s3)
    assert first[0] not in now


def test_a_plain_key_is_taken_over_by_vault(vault_server, sealed):
    env, sealed.env = sealed.env, {}
    sealed.start()
    s3 = encrypted_bucket(sealed)
    (plain,) = lines(sealed)
    sealed.stop()
    sealed.env = env
    sealed.start()
    assert read(s3)
    assert "the master key's file is plain" in sealed.log.read_text()
    assert command(sealed, "key", "rotate").returncode == 0
    assert len(lines(sealed)) == 2 and all(line.startswith("vault:v1:") for line in lines(sealed))
    assert plain not in (sealed.data / "master-key").read_text()
    sealed.restart()
    assert read(s3)
    # Without Vault the file says what it needs.
    sealed.stop()
    sealed.env = {}
    sealed.launch()
    assert sealed.process.wait(60) != 0
    sealed.process = None
    assert "master_key_vault_url" in sealed.log.read_text()
