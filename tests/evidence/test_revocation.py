"""Revocation lists: whose they are, what they cover, and for when."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from forensics.errors import UsageError
from forensics.evidence.revocation import (
    LARGEST,
    RevocationFault,
    RevocationList,
    distribution_points,
    path_to_root,
    prove,
    prove_paths,
    read_lists,
)
from tests.evidence.pki import DAY, NOW, Ca, Holder

URL = "http://lists.example/root.crl"


@pytest.fixture(scope="module")
def ca() -> Ca:
    return Ca()


@pytest.fixture(scope="module")
def expert(ca: Ca) -> Holder:
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(URL)], None, None, None)
    return ca.issue(more=[(x509.CRLDistributionPoints([point]), False)])


def refused(ca: Ca, expert: Holder, *lists: RevocationList, match: str, gap: str | None = None) -> None:
    with pytest.raises(RevocationFault, match=match) as caught:
        prove(expert.certificate, ca.certificate, lists, NOW)
    assert caught.value.gap == gap


def test_newest_list_that_covers_the_time_is_the_proof(ca: Ca, expert: Holder) -> None:
    old, new = ca.crl(last=NOW - 5 * DAY), ca.crl(last=NOW - DAY)
    stale, later = ca.crl(last=NOW - 9 * DAY, until=NOW - DAY), ca.crl(last=NOW + DAY)
    assert prove(expert.certificate, ca.certificate, [old, new, stale, later], NOW) is new


def test_lists_of_others_prove_nothing(ca: Ca, expert: Holder) -> None:
    namesake = Ca()
    assert namesake.name == ca.name
    refused(ca, expert, match="no revocation list of CN=Root", gap="list")
    refused(ca, expert, namesake.crl(), Ca("Another").crl(), match="no revocation list", gap="list")


def test_authority_that_may_not_sign_lists_proves_nothing() -> None:
    ca = Ca(usages=("key_cert_sign",))
    refused(ca, ca.issue(), ca.crl(), match="no revocation list", gap="list")


@pytest.mark.parametrize(("last", "until"), [(-9, -1), (1, 9)])
def test_lists_for_another_time_are_refused(ca: Ca, expert: Holder, last: int, until: int) -> None:
    other = ca.crl(last=NOW + last * DAY, until=NOW + until * DAY)
    refused(ca, expert, other, match=f"not one for {NOW:%Y-%m-%dT%H:%M:%SZ}")


def test_revoked_is_revoked_on_any_list(ca: Ca, expert: Holder) -> None:
    stale = ca.crl(expert.certificate, last=NOW - 9 * DAY, until=NOW - 8 * DAY)
    refused(ca, expert, ca.crl(expert.certificate), match="CN=Expert,O=Institute was revoked on 20")
    refused(ca, expert, stale, ca.crl(), match="was revoked on")
    assert prove(ca.issue().certificate, ca.certificate, [ca.crl(expert.certificate)], NOW)


def scope(**choices: object) -> tuple[x509.ExtensionType, bool]:
    usual = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**usual, **choices}), True


REFUSED = {
    "delta": (x509.DeltaCRLIndicator(1), True),
    "indirect": scope(indirect_crl=True),
    "some reasons": scope(only_some_reasons=frozenset([x509.ReasonFlags.key_compromise])),
    "attribute certificates": scope(only_contains_attribute_certs=True),
    "authorities alone": scope(only_contains_ca_certs=True),
    "published elsewhere": scope(full_name=[x509.UniformResourceIdentifier("http://lists.example/2.crl")]),
    "unknown and critical": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_lists_that_do_not_cover_the_certificate_are_refused(ca: Ca, expert: Holder, kind: str) -> None:
    refused(ca, expert, ca.crl(more=[REFUSED[kind]]), match="covers not all")


@pytest.mark.parametrize(
    "extension",
    [
        scope(only_contains_user_certs=True),
        scope(full_name=[x509.UniformResourceIdentifier(URL)]),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), False),
    ],
)
def test_lists_whose_scope_includes_the_certificate_count(
    ca: Ca, expert: Holder, extension: tuple[x509.ExtensionType, bool]
) -> None:
    found = ca.crl(more=[extension])
    assert prove(expert.certificate, ca.certificate, [found], NOW) is found


def test_list_for_users_covers_no_authority(ca: Ca) -> None:
    middle = Ca("Middle", ca)
    users = ca.crl(more=[scope(only_contains_user_certs=True)])
    with pytest.raises(RevocationFault, match="covers not all"):
        prove(middle.certificate, ca.certificate, [users], NOW)


def test_paths_need_a_list_for_each_certificate_but_the_root(ca: Ca) -> None:
    middle = Ca("Middle", ca)
    leaf = middle.issue()
    path = path_to_root(leaf.certificate, leaf.issuers[::-1])
    assert path == (leaf.certificate, middle.certificate, ca.certificate)
    lists = [ca.crl(), middle.crl()]
    assert {each.der for each in prove_paths([path, path], lists, NOW)} == {each.der for each in lists}
    assert len(prove_paths([path, path], lists, NOW)) == 2
    for missing in lists:
        with pytest.raises(RevocationFault) as caught:
            prove_paths([path], [each for each in lists if each is not missing], NOW)
        assert caught.value.gap == "list"


def test_paths_that_end_early_are_named(ca: Ca) -> None:
    middle = Ca("Middle", ca)
    leaf = middle.issue().certificate
    with pytest.raises(RevocationFault, match=r"CN=Root.*issued that of CN=Middle") as caught:
        prove_paths([path_to_root(leaf, [middle.certificate])], [middle.crl()], NOW)
    assert caught.value.gap == "issuer"
    with pytest.raises(RevocationFault, match="self-signed") as caught:
        prove_paths([(ca.certificate,)], [], NOW)
    assert caught.value.gap == "self-signed"


def test_revoked_outweighs_missing(ca: Ca) -> None:
    middle = Ca("Middle", ca)
    leaf = middle.issue()
    path = path_to_root(leaf.certificate, leaf.issuers)
    with pytest.raises(RevocationFault, match=r"Middle.*was revoked") as caught:
        prove_paths([path], [ca.crl(middle.certificate)], NOW)
    assert caught.value.gap is None


def test_names_from_certificates_command_nothing() -> None:
    ca = Ca("100 %s \x1b[31m")
    with pytest.raises(RevocationFault) as caught:
        prove(ca.issue("%(x)s").certificate, ca.certificate, [], NOW)
    assert "\x1b" not in caught.value.cause
    assert "100 %s" in caught.value.cause


def test_files_and_folders_are_read(ca: Ca, tmp_path: Path) -> None:
    one, two = ca.crl(), Ca("Two").crl()
    (tmp_path / "a.crl").write_bytes(one.der)
    (tmp_path / "b.pem").write_bytes(one.crl.public_bytes(Encoding.PEM) + two.crl.public_bytes(Encoding.PEM))
    assert [each.der for each in read_lists([tmp_path])] == [one.der, one.der, two.der]
    assert [each.source for each in read_lists([tmp_path / "a.crl"])] == ["a.crl"]


def test_files_that_are_no_lists_are_refused(ca: Ca, tmp_path: Path) -> None:
    path = tmp_path / "list.crl"
    for raw in (
        b"",
        b"\x30\x00",
        ca.certificate.public_bytes(Encoding.PEM),
        ca.crl().der[:-1],
        b"\x00" * (LARGEST + 1),
    ):
        path.write_bytes(raw)
        with pytest.raises(UsageError, match=r"list\.crl"):
            read_lists([path])
    (tmp_path / "empty").mkdir()
    for missing in (tmp_path / "empty", tmp_path / "nothing"):
        with pytest.raises(UsageError):
            read_lists([missing])


def test_addresses_of_lists_are_read(ca: Ca, expert: Holder) -> None:
    assert distribution_points(expert.certificate) == [URL]
    assert distribution_points(ca.certificate) == []
