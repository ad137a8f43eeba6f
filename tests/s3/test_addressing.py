"""Virtual-host and path style; TLS and its certificates."""

import datetime
import ipaddress
import shutil
import signal
import socket
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness import s3 as s3c
from harness import settings
from harness.data import md5, noise
from harness.node import Node
from harness.rawhttp import Raw
from harness.wait import until

pytestmark = pytest.mark.pinfold
DOMAIN = "s3.pinfold.test"


def write_certificate(folder, serial):
    """A self-signed certificate for 127.0.0.1; its serial number tells one from the next."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pinfold test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(serial)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.fixture(scope="module")
def tls_node(tmp_path_factory):
    """A node that speaks TLS and has a domain for virtual hosts."""
    folder = tmp_path_factory.mktemp("tls")
    write_certificate(folder, 1001)
    env = {
        settings.ENV_TLS_CERT: str(folder / "cert.pem"),
        settings.ENV_TLS_KEY: str(folder / "key.pem"),
        settings.ENV_S3_DOMAIN: DOMAIN,
    }
    node = Node("tls", mount=False, env=env).start()
    node.certificates = folder
    yield node
    node.close()


def context(node):
    made = ssl.create_default_context(cafile=str(node.certificates / "cert.pem"))
    made.check_hostname = False
    return made


def test_tls_with_boto(tls_node):
    s3 = s3c.client(tls_node.endpoint, verify=str(tls_node.certificates / "cert.pem"))
    name = s3c.fresh_name()
    s3.create_bucket(Bucket=name)
    data = noise(3 * settings.MIB, "tls")
    # Over TLS the SDK sends a stream unsigned with a trailing checksum.
    s3.put_object(Bucket=name, Key="k", Body=data, ChecksumAlgorithm="CRC32C")
    assert s3c.body(s3, name, "k") == data


def test_plain_http_on_the_tls_port_is_refused(tls_node):
    with socket.create_connection(("127.0.0.1", tls_node.s3_port), timeout=20) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP/1.1 200" not in plain.recv(4096)


def serial_of(node):
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", node.s3_port), timeout=20) as plain:
        with made.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
            return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True)).serial_number


def test_sighup_reads_the_certificate_again(tls_node):
    before = serial_of(tls_node)
    write_certificate(tls_node.certificates, before + 1)
    tls_node.process.send_signal(signal.SIGHUP)
    until(lambda: serial_of(tls_node) == before + 1, "new connections get the new certificate")
    (tls_node.certificates / "cert.pem").write_text("no certificate")
    tls_node.process.send_signal(signal.SIGHUP)
    until(lambda: "no certificate" in tls_node.log_text() or "certificate" in tls_node.log_tail(3), "the refusal is logged")
    assert serial_of(tls_node) == before + 1, "a broken file leaves the old certificate in force"
    write_certificate(tls_node.certificates, before + 2)
    tls_node.process.send_signal(signal.SIGHUP)
    until(lambda: serial_of(tls_node) == before + 2, "and a good one is taken again")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize(
    "kind",
    [
        ["-newkey", "rsa:2048"], ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], ["-newkey", "ed25519"],
        "sec1", "pkcs1",
    ],
    ids=["rsa", "ec", "ed25519", "ec in SEC1", "rsa in PKCS#1"],
)
def test_certificates_as_openssl_makes_them(tmp_path, kind):
    """Self-signed, with each kind of key and each form of key file, from the start and after a SIGHUP."""
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=tmp_path, check=True, capture_output=True)

    request = ["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=pinfold", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", "key.pem", "-out", "cert.pem"]
    if kind == "sec1":
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem")
        assert "BEGIN EC PRIVATE KEY" in (tmp_path / "key.pem").read_text()
        openssl(*request, "-key", "key.pem", "-out", "cert.pem")
    elif kind == "pkcs1":
        openssl(*request, "-newkey", "rsa:2048", *files)
        openssl("rsa", "-in", "key.pem", "-traditional", "-out", "key.pem")
        assert "BEGIN RSA PRIVATE KEY" in (tmp_path / "key.pem").read_text()
    else:
        openssl(*request, *kind, *files)
    env = {settings.ENV_TLS_CERT: str(tmp_path / "cert.pem"), settings.ENV_TLS_KEY: str(tmp_path / "key.pem")}
    with Node("openssl", mount=False, env=env) as node:
        s3 = s3c.client(node.endpoint, verify=str(tmp_path / "cert.pem"))
        s3.create_bucket(Bucket="bkt")
        s3.put_object(Bucket="bkt", Key="k", Body=b"secured")
        first = serial_of(node)
        openssl(*request, "-key", "key.pem", "-out", "cert.pem")
        node.process.send_signal(signal.SIGHUP)
        until(lambda: serial_of(node) != first, "new connections get the new certificate")
        again = s3c.client(node.endpoint, verify=str(tmp_path / "cert.pem"))
        assert s3c.body(again, "bkt", "k") == b"secured"


def test_virtual_host_and_path_are_the_same_bucket(tls_node):
    raw = Raw("127.0.0.1", tls_node.s3_port, tls=context(tls_node))
    name = s3c.fresh_name("vhost")
    host = f"{name}.{DOMAIN}"
    assert raw.request("PUT", "/", host=host).status == 200, "CreateBucket by virtual host"
    assert raw.request("PUT", "/a/k%20ey", host=host, body=b"by host").status == 200
    by_path = raw.request("GET", f"/{name}/a/k%20ey")
    assert (by_path.status, by_path.body) == (200, b"by host")
    by_path_on_domain = raw.request("GET", f"/{name}/a/k%20ey", host=DOMAIN)
    assert by_path_on_domain.body == b"by host"
    with_port = raw.request("GET", "/a/k%20ey", host=f"{host}:{tls_node.s3_port}")
    assert with_port.body == b"by host"
    assert with_port.headers["etag"] == f'"{md5(b"by host")}"'
    listing = raw.request("GET", "/", [("list-type", "2")], host=host)
    assert b"<Key>a/k ey</Key>" in listing.body
    assert raw.request("DELETE", "/a/k%20ey", host=host).status == 204
    assert raw.request("DELETE", "/", host=host).status == 204


def test_the_domain_itself_lists_buckets(tls_node):
    raw = Raw("127.0.0.1", tls_node.s3_port, tls=context(tls_node))
    answer = raw.request("GET", "/", host=DOMAIN)
    assert answer.status == 200 and b"ListAllMyBucketsResult" in answer.body


def test_a_foreign_host_is_path_style(tls_node):
    raw = Raw("127.0.0.1", tls_node.s3_port, tls=context(tls_node))
    name = s3c.fresh_name("foreign")
    assert raw.request("PUT", f"/{name}", host=f"evil{DOMAIN}").status == 200
    assert raw.request("HEAD", f"/{name}").status == 200
