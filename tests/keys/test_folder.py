import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyrage
import pytest

from forensics.canonical import canonical_json
from forensics.errors import AuthorityError, KeyFolderError, StorageError, UsageError
from forensics.keys import folder as folder_module
from forensics.keys import storage
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import KeyFolder, UnlockedKey, generator_digest, show
from forensics.keys.shares import Share
from forensics.keys.timestamp import verify_token
from forensics.keys.vault import Secret, unseal
from forensics.records import Pool, PoolItem
from tests.keys.conftest import MOMENT, PASSPHRASE, Maker, pools
from tests.keys.openssl import OpenSsl
from tests.keys.test_opening import Stamper


class Failing:
    """An authority that fails from its n-th answer on."""

    name = "failing"

    def __init__(self, good: DemonstrationAuthority, after: int, rubbish: bool = False) -> None:
        self.good, self.left, self.rubbish = good, after, rubbish

    def stamp(self, digest: bytes) -> bytes:
        if self.left:
            self.left -= 1
            return self.good.stamp(digest)
        if self.rubbish:
            return b"rubbish"
        raise AuthorityError("The timestamp authority failing could not be reached.", "Try again.")


class Alternating:
    """An authority with two units that take turns."""

    name = "alternating"

    def __init__(self, turns: list[int]) -> None:
        self.units = [DemonstrationAuthority.create(), DemonstrationAuthority.create()]
        self.turns = turns

    def stamp(self, digest: bytes) -> bytes:
        return self.units[self.turns.pop(0)].stamp(digest)


def test_a_key_is_made_opened_and_unlocked(unlocked: UnlockedKey) -> None:
    key = KeyFolder.open(unlocked.folder.path)
    assert key == unlocked.folder
    assert key.claim.owner == "Ada Lovelace"
    assert key.claim.created == "2026-03-01T12:00:00Z"
    assert key.claim.generator == generator_digest()
    assert key.claim.authorities == (key.verified[0].fingerprint,)
    assert verify_token(key.tokens[0], bytes.fromhex(key.claim.digest)).demonstration
    assert [unlocked.pool(share) for share in range(3)] == pools(3)
    assert [pool.digest for pool in pools(3)] == [commitment.digest for commitment in key.claim.pools]
    again = key.unlock(PASSPHRASE)
    assert again.secrets(1) == unlocked.secrets(1)


def test_nothing_secret_lies_in_the_open(unlocked: UnlockedKey) -> None:
    folder = unlocked.folder.path
    assert sorted(path.name for path in folder.iterdir()) == ["claim.json", "claim.tst", "key.age", "pool.age"]
    assert folder.stat().st_mode & 0o077 == 0
    secrets = [part for share in unlocked.shares for part in (share.seed, share.salt)]
    secrets += [secret for share in range(3) for secret in unlocked.secrets(share)]
    secrets += [item.data for pool in unlocked.pools for item in pool.items]
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0
        content = path.read_bytes()
        assert not any(secret in content or secret.hex().encode() in content for secret in secrets)
    assert not any(secret.hex() in repr(unlocked) or str(secret) in repr(unlocked) for secret in secrets)


def test_the_age_format_is_the_published_one(unlocked: UnlockedKey) -> None:
    assert (unlocked.folder.path / "key.age").read_bytes().startswith(b"age-encryption.org/v1\n-> scrypt ")
    assert (unlocked.folder.path / "pool.age").read_bytes().startswith(b"age-encryption.org/v1\n-> X25519 ")


def test_show_is_public_and_plain(unlocked: UnlockedKey) -> None:
    facts = show(unlocked.folder)
    assert facts["claim"] == unlocked.claim.digest
    assert facts["binding"] == "demonstration"
    assert facts["shares"] == 3
    assert facts["pools"] == [8, 8, 8]
    assert facts["examinations"] == 0
    assert facts["asset"] is None
    assert json.loads(json.dumps(facts)) == facts


def test_a_wrong_passphrase(unlocked: UnlockedKey) -> None:
    with pytest.raises(KeyFolderError, match="passphrase is wrong") as caught:
        unlocked.folder.unlock(PASSPHRASE + " ")
    assert caught.value.exit_code == 2
    assert PASSPHRASE not in str(caught.value)


@pytest.mark.parametrize("passphrase", ["", "  ", "\n"])
def test_an_empty_passphrase(
    unlocked: UnlockedKey, tmp_path: Path, make_key: Maker, demonstration: DemonstrationAuthority, passphrase: str
) -> None:
    with pytest.raises(KeyFolderError, match="empty"):
        unlocked.folder.unlock(passphrase)
    with pytest.raises(KeyFolderError, match="empty"):
        make_key(tmp_path / "key", [demonstration], passphrase=passphrase)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_key_folder(tmp_path: Path) -> None:
    (tmp_path / "claim.json").write_bytes(b"{}")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "claim.json"):
        with pytest.raises(KeyFolderError, match="is no key folder"):
            KeyFolder.open(path)


