"""Making a key: pools and rule are fixed first, then the shares are drawn, then the authorities date the claim."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from forensics.canonical import canonical_json, sha256, utc
from forensics.errors import AuthorityError, UsageError
from forensics.keys.claim import FORMAT, Binding, Claim, PoolCommitment, ReferenceCommitment, Rule, ShareCommitment
from forensics.keys.cms import CmsError
from forensics.keys.derive import generator_digest
from forensics.keys.opening import binding_of
from forensics.keys.shares import Share, draw_shares, leaf, merkle_root
from forensics.keys.timestamp import TimestampAuthority, Token, verify_token
from forensics.records import Pool

_ATTEMPTS = 3


@dataclass(frozen=True)
class Targets:
    """What some methods commit to besides their pools, as digests or text; None where a method has none.

    Attributes:
        carriers: digest of the carrier inputs.
        trigger_inputs: digest of the trigger inputs.
        target_text: the text that triggers shall bring out.
        alignment: digest of the embeddings onto which a suspect's are aligned.
    """

    carriers: str | None = None
    trigger_inputs: str | None = None
    target_text: str | None = None
    alignment: str | None = None


def committed_carriers(entries: Sequence[Mapping[str, Any]], candidates: int) -> str:
    """Returns what a claim says of one share's carriers, 64 hexadecimal digits, where they follow its candidates.

    The carriers' digests are hashed together with that of the candidates, which are secret: a digest of carriers alone
    would tell a thief who guesses them that the guess is right.

    Args:
        entries: of the share's pool, in order.
        candidates: how many of them come first.
    """
    digests = [str(entry["sha256"]) for entry in entries]
    secret = sha256(canonical_json(digests[:candidates]))
    return sha256(canonical_json({"candidates": secret, "carriers": digests[candidates:]}))


@dataclass(frozen=True)
class Draft:
    """A key that nothing of was written yet."""

    claim: Claim
    shares: tuple[Share, ...]
    tokens: tuple[bytes, ...]


def draft_key(
    *,
    owner: str,
    method: str,
    method_version: str,
    parameters: Mapping[str, Any],
    labels: Sequence[str],
    preprocessing: str,
    pools: Sequence[Pool],
    references: Sequence[ReferenceCommitment],
    rule: Rule,
    authorities: Sequence[TimestampAuthority],
    binding: Binding,
    now: datetime,
    targets: Targets,
) -> Draft:
    """Draws the shares, writes the claim and has it dated; see `folder.create_key`."""
    _require_disjoint(pools)
    shares = draw_shares(len(pools))
    leaves = [
        leaf(share, index=index, count=len(pools), method=method, pool=pool.digest)
        for index, (share, pool) in enumerate(zip(shares, pools, strict=True))
    ]
    for _ in range(_ATTEMPTS):
        known = [_introduced(authority) for authority in authorities]
        _require_binding(binding, known)
        fields = {
            "format": FORMAT,
            "owner": owner,
            "method": method,
            "method_version": method_version,
            "generator": generator_digest(),
            "binding": binding,
            "created": utc(now),
            "parameters": dict(parameters),
            "labels": tuple(labels),
            "preprocessing": preprocessing,
            "pools": tuple(PoolCommitment(digest=pool.digest, count=len(pool.items)) for pool in pools),
            "references": tuple(references),
            "carriers": targets.carriers,
            "trigger_inputs": targets.trigger_inputs,
            "target_text": targets.target_text,
            "alignment": targets.alignment,
            "rule": rule,
            "authorities": tuple(token.fingerprint for token in known),
            "shares": ShareCommitment(count=len(shares), root=merkle_root(leaves).hex()),
        }
        claim = _claim(fields)
        tokens = tuple(stamp_verified(authority, claim.core) for authority in authorities)
        used = tuple(verify_token(der, bytes.fromhex(claim.digest)).fingerprint for der in tokens)
        if used == claim.authorities:
            return Draft(claim, shares, tokens)
    raise AuthorityError(
        "A timestamp authority signs with another certificate each time.", "Try again, or name another authority."
    )


def stamp_verified(authority: TimestampAuthority, content: bytes) -> bytes:
    """Returns an authority's token over the SHA-256 of bytes, after verifying it.

    Raises:
        AuthorityError: the authority failed or its token does not verify.
    """
    digest = hashlib.sha256(content).digest()
    der = authority.stamp(digest)
    try:
        verify_token(der, digest)
    except CmsError as error:
        raise AuthorityError(
            f"The timestamp authority {authority.name} sent a token that does not verify ({error.detail}).",
            "Try again later, or name another authority.",
        ) from error
    return der


def _introduced(authority: TimestampAuthority) -> Token:
    """A token over random bytes: the claim names the authority's certificate, so it must be known beforehand."""
    content = secrets.token_bytes(32)
    return verify_token(stamp_verified(authority, content), hashlib.sha256(content).digest())


def _claim(fields: Mapping[str, Any]) -> Claim:
    try:
        claim = Claim(**fields)
        return Claim.parse(claim.core)
    except (ValueError, TypeError) as error:
        cause = " ".join(str(error).split())[:200]
        raise UsageError(f"The claim cannot be written: {cause}.", "Check owner, labels and options.") from error


def _require_disjoint(pools: Sequence[Pool]) -> None:
    seen: set[str] = set()
    for pool in pools:
        digests = {str(item.entry["sha256"]) for item in pool.items}
        if not digests or digests & seen:
            raise UsageError(
                "The pools of the shares are empty or have an item in common.", "Give each share candidates of its own."
            )
        seen |= digests


def _require_binding(binding: Binding, known: Sequence[Token]) -> None:
    if len({token.fingerprint for token in known}) != len(known):
        raise UsageError("The two timestamp authorities are the same.", "Name different ones, or only one.")
    found = binding_of(known)
    if binding != found:
        raise UsageError(
            f"The key shall be {binding}, but its timestamps make it {found}.",
            "Choose authorities and binding that agree.",
        )
