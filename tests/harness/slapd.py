"""A real slapd with accounts in it, as VersityGW keeps them."""

import shutil
import subprocess

from . import settings
from .node import free_port, new_base
from .relay import Relay
from .wait import until

BASE = "ou=iam,dc=example,dc=com"
BIND_DN = "cn=admin,dc=example,dc=com"
BIND_PASS = "bind-pass-word-8c1f"

#: Field of an account → attribute.
ATTRIBUTES = {
    "access": "pfAccess", "secret": "pfSecret", "role": "pfRole", "user_id": "pfUserId", "group_id": "pfGroupId",
    "project_id": "pfProjectId",
}

SCHEMA = "\n".join(
    f"attributetype ( 1.3.6.1.4.1.55555.1.{n} NAME '{name}' EQUALITY caseIgnoreMatch "
    "SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )"
    for n, name in enumerate(ATTRIBUTES.values(), 1)
) + (
    "\nobjectclass ( 1.3.6.1.4.1.55555.2.1 NAME 'pfAccount' SUP top STRUCTURAL MUST pfAccess "
    "MAY ( pfSecret $ pfRole $ pfUserId $ pfGroupId $ pfProjectId ) )\n"
)


def missing():
    """What is needed and not there."""
    programs = [p for p in ("slapd", "slapadd") if not shutil.which(p, path="/usr/sbin:/sbin:/usr/bin:/bin")]
    return programs + [p for p in ("ldapsearch", "ldapmodify") if not shutil.which(p)]


class Slapd:
    """The server, and a relay before it that a node talks to."""

    kind = "ldap"

    def __init__(self, cert=None, key=None):
        self.base = new_base("slapd")
        self.port = free_port()
        self.scheme = "ldaps" if cert else "ldap"
        tls = f"TLSCertificateFile {cert}\nTLSCertificateKeyFile {key}\n" if cert else ""
        (self.base / "db").mkdir()
        (self.base / "pf.schema").write_text(SCHEMA)
        conf = self.base / "slapd.conf"
        # 3 entries an answer: lists of accounts need pages.
        conf.write_text(
            f"include /etc/ldap/schema/core.schema\ninclude {self.base}/pf.schema\nmodulepath /usr/lib/ldap\n"
            f"moduleload back_mdb\npidfile {self.base}/pid\nsizelimit size.soft=3 size.hard=3 size.prtotal=unlimited\n{tls}"
            f'database mdb\nsuffix "dc=example,dc=com"\nrootdn "cn=nobody,dc=example,dc=com"\ndirectory {self.base}/db\n'
            "maxsize 16777216\nindex objectClass,pfAccess eq\n"
            f'access to * by dn.exact="{BIND_DN}" write by anonymous auth by * none\n'
        )
        tree = (
            "dn: dc=example,dc=com\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n\n"
            f"dn: {BIND_DN}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: admin\n"
            f"userPassword: {BIND_PASS}\n\n"
            f"dn: {BASE}\nobjectClass: organizationalUnit\nou: iam\n"
        )
        subprocess.run(["/usr/sbin/slapadd", "-f", conf], input=tree, text=True, check=True, capture_output=True)
        listen = f"{self.scheme}://127.0.0.1:{self.port}"
        with (self.base / "log").open("ab") as log:
            command = ["/usr/sbin/slapd", "-f", conf, "-h", listen, "-d", "0"]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.relay = Relay(("127.0.0.1", self.port))
        try:
            until(self._answers, lambda: f"slapd answers: {(self.base / 'log').read_text()}", 30)
        except BaseException:
            self.close()
            raise

    def _ldap(self, program, *args, text=None, check=True):
        url = f"{self.scheme}://127.0.0.1:{self.port}"
        command = [program, "-x", "-H", url, "-D", BIND_DN, "-w", BIND_PASS, *args]
        env = {"LDAPTLS_REQCERT": "never", "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, input=text, text=True, capture_output=True, env=env)
        assert not check or done.returncode == 0, done.stderr
        return done

    def _answers(self):
        return self._ldap("ldapsearch", "-s", "base", "-b", BASE, check=False).returncode == 0

    def settings(self):
        """Variables of a node that has its accounts here."""
        env = {
            "PINFOLD_IAM_LDAP_URL": f"{self.scheme}://localhost:{self.relay.port}",
            "PINFOLD_IAM_LDAP_BIND_DN": BIND_DN,
            "PINFOLD_IAM_LDAP_BIND_PASS": BIND_PASS,
            "PINFOLD_IAM_LDAP_QUERY_BASE": BASE,
            "PINFOLD_IAM_LDAP_OBJECT_CLASSES": "top,pfAccount",
        }
        return env | {f"PINFOLD_IAM_LDAP_{field.upper()}_ATR": name for field, name in ATTRIBUTES.items()}

    def put(self, access, **fields):
        """An account, by another hand; fields that are None are left out."""
        values = {"access": access, "secret": "a-secret", "role": "user", "user_id": 0, "group_id": 0, "project_id": 0} | fields
        lines = [f"{ATTRIBUTES[name]}: {value}" for name, value in values.items() if value is not None]
        entry = f"dn: pfAccess={access},{BASE}\nchangetype: add\nobjectClass: top\nobjectClass: pfAccount\n" + "\n".join(lines)
        self._ldap("ldapmodify", text=entry + "\n")

    def change(self, access, **fields):
        """Other values."""
        lines = [f"replace: {ATTRIBUTES[name]}\n{ATTRIBUTES[name]}: {value}\n-" for name, value in fields.items()]
        self._ldap("ldapmodify", text=f"dn: pfAccess={access},{BASE}\nchangetype: modify\n" + "\n".join(lines) + "\n")

    def remove(self, access):
        """Ends it."""
        self._ldap("ldapmodify", text=f"dn: pfAccess={access},{BASE}\nchangetype: delete\n")

    def get(self, access):
        """The account as it is stored: field → text; None if there is none."""
        found = self._ldap("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", f"pfAccess={access},{BASE}", check=False)
        if found.returncode == 32:  # noSuchObject
            return None
        lines = [line.split(": ", 1) for line in found.stdout.splitlines() if ": " in line]
        fields = {name: field for field, name in ATTRIBUTES.items()}
        return {fields[name]: value for name, value in lines if name in fields}

    def close(self):
        """Ends it and removes what it wrote."""
        if self.relay.listener is not None:
            self.relay.cut()
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.base, ignore_errors=True)


#: What must never be seen in a log.
SECRETS = [BIND_PASS]
assert settings.ROOT_SECRET not in SECRETS