def test_nothing_is_overwritten(tmp_path: Path, make_key: Maker, demonstration: DemonstrationAuthority) -> None:
    counted = Failing(demonstration, 9)
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "file").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("empty", "full", "link", "full/file"):
        with pytest.raises(KeyFolderError, match="exists already"):
            make_key(tmp_path / name, [counted])
    assert counted.left == 9
    assert (tmp_path / "full" / "file").read_bytes() == b"precious"


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("rubbish", [False, True])
def test_nothing_is_left_when_the_authority_fails(
    tmp_path: Path, make_key: Maker, demonstration: DemonstrationAuthority, after: int, rubbish: bool
) -> None:
    with pytest.raises(AuthorityError) as caught:
        make_key(tmp_path / "key", [Failing(demonstration, after, rubbish)])
    assert caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_an_authority_with_several_units(make_key: Maker) -> None:
    patient = make_key.in_memory([Alternating([0, 1, 1, 1])]).folder
    assert patient.claim.authorities == (patient.verified[0].fingerprint,)
    with pytest.raises(AuthorityError, match="another certificate each time"):
        make_key.in_memory([Alternating([0, 1] * 3)])


def test_two_authorities_leave_two_tokens(
    tmp_path: Path, make_key: Maker, openssl: OpenSsl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "seal", lambda *_: (b"sealed", b"sealed"))
    key = make_key(tmp_path / "key", [Stamper(openssl), Stamper(openssl, "tsa-ec")], binding="timestamped")
    named = ["claim.json", "claim.tst", "claim.2.tst", "key.age", "pool.age"]
    assert {path.name for path in key.path.iterdir()} == set(named)
    assert [token.authority for token in key.verified] == ["CN=tsa,O=Test", "CN=tsa-ec,O=Test"]
    assert not any(token.demonstration for token in key.verified)


def test_binding_and_authorities_must_agree(
    tmp_path: Path, make_key: Maker, demonstration: DemonstrationAuthority, openssl: OpenSsl
) -> None:
    real = Stamper(openssl)
    cases = [
        ([demonstration], "timestamped"),
        ([demonstration], "self-dated"),
        ([real], "demonstration"),
        ([real, demonstration], "timestamped"),
        ([], "timestamped"),
        ([real, real], "timestamped"),
    ]
    for authorities, binding in cases:
        with pytest.raises(UsageError):
            make_key(tmp_path / "key", authorities, binding=binding)
    assert list(tmp_path.iterdir()) == []


def test_pools_are_disjoint_and_the_claim_is_canonical(
    tmp_path: Path, make_key: Maker, demonstration: DemonstrationAuthority
) -> None:
    one = pools(1)[0]
    relabelled = Pool((PoolItem(one.items[0].data, "image/png", 3),))
    for odd in ([one, one], [one, relabelled], [Pool(())]):
        with pytest.raises(UsageError, match="item in common"):
            make_key(tmp_path / "key", [demonstration], pools=odd)
    for choice in ({"owner": ""}, {"parameters": {"rate": 0.5}}, {"owner": "\ud800"}):
        with pytest.raises(UsageError, match="cannot be written"):
            make_key(tmp_path / "key", [demonstration], **choice)
    assert list(tmp_path.iterdir()) == []


def test_two_keys_from_the_same_choices_differ(
    make_key: Maker, demonstration: DemonstrationAuthority, unlocked: UnlockedKey
) -> None:
    other = make_key.in_memory([demonstration])
    assert other.claim.shares.root != unlocked.claim.shares.root
    assert other.secrets() != unlocked.secrets()


@pytest.mark.parametrize("name", ["claim.json", "claim.tst"])
def test_damage_of_the_public_part_is_noticed(key: KeyFolder, name: str) -> None:
    content = (key.path / name).read_bytes()
    for damaged in (content[:-1] + bytes([content[-1] ^ 1]), content[:-20], b"", b"\xff"):
        (key.path / name).write_bytes(damaged)
        with pytest.raises(KeyFolderError):
            KeyFolder.open(key.path)
    (key.path / name).unlink()
    with pytest.raises(KeyFolderError):
        KeyFolder.open(key.path)


def test_damage_of_the_secret_is_noticed(key: KeyFolder) -> None:
    content = (key.path / "key.age").read_bytes()
    for damaged in (content[:-1] + bytes([content[-1] ^ 1]), content[:40], b""):
        (key.path / "key.age").write_bytes(damaged)
        with pytest.raises(KeyFolderError, match=r"passphrase is wrong, or key\.age is damaged"):
            key.unlock(PASSPHRASE)
    (key.path / "key.age").unlink()
    with pytest.raises(KeyFolderError, match="missing"):
        key.unlock(PASSPHRASE)


