"""Shares: the unit of disclosure, and the Merkle tree (RFC 6962) that lets one be opened without the others."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from forensics.canonical import canonical_json, sha256

SEED_BYTES = 32


@dataclass(frozen=True)
class Share:
    """What is drawn for one share; the seed is secret until the share is opened.

    Attributes:
        seed: s_i, 32 random bytes.
        salt: 32 random bytes that keep an unopened leaf from being guessed.
    """

    seed: bytes = field(repr=False)
    salt: bytes = field(repr=False)


def draw_shares(count: int) -> tuple[Share, ...]:
    """Draws independent seeds and salts from the operating system's generator.

    Raises:
        ValueError: fewer than one.
    """
    if count < 1:
        raise ValueError("a key has at least one share")
    draw = secrets.token_bytes
    return tuple(Share(seed=draw(SEED_BYTES), salt=draw(SEED_BYTES)) for _ in range(count))


def leaf(share: Share, *, index: int, count: int, method: str, pool: str) -> bytes:
    """Returns leaf_i = SHA-256(0x00 || salt_i || canonical {i, method, n, pool, seed}), 32 bytes.

    Args:
        index: i, from 0.
        count: n, the number of shares.
        method: name of the method.
        pool: digest of the share's pool, hexadecimal.
    """
    body = {"i": index, "n": count, "method": method, "pool": pool, "seed": sha256(share.seed)}
    return hashlib.sha256(b"\x00" + share.salt + canonical_json(body)).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Returns the root over leaf hashes (RFC 6962, section 2.1), 32 bytes.

    Raises:
        ValueError: there is no leaf.
    """
    if not leaves:
        raise ValueError("a tree has at least one leaf")
    if len(leaves) == 1:
        return leaves[0]
    cut = _split(len(leaves))
    return _node(merkle_root(leaves[:cut]), merkle_root(leaves[cut:]))


def merkle_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Returns the audit path of a leaf, from the leaf up (RFC 6962, section 2.1.1).

    Raises:
        ValueError: there is no leaf of that index.
    """
    if not 0 <= index < len(leaves):
        raise ValueError(f"there is no leaf {index} among {len(leaves)}")
    if len(leaves) == 1:
        return ()
    cut = _split(len(leaves))
    if index < cut:
        return (*merkle_proof(leaves[:cut], index), merkle_root(leaves[cut:]))
    return (*merkle_proof(leaves[cut:], index - cut), merkle_root(leaves[:cut]))


def verify_proof(leaf_hash: bytes, index: int, count: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Says whether a leaf hash stands at an index of a tree of `count` leaves with that root.

    The path is consumed exactly: a proof that is too long, too short or of another index fails.
    """
    if not 0 <= index < count or any(len(step) != len(root) for step in proof):
        return False
    sides = _sides(index, count)
    if len(sides) != len(proof):
        return False
    value = leaf_hash
    for step, sibling_is_left in zip(proof, sides, strict=True):
        value = _node(step, value) if sibling_is_left else _node(value, step)
    return hmac.compare_digest(value, root)


def _sides(index: int, count: int) -> list[bool]:
    """For each step from the leaf up, whether the sibling stands to the left."""
    sides: list[bool] = []
    while count > 1:
        cut = _split(count)
        sides.append(index >= cut)
        index, count = (index - cut, count - cut) if index >= cut else (index, cut)
    return sides[::-1]


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
