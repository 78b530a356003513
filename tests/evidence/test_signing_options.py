"""The options of signing as a user gives them: what is reached, what is said, and nothing written where it fails."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from forensics.cli import root
from forensics.errors import AuthorityError, ForensicsError, UsageError
from forensics.evidence.check_pdf import check_pdf
from tests.evidence.conftest import PASSPHRASE, Line
from tests.evidence.pki import DAY, NOW, SECRET, Ca, Holder


@pytest.fixture(scope="module")
def people() -> Ca:
    return Ca("People")


@pytest.fixture(scope="module")
def expert(people: Ca) -> Holder:
    return people.issue()


@pytest.fixture
def place(tmp_path: Path, line: Line, people: Ca, expert: Holder) -> Path:
    """A folder with a key, a list and an authority."""
    (tmp_path / "expert.p12").write_bytes(expert.p12())
    (tmp_path / "people.crl").write_bytes(people.crl().crl.public_bytes(Encoding.PEM))
    line.authority.save(tmp_path / "authority")
    return tmp_path


def report(line: Line, place: Path, *arguments: object, secret: str = SECRET) -> Result:
    runner = CliRunner(env={"FORENSICS_SIGNER_PASSPHRASE": secret})
    command = ["report", line.sealed, "--out", place / "report.pdf", "--summary", *arguments]
    return runner.invoke(root, [str(each) for each in command])


def signer(place: Path) -> tuple[object, ...]:
    return "--signer", place / "expert.p12", "--demonstration", place / "authority"


def refused(line: Line, place: Path, result: Result, match: str, kind: type[ForensicsError] = UsageError) -> None:
    assert isinstance(result.exception, kind), result.output
    assert match in result.exception.cause
    assert result.exception.next_step.endswith(".")
    assert not (place / "report.pdf").exists()
    assert not [path.name for path in place.iterdir() if path.name.startswith(".")]


def test_lists_make_the_court_profile(line: Line, place: Path) -> None:
    result = report(line, place, *signer(place), "--crl", place / "people.crl", "--json")
    assert result.exit_code == 0, result.output
    assert (json.loads(result.output)["level"], json.loads(result.output)["below"]) == ("B-LT", None)
    assert check_pdf(place / "report.pdf").details["signature_level"] == "B-LT"


def test_archive_profile(line: Line, place: Path) -> None:
    result = report(line, place, *signer(place), "--crl", place / "people.crl", "--profile", "archive")
    assert result.exit_code == 0, result.output
    assert "signed (PAdES B-LTA)" in result.output
    assert check_pdf(place / "report.pdf").details["signature_level"] == "B-LTA"


def test_less_is_said_on_the_terminal(line: Line, place: Path) -> None:
    result = report(line, place, *signer(place))
    assert result.exit_code == 0, result.output
    assert "signed (PAdES B-T)" in result.output
    assert "No revocation data is embedded: there is no revocation list of CN=People,O=Institute" in result.output


@pytest.mark.parametrize("profile", ["court", "archive"])
def test_profile_that_cannot_be_reached_is_refused(line: Line, place: Path, profile: str) -> None:
    refused(
        line, place, report(line, place, *signer(place), "--profile", profile), f"profile {profile} cannot be reached"
    )
    alone = report(line, place, "--signer", place / "expert.p12", "--profile", profile)
    refused(line, place, alone, "no timestamp authority was named")


def test_lists_that_do_not_fit_are_refused(line: Line, place: Path, people: Ca, expert: Holder) -> None:
    wrong = {
        "was revoked on": people.crl(expert.certificate),
        "is not one for": people.crl(last=NOW - 9 * DAY, until=NOW - DAY),
        "does not belong to this signature": Ca("Foreign").crl(),
    }
    for match, found in wrong.items():
        (place / "people.crl").write_bytes(found.der)
        refused(line, place, report(line, place, *signer(place), "--crl", place / "people.crl"), match)
    (place / "people.crl").write_bytes(b"rubbish")
    refused(line, place, report(line, place, *signer(place), "--crl", place / "people.crl"), "no revocation list")


def test_wrong_passphrase_and_certificates_are_refused(line: Line, place: Path, people: Ca) -> None:
    wrong = report(line, place, *signer(place), secret="guess")
    refused(line, place, wrong, "the passphrase is wrong")
    assert "guess" not in str(wrong.exception)
    for holder, match in (
        (people.issue(start=NOW - 9 * DAY, days=5), "certificate is valid from"),
        (people.issue(usages=["key_encipherment"]), "key usage"),
        (people.issue(purposes=["1.3.6.1.5.5.7.3.1"]), "extended key usage"),
    ):
        (place / "expert.p12").write_bytes(holder.p12())
        refused(line, place, report(line, place, *signer(place)), match)


def test_options_of_a_signature_need_a_signer(line: Line, place: Path) -> None:
    for options in (("--profile", "court"), ("--crl", place / "people.crl"), ("--fetch-revocation",)):
        refused(line, place, report(line, place, *options), "Nobody is named who signs")


def test_issuers_are_taken_from_a_file(line: Line, place: Path, people: Ca, expert: Holder) -> None:
    (place / "expert.p12").write_bytes(expert.p12(chain=False))
    (place / "people.pem").write_bytes(people.certificate.public_bytes(Encoding.PEM))
    arguments = (*signer(place), "--crl", place / "people.crl", "--profile", "court")
    refused(line, place, report(line, place, *arguments), "does not belong to this signature")
    result = report(line, place, *arguments, "--chain", place / "people.pem")
    assert result.exit_code == 0, result.output


def test_private_addresses_are_not_asked(line: Line, place: Path, people: Ca) -> None:
    names = [x509.UniformResourceIdentifier("http://127.0.0.1:9/people.crl")]
    point = x509.DistributionPoint(names, None, None, None)
    holder = people.issue(more=[(x509.CRLDistributionPoints([point]), False)])
    (place / "expert.p12").write_bytes(holder.p12())
    result = report(line, place, *signer(place), "--fetch-revocation")
    refused(line, place, result, "no public address", AuthorityError)


def test_demonstration_reaches_the_court_profile(line: Line, place: Path) -> None:
    named = ("--signer", line.signer, "--demonstration", place / "authority", "--json")
    result = report(line, place, *named, secret=PASSPHRASE)
    assert json.loads(result.output)["level"] == "B-LT"