@pytest.fixture
def opened_secret(unlocked: UnlockedKey, monkeypatch: pytest.MonkeyPatch) -> Secret:
    """A secret for the shared key's pools; unlocking finds it at once, whatever the passphrase."""
    identity = pyrage.x25519.Identity.generate()
    secret = Secret(unlocked.shares, str(identity))
    monkeypatch.setattr(folder_module, "unseal", lambda *_: secret)
    return secret


def sealed_pools(secret: Secret, body: bytes) -> bytes:
    return pyrage.encrypt(body, [pyrage.x25519.Identity.from_str(secret.identity).to_public()])


def pool_bytes(given: Sequence[Pool]) -> bytes:
    rows = [
        [
            {"media_type": item.media_type, "label": item.label, "data": base64.b64encode(item.data).decode()}
            for item in pool.items
        ]
        for pool in given
    ]
    return canonical_json({"format": "forensics-pools/1", "pools": rows})


def test_other_pools_are_noticed(key: KeyFolder, unlocked: UnlockedKey, opened_secret: Secret) -> None:
    right = pool_bytes(unlocked.pools)
    (key.path / "pool.age").write_bytes(sealed_pools(opened_secret, right))
    assert key.unlock("any").pools == unlocked.pools
    wrong = [
        (pool_bytes(unlocked.pools[::-1]), "does not hold the pools"),
        (pool_bytes(unlocked.pools[:2]), "does not hold the pools"),
        (right.replace(b"forensics-pools/1", b"forensics-pools/2"), "damaged"),
        (b"{}", "damaged"),
        (b"", "damaged"),
    ]
    for body, said in wrong:
        (key.path / "pool.age").write_bytes(sealed_pools(opened_secret, body))
        with pytest.raises(KeyFolderError, match=said):
            key.unlock("any")
    sealed = sealed_pools(opened_secret, right)
    other_key = (unlocked.folder.path / "pool.age").read_bytes()
    for content in (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:50], b"", other_key):
        (key.path / "pool.age").write_bytes(content)
        with pytest.raises(KeyFolderError, match=r"pool\.age is damaged or belongs to another key"):
            key.unlock("any")


def test_other_shares_are_noticed(
    key: KeyFolder, unlocked: UnlockedKey, opened_secret: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key.path / "pool.age").write_bytes(sealed_pools(opened_secret, pool_bytes(unlocked.pools)))
    for shares in ((Share(b"s" * 32, b"t" * 32),) * 3, unlocked.shares[::-1]):
        monkeypatch.setattr(folder_module, "unseal", lambda *_, drawn=shares: Secret(drawn, opened_secret.identity))
        with pytest.raises(KeyFolderError, match="does not hold the shares"):
            key.unlock("any")


def test_the_secret_of_another_key_is_noticed(unlocked: UnlockedKey) -> None:
    sealed = (unlocked.folder.path / "key.age").read_bytes()
    with pytest.raises(KeyFolderError, match="belongs to another claim"):
        unseal(sealed, PASSPHRASE, "0" * 64)


def test_a_key_of_another_generator_is_refused(
    key: KeyFolder, unlocked: UnlockedKey, opened_secret: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key.path / "pool.age").write_bytes(sealed_pools(opened_secret, pool_bytes(unlocked.pools)))
    monkeypatch.setattr(folder_module, "generator_digest", lambda: "0" * 64)
    with pytest.raises(KeyFolderError, match="another version of the generator"):
        key.unlock("any")


def test_shares_that_are_not_there(unlocked: UnlockedKey) -> None:
    for share in (-1, 3):
        for ask in (unlocked.secrets, unlocked.pool, unlocked.opening):
            with pytest.raises(KeyFolderError, match="no share"):
                ask(share)


def test_the_marked_model_is_recorded_once(key: KeyFolder, demonstration: DemonstrationAuthority) -> None:
    assert key.asset is None
    assert key.asset_token is None
    digest = "12" * 32
    recorded = key.record_asset(digest, MOMENT, demonstration)
    assert recorded.claim == key.claim.digest
    assert key.asset == recorded.core == (key.path / "asset.json").read_bytes()
    assert verify_token(key.asset_token, hashlib.sha256(key.asset).digest()).demonstration
    assert key.record_asset(digest, MOMENT, None) == recorded
    with pytest.raises(KeyFolderError, match="Another marked model"):
        key.record_asset("34" * 32, MOMENT, demonstration)
    assert show(key)["asset"] == digest


def test_nothing_is_recorded_when_the_authority_fails(key: KeyFolder, demonstration: DemonstrationAuthority) -> None:
    for rubbish in (False, True):
        with pytest.raises(AuthorityError):
            key.record_asset("12" * 32, MOMENT, Failing(demonstration, 0, rubbish))
    assert key.asset is None
    undated = key.record_asset("12" * 32, MOMENT, None)
    assert key.asset == undated.core
    assert key.asset_token is None


