"""A timestamp authority and signing certificates made with the `openssl` command."""

import subprocess
from pathlib import Path

from asn1crypto import tsp
from cryptography import x509

from forensics.keys.timestamp import timestamp_request

CONFIG = """
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[tsa]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[loose]
keyUsage = critical,digitalSignature
extendedKeyUsage = timeStamping,clientAuth
[signer]
keyUsage = critical,digitalSignature,nonRepudiation
extendedKeyUsage = 1.3.6.1.5.5.7.3.36
[req]
distinguished_name = dn
[dn]
[stamps]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ordering = no
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = {ess}
accuracy = secs:1
"""


class OpenSsl:
    """A root in a folder, and what it issues.

    Args:
        folder: empty, for keys and certificates.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "openssl.cnf").write_text(CONFIG.format(folder=folder, ess="sha256"))
        (folder / "sha1.cnf").write_text(CONFIG.format(folder=folder, ess="sha1"))
        (folder / "serial").write_text("01")
        self.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-days",
                 "3650", "-subj", "/O=Test/CN=Root", "-extensions", "root", "-config", "openssl.cnf")  # fmt: skip

    def run(self, *arguments: str) -> bytes:
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, check=True)
        return done.stdout

    def issue(self, name: str, key: str = "rsa:2048", extensions: str = "tsa") -> None:
        curve = ["-pkeyopt", f"ec_paramgen_curve:{key[3:]}"] if key.startswith("ec:") else []
        kind = "ec" if curve else key
        self.run("req", "-newkey", kind, *curve, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                 "-subj", f"/O=Test/CN={name}", "-config", "openssl.cnf")  # fmt: skip
        self.run("x509", "-req", "-in", f"{name}.csr", "-CA", "root.pem", "-CAkey", "root.key", "-days", "3650",
                 "-CAcreateserial", "-out", f"{name}.pem", "-extfile", "openssl.cnf",
                 "-extensions", extensions)  # fmt: skip

    def reply(self, request: bytes, name: str = "tsa", config: str = "openssl.cnf", chain: bool = True) -> bytes:
        """Returns the TimeStampResp of `openssl ts -reply`."""
        (self.folder / "query").write_bytes(request)
        embedded = ["-chain", "root.pem"] if chain else []
        self.run("ts", "-reply", "-queryfile", "query", "-out", "reply", "-config", config, "-section", "stamps",
                 "-signer", f"{name}.pem", "-inkey", f"{name}.key", *embedded)  # fmt: skip
        return (self.folder / "reply").read_bytes()

    def token(self, digest: bytes, name: str = "tsa", **choices: object) -> bytes:
        reply = self.reply(timestamp_request(digest, 12345).dump(), name, **choices)
        return tsp.TimeStampResp.load(reply)["time_stamp_token"].dump()

    def certificate(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes())
