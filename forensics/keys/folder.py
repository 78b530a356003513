"""The key folder: the encrypted secret beside the public claim, its timestamps, and what happened under it.

Files: `key.age` (seeds, salts), `pool.age` (the pools), `claim.json`, `claim.tst` and `claim.2.tst`, after embedding
`asset.json` and `asset.tst`, `paths.json`, `examinations.jsonl` and `openings.jsonl`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from forensics.canonical import canonical_json, parse_json, utc
from forensics.errors import KeyFolderError
from forensics.keys.asset import Asset
from forensics.keys.claim import Binding, Claim, ReferenceCommitment, Rule
from forensics.keys.cms import CmsError
from forensics.keys.creation import Targets, draft_key, stamp_verified
from forensics.keys.derive import ProbeKey, ScoreKey, generator_digest, master_secret, split
from forensics.keys.examinations import (
    Examination,
    Opening,
    ShareState,
    append_log,
    append_opening,
    choose_share,
    count_examinations,
    no_share,
    read_log,
    read_openings,
    share_states,
)
from forensics.keys.opening import ClaimError, salt_of, verify_tokens
from forensics.keys.shares import Share, leaf, merkle_proof, merkle_root
from forensics.keys.storage import create_folder, locked, read_file, refuse_overwrite, replace_file
from forensics.keys.timestamp import TimestampAuthority, Token, verify_token
from forensics.keys.vault import require_passphrase, seal, unseal, unseal_pools
from forensics.records import Pool

__all__ = ["KeyFolder", "Targets", "UnlockedKey", "claim_token_name", "create_key", "generator_digest", "show"]

CLAIM, SECRET, POOLS = "claim.json", "key.age", "pool.age"
ASSET, ASSET_TOKEN, PATHS = "asset.json", "asset.tst", "paths.json"
_RESTORE = "Restore the key folder from a copy."


def claim_token_name(index: int) -> str:
    """Returns the file name of a claim's token: `claim.tst`, `claim.2.tst` and so on."""
    return "claim.tst" if index == 0 else f"claim.{index + 1}.tst"


def create_key(
    path: Path,
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
    passphrase: str,
    now: datetime,
    targets: Targets | None = None,
) -> "KeyFolder":
    """Makes a key and its folder; the folder appears whole or not at all.

    Each authority is asked twice: first over random bytes, since the claim names its certificate, then over the
    claim's digest. The secrets depend on the second answer.

    Args:
        pools: one a share, disjoint.
        references: models that the claim names by digest.
        authorities: in the order in which they count; none for a self-dated key.
        binding: what the authorities shall make of it.
        now: printed in the claim as its creation; proves nothing.
        targets: for methods that commit to more than pools.

    Raises:
        KeyFolderError: the path exists, or the passphrase is empty.
        UsageError: binding and authorities disagree, pools overlap, or the claim has no canonical form.
        AuthorityError: an authority failed.
        StorageError: the folder cannot be written.
    """
    require_passphrase(passphrase)
    refuse_overwrite(path)
    draft = draft_key(
        owner=owner,
        method=method,
        method_version=method_version,
        parameters=parameters,
        labels=labels,
        preprocessing=preprocessing,
        pools=pools,
        references=references,
        rule=rule,
        authorities=authorities,
        binding=binding,
        now=now,
        targets=targets or Targets(),
    )
    sealed_shares, sealed_pools = seal(draft.claim.digest, draft.shares, pools, passphrase)
    files = {
        SECRET: sealed_shares,
        POOLS: sealed_pools,
        CLAIM: draft.claim.core,
        **{claim_token_name(index): der for index, der in enumerate(draft.tokens)},
    }
    create_folder(path, files)
    return KeyFolder.open(path)


