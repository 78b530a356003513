import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from asn1crypto import cms

from forensics.canonical import canonical_json
from forensics.errors import CheckFailed
from forensics.keys.claim import Claim
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.derive import master_secret, split
from forensics.keys.folder import UnlockedKey
from forensics.keys.opening import ClaimError, verify_opening, verify_tokens
from forensics.keys.timestamp import self_dated_salt
from tests.keys.conftest import Maker, pools
from tests.keys.openssl import OpenSsl


class Stamper:
    """An authority of the `openssl` command."""

    def __init__(self, openssl: OpenSsl, unit: str = "tsa") -> None:
        self.openssl, self.unit, self.name = openssl, unit, f"openssl {unit}"

    def stamp(self, digest: bytes) -> bytes:
        return self.openssl.token(digest, self.unit)


def with_changes(claim: Claim, **changes: Any) -> Claim:
    return Claim.parse(canonical_json({**json.loads(claim.core), **changes}))


@pytest.mark.parametrize("share", [0, 1, 2])
def test_an_opening_gives_the_secrets_of_its_share(unlocked: UnlockedKey, share: int) -> None:
    opening = json.loads(json.dumps(unlocked.opening(share)))
    opened = verify_opening(unlocked.claim, unlocked.folder.tokens, opening)
    assert (opened.probe_key, opened.score_key) == unlocked.secrets(share)
    assert opened.index == share
    assert opened.gen_time == unlocked.folder.verified[0].gen_time
    assert [entry["sha256"] for entry in opened.pool] == [item.entry["sha256"] for item in unlocked.pool(share).items]
    assert "key" not in repr(opened).replace("Opened", "")


def test_shares_have_secrets_of_their_own(unlocked: UnlockedKey) -> None:
    assert len({secret for share in range(3) for secret in unlocked.secrets(share)}) == 6


def flipped(text: str) -> str:
    return ("0" if text[0] != "0" else "1") + text[1:]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda opening: opening.update(index=0),
        lambda opening: opening.update(index=3),
        lambda opening: opening.update(index=-1),
        lambda opening: opening.update(index="1"),
        lambda opening: opening.update(index=True),
        lambda opening: opening.update(seed=flipped(opening["seed"])),
        lambda opening: opening.update(seed=opening["seed"].upper()),
        lambda opening: opening.update(seed=opening["seed"] + "\n"),
        lambda opening: opening.update(salt=flipped(opening["salt"])),
        lambda opening: opening.update(proof=opening["proof"][:-1]),
        lambda opening: opening.update(proof=[*opening["proof"], opening["proof"][0]]),
        lambda opening: opening["proof"].__setitem__(0, flipped(opening["proof"][0])),
        lambda opening: opening.update(pool=opening["pool"][:-1]),
        lambda opening: opening.update(pool=opening["pool"][::-1]),
        lambda opening: opening["pool"][0].update(label=3),
        lambda opening: opening["pool"][0].update(note="more"),
        lambda opening: opening["pool"][0].update(label=0.5),
        lambda opening: opening.pop("seed"),
        lambda opening: opening.pop("pool"),
        lambda opening: opening.update(seed=7),
        lambda opening: opening.update(proof=None),
    ],
)
def test_a_spoilt_opening_is_refused(unlocked: UnlockedKey, spoil: Callable[[dict[str, Any]], object]) -> None:
    opening = copy.deepcopy(unlocked.opening(1))
    spoil(opening)
    with pytest.raises(ClaimError) as caught:
        verify_opening(unlocked.claim, unlocked.folder.tokens, opening)
    assert isinstance(caught.value, CheckFailed)
    assert caught.value.exit_code == 1
    assert caught.value.next_step


def test_any_change_of_the_claim_is_refused(unlocked: UnlockedKey) -> None:
    for changes in ({"owner": "Another"}, {"shares": {"count": 3, "root": "ab" * 32}}, {"generator": "ab" * 32}):
        with pytest.raises(ClaimError, match="does not verify"):
            verify_opening(with_changes(unlocked.claim, **changes), unlocked.folder.tokens, unlocked.opening())


