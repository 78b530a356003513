"""The encrypted files of a key folder, in the age format.

`key.age` holds seeds, salts and an age identity, under the passphrase; `pool.age` holds the pools, under that identity.
So the passphrase opens both, and its deliberately slow derivation runs once.
"""

import base64
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyrage

from forensics.canonical import canonical_json, parse_json
from forensics.errors import KeyFolderError
from forensics.keys.claim import Frozen
from forensics.keys.shares import SEED_BYTES, Share
from forensics.records import Pool, PoolItem

_SECRET, _POOLS = "forensics-key/1", "forensics-pools/1"
_RESTORE = "Restore the key folder from a copy."
_TOO_MUCH = "Excessive work"
TRIES, PAUSE = 5, 1.0
"""How often a file is tried whose work seems too much for the machine, and the seconds between."""

ENOUGH = 16
"""Binary logarithm of scrypt's work that a new key has at least, where one of several attempts reaches it."""

_WORK = re.compile(rb"age-encryption\.org/v1\n-> scrypt \S+ (\d{1,2})\n")


@dataclass(frozen=True)
class Secret:
    """What `key.age` holds.

    Attributes:
        identity: age identity that opens `pool.age`.
    """

    shares: tuple[Share, ...] = field(repr=False)
    identity: str = field(repr=False)


class _ShareRecord(Frozen):
    seed: str
    salt: str


class _SecretRecord(Frozen):
    format: str
    claim: str
    shares: list[_ShareRecord]
    pool_identity: str


class _ItemRecord(Frozen):
    media_type: str
    label: int | None
    data: str


class _PoolsRecord(Frozen):
    format: str
    pools: list[list[_ItemRecord]]


def seal(claim: str, shares: Sequence[Share], pools: Sequence[Pool], passphrase: str) -> tuple[bytes, bytes]:
    """Returns the content of `key.age` and `pool.age`.

    The passphrase goes through scrypt at age's default work factor, about a second.

    Args:
        claim: digest C, by which a key.age in the wrong folder is noticed.

    Raises:
        KeyFolderError: the passphrase is empty.
    """
    require_passphrase(passphrase)
    identity = pyrage.x25519.Identity.generate()
    secret = {
        "format": _SECRET,
        "claim": claim,
        "shares": [{"seed": share.seed.hex(), "salt": share.salt.hex()} for share in shares],
        "pool_identity": str(identity),
    }
    rows = [[_row(item) for item in pool.items] for pool in pools]
    sealed_pools: bytes = pyrage.encrypt(canonical_json({"format": _POOLS, "pools": rows}), [identity.to_public()])
    return _encrypt(canonical_json(secret), passphrase), sealed_pools


def unseal(sealed: bytes, passphrase: str, claim: str) -> Secret:
    """Opens `key.age`, which takes about a second.

    Raises:
        KeyFolderError: the passphrase is empty or wrong, the file is damaged or belongs to another claim, or the
            machine is too busy for it.
    """
    require_passphrase(passphrase)
    raw = _decrypt(sealed, passphrase)
    try:
        record = _SecretRecord.model_validate(parse_json(raw))
        shares = tuple(Share(seed=bytes.fromhex(row.seed), salt=bytes.fromhex(row.salt)) for row in record.shares)
        if record.format != _SECRET or any(len(part) != SEED_BYTES for row in shares for part in (row.seed, row.salt)):
            raise ValueError("another format")
    except ValueError as error:
        raise KeyFolderError("key.age holds something else than the secret of a key.", _RESTORE) from error
    if record.claim != claim:
        raise KeyFolderError("key.age belongs to another claim.", _RESTORE)
    return Secret(shares, record.pool_identity)


def unseal_pools(sealed: bytes, identity: str) -> tuple[Pool, ...]:
    """Opens `pool.age` with the identity from `key.age`.

    Raises:
        KeyFolderError: the file is damaged or belongs to another key.
    """
    try:
        raw = pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(identity)])
        record = _PoolsRecord.model_validate(parse_json(raw))
        if record.format != _POOLS:
            raise ValueError("another format")
        return tuple(Pool(tuple(map(_item, rows))) for rows in record.pools)
    except (pyrage.DecryptError, pyrage.IdentityError, ValueError) as error:
        raise KeyFolderError("pool.age is damaged or belongs to another key.", _RESTORE) from error


def require_passphrase(passphrase: str) -> None:
    """Raises KeyFolderError where a passphrase is empty or blank."""
    if not passphrase.strip():
        raise KeyFolderError("The passphrase is empty.", "Give one: whoever has it and the key folder has the secret.")


def work_factor(sealed: bytes) -> int:
    """Returns the binary logarithm of scrypt's work in an age file's header; 0 where there is none."""
    found = _WORK.match(sealed)
    return int(found[1]) if found else 0


def _encrypt(raw: bytes, passphrase: str) -> bytes:
    """Encrypts under a passphrase.

    age chooses the work by how fast the machine is at that moment; one that is busy gets a key that is easier to guess
    at. So it is tried again until the work is enough, and the best of all attempts is taken.
    """
    best = b""
    for _ in range(TRIES):
        made: bytes = pyrage.passphrase.encrypt(raw, passphrase)
        best = max(best, made, key=work_factor)
        if work_factor(best) >= ENOUGH:
            break
    return best


def _decrypt(sealed: bytes, passphrase: str) -> bytes:
    """Opens a file under a passphrase.

    age times the machine at each call and refuses a file that would take 16 times as long as it thinks right, which a
    key from an idle machine does on one that is busy for a moment: so it is tried again.
    """
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE)
        try:
            opened: bytes = pyrage.passphrase.decrypt(sealed, passphrase)
        except pyrage.DecryptError as error:
            if _TOO_MUCH not in str(error):
                raise KeyFolderError(
                    "The passphrase is wrong, or key.age is damaged.",
                    "Check the passphrase; if it is right, restore the key folder from a copy.",
                ) from error
        else:
            return opened
    raise KeyFolderError(
        "This machine is too busy or too slow to open key.age in reasonable time.",
        "Try again when it has less to do, or on the machine on which the key was made.",
    )


def _row(item: PoolItem) -> dict[str, str | int | None]:
    return {"media_type": item.media_type, "label": item.label, "data": base64.b64encode(item.data).decode()}


def _item(row: _ItemRecord) -> PoolItem:
    return PoolItem(base64.b64decode(row.data, validate=True), row.media_type, row.label)
