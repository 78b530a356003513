"""Which level a signature reaches with what is at hand, and what may be embedded in it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from cryptography import x509

from forensics.errors import AuthorityError, UsageError
from forensics.evidence.longterm import (
    SignatureOptions,
    SignaturePlan,
    ValidationData,
    plan_signature,
    verify_embedded,
)
from forensics.evidence.revocation import RevocationFault, RevocationList
from forensics.evidence.seal import sign_detached
from forensics.evidence.signer import signer_chain
from forensics.keys.cms import read_cms, read_timestamp
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.signed import SignedData
from tests.evidence.pki import DAY, NOW, Ca, Holder, Unit


@dataclass
class World:
    """An expert under one authority, a timestamp unit under another."""

    people: Ca
    stamps: Ca
    expert: Holder
    unit: Unit

    @property
    def chain(self) -> list[x509.Certificate]:
        return [self.expert.certificate, *self.expert.issuers]

    @property
    def lists(self) -> tuple[RevocationList, RevocationList]:
        return self.people.crl(source="people.crl"), self.stamps.crl(source="stamps.crl")

    def plan(self, *lists: RevocationList, profile: str | None = None, **more: object) -> SignaturePlan:
        options = SignatureOptions(profile, ValidationData(lists=lists), **more)  # type: ignore[arg-type]
        return plan_signature(self.chain, self.unit, options, at=NOW)


@pytest.fixture(scope="module")
def world() -> World:
    people, stamps = Ca("People"), Ca("Stamps")
    return World(people, stamps, people.issue(), Unit(stamps))


def test_everything_at_hand_gives_the_court_profile(world: World) -> None:
    plan = world.plan(*world.lists)
    assert (plan.level, plan.missing, plan.archived) == ("B-LT", "", False)
    expected = {world.expert.certificate, world.people.certificate, world.unit.certificate, world.stamps.certificate}
    assert set(plan.embedded.certificates) == expected
    assert len(plan.embedded.certificates) == 4
    assert {each.source for each in plan.embedded.lists} == {"people.crl", "stamps.crl"}
    assert world.plan(*world.lists, profile="court").level == "B-LT"
    assert world.plan(*world.lists, profile="archive").level == "B-LTA"
    assert world.plan(*world.lists, profile="archive").archived


def test_demonstration_brings_its_own_list() -> None:
    authority = DemonstrationAuthority.create()
    plan = plan_signature([authority.signer, authority.root], authority, at=NOW)
    assert plan.level == "B-LT"
    assert [each.der for each in plan.embedded.lists] == [authority.crl_der]


def test_less_comes_with_a_sentence(world: World) -> None:
    bare = plan_signature(world.chain, None, at=NOW)
    assert (bare.level, bare.embedded) == ("B-B", ValidationData())
    assert bare.missing == "No revocation data is embedded: no timestamp authority was named."
    people, stamps = world.lists
    for lists, name in (((), "People"), ((people,), "Stamps"), ((stamps,), "People")):
        plan = world.plan(*lists)
        assert (plan.level, plan.embedded) == ("B-T", ValidationData())
        assert f"no revocation list of CN={name}" in plan.missing
    lonely = plan_signature(world.chain[:1], world.unit, at=NOW)
    assert "CN=People,O=Institute, which issued that of CN=Expert" in lonely.missing


def test_self_signed_certificate_reaches_no_more_than_a_time_stamp(world: World) -> None:
    own = Ca("Own")
    plan = plan_signature([own.certificate], world.unit, at=NOW)
    assert plan.level == "B-T"
    assert "self-signed" in plan.missing


@pytest.mark.parametrize("profile", ["court", "archive"])
def test_profile_that_is_asked_for_is_reached_or_refused(world: World, profile: str) -> None:
    with pytest.raises(UsageError, match=f"profile {profile} cannot be reached: there is no revocation list"):
        world.plan(profile=profile)
    options = SignatureOptions(profile)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no timestamp authority was named"):
        plan_signature(world.chain, None, options, at=NOW)


def test_revoked_stale_and_foreign_are_refused_even_without_a_profile(world: World) -> None:
    people, stamps = world.lists
    with pytest.raises(UsageError, match=r"cannot be signed: the certificate of CN=Expert,O=Institute was revoked on"):
        world.plan(world.people.crl(world.expert.certificate))
    with pytest.raises(UsageError, match="CN=Timestamp unit,O=Institute was revoked"):
        world.plan(people, world.stamps.crl(world.unit.certificate))
    with pytest.raises(UsageError, match="not one for"):
        world.plan(world.people.crl(last=NOW - 9 * DAY, until=NOW - DAY), stamps)
    for foreign in (Ca("Foreign").crl(), Ca("People").crl()):
        with pytest.raises(UsageError, match=r"list\.crl does not belong to this signature"):
            world.plan(people, stamps, foreign)


def test_issuers_that_a_timestamp_lacks_are_taken_from_the_user(world: World) -> None:
    class Bare(Unit):
        def stamp(self, digest: bytes) -> bytes:
            from asn1crypto import cms

            from forensics.keys.cms import accepted_form

            info = cms.ContentInfo.load(super().stamp(digest))
            kept = [each for each in info["content"]["certificates"] if each.chosen.dump() == leaf]
            info["content"]["certificates"] = cms.CertificateSet(kept)
            return accepted_form(info.dump(force=True))

    from cryptography.hazmat.primitives.serialization import Encoding

    bare = Bare(world.stamps)
    leaf = bare.certificate.public_bytes(Encoding.DER)
    given = ValidationData(lists=world.lists)
    with pytest.raises(UsageError, match="does not belong to this signature"):
        plan_signature(world.chain, bare, SignatureOptions("court", given), at=NOW)
    whole = replace(given, certificates=(world.stamps.certificate,))
    assert plan_signature(world.chain, bare, SignatureOptions("court", whole), at=NOW).level == "B-LT"


def test_only_what_is_missing_is_fetched(world: World) -> None:
    asked: list[x509.Certificate] = []
    people, stamps = world.lists

    def fetch(certificates: Sequence[x509.Certificate]) -> list[RevocationList]:
        asked.extend(certificates)
        return [stamps]

    assert world.plan(people, fetch=fetch).level == "B-LT"
    assert asked == [world.unit.certificate]

    def failing(certificates: Sequence[x509.Certificate]) -> list[RevocationList]:
        raise AuthorityError("Nobody answers.", "Try again.")

    with pytest.raises(AuthorityError):
        world.plan(people, fetch=failing)


@pytest.fixture(scope="module")
def signature(world: World, tmp_path_factory: pytest.TempPathFactory) -> SignedData:
    signer = world.expert.signer(tmp_path_factory.mktemp("signer"))
    assert signer_chain(signer) == tuple(world.chain)
    der = sign_detached(b"content", signer, world.unit, NOW)
    return read_cms(der, detached_digest=lambda name: hashlib.new(name, b"content").digest())


def test_embedded_data_is_verified(world: World, signature: SignedData) -> None:
    verify_embedded(signature, world.plan(*world.lists).embedded)


def test_embedded_data_in_any_other_shape_is_refused(world: World, signature: SignedData) -> None:
    good = world.plan(*world.lists).embedded
    people, stamps = world.lists
    other = Ca("Other")
    wrong = {
        "no revocation list": replace(good, lists=good.lists[:1]),
        "belongs to neither chain": replace(good, certificates=(*good.certificates, other.certificate)),
        "or one twice": replace(good, certificates=good.certificates + good.certificates[:1]),
        "shows nothing": replace(good, lists=(*good.lists, other.crl())),
        "not one for": replace(good, lists=(people, world.stamps.crl(last=NOW - 9 * DAY, until=NOW - DAY))),
        "CN=Expert,O=Institute was revoked": replace(good, lists=(world.people.crl(world.expert.certificate), stamps)),
        "another authority": replace(
            good, certificates=tuple(each for each in good.certificates if each != world.unit.certificate)
        ),
        "is not known": replace(
            good, certificates=tuple(each for each in good.certificates if each != world.people.certificate)
        ),
    }
    for match, embedded in wrong.items():
        with pytest.raises(RevocationFault, match=match):
            verify_embedded(signature, embedded)
    with pytest.raises(RevocationFault, match="no timestamp"):
        verify_embedded(replace(signature, timestamp=None), good)


def test_timestamp_of_another_unit_of_the_same_authority_is_refused(world: World, signature: SignedData) -> None:
    other = Unit(world.stamps, "Second unit")
    digest = b"\x01" * 32
    token = read_timestamp(other.stamp(digest), lambda _: digest)
    good = world.plan(*world.lists).embedded
    with pytest.raises(RevocationFault, match="another authority"):
        verify_embedded(signature, good, token)
    verify_embedded(signature, good, read_timestamp(world.unit.stamp(digest), lambda _: digest))


def test_certificate_that_had_expired_is_refused(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    expired = world.people.issue(start=NOW - 9 * DAY, days=5)
    signer = expired.signer(tmp_path_factory.mktemp("expired"))
    der = sign_detached(b"content", signer, world.unit, NOW)
    signed = read_cms(der, detached_digest=lambda name: hashlib.new(name, b"content").digest())
    good = world.plan(*world.lists).embedded
    swapped = tuple(expired.certificate if each == world.expert.certificate else each for each in good.certificates)
    with pytest.raises(RevocationFault, match="was not valid at"):
        verify_embedded(signed, replace(good, certificates=swapped))
