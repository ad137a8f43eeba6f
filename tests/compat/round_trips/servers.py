"""The nodes that the clients meet: one with plain HTTP, one with a certificate of a made-up authority."""

import concurrent.futures
import datetime
import ipaddress
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness import s3 as s3c
from harness import settings
from harness.node import Node

from . import samples


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificates(folder):
    """Writes `ca.pem`, and `cert.pem` with `key.pem` for the loopback that it has signed."""
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)

    def made(subject, issuer, public, signed_by, *extensions):
        builder = x509.CertificateBuilder(
            issuer, subject, public, x509.random_serial_number(), now - day, now + day
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(signed_by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ours, theirs = _name("Pinfold test authority"), _name("127.0.0.1")
    here = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    (folder / "ca.pem").write_bytes(
        made(ours, ours, authority.public_key(), authority, (x509.BasicConstraints(ca=True, path_length=0), True))
    )
    (folder / "cert.pem").write_bytes(made(theirs, ours, server.public_key(), authority, (here, False)))
    (folder / "key.pem").write_bytes(
        server.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


class Servers:
    """Starts each node when it is first asked for."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    @cached_property
    def plain(self):
        """The node of all steps but those about https."""
        return self._start({})

    @cached_property
    def secure(self):
        """A node that serves https; `authority` is what clients have to trust."""
        certificates(self.folder)
        return self._start(
            {settings.ENV_TLS_CERT: str(self.folder / "cert.pem"), settings.ENV_TLS_KEY: str(self.folder / "key.pem")}
        )

    @property
    def authority(self):
        """The certificate of the authority (a file)."""
        return self.folder / "ca.pem"

    def _start(self, env):
        node = Node("clients", mount=False, env=env).start()
        self.running.append(node)
        return node

    def many(self):
        """A bucket with more keys than a page holds, half of them below `half/`."""
        s3, bucket = s3c.client(self.plain.endpoint), s3c.fresh_name("many")
        s3.create_bucket(Bucket=bucket)
        keys = [f"{'half/' if n % 2 else ''}key {n:05}" for n in range(samples.MANY)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"), keys))
        return bucket

    def stop(self):
        """Ends all nodes; each must end by itself, and fsck must find nothing in what the clients left."""
        try:
            for node in self.running:
                node.stop()
                node.fsck()
        finally:
            self.close()

    def close(self):
        """Ends what is left, however it stands."""
        for node in self.running:
            node.close()
        self.running = []
