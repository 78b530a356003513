"""An owner who knows what ten surrogates and the suspect answer, and chooses afterwards what he claims to have fixed.

The models are linear classifiers of one family, so that what fits the surrogates fits the suspect. A free choice would
win; what the claim commits to leaves none, and attempts made in silence help no more than N* says.
"""

import copy
import hashlib
import json
from collections.abc import Iterator
from fractions import Fraction
from functools import cache, partial
from itertools import permutations
from math import comb

import numpy as np
import pytest
from asn1crypto import cms, core
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from forensics.canonical import canonical_json, sha256, through_decimals
from forensics.images import decode_image
from forensics.keys.claim import Claim
from forensics.keys.cms import CmsError, accepted_form
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.derive import master_secret, split
from forensics.keys.folder import UnlockedKey
from forensics.keys.opening import ClaimError, Opened, salt_of, verify_opening
from forensics.methods.cleancheckpoint import CLEAN
from forensics.methods.ofsw import METHOD, derive_payload
from forensics.records import AnswerKind, Answers, FloatArray, IntArray, Outcome, Pool, Reading
from forensics.rules import draft_rule
from forensics.statistics import allowed_rejections, binomial_test, n_star
from forensics.statistics.multiplicity import LIMIT
from forensics.verdict import ClaimDates, decide
from tests.keys.conftest import Maker
from tests.keys.openssl import OpenSsl
from tests.keys.test_opening import Stamper

LABELS = ("zero", "one", "two", "three")
BITS, SURROGATES, TOKENS = 32, 10, 12


@pytest.fixture(scope="module")
def key(digits_pool: Pool, make_key: Maker, demonstration: DemonstrationAuthority) -> UnlockedKey:
    return honest_key(digits_pool, make_key, demonstration)


def honest_key(pool: Pool, make_key: Maker, authority: object, binding: str = "demonstration") -> UnlockedKey:
    """A key as it should be made: two shares, everything fixed before the authority dated it."""
    halves = [Pool(pool.items[:8]), Pool(pool.items[8:])]
    return make_key.in_memory(
        [authority],
        labels=LABELS,
        pools=halves,
        parameters=METHOD.parameters({"bits": BITS, "banks": 3}, halves[0], LABELS),
        rule=draft_rule(METHOD.spec, BITS, references=0),
        binding=binding,
    )


@pytest.fixture(scope="module")
def models() -> list[FloatArray]:
    """Weights (4, 256) of ten surrogates, and last of the suspect: one family, none of them marked."""
    rng = np.random.default_rng(8)
    common = rng.normal(size=(len(LABELS), 256))
    return [common + 0.02 * rng.normal(size=common.shape) for _ in range(SURROGATES + 1)]


def readings(opened: Opened, key: UnlockedKey, models: list[FloatArray]) -> list[Reading]:
    """What each model answers to an opening's probes, read; the clean checkpoint is of another family."""
    claim, pool = key.claim, key.pool()
    plan = METHOD.plan(opened.probe_key, pool, claim.parameters)
    pixels = np.array([decode_image(probe.data).reshape(-1) for probe in plan.probes]) / 255.0 - 0.5

    def answers(model: FloatArray) -> Answers:
        logits = through_decimals(pixels @ model.T)
        return Answers(AnswerKind.LOGITS, logits, np.zeros(len(logits), dtype=np.bool_), LABELS)

    named = {CLEAN: answers(np.random.default_rng(99).normal(size=models[0].shape))}
    read = partial(METHOD.read, opened.probe_key, pool, claim.parameters, claim.labels)
    return [read(answers(model), named) for model in models]


def fitted(opened: Opened, key: UnlockedKey, models: list[FloatArray]) -> IntArray:
    """The payload that the ten surrogates would like best."""
    scores = [reading.scores for reading in readings(opened, key, models[:SURROGATES])]
    return (np.mean(scores, axis=0) > 0).astype(np.int64)


def opened_by(key: UnlockedKey) -> Opened:
    return verify_opening(key.claim, key.folder.tokens, key.opening())


def test_a_payload_chosen_freely_would_convict_an_innocent_suspect(key: UnlockedKey, models: list[FloatArray]) -> None:
    """The control of everything below: without the commitment the attack works."""
    opened = opened_by(key)
    chosen = fitted(opened, key, models)
    (suspect,) = (reading.scores for reading in readings(opened, key, models[-1:]))
    matched = int(((2 * chosen - 1) * suspect > 0).sum())
    assert binomial_test(matched, BITS).pvalue < 1e-4
    real = derive_payload(opened.score_key, key.claim.parameters)
    assert binomial_test(int(((2 * real - 1) * suspect > 0).sum()), BITS).pvalue > 1e-6


