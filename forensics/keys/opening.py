"""Opening a commitment: what the other side checks before it believes that a secret is the committed one.

Nothing private is needed: the claim, its timestamp tokens and the opened share suffice.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from forensics.canonical import canonical_json, sha256
from forensics.errors import CheckFailed
from forensics.keys.claim import Claim
from forensics.keys.cms import CmsError
from forensics.keys.derive import ProbeKey, ScoreKey, generator_digest, master_secret, split
from forensics.keys.shares import Share, leaf, verify_proof
from forensics.keys.timestamp import Token, self_dated_salt, token_salt, verify_token

_HEX = re.compile(r"[0-9a-f]{64}")


class ClaimError(CheckFailed):
    """The commitment does not open: a token, a share or a pool is not the one that the claim commits to."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause, "The claim is invalid as it stands; ask its owner for the files as they were made.")


@dataclass(frozen=True)
class Opened:
    """A share that opens its claim.

    Attributes:
        index: of the share, from 0.
        probe_key: decides what was asked.
        score_key: decides what counts as a hit.
        gen_time: of the latest token, UTC: the secrets cannot be older; None for a self-dated key.
        tokens: verified, in the claim's order.
        pool: entries of the committed pool: media type, SHA-256, label.
    """

    index: int
    probe_key: ProbeKey = field(repr=False)
    score_key: ScoreKey = field(repr=False)
    gen_time: datetime | None
    tokens: tuple[Token, ...]
    pool: tuple[Mapping[str, Any], ...]


def verify_tokens(claim: Claim, tokens: Sequence[bytes]) -> tuple[Token, ...]:
    """Verifies that the authorities named in a claim dated it, in the claim's order, as its binding says.

    Args:
        tokens: DER; none for a self-dated claim.

    Raises:
        ClaimError: a token is missing, spare, altered, over another claim, of another authority, or the binding
            is not theirs.
    """
    if len(tokens) != len(claim.authorities):
        raise ClaimError(
            f"The claim names {len(claim.authorities)} timestamp authorities; there are {len(tokens)} tokens."
        )
    try:
        verified = tuple(verify_token(der, bytes.fromhex(claim.digest)) for der in tokens)
    except CmsError as error:
        raise ClaimError(f"A timestamp of the claim does not verify: {error.detail}.") from error
    if tuple(token.fingerprint for token in verified) != claim.authorities:
        raise ClaimError("A timestamp is not from the authority that the claim names.")
    if len(set(claim.authorities)) != len(claim.authorities):
        raise ClaimError("The claim names the same timestamp authority twice.")
    binding = binding_of(verified)
    if binding != claim.binding:
        raise ClaimError(f"The claim says that it is {claim.binding}; its timestamps make it {binding}.")
    return verified


def binding_of(tokens: Sequence[Token]) -> str:
    """Returns the binding that tokens give: one demonstration token makes all of it a demonstration."""
    if not tokens:
        return "self-dated"
    return "demonstration" if any(token.demonstration for token in tokens) else "timestamped"


def salt_of(claim: Claim, tokens: Sequence[Token]) -> bytes:
    """Returns the salt of a claim's secrets, 32 bytes."""
    return token_salt(tokens) if tokens else self_dated_salt(bytes.fromhex(claim.digest))


def verify_opening(claim: Claim, tokens: Sequence[bytes], opened: Mapping[str, Any]) -> Opened:
    """Verifies an opened share against its claim and derives its secrets.

    Args:
        claim: as published.
        tokens: its timestamp tokens, DER, in the claim's order.
        opened: `index`, `seed`, `salt` and `proof` in hexadecimal, and `pool`, the list of the pool's entries.

    Raises:
        ClaimError: anything in it is not what the claim commits to.
    """
    verified = verify_tokens(claim, tokens)
    if claim.generator != generator_digest():
        raise ClaimError("The claim's secrets are derived by a generator that this version does not have.")
    index, share, proof, pool = _parse(opened)
    if not 0 <= index < claim.shares.count or len(claim.pools) != claim.shares.count:
        raise ClaimError(f"The claim has no share {index}, or not one pool a share.")
    commitment = claim.pools[index]
    if len(pool) != commitment.count or sha256(canonical_json(list(pool))) != commitment.digest:
        raise ClaimError("The pool of the opened share is not the one that the claim commits to.")
    leaf_hash = leaf(share, index=index, count=claim.shares.count, method=claim.method, pool=commitment.digest)
    if not verify_proof(leaf_hash, index, claim.shares.count, proof, bytes.fromhex(claim.shares.root)):
        raise ClaimError("The opened share is not among those that the claim commits to.")
    master = master_secret(share.seed, salt_of(claim, verified), bytes.fromhex(claim.digest), index)
    probe_key, score_key = split(master)
    latest = max((token.gen_time for token in verified), default=None)
    return Opened(index, probe_key, score_key, latest, verified, pool)


def _parse(opened: Mapping[str, Any]) -> tuple[int, Share, list[bytes], tuple[Mapping[str, Any], ...]]:
    try:
        index, pool = opened["index"], tuple(opened["pool"])
        if type(index) is not int:
            raise TypeError("the index is no integer")
        share = Share(seed=_bytes(opened["seed"]), salt=_bytes(opened["salt"]))
        proof = [_bytes(step) for step in opened["proof"]]
        canonical_json(list(pool))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ClaimError("The opened share is malformed.") from error
    return index, share, proof, pool


def _bytes(text: str) -> bytes:
    """32 bytes from exactly 64 lower-case hexadecimal digits, so that there is one way to write them."""
    if not _HEX.fullmatch(text):
        raise ValueError("not 64 hexadecimal digits")
    return bytes.fromhex(text)