@dataclass(frozen=True)
class KeyFolder:
    """The public part of a key folder, and what is written into it.

    Attributes:
        tokens: over the claim's digest, DER, in the claim's order; verified.
        verified: the same tokens, read.
    """

    path: Path
    claim: Claim
    tokens: tuple[bytes, ...] = field(repr=False)
    verified: tuple[Token, ...] = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> "KeyFolder":
        """Reads the public part; no passphrase is needed.

        Raises:
            KeyFolderError: it is no key folder, or its claim or a token is damaged.
        """
        if not (path / CLAIM).is_file() or not (path / SECRET).is_file():
            raise KeyFolderError(f"{path} is no key folder.", "Make one with `forensics key new`.")
        claim = Claim.parse(read_file(path / CLAIM))
        tokens = tuple(read_file(path / claim_token_name(index)) for index in range(len(claim.authorities)))
        try:
            return cls(path, claim, tokens, verify_tokens(claim, tokens))
        except ClaimError as error:
            raise KeyFolderError(f"{path} is damaged. {error.cause}", _RESTORE) from error

    def unlock(self, passphrase: str) -> "UnlockedKey":
        """Decrypts the secret and the pools, which takes about a second, and checks them against the claim.

        Raises:
            KeyFolderError: the passphrase is wrong, or a file is damaged or belongs to another claim.
        """
        secret = unseal(read_file(self.path / SECRET), passphrase, self.claim.digest)
        shares, pools = secret.shares, unseal_pools(read_file(self.path / POOLS), secret.identity)
        committed = tuple((commitment.digest, commitment.count) for commitment in self.claim.pools)
        if committed != tuple((pool.digest, len(pool.items)) for pool in pools):
            raise KeyFolderError(f"{POOLS} does not hold the pools that the claim commits to.", _RESTORE)
        key = UnlockedKey(self, shares, pools)
        if len(shares) != self.claim.shares.count or merkle_root(key.leaves).hex() != self.claim.shares.root:
            raise KeyFolderError(f"{SECRET} does not hold the shares that the claim commits to.", _RESTORE)
        if self.claim.generator != generator_digest():
            raise KeyFolderError(
                "The key was made with another version of the generator.", "Use the version of forensics that made it."
            )
        return key

    @property
    def asset(self) -> bytes | None:
        """`asset.json`, the record of the marked model, or None before embedding.

        Raises:
            KeyFolderError: it is damaged, or belongs to another claim.
        """
        if not (self.path / ASSET).exists():
            return None
        raw = read_file(self.path / ASSET)
        if Asset.parse(raw).claim != self.claim.digest:
            raise KeyFolderError("The record of the marked model belongs to another claim.", _RESTORE)
        return raw

    @property
    def asset_token(self) -> bytes | None:
        """The token over `asset.json`, or None where there is none.

        Raises:
            KeyFolderError: it does not verify.
        """
        asset = self.asset
        if asset is None or not (self.path / ASSET_TOKEN).exists():
            return None
        der = read_file(self.path / ASSET_TOKEN)
        try:
            verify_token(der, hashlib.sha256(asset).digest())
        except CmsError as error:
            raise KeyFolderError(f"{ASSET_TOKEN} is damaged: {error.detail}.", _RESTORE) from error
        return der

    def record_asset(
        self, digest: str, moment: datetime, authority: TimestampAuthority | None, predecessor: str | None = None
    ) -> Asset:
        """Records the marked model, once; the same model again changes nothing.

        Args:
            digest: SHA-256 of the model's manifest.
            authority: dates the record; None for none.
            predecessor: likewise of the model before it was marked.

        Raises:
            KeyFolderError: another model is recorded.
            AuthorityError: the authority failed; nothing is recorded.
            StorageError: it cannot be written.
        """
        with locked(self.path):
            recorded = self.asset
            if recorded is not None:
                asset = Asset.parse(recorded)
                if asset.digest == digest:
                    return asset
                raise KeyFolderError(
                    "Another marked model is recorded in this key folder.",
                    f"Make a new key for another model, or move {ASSET} and {ASSET_TOKEN} away.",
                )
            asset = Asset(claim=self.claim.digest, digest=digest, created=utc(moment), predecessor=predecessor)
            (self.path / ASSET_TOKEN).unlink(missing_ok=True)
            if authority is not None:
                replace_file(self.path / ASSET_TOKEN, stamp_verified(authority, asset.core))
            replace_file(self.path / ASSET, asset.core)
            return asset

    def remember(self, role: str, location: Path) -> None:
        """Notes where a model that the claim names lies: a hint for later, neither secret nor evidence.

        Raises:
            KeyFolderError: the claim names no such role.
            StorageError: it cannot be written.
        """
        if role not in {reference.role for reference in self.claim.references}:
            raise KeyFolderError(f"The claim names no model with the role {role!r}.", "Use a role that it names.")
        with locked(self.path):
            replace_file(self.path / PATHS, canonical_json({**self.paths, role: str(location.resolve())}))

    @property
    def paths(self) -> Mapping[str, str]:
        """Where models lay when they were used, by role: hints, not secrets, not evidence."""
        if not (self.path / PATHS).exists():
            return {}
        try:
            return {str(role): str(place) for role, place in parse_json(read_file(self.path / PATHS)).items()}
        except (ValueError, AttributeError) as error:
            raise KeyFolderError(f"{PATHS} is damaged.", f"Remove {self.path / PATHS}.") from error

    @property
    def examinations(self) -> tuple[Examination, ...]:
        """The log of examinations; see `examinations.count_examinations` for the charge."""
        return read_log(self.path)

    def log_examination(self, *, moment: datetime, case: str, suspect: str, transcript: str, share: int = 0) -> int:
        """Logs that a transcript was scored and returns how many different ones were; see `append_log`."""
        return append_log(self.path, moment=moment, case=case, suspect=suspect, transcript=transcript, share=share)

    @property
    def openings(self) -> tuple[Opening, ...]:
        """The log of disclosures, each of which spends its share."""
        return read_openings(self.path)

    def log_opening(self, *, moment: datetime, case: str, transcript: str, share: int) -> None:
        """Logs that a case is about to disclose a share; see `append_opening`."""
        append_opening(self.path, moment=moment, case=case, transcript=transcript, share=share)

    @property
    def shares(self) -> tuple[ShareState, ...]:
        """Which share was examined with and opened in which cases."""
        return share_states(self.examinations, self.openings, self.claim.shares.count)

    def choose_share(self, wanted: int | None, *, spent: bool = False) -> int:
        """Returns the share to ask with next: the first unspent one, unless another is wanted.

        Args:
            spent: whether a wanted share may be one that was opened.

        Raises:
            KeyFolderError: there is no such share, it is not its turn, or it is spent.
        """
        return choose_share(self.shares, self.examinations, wanted, spent=spent)