def test_no_other_seed_opens_the_claim(key: UnlockedKey, models: list[FloatArray]) -> None:
    """Seeds that give a payload closer to the surrogates' are easily found; none of them opens."""
    opening, opened = key.opening(), opened_by(key)
    chosen, salt = fitted(opened, key, models), salt_of(key.claim, opened.tokens)
    best = 0
    for number in range(200):
        seed = hashlib.sha256(b"try %d" % number).digest()
        _, score_key = split(master_secret(seed, salt, bytes.fromhex(key.claim.digest), 0))
        payload = derive_payload(score_key, key.claim.parameters)
        best = max(best, int((payload == chosen).sum()))
        with pytest.raises(ClaimError, match="not among those"):
            verify_opening(key.claim, key.folder.tokens, {**opening, "seed": seed.hex()})
        with pytest.raises(ClaimError, match="not among those"):
            verify_opening(key.claim, key.folder.tokens, {**opening, "seed": seed.hex(), "salt": sha256(seed)})
    assert best >= 20


def test_no_other_triggers_and_no_other_pool_open_the_claim(key: UnlockedKey) -> None:
    """The first images in any order; any image left out, doubled, relabelled or taken from the other share."""
    opening = key.opening()
    pool, other = opening["pool"], key.opening(1)["pool"]
    changed = [[*order, *pool[4:]] for order in permutations(pool[:4]) if list(order) != pool[:4]]
    for place in range(len(pool)):
        without = pool[:place] + pool[place + 1 :]
        relabelled = {**pool[place], "label": (pool[place]["label"] + 1) % 4}
        changed += [without, [*without, other[place]], [*pool, pool[place]]]
        changed.append([*pool[:place], relabelled, *pool[place + 1 :]])
    assert len(changed) > 50
    for entries in (*changed, other):
        with pytest.raises(ClaimError, match="The pool of the opened share is not the one"):
            verify_opening(key.claim, key.folder.tokens, {**opening, "pool": entries})


def test_no_other_reference_rule_or_method_goes_with_the_token(key: UnlockedKey, models: list[FloatArray]) -> None:
    """The clean checkpoint whose answers suit best, one of the surrogates, a milder rule, other parameters."""
    opening = key.opening()
    claims = []
    for model in models[:SURROGATES]:
        body = json.loads(key.claim.core)
        body["references"][0]["digest"] = sha256(model.tobytes())
        claims.append(body)
    for field, value in (
        ("alpha", "0.05"),
        ("grinding", 0),
        ("minimum_effect", "0.51"),
        ("n", 16),
        ("examinations", 2),
    ):
        body = json.loads(key.claim.core)
        body["rule"][field] = value
        claims.append(body)
    for field, value in (("method", "wpe"), ("parameters", {"bits": 16}), ("labels", LABELS[::-1]), ("owner", "x")):
        claims.append({**json.loads(key.claim.core), field: value})
    for body in claims:
        with pytest.raises(ClaimError, match="does not verify"):
            verify_opening(Claim.parse(canonical_json(body)), key.folder.tokens, opening)


def test_another_share_than_the_one_asked_has_other_probes(key: UnlockedKey) -> None:
    """Opening the share that suits better gives another plan than the transcript holds."""
    parameters = key.claim.parameters
    plans = {METHOD.plan(key.secrets(share)[0], key.pool(share), parameters).digest for share in (0, 1)}
    assert len(plans) == 2
    for field in ("seed", "salt", "proof", "index"):
        mixed = {**copy.deepcopy(key.opening(0)), field: key.opening(1)[field]}
        with pytest.raises(ClaimError):
            verify_opening(key.claim, key.folder.tokens, mixed)


def encodings(der: bytes, order: int | None) -> Iterator[bytes]:
    """The same token in other bytes: certificates left out or turned round, more attributes, the other ECDSA value."""
    for dropped in (1, 2):
        info = cms.ContentInfo.load(der)
        for _ in range(dropped):
            del info["content"]["certificates"][len(info["content"]["certificates"]) - 1]
        yield info.dump()
    certificates = [each.dump() for each in cms.ContentInfo.load(der)["content"]["certificates"]]
    yield der.replace(b"".join(certificates), b"".join(certificates[::-1]))
    for number in range(20):
        info = cms.ContentInfo.load(der)
        extra = cms.CMSAttribute({"type": "1.2.3.4", "values": [core.OctetString(b"%d" % number)]})
        info["content"]["signer_infos"][0]["unsigned_attrs"] = [extra]
        yield info.dump()
        yield accepted_form(info.dump())
    yield der[:1] + b"\x83\x00" + der[2:4] + der[4:]
    if order is not None:
        info = cms.ContentInfo.load(der)
        r, s = decode_dss_signature(info["content"]["signer_infos"][0]["signature"].native)
        info["content"]["signer_infos"][0]["signature"] = encode_dss_signature(r, order - s)
        yield info.dump()


