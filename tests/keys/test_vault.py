"""What opens `key.age`, and what is said where it does not open."""

import re

import pyrage
import pytest

from forensics.errors import KeyFolderError
from forensics.keys import vault
from forensics.keys.shares import Share
from forensics.keys.vault import seal, unseal, work_factor

CLAIM = "c" * 64
SHARE = Share(seed=b"s" * 32, salt=b"t" * 32)


@pytest.fixture(scope="module")
def sealed() -> bytes:
    return seal(CLAIM, [SHARE], [], "correct horse")[0]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "PAUSE", 0.0)


def test_a_moment_of_work_elsewhere_is_waited_out(sealed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = pyrage.passphrase.decrypt, []

    def busy_at_first(data: bytes, passphrase: str) -> bytes:
        calls.append(passphrase)
        if len(calls) < vault.TRIES:
            raise pyrage.DecryptError(
                "Excessive work parameter for passphrase.\nDecryption would take around 9 seconds."
            )
        return bytes(real(data, passphrase))

    monkeypatch.setattr(pyrage.passphrase, "decrypt", busy_at_first)
    assert unseal(sealed, "correct horse", CLAIM).shares == (SHARE,)
    assert len(calls) == vault.TRIES


def test_too_much_work_is_not_called_a_wrong_passphrase(sealed: bytes) -> None:
    heavy = re.sub(rb"(-> scrypt \S+) \d+\n", rb"\1 40\n", sealed)
    with pytest.raises(KeyFolderError, match="too busy or too slow") as caught:
        unseal(heavy, "correct horse", CLAIM)
    assert "assphrase" not in str(caught.value)


def test_a_wrong_passphrase_is_said_at_once(sealed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(data: bytes, passphrase: str) -> bytes:
        calls.append(passphrase)
        raise pyrage.DecryptError("Decryption failed")

    calls: list[str] = []
    monkeypatch.setattr(pyrage.passphrase, "decrypt", refusing)
    with pytest.raises(KeyFolderError, match="passphrase is wrong"):
        unseal(sealed, "another", CLAIM)
    assert len(calls) == 1


def test_a_key_that_a_busy_machine_made_too_easy_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = [13, 12, 17, 20]

    def timed(data: bytes, passphrase: str) -> bytes:
        return b"age-encryption.org/v1\n-> scrypt c2FsdA %d\n" % offered.pop(0)

    monkeypatch.setattr(pyrage.passphrase, "encrypt", timed)
    assert work_factor(seal(CLAIM, [SHARE], [], "correct horse")[0]) == 17
    assert offered == [20]
    offered[:] = [9, 14, 13, 12, 11]
    assert work_factor(seal(CLAIM, [SHARE], [], "correct horse")[0]) == 14


def test_the_work_is_read_from_the_header(sealed: bytes) -> None:
    assert work_factor(sealed) == int(sealed.split(b"\n")[1].split()[-1]) > 0
    assert work_factor(b"age-encryption.org/v1\n-> X25519 abc\n") == 0