@dataclass(frozen=True)
class UnlockedKey:
    """A key folder with its secrets in memory.

    Attributes:
        folder: the public part.
    """

    folder: KeyFolder
    shares: tuple[Share, ...] = field(repr=False)
    pools: tuple[Pool, ...] = field(repr=False)

    @property
    def claim(self) -> Claim:
        """The public claim."""
        return self.folder.claim

    @property
    def leaves(self) -> tuple[bytes, ...]:
        """The leaf hash of every share."""
        claim = self.claim
        return tuple(
            leaf(share, index=index, count=claim.shares.count, method=claim.method, pool=pool.digest)
            for index, (share, pool) in enumerate(zip(self.shares, self.pools, strict=True))
        )

    def secrets(self, share: int = 0) -> tuple[ProbeKey, ScoreKey]:
        """Returns the probe secret and the scoring secret of a share.

        Raises:
            KeyFolderError: there is no such share.
        """
        seed = self.shares[self._index(share)].seed
        salt = salt_of(self.claim, self.folder.verified)
        return split(master_secret(seed, salt, bytes.fromhex(self.claim.digest), share))

    def pool(self, share: int = 0) -> Pool:
        """Returns the pool of a share.

        Raises:
            KeyFolderError: there is no such share.
        """
        return self.pools[self._index(share)]

    def opening(self, share: int = 0) -> dict[str, Any]:
        """Returns what `opening.verify_opening` checks: index, seed, salt, proof (hexadecimal) and pool entries.

        Raises:
            KeyFolderError: there is no such share.
        """
        drawn = self.shares[self._index(share)]
        return {
            "index": share,
            "seed": drawn.seed.hex(),
            "salt": drawn.salt.hex(),
            "proof": [step.hex() for step in merkle_proof(self.leaves, share)],
            "pool": [item.entry for item in self.pools[share].items],
        }

    def _index(self, share: int) -> int:
        if not 0 <= share < len(self.shares):
            raise no_share(share, len(self.shares))
        return share


def show(key: KeyFolder) -> dict[str, Any]:
    """Returns the public facts of a key, for `key show`; text, integers and lists of them."""
    claim, rule = key.claim, key.claim.rule
    asset = Asset.parse(key.asset) if key.asset is not None else None
    return {
        "claim": claim.digest,
        "owner": claim.owner,
        "method": f"{claim.method} {claim.method_version}",
        "binding": claim.binding,
        "created": claim.created,
        "dated": [utc(token.gen_time) for token in key.verified],
        "authorities": [token.authority for token in key.verified],
        "fingerprints": list(claim.authorities),
        "units": rule.n,
        "alpha": rule.alpha,
        "minimum_effect": rule.minimum_effect,
        "grinding": rule.grinding,
        "examinations_allowed": rule.examinations,
        "examinations": count_examinations(key.examinations),
        "shares": claim.shares.count,
        "share_states": [
            {
                "share": state.share,
                "spent": state.spent,
                "opened_in": list(state.opened_in),
                "examined_in": list(state.examined_in),
            }
            for state in key.shares
        ],
        "pools": [pool.count for pool in claim.pools],
        "references": [reference.role for reference in claim.references],
        "asset": asset.digest if asset else None,
        "asset_created": asset.created if asset else None,
    }