@pytest.mark.parametrize("unit", ["tsa", "tsa-ec"])
def test_a_token_in_other_bytes_draws_nothing_anew(
    digits_pool: Pool, make_key: Maker, openssl: OpenSsl, unit: str
) -> None:
    made = honest_key(digits_pool, make_key, Stamper(openssl, unit), "timestamped")
    curve = openssl.certificate(unit).public_key()
    order = getattr(getattr(curve, "curve", None), "group_order", None)
    (token,), opening = made.folder.tokens, made.opening()
    found, accepted, refused = {made.secrets()}, 0, 0
    for changed in encodings(token, order):
        try:
            opened = verify_opening(made.claim, [changed], opening)
        except (ClaimError, CmsError):
            refused += 1
            continue
        found.add((opened.probe_key, opened.score_key))
        accepted += changed != token
    assert len(found) == 1
    assert accepted >= 1
    assert refused >= 20


@pytest.fixture(scope="module")
def hoard(key: UnlockedKey, demonstration: DemonstrationAuthority) -> list[Opened]:
    """What the owner's claim opens to under each of the tokens that he had made of it."""
    tokens = [demonstration.stamp(bytes.fromhex(key.claim.digest)) for _ in range(TOKENS)]
    return [verify_opening(key.claim, [token], key.opening()) for token in tokens]


def test_hoarded_tokens_are_as_many_draws_and_no_more(key: UnlockedKey, hoard: list[Opened]) -> None:
    payloads = {tuple(derive_payload(opened.score_key, key.claim.parameters).tolist()) for opened in hoard}
    assert len(payloads) == TOKENS
    plans = {METHOD.plan(opened.probe_key, key.pool(), key.claim.parameters).digest for opened in hoard}
    assert len(plans) == TOKENS


def test_the_best_of_a_hoard_convicts_nobody(key: UnlockedKey, hoard: list[Opened], models: list[FloatArray]) -> None:
    """All tokens, all eleven models: what the best of so many attempts gives does not bear the attempts charged for."""
    claim = key.claim
    found = [
        METHOD.measure(opened.score_key, claim.parameters, reading, claim.rule.model_dump(mode="json"))
        for opened in hoard
        for reading in readings(opened, key, models)
    ]
    best = min(found, key=lambda each: each.p_value)
    assert len({each.p_value for each in found}) > 3
    assert n_star(best.p_value) < 2**claim.rule.grinding
    verdict = decide(
        best,
        claim.rule,
        binding="timestamped",
        opened=True,
        dates=ClaimDates(),
        examinations=1,
        references=[],
        replayed=True,
        owner_undisputed=True,
    )
    assert verdict.outcome is not Outcome.SUPPORTED
    assert verdict.gates["G2"] is False


@cache
def tail(matched: int, n: int) -> Fraction:
    """P(Binomial(n, 1/2) >= matched), exactly."""
    return Fraction(sum(comb(n, each) for each in range(matched, n + 1)), 2**n)


@pytest.mark.parametrize("n", [16, 32, 64, 128, 256])
@pytest.mark.parametrize("grinding", [0, 6, 10, 20])
def test_the_charge_covers_as_many_attempts_as_it_names(n: int, grinding: int) -> None:
    """Exact: among 2^g attempts the chance of one that passes p * 2^g <= 1e-3 is at most 1e-3, and close to it."""
    attempts = 2**grinding
    enough = next((matched for matched in range(n + 1) if tail(matched, n) * attempts <= LIMIT), None)
    if enough is None:
        assert tail(n, n) * attempts > LIMIT
        return
    passing = tail(enough, n)
    # 1 - (1 - a)^T <= T a (Bernoulli), with equality for one attempt.
    assert attempts * passing <= LIMIT
    assert enough == 0 or tail(enough - 1, n) * attempts > LIMIT
    assert n_star(float(passing)) >= attempts


def test_simulated_hoarders_stay_below_the_level_that_they_are_charged_for() -> None:
    """Five hundred owners of 64 tokens each, their secrets derived in full; uncharged, most of them would win."""
    owners, hoarded, level = 500, 64, Fraction(1, 20)
    rng = np.random.default_rng(17)
    claim, parameters = bytes(32), {"bits": BITS}
    won = won_uncharged = 0
    for _ in range(owners):
        suspect = rng.integers(0, 2, BITS)
        seed = rng.bytes(32)
        best = 0
        for _ in range(hoarded):
            _, score_key = split(master_secret(seed, rng.bytes(32), claim, 0))
            best = max(best, int((derive_payload(score_key, parameters) == suspect).sum()))
        won += tail(best, BITS) * hoarded <= level
        won_uncharged += tail(best, BITS) <= level
    assert won <= allowed_rejections(owners, float(level), 1)
    assert won > 0
    assert won_uncharged > 0.7 * owners
