"""A key on a token: SoftHSM plays the token; without it (Debian: softhsm2) these tests are skipped."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from forensics.errors import MissingExtraError, UsageError
from forensics.evidence.pkcs11 import open_token
from forensics.evidence.seal import sign_detached
from forensics.evidence.signer import signer_certificate, signer_chain
from forensics.keys.cms import read_cms
from tests.evidence.conftest import Line
from tests.evidence.pki import NOW, Ca, Holder

PIN, TOKEN = "4711-pin", "examiner"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
MODULE = next((Path(each) for each in MODULES if Path(each).exists()), Path("missing"))

pytestmark = pytest.mark.skipif(
    not MODULE.exists() or shutil.which("softhsm2-util") is None,
    reason="SoftHSM is not installed: apt-get install -y softhsm2",
)


@dataclass
class Card:
    """A token in a folder, with the configuration that the module reads from the environment."""

    ca: Ca
    rsa: Holder
    curve: Holder
    environment: dict[str, str]


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Card]:
    folder = tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    environment = {"SOFTHSM2_CONF": str(folder / "softhsm2.conf")}

    def run(*arguments: str) -> None:
        subprocess.run(
            ["softhsm2-util", *arguments], env={**os.environ, **environment}, check=True, capture_output=True
        )

    ca = Ca()
    made = Card(ca, ca.issue("Expert", key=rsa.generate_private_key(65537, 2048)), ca.issue("Curve"), environment)
    run("--init-token", "--free", "--label", TOKEN, "--pin", PIN, "--so-pin", "so-pin-1")
    for label, holder in (("signer", made.rsa), ("curve", made.curve), ("stray", ca.issue("Stray"))):
        key = folder / f"{label}.p8"
        key.write_bytes(holder.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        run("--import", str(key), "--token", TOKEN, "--label", label, "--id", label.encode().hex(), "--pin", PIN)
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ.update(environment)
    _store(made, {"signer": made.rsa, "curve": made.curve, "misplaced": made.rsa})
    yield made
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


def _store(card: Card, holders: dict[str, Holder]) -> None:
    """Puts certificates on the token, the authority's with them."""
    import pkcs11

    with pkcs11.lib(str(MODULE)).get_token(token_label=TOKEN).open(rw=True, user_pin=PIN) as session:
        certificates = {label: holder.certificate for label, holder in holders.items()} | {"root": card.ca.certificate}
        for label, certificate in certificates.items():
            session.create_object(
                {
                    pkcs11.Attribute.CLASS: pkcs11.ObjectClass.CERTIFICATE,
                    pkcs11.Attribute.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509,
                    pkcs11.Attribute.TOKEN: True,
                    pkcs11.Attribute.LABEL: label,
                    pkcs11.Attribute.SUBJECT: certificate.subject.public_bytes(),
                    pkcs11.Attribute.VALUE: certificate.public_bytes(Encoding.DER),
                }
            )


@pytest.mark.parametrize("label", ["signer", "curve"])
def test_token_signs_and_the_chain_on_it_is_embedded(card: Card, label: str) -> None:
    holder = card.rsa if label == "signer" else card.curve
    with open_token(MODULE, token=TOKEN, key_label=label, pin=PIN) as signer:
        assert signer_certificate(signer) == holder.certificate
        assert signer_chain(signer) == (holder.certificate, card.ca.certificate)
        der = sign_detached(b"content", signer, None, NOW)
    signed = read_cms(der, detached_digest=lambda name: hashlib.new(name, b"content").digest())
    assert signed.chain == (holder.certificate, card.ca.certificate)


def test_certificate_may_come_from_a_file(card: Card, tmp_path: Path) -> None:
    path = tmp_path / "certificate.pem"
    path.write_bytes(card.rsa.certificate.public_bytes(Encoding.PEM))
    with open_token(MODULE, token=TOKEN, key_label="signer", pin=PIN, certificate=path) as signer:
        assert signer_certificate(signer) == card.rsa.certificate


WRONG = {
    "PIN": ({"pin": "0000-pin"}, "PIN of the token examiner is wrong"),
    "short PIN": ({"pin": "1"}, "PIN of the token examiner is wrong"),
    "empty PIN": ({"pin": ""}, "PIN of the token is empty"),
    "token": ({"token": "another\x1b[31m"}, r"token another.* cannot be opened"),
    "key": ({"key_label": "nothing", "certificate_label": "signer"}, "holds no private key labelled nothing"),
    "certificate": ({"certificate_label": "nothing"}, "holds no certificate labelled nothing"),
    "key of another": ({"key_label": "stray", "certificate_label": "curve"}, "do not belong together"),
    "kind of key": ({"key_label": "curve", "certificate_label": "signer"}, r"did not sign|do not belong together"),
    "module": ({"module": Path("/nothing/there.so")}, "no PKCS#11 module at"),
    "library": ({"module": Path("/bin/true")}, r"cannot be opened \(OS exception"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_said_in_a_sentence(card: Card, kind: str) -> None:
    changed, match = WRONG[kind]
    choices = {"module": MODULE, "token": TOKEN, "key_label": "signer", "pin": PIN, **changed}
    with pytest.raises(UsageError, match=match) as caught, open_token(**choices):  # type: ignore[arg-type]
        pass
    assert caught.value.cause.endswith(".")
    assert caught.value.next_step.endswith(".")
    assert "\x1b" not in caught.value.cause
    assert str(choices["pin"] or "none") not in str(caught.value)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(MissingExtraError, match="PKCS#11"), open_token(MODULE, token="x", key_label="y", pin="z"):
        pass


def test_commands_sign_with_a_token(card: Card, line: Line, tmp_path: Path) -> None:
    case, report, pin = tmp_path / "CASE", tmp_path / "report.pdf", tmp_path / "pin"
    shutil.copytree(line.opened, case)
    pin.write_text(PIN + "\n")

    def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "forensics", *map(str, arguments)]
        environment = {**os.environ, **card.environment, **more}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    token = ("--pkcs11", MODULE, "--token", TOKEN, "--key-label", "signer")
    wrong = run("case", "seal", case, *token, FORENSICS_SIGNER_PASSPHRASE="0000-pin")
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
    assert "PIN" in wrong.stderr
    assert not (case / "tagmanifest-sha256.txt.p7s").exists()
    sealed = run("case", "seal", case, *token, FORENSICS_SIGNER_PASSPHRASE=PIN)
    assert sealed.returncode == 0, sealed.stderr
    written = run("report", case, "--out", report, "--summary", *token, "--signer-passphrase-file", pin, "--json")
    assert written.returncode == 0, written.stderr
    assert json.loads(written.stdout)["level"] == "B-B"
    checked = run("check", report, "--case", case, "--json")
    assert json.loads(checked.stdout)["signed_by"] == "CN=Expert,O=Institute", checked.stdout
    both = run("report", case, "--out", tmp_path / "no.pdf", *token, "--signer", line.signer)
    assert both.returncode == 2
    assert run("report", case, "--out", tmp_path / "no.pdf", *token[2:]).returncode == 2
    assert run("report", case, "--out", tmp_path / "no.pdf", *token[:2]).returncode == 2
    assert not (tmp_path / "no.pdf").exists()
