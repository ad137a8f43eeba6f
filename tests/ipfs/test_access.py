"""Who may ask the provider, by what transport, and what a bad client costs."""

import http.client
import json
import socket
import ssl
import subprocess

import pytest

from harness import cid, settings
from harness import s3 as s3c
from harness.provider import providing
from harness.wait import until

MIB = 1 << 20


def ask(port, path, *, host="127.0.0.1", tls=None, **headers):
    """Status and body of a GET."""
    if tls:
        connection = http.client.HTTPSConnection(host, port, timeout=30, context=tls)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


PROBE = "/ipfs/bafkqaaa?format=raw"


def test_only_networks_on_the_list():
    with providing("allow", "--provider-allow", "127.0.0.7", "--provider-allow", "10.0.0.0/8") as node:
        with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
            ask(node.provider, PROBE)
        with socket.create_connection(("127.0.0.1", node.provider), source_address=("127.0.0.7", 0), timeout=30) as admitted:
            admitted.sendall(f"GET {PROBE} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            assert admitted.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert node.metric("pinfold_node_provider_turned_away_total") == 1


def test_a_token_is_needed_where_tokens_are_set(tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("# of the two peers\nfirst-token-0123456789\nsecond-token-0123456789\n")
    tokens.chmod(0o600)
    with providing("token", "--provider-token-file", str(tokens)) as node:
        for path in (PROBE, "/routing/v1/providers/bafkqaaa"):
            assert ask(node.provider, path)[0] == 401
            assert ask(node.provider, path, Authorization="Bearer wrong-token-0123456789")[0] == 401
            assert ask(node.provider, path, Authorization="Bearer second-token-0123456789")[0] == 200


def certificates(folder):
    """An authority, a server's certificate for 127.0.0.1 by it, a client's by it, and a client's by nobody."""
    def run(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca")
    for name, usage in (("server", "serverAuth"), ("client", "clientAuth")):
        (folder / f"{name}.ext").write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n")
        run("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    run("req", "-x509", *key, "-keyout", "other.key", "-out", "other.pem", "-days", "2", "-subj", "/CN=other")


def context(folder, client=None, alpn=("h2",)):
    made = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    made.set_alpn_protocols(list(alpn))
    if client:
        made.load_cert_chain(folder / f"{client}.pem", folder / f"{client}.key")
    return made


def test_tls_http_2_and_clients_certificates(tmp_path):
    certificates(tmp_path)
    files = ["--provider-tls-cert", str(tmp_path / "server.pem"), "--provider-tls-key", str(tmp_path / "server.key")]
    with providing("tls", *files, "--provider-client-ca", str(tmp_path / "ca.pem")) as node:
        with socket.create_connection(("127.0.0.1", node.provider), timeout=30) as plain:
            with context(tmp_path, "client").wrap_socket(plain, server_hostname="127.0.0.1") as tls:
                assert tls.selected_alpn_protocol() == "h2"
        with_client = context(tmp_path, "client", alpn=("http/1.1",))
        assert ask(node.provider, PROBE, tls=with_client)[0] == 200
        record = ask(node.provider, "/routing/v1/peers/12D3KooWQCUXPaXNSSLZ9TMHgr9uPGcs83YZx2hxfihmVDgVhTmX", tls=with_client)
        assert record[0] == 200
        for client in (None, "other"):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                ask(node.provider, PROBE, tls=context(tmp_path, client, alpn=("http/1.1",)))
        curl = subprocess.run(
            ["curl", "-sS", "--http2", "--cacert", tmp_path / "ca.pem", "--cert", tmp_path / "client.pem", "--key",
             tmp_path / "client.key", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", f"https://127.0.0.1:{node.provider}{PROBE}"],
            capture_output=True, text=True, timeout=60,
        )
        assert curl.stdout in ("2 200", "1.1 200"), curl  # A curl without HTTP/2 still shows the rest.


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--provider", "0.0.0.0:0"], "who may ask"),
        (["--provider", "10.1.2.3:9"], "who may ask"),
        (["--provider", "[::]:0", "--provider-allow", "10.0.0.0/8"], "provider_announce"),
        (["--provider", "10.1.2.3:9", "--provider-token-file", "/none"], "provider_tls_cert"),
        (["--provider-client-ca", "/none"], "provider_tls_cert"),
        (["--provider-tls-cert", "/none"], "provider_tls_key is missing"),
        (["--provider-allow", "10.0.0.0/99"], "no network"),
        (["--provider-announce", "10.0.0.1:80"], "no multiaddr"),
        (["--provider-max-requests", "1"], "between"),
    ],
)
def test_settings_that_would_open_it_to_all_are_refused(args, why):
    done = subprocess.run([str(settings.BIN), "check-config", *args], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and why in done.stderr, done.stderr


def test_the_name_among_peers_stays(tmp_path):
    node = providing("identity")
    with node:
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="b-identity")
        s3.put_object(Bucket="b-identity", Key="k", Body=b"who has this?")
        path = f"/routing/v1/providers/{cid.of_bytes(b'who has this?')}"
        before = json.loads(ask(node.provider, path)[1])
        assert (node.data / "peer-key").stat().st_mode & 0o777 == 0o600
        node.restart()
        assert json.loads(ask(node.provider, path)[1]) == before


def slow_reader(port, path):
    """Asks and then takes almost nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(120)
    connection.connect(("127.0.0.1", port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return connection


def test_slow_readers_get_no_place_for_ever_and_cost_little_memory(rng):
    with providing("slow", "--provider-max-requests", "8") as node:
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="b-slow")
        data = rng.randbytes(64 * MIB)
        s3.put_object(Bucket="b-slow", Key="k", Body=data)
        root, before = cid.of_bytes(data), node.memory()
        readers = [slow_reader(node.provider, f"/ipfs/{root}?format=car") for _ in range(30)]
        # Two CARs at once: the others wait, and then hear that they should come later.
        until(lambda: 'status="429"' in node.admin(settings.METRICS)[1], "429 is counted", 60)
        assert ask(node.provider, PROBE)[0] == 200, "blocks have places of their own"
        assert node.memory() - before < 64 * MIB
        # Who trickles is cut off, and his place is somebody's again.
        block = f"/ipfs/{root}?format=car&dag-scope=block"
        until(lambda: ask(node.provider, block)[0] == 200, "a place is free again", 120, interval=1)
        for reader in readers:
            reader.close()


def test_many_connections_at_once(rng):
    with providing("many") as node:
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="b-many")
        s3.put_object(Bucket="b-many", Key="k", Body=b"x" * 5000)
        path = f"/ipfs/{cid.of_bytes(b'x' * 5000)}?format=raw"
        idle = [socket.create_connection(("127.0.0.1", node.provider), timeout=30) for _ in range(400)]
        assert ask(node.provider, path) == (200, b"x" * 5000)
        for connection in idle:
            connection.close()