def test_a_damaged_record_of_the_model_is_noticed(key: KeyFolder, demonstration: DemonstrationAuthority) -> None:
    asset = key.record_asset("12" * 32, MOMENT, demonstration)
    for content in (
        b"{}",
        b"rubbish",
        asset.core + b"\n",
        canonical_json({**json.loads(asset.core), "claim": "0" * 64}),
    ):
        (key.path / "asset.json").write_bytes(content)
        with pytest.raises(KeyFolderError):
            _ = key.asset
    changed = canonical_json({**json.loads(asset.core), "created": "2020-01-01T00:00:00Z"})
    (key.path / "asset.json").write_bytes(changed)
    with pytest.raises(KeyFolderError, match=r"asset\.tst is damaged"):
        _ = key.asset_token


def test_places_of_named_models_are_remembered(key: KeyFolder, tmp_path: Path) -> None:
    assert key.paths == {}
    key.remember("clean-checkpoint", tmp_path / "model")
    assert key.paths == {"clean-checkpoint": str(tmp_path / "model")}
    for role in ("other", "../claim", "clean-checkpoint/.."):
        with pytest.raises(KeyFolderError, match="no model with the role"):
            key.remember(role, tmp_path)
    (key.path / "paths.json").write_bytes(b"[]")
    with pytest.raises(KeyFolderError, match=r"paths\.json is damaged"):
        _ = key.paths


def test_examinations_are_counted(key: KeyFolder) -> None:
    def log(transcript: str, share: int = 0) -> int:
        return key.log_examination(moment=MOMENT, case="case", suspect="s", transcript=transcript, share=share)

    assert key.examinations == ()
    assert [log("1" * 64), log("2" * 64), log("1" * 64)] == [1, 2, 2]
    with pytest.raises(KeyFolderError, match="spent in order"):
        log("3" * 64, share=2)
    assert [log("3" * 64, share=1), log("4" * 64, share=2), log("5" * 64)] == [3, 4, 5]
    assert [entry.transcript[0] for entry in key.examinations] == ["1", "2", "3", "4", "5"]
    assert show(key)["examinations"] == 5
    lines = (key.path / "examinations.jsonl").read_bytes()
    assert lines.endswith(b"\n")
    (key.path / "examinations.jsonl").write_bytes(lines[:-20])
    with pytest.raises(KeyFolderError, match="damaged"):
        log("6" * 64)


def test_examinations_logged_at_once_are_all_counted(key: KeyFolder) -> None:
    program = (
        "import sys; from pathlib import Path; from forensics.canonical import now\n"
        "from forensics.keys.examinations import append_log\n"
        "for number in range(10):\n"
        "    append_log(Path(sys.argv[1]), moment=now(), case='c', suspect='s', share=0,\n"
        "               transcript=f'{int(sys.argv[2]):032x}{number:032x}')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(key.path), str(number)]) for number in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert len(key.examinations) == 30


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, make_key: Maker, demonstration: DemonstrationAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    original = storage._write

    def write(path: Path, data: bytes) -> None:
        if path.name == "claim.json":
            raise OSError(28, "No space left on device")
        written.append(path.name)
        original(path, data)

    monkeypatch.setattr(storage, "_write", write)
    with pytest.raises(StorageError, match="No space left"):
        make_key(tmp_path / "key", [demonstration])
    assert written
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_replaced_stays(key: KeyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    key.log_examination(moment=MOMENT, case="case", suspect="s", transcript="1" * 64)
    before = {path.name: path.read_bytes() for path in key.path.iterdir()}

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "_write", full)
    with pytest.raises(StorageError):
        key.log_examination(moment=MOMENT, case="case", suspect="s", transcript="2" * 64)
    assert {path.name: path.read_bytes() for path in key.path.iterdir()} == before


KILLED = """
import sys, time
from pathlib import Path
from forensics.keys import folder as folder_module
from forensics.keys import storage
original = storage._write
def slow(path, data):
    original(path, data[: len(data) // 2])
    print("writing", flush=True)
    time.sleep(60)
storage._write = slow
storage.{call}
"""


@pytest.mark.parametrize(
    "call", ["create_folder(Path('made'), {'a': b'x' * 100})", "replace_file(Path('file'), b'x' * 100)"]
)
def test_a_kill_leaves_the_old_state(tmp_path: Path, call: str) -> None:
    (tmp_path / "file").write_bytes(b"old")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED.format(call=call)], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    assert not (tmp_path / "made").exists()
    assert (tmp_path / "file").read_bytes() == b"old"
    storage.replace_file(tmp_path / "file", b"new")
    storage.create_folder(tmp_path / "made", {"a": b"x"})
    assert (tmp_path / "file").read_bytes() == b"new"