def test_tokens_must_be_those_of_the_claim(unlocked: UnlockedKey, openssl: OpenSsl) -> None:
    claim, (token,) = unlocked.claim, unlocked.folder.tokens
    digest = bytes.fromhex(claim.digest)
    with pytest.raises(ClaimError, match="names 1 timestamp authorities; there are 0"):
        verify_tokens(claim, [])
    with pytest.raises(ClaimError, match="there are 2"):
        verify_tokens(claim, [token, token])
    with pytest.raises(ClaimError, match="not from the authority"):
        verify_tokens(claim, [openssl.token(digest)])
    with pytest.raises(ClaimError, match="not from the authority"):
        verify_tokens(claim, [DemonstrationAuthority.create().stamp(digest)])
    with pytest.raises(ClaimError, match="does not verify"):
        verify_tokens(claim, [token[:-1] + bytes([token[-1] ^ 1])])


def test_a_demonstration_cannot_pass_for_a_timestamp(
    unlocked: UnlockedKey, demonstration: DemonstrationAuthority
) -> None:
    """The owner writes `timestamped` into the claim and has the demonstration authority date it."""
    key = unlocked.folder
    boast = with_changes(key.claim, binding="timestamped")
    token = demonstration.stamp(bytes.fromhex(boast.digest))
    with pytest.raises(ClaimError, match="says that it is timestamped; its timestamps make it demonstration"):
        verify_tokens(boast, [token])
    undated = with_changes(key.claim, binding="timestamped", authorities=[])
    with pytest.raises(ClaimError, match="make it self-dated"):
        verify_tokens(undated, [])


def test_two_authorities_count_in_order(make_key: Maker, openssl: OpenSsl) -> None:
    authorities = [Stamper(openssl), Stamper(openssl, "tsa-ec")]
    made = make_key.in_memory(authorities, binding="timestamped")
    key, opening = made.folder, made.opening()
    opened = verify_opening(key.claim, key.tokens, opening)
    assert opened.gen_time == max(token.gen_time for token in opened.tokens)
    with pytest.raises(ClaimError, match="not from the authority"):
        verify_opening(key.claim, key.tokens[::-1], opening)
    again = Stamper(openssl).stamp(bytes.fromhex(key.claim.digest))
    other = verify_opening(key.claim, [again, key.tokens[1]], opening)
    assert other.score_key != opened.score_key


def test_leaving_out_what_is_unsigned_changes_no_secret(make_key: Maker, openssl: OpenSsl) -> None:
    made = make_key.in_memory([Stamper(openssl)], binding="timestamped")
    info = cms.ContentInfo.load(made.folder.tokens[0])
    del info["content"]["certificates"][1]
    assert info.dump() != made.folder.tokens[0]
    opened = verify_opening(made.claim, [info.dump()], made.opening())
    assert (opened.probe_key, opened.score_key) == made.secrets()


def test_one_authority_does_not_count_twice(unlocked: UnlockedKey, demonstration: DemonstrationAuthority) -> None:
    doubled = with_changes(unlocked.claim, authorities=list(unlocked.claim.authorities) * 2)
    tokens = [demonstration.stamp(bytes.fromhex(doubled.digest)) for _ in range(2)]
    with pytest.raises(ClaimError, match="the same timestamp authority twice"):
        verify_tokens(doubled, tokens)


def test_a_self_dated_claim_needs_no_token(make_key: Maker) -> None:
    unlocked = make_key.in_memory([], binding="self-dated")
    opened = verify_opening(unlocked.claim, [], unlocked.opening(2))
    assert opened.gen_time is None
    digest = bytes.fromhex(unlocked.claim.digest)
    seed = unlocked.shares[2].seed
    assert split(master_secret(seed, self_dated_salt(digest), digest, 2)) == (opened.probe_key, opened.score_key)


def test_a_single_share_has_an_empty_proof(make_key: Maker, demonstration: DemonstrationAuthority) -> None:
    single = make_key.in_memory([demonstration], pools=pools(1))
    opening = single.opening()
    assert opening["proof"] == []
    assert verify_opening(single.claim, single.folder.tokens, opening).index == 0
