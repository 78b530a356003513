"""Authorities, signatures and a key folder that several tests of keys read."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

import pytest
from asn1crypto import tsp
from pyhanko.sign.signers import SimpleSigner
from pyhanko.sign.timestamps.api import TimeStamper

from forensics.keys.claim import ReferenceCommitment, ReferenceRule, Rule
from forensics.keys.creation import Targets, draft_key
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import KeyFolder, UnlockedKey, create_key
from forensics.keys.opening import verify_tokens
from forensics.keys.timestamp import TimestampAuthority
from forensics.records import Pool, PoolItem
from tests.keys.openssl import OpenSsl

CONTENT = b"what is signed"
PASSPHRASE = "correct horse"
MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def demonstration() -> DemonstrationAuthority:
    return DemonstrationAuthority.create()


@pytest.fixture(scope="session")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> OpenSsl:
    """A root with an RSA and an elliptic-curve timestamp unit, and a signer of each kind."""
    made = OpenSsl(tmp_path_factory.mktemp("openssl"))
    made.issue("tsa")
    made.issue("tsa-ec", "ec:P-256")
    made.issue("signer", extensions="signer")
    made.issue("signer-ec", "ec:P-384", extensions="signer")
    return made


class _OpenSslStamper(TimeStamper):
    def __init__(self, authority: OpenSsl) -> None:
        super().__init__()
        self._authority = authority

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        return tsp.TimeStampResp.load(self._authority.reply(req.dump()))


def cades(openssl: OpenSsl, name: str, timestamped: bool = True) -> bytes:
    """A detached CAdES signature over CONTENT, as pyHanko writes it, with a timestamp of OpenSSL."""
    signer = SimpleSigner.load(
        openssl.folder / f"{name}.key", openssl.folder / f"{name}.pem", ca_chain_files=(openssl.folder / "root.pem",)
    )
    stamper = _OpenSslStamper(openssl) if timestamped else None
    made = signer.async_sign_general_data(CONTENT, "sha256", detached=True, timestamper=stamper, use_cades=True)
    return asyncio.run(made).dump()


@pytest.fixture(scope="session")
def signature(openssl: OpenSsl) -> bytes:
    return cades(openssl, "signer")


def rule() -> Rule:
    return Rule(
        deciding={"labels": "matched-bits"},
        access="the highest access obtained decides",
        ties="a miss",
        missing="a miss",
        missing_allowed="0.1",
        n=64,
        stopping="fixed n",
        alpha="1e-6",
        examinations=1,
        grinding=20,
        minimum_effect="0.65",
        prior="Beta(1,1) truncated to (p0,1)",
        references=ReferenceRule(minimum=5, margin="0.1"),
    )


def pools(count: int, size: int = 8) -> list[Pool]:
    return [
        Pool(tuple(PoolItem(b"item %d of %d" % (item, share), "image/png", item % 4) for item in range(size)))
        for share in range(count)
    ]


@dataclass
class Maker:
    """Makes keys that differ only in what a test names: in a folder, or in memory, which is quick."""

    def settings(self, **choices: object) -> dict[str, object]:
        plain: dict[str, object] = {
            "owner": "Ada Lovelace",
            "method": "ofsw",
            "method_version": "1",
            "parameters": {"bits": 64},
            "labels": ("zero", "one", "two", "three"),
            "preprocessing": "the model's own",
            "pools": pools(3),
            "references": [ReferenceCommitment(role="clean-checkpoint", digest="ab" * 32, description="unmarked")],
            "rule": rule(),
            "binding": "demonstration",
            "now": MOMENT,
        }
        return {**plain, **choices}

    def __call__(self, path: Path, authorities: list[TimestampAuthority], **choices: object) -> KeyFolder:
        return create_key(path, authorities=authorities, **self.settings(**{"passphrase": PASSPHRASE, **choices}))

    def in_memory(self, authorities: list[TimestampAuthority], **choices: object) -> UnlockedKey:
        settings = self.settings(**choices)
        draft = draft_key(authorities=authorities, targets=Targets(), **settings)
        folder = KeyFolder(Path("nowhere"), draft.claim, draft.tokens, verify_tokens(draft.claim, draft.tokens))
        return UnlockedKey(folder, draft.shares, tuple(settings["pools"]))


@pytest.fixture(scope="session")
def make_key() -> Maker:
    return Maker()


@pytest.fixture(scope="session")
def unlocked(
    tmp_path_factory: pytest.TempPathFactory, demonstration: DemonstrationAuthority, make_key: Maker
) -> UnlockedKey:
    """A key of three shares; tests must not write into its folder."""
    return make_key(tmp_path_factory.mktemp("keys") / "key", [demonstration]).unlock(PASSPHRASE)


@pytest.fixture
def key(tmp_path: Path, unlocked: UnlockedKey) -> KeyFolder:
    """A copy of that key's folder, to be written into."""
    return KeyFolder.open(Path(copytree(unlocked.folder.path, tmp_path / "key")))
