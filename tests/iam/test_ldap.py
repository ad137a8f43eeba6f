"""What is LDAP's alone: TLS."""

import pytest

from harness import settings, slapd
from harness.elsewhere import Served, need

pytestmark = pytest.mark.pinfold


@pytest.mark.parametrize(
    ("trust", "code"),
    [({}, "ServiceUnavailable"), ({"PINFOLD_IAM_LDAP_TLS_SKIP_VERIFY": "on"}, 200), ({"SSL_CERT_FILE": "cert"}, 200)],
    ids=["unknown", "unchecked", "authority"],
)
def test_a_certificate_is_checked_unless_it_is_not_to_be(certificate, trust, code):
    need("ldap")
    cert, key = certificate
    server = slapd.Slapd(cert, key)
    try:
        server.put("alice")
        with Served(server, **{name: str(cert) if value == "cert" else value for name, value in trust.items()}) as served:
            assert served.code("alice") == code
            assert served.code(settings.ROOT_ACCESS, settings.ROOT_SECRET) == 200
    finally:
        server.close()
