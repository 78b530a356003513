import hashlib
import json

import pytest

from forensics.errors import KeyFolderError
from forensics.keys.claim import Claim
from forensics.keys.folder import UnlockedKey


def test_the_claim_is_its_canonical_bytes(unlocked: UnlockedKey) -> None:
    claim = unlocked.claim
    assert Claim.parse(claim.core) == claim
    assert claim.digest == hashlib.sha256(claim.core).hexdigest()
    assert json.dumps(json.loads(claim.core), sort_keys=True, separators=(",", ":")).encode() == claim.core
    assert (unlocked.folder.path / "claim.json").read_bytes() == claim.core


@pytest.mark.parametrize(
    "change",
    [
        {"owner": ""},
        {"binding": "trusted"},
        {"generator": "AB" * 32},
        {"unknown": 1},
        {"pools": []},
        {"format": "forensics-claim/2"},
    ],
)
def test_odd_claims_are_refused(unlocked: UnlockedKey, change: dict[str, object]) -> None:
    body = {**json.loads(unlocked.claim.core), **change}
    with pytest.raises(KeyFolderError):
        Claim.parse(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())


def test_odd_rules_are_refused(unlocked: UnlockedKey) -> None:
    for name, value in (("alpha", 1e-6), ("alpha", "1e-6 "), ("grinding", 65), ("examinations", 0), ("n", 0)):
        body = json.loads(unlocked.claim.core)
        body["rule"][name] = value
        with pytest.raises(KeyFolderError):
            Claim.parse(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())


def test_the_same_claim_in_another_form_is_refused(unlocked: UnlockedKey) -> None:
    core = unlocked.claim.core
    doubled = core.replace(b'{"alignment":null', b'{"alignment":null,"alignment":null', 1)
    for other in (b" " + core, core + b"\n", json.dumps(json.loads(core)).encode(), doubled, b"", b"[]", core[:-1]):
        with pytest.raises(KeyFolderError):
            Claim.parse(other)


@pytest.mark.parametrize("value", ["1.5", "12345678901234567890", "[" * 5000 + "]" * 5000, r'"\ud800"', "NaN"])
def test_values_without_canonical_form_are_refused(unlocked: UnlockedKey, value: str) -> None:
    core = unlocked.claim.core.replace(b'"parameters":{"bits":64}', f'"parameters":{{"bits":{value}}}'.encode())
    assert core != unlocked.claim.core
    with pytest.raises(KeyFolderError):
        Claim.parse(core)
